//! Limits in the naive model: each bound is computed from all holds.

use std::collections::BTreeMap;

use stockade_types::definition::{Limit, Scope};
use stockade_types::refusal::Reason;
use stockade_types::time::Millis;

use super::conduct::Active;
use super::state::ModelHold;
use super::words::sku;
use super::{ITEMS, Wanted};

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub scope: Scope,
    pub skus: Vec<&'static str>,
    pub by_card: bool,
    pub max: Option<u32>,
    pub gold: Option<u32>,
    pub live_units: Option<u32>,
    pub live_holds: Option<u32>,
    pub rolling: Option<u64>,
    pub cooldown: Option<u64>,
}

impl Rule {
    /// A limit of `max` units in all.
    pub const fn plain(max: u32) -> Self {
        Self {
            scope: Scope::Drop,
            skus: Vec::new(),
            by_card: false,
            max: Some(max),
            gold: None,
            live_units: None,
            live_holds: None,
            rolling: None,
            cooldown: None,
        }
    }

    /// The same limit as the engine's type.
    pub fn limit(&self, place: usize) -> Limit {
        let tier = |most| ("gold".parse().expect("a tier"), most);
        Limit {
            skus: self.skus.iter().map(|name| sku(name)).collect(),
            identity_kind: self.by_card.then(|| "card".parse().expect("a kind")),
            max_units: self.max,
            max_units_by_tier: self.gold.map(tier).into_iter().collect(),
            max_live_units: self.live_units,
            max_live_holds: self.live_holds,
            rolling: self.rolling.map(Millis),
            cooldown: self.cooldown.map(Millis),
            ..Limit::new(format!("l{place}").parse().expect("an id"), self.scope)
        }
    }

    /// Whether the limit is for an item of a drop: for goods if it names none.
    fn covers(&self, slots: &[(usize, usize)], (drop, of): (usize, usize)) -> bool {
        if self.skus.is_empty() { !slots.contains(&(drop, of)) } else { self.skus.contains(&ITEMS[drop][of]) }
    }

    /// Whether the limit counts an item of a drop for a request. `item` is set if it counts each item separately.
    fn counts(&self, question: &Question<'_>, item: Option<usize>, (drop, of): (usize, usize)) -> bool {
        let here = question.drop == drop;
        let named = self.covers(question.slots, (drop, of));
        match self.scope {
            Scope::Item => here && item == Some(of),
            Scope::Drop => here && named,
            Scope::Series | Scope::Shop => named,
        }
    }
}

/// The subjects of a request.
#[derive(Debug)]
pub struct Subjects<'a> {
    pub customer: usize,
    pub cards: &'a [u8],
    pub gold: bool,
}

/// A request to check against limits.
#[derive(Debug)]
pub struct Question<'a> {
    pub drop: usize,
    pub subjects: Subjects<'a>,
    /// The units of each item, in the request's order.
    pub units: &'a [(usize, u32)],
    /// The pickup slots, by drop and item.
    pub slots: &'a [(usize, usize)],
    /// For a late claim: when its hold was made.
    pub late: Option<u64>,
    pub now: u64,
}

/// A bound that refuses. The order decides which one the refusal reports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    reason: Reason,
    rule: usize,
    /// The number of a rule of conduct.
    conduct: Option<u8>,
    /// The first line that it refuses, in the request's order.
    first: usize,
    /// Bounds of live holds are ordered before those of live units.
    kind: u8,
    /// The fullest card is ordered first.
    left_over: std::cmp::Reverse<u32>,
    max: u32,
    over_at: Option<u64>,
}

/// Lines that are counted together, and their item if each is counted separately.
type Group = (Option<usize>, Vec<(usize, u32)>);
/// Whether a hold belongs to a subject.
pub type Whose = Box<dyn Fn(&ModelHold) -> bool>;

/// The result of the limits.
#[derive(Debug, Default)]
pub struct Limited {
    /// By item: the reason, and how many units are left.
    pub lines: BTreeMap<usize, (Reason, u32)>,
    /// By item: how many units are left of it if the other lines get what they request.
    pub room: BTreeMap<usize, u32>,
    hits: Vec<Hit>,
}

impl Limited {
    /// `archived` are holds of archived drops: only units that they own count.
    pub fn of(
        (rules, conduct): (&[Rule], &[Active<'_>]),
        question: &Question<'_>,
        holds: &[ModelHold],
        archived: &[ModelHold],
    ) -> Self {
        let mut limited = Self::default();
        let limits = rules.iter().enumerate().map(|(place, rule)| (place, rule, None));
        let conduct =
            conduct.iter().map(|active| (rules.len() + usize::from(active.plan.id), &active.plan.bounds, Some(active)));
        for (place, rule, active) in limits.chain(conduct) {
            let covered = |item: usize| rule.covers(question.slots, (question.drop, item));
            let lines: Vec<_> = question.units.iter().copied().filter(|(item, _)| covered(*item)).collect();
            let groups: Vec<Group> = match rule.scope {
                Scope::Item => lines.iter().map(|line| (Some(line.0), vec![*line])).collect(),
                Scope::Drop | Scope::Series | Scope::Shop if lines.is_empty() => Vec::new(),
                Scope::Drop | Scope::Series | Scope::Shop => vec![(None, lines)],
            };
            let mut whose: Vec<Whose> = Vec::new();
            if let Some(active) = active {
                whose.push(active.whose(question.subjects.customer));
            } else if rule.by_card {
                for card in question.subjects.cards {
                    let card = *card;
                    whose.push(Box::new(move |hold| hold.ask.cards.contains(&card)));
                }
            } else {
                let customer = question.subjects.customer;
                whose.push(Box::new(move |hold| hold.ask.customer == customer));
            }
            for subject in &whose {
                let of = |holds: &'_ [ModelHold]| holds.iter().filter(|hold| subject(hold)).cloned().collect();
                let holds: [Vec<ModelHold>; 2] = [of(holds), of(archived)];
                for (item, lines) in &groups {
                    limited.look((place, rule, active), question, &holds, (*item, lines));
                }
            }
        }
        limited
    }

    fn look(
        &mut self,
        (place, rule, active): (usize, &Rule, Option<&Active<'_>>),
        question: &Question<'_>,
        [holds, archived]: &[Vec<ModelHold>; 2],
        (item, lines): (Option<usize>, &[(usize, u32)]),
    ) {
        let now = question.now;
        let counted = |hold: &ModelHold| {
            let items = hold.items().into_iter().filter(|of| rule.counts(question, item, (hold.drop(), *of)));
            items.map(|of| hold.owns(of)).sum::<u32>()
        };
        // A superseded hold counts as its successor, which keeps its time of creation.
        let reserved = |hold: &ModelHold| {
            let counts = |of| rule.counts(question, item, (hold.drop(), of));
            hold.superseded_by.is_none() && hold.items().into_iter().any(counts)
        };
        let asked: u32 = lines.iter().map(|(_, units)| units).sum();
        let live: Vec<_> = holds.iter().filter(|hold| hold.is_live() && counted(hold) > 0).collect();
        let next = live.iter().map(|hold| hold.expires_at).min();
        let first = question.units.iter().position(|(of, _)| *of == lines[0].0).expect("one of them");
        let conduct = active.map(|active| active.plan.id);
        let mut refuse = |reason, kind, (used, max): (u32, u32), left: u32, over_at: Option<u64>| {
            let over_at = over_at.into_iter().chain(active.map(|active| active.over_at)).min();
            let left_over = std::cmp::Reverse(used);
            self.hits.push(Hit { reason, rule: place, conduct, first, kind, left_over, max, over_at });
            for (item, units) in lines {
                let reported = self.lines.entry(*item).or_insert((reason, *units));
                *reported = (reported.0.min(reason), reported.1.min(left));
                let alone = left.saturating_sub(asked - units);
                self.room.entry(*item).and_modify(|room| *room = alone.min(*room)).or_insert(alone);
            }
        };
        if question.late.is_none() {
            let last = holds.iter().filter(|hold| reserved(hold)).map(|hold| hold.created_at).max();
            if let (Some(span), Some(last)) = (rule.cooldown, last)
                && now < last + span
            {
                refuse(Reason::Cooldown, 0, (0, 0), 0, Some(last + span));
            }
            let count = u32::try_from(live.len()).expect("few");
            if let Some(max) = rule.live_holds.filter(|max| count + 1 > *max) {
                refuse(Reason::TooManyHolds, 1, (count, max), 0, next.filter(|_| max > 0));
            }
            let units: u32 = live.iter().map(|hold| counted(hold)).sum();
            if let Some(max) = rule.live_units.filter(|max| units + asked > *max) {
                let left = max.saturating_sub(units);
                refuse(Reason::TooManyHolds, 2, (units, max), left, next.filter(|_| asked <= max));
            }
        }
        let gold = rule.gold.filter(|_| question.subjects.gold);
        let Some(max) = gold.or(rule.max) else { return };
        let within = |made: u64| rule.rolling.is_none_or(|span| now < made + span);
        if question.late.is_some_and(|made| !within(made)) {
            return;
        }
        let used = |at: u64| {
            let within = |made: u64| rule.rolling.is_none_or(|span| at < made + span);
            let holds = holds.iter().chain(archived);
            holds.filter(|hold| within(hold.created_at)).map(counted).sum::<u32>()
        };
        if used(now) + asked > max {
            // The first instant at which enough holds have left the window, tried one by one.
            let span = rule.rolling.unwrap_or_default();
            let mut ends: Vec<u64> =
                holds.iter().chain(archived).map(|hold| hold.created_at + span).filter(|at| *at > now).collect();
            ends.sort_unstable();
            let over_at = ends.into_iter().find(|at| used(*at) + asked <= max);
            let own = question.late.map(|made| made + span);
            let over_at = rule.rolling.and_then(|_| over_at.into_iter().chain(own).min());
            refuse(Reason::LimitReached, 3, (used(now), max), max.saturating_sub(used(now)), over_at);
        }
    }

    /// The text of the refusal of these lines, if there is one. `barred` is the text of a line of which nothing is offered.
    pub fn reported(
        &self,
        Question { drop, now, .. }: &Question<'_>,
        lines: &[Wanted],
        barred: impl Fn(&Wanted) -> Option<String>,
    ) -> Option<String> {
        let hit = self.hits.iter().min()?;
        let same = self.hits.iter().filter(|other| other.reason == hit.reason).map(|other| other.over_at);
        let over_at = same.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten();
        let by_limit = |line: &Wanted| {
            let (why, left) = self.lines.get(&line.item)?;
            Some(line.reported(*drop, why.label(), *left))
        };
        let reported = |line: &Wanted| barred(line).or_else(|| by_limit(line));
        let lines: Vec<_> = lines.iter().filter_map(reported).collect();
        let (reason, name) =
            (hit.reason.label(), hit.conduct.map_or_else(|| format!("l{}", hit.rule), |id| format!("c{id}")));
        let retry = over_at.map(|at| at - now);
        Some(format!("{reason} {lines:?} {name} {}/{} retry {retry:?}", hit.left_over.0, hit.max))
    }
}

//! The naive model: plain lists and sums over them.

use std::collections::{BTreeMap, BTreeSet};

use stockade_types::hold::HoldState;

use super::rules::{Limited, Question, Rule, Subjects};
use super::stock::Adjustments;
use super::words::hold_id;
use super::{HOUR, ITEMS, LIFE, PAYMENT, Parts, Place, Shape, TTL, Units, Verb};

/// The least remaining life of a hold after it leaves payment.
const MINUTE: u64 = 60_000;

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelHold {
    pub ask: super::reserves::Ask,
    /// Whether the customer's tier counts: a limit used it when the hold was made.
    pub gold: bool,
    /// What the answer said about lines that got less.
    pub shorts: String,
    pub superseded_by: Option<u64>,
    pub has: Parts,
    pub state: HoldState,
    pub created_at: u64,
    pub expires_at: u64,
    pub order: Option<u8>,
    pub returned: Parts,
    pub withdrawn: Parts,
}

impl ModelHold {
    pub const fn drop(&self) -> usize {
        self.ask.drop
    }

    pub fn items(&self) -> BTreeSet<usize> {
        self.has.keys().map(|(item, _)| *item).collect()
    }

    /// The sum over the item's pools.
    fn sum(&self, item: usize, of: impl Fn(Place) -> u32) -> u32 {
        self.has.keys().filter(|(known, _)| *known == item).map(|place| of(*place)).sum()
    }

    /// Units of a pool that are not free: none if the hold has ended without a sale.
    fn owns_in(&self, place: Place) -> u32 {
        let lives = matches!(self.state, HoldState::Held | HoldState::Paying | HoldState::Claimed);
        if lives { self.has.get(&place).copied().unwrap_or(0) } else { 0 }
    }

    /// Units of an item that are not free.
    pub fn owns(&self, item: usize) -> u32 {
        self.sum(item, |place| self.owns_in(place))
    }

    /// The wanted units of each item, from the first pools on, as far as `there` has them.
    pub fn first(&self, wanted: &[(usize, u32)], there: impl Fn(Place) -> u32) -> Parts {
        let mut left: BTreeMap<usize, u32> = wanted.iter().copied().collect();
        let part = |place: &Place| {
            let left = left.entry(place.0).or_default();
            let units = there(*place).min(*left);
            *left -= units;
            (*place, units)
        };
        self.has.keys().map(part).collect()
    }

    pub fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying)
    }

    fn sold(&self, place: Place) -> u32 {
        self.has.get(&place).unwrap_or(&0) + self.returned.get(&place).unwrap_or(&0)
    }

    /// Enters the units of a sale that were returned, in total.
    fn come_back(&mut self, returned: &[(usize, u32)], restock: bool) {
        let all: Units = self.items().into_iter().map(|item| (item, u32::MAX)).collect();
        let totals = self.first(if returned.is_empty() { &all } else { returned }, |place| self.sold(place));
        for (place, total) in totals {
            let before = self.returned.get(&place).copied().unwrap_or(0);
            let more = total.saturating_sub(before);
            if more == 0 {
                continue;
            }
            *self.has.entry(place).or_default() -= more;
            *self.returned.entry(place).or_default() += more;
            if !restock {
                *self.withdrawn.entry(place).or_default() += more;
            }
        }
    }

    /// The reason of a refusal once it was released.
    pub fn released(&self) -> &'static str {
        if self.superseded_by.is_some() { "superseded" } else { "hold_released" }
    }
}

/// A drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDrop {
    /// Units received, by item and pool.
    pub pools: Vec<Vec<u64>>,
    pub rules: Vec<Rule>,
    pub ttl: u64,
    /// When it closes by its definition.
    pub closes: Option<u64>,
    /// When an operator closed it.
    pub closed: Option<u64>,
    pub paused: bool,
    /// The holds that it had when it was archived.
    pub archived: Option<Vec<ModelHold>>,
    /// Whether they are still in memory: they count as they are, and their ids are not free.
    pub leaving: bool,
    pub adjustments: Adjustments,
}

/// The whole state. Times count from [`START`](super::words::START).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub drops: Vec<ModelDrop>,
    pub holds: BTreeMap<u64, ModelHold>,
    pub now: u64,
}

impl Model {
    pub fn new(shapes: &[Shape; 2]) -> Self {
        let drop = |(pools, rules): &Shape| ModelDrop {
            pools: pools.clone(),
            rules: rules.clone(),
            ttl: TTL,
            closes: None,
            closed: None,
            paused: false,
            archived: None,
            leaving: false,
            adjustments: Adjustments::default(),
        };
        Self { drops: shapes.iter().map(drop).collect(), holds: BTreeMap::new(), now: 0 }
    }

    pub fn drop_of(&self, hold: u64) -> Option<usize> {
        self.holds.get(&hold).map(ModelHold::drop)
    }

    pub fn expire(&mut self) {
        for hold in self.holds.values_mut() {
            if hold.is_live() && hold.expires_at <= self.now {
                hold.state = HoldState::Expired;
            }
        }
    }

    /// Some expired hold.
    pub fn expired(&self) -> Option<u64> {
        self.holds.iter().find(|(_, hold)| hold.state == HoldState::Expired).map(|(id, _)| *id)
    }

    pub fn free(&self, drop: usize, item: usize) -> u64 {
        (0..).zip(&self.drops[drop].pools[item]).map(|(pool, _)| self.free_in(drop, (item, pool))).sum()
    }

    pub fn free_in(&self, drop: usize, place: Place) -> u64 {
        let gone = |hold: &ModelHold| hold.owns_in(place) + hold.withdrawn.get(&place).copied().unwrap_or(0);
        let here = self.holds.values().filter(|hold| hold.drop() == drop);
        let here = here.chain(self.drops[drop].archived.iter().flatten());
        let out = here.map(|hold| u64::from(gone(hold))).sum::<u64>() + self.drops[drop].adjustments.taken_out(place);
        self.drops[drop].pools[place.0][usize::from(place.1)] - out
    }

    pub fn show(&self, id: u64) -> String {
        let hold = &self.holds[&id];
        let line = |place: &Place| (ITEMS[hold.drop()][place.0], place.1, hold.owns_in(*place));
        let lines: Vec<_> = hold.has.keys().map(line).collect();
        let until = if hold.is_live() { hold.expires_at } else { 0 };
        format!("{:?} {lines:?} until {until} by {:?}", hold.state, hold.superseded_by.map(hold_id))
    }

    pub fn dead(&self, id: u64, reason: &str) -> String {
        format!("{reason} [{}]", self.show(id))
    }

    /// Holds of archived drops: those that are still in memory, or the others.
    fn archived(&self, leaving: bool) -> impl Iterator<Item = &ModelHold> {
        self.drops.iter().filter(move |drop| drop.leaving == leaving).flat_map(|drop| drop.archived.iter().flatten())
    }

    /// A hold of an archived drop that is still in memory.
    pub fn leaving(&self, id: u64) -> Option<&ModelHold> {
        self.archived(true).find(|hold| hold.ask.hold == id)
    }

    /// The result of the limits, without the hold to be superseded. Units sold in an archived drop whose holds have
    /// left memory count as reserved at the end of their hour. That they were reserved no longer counts for cooldowns.
    pub fn limited(&self, question: &Question<'_>, but: Option<u64>) -> Limited {
        let live = self.holds.iter().filter(|(id, _)| Some(**id) != but).map(|(_, hold)| hold.clone());
        let live = live.chain(self.archived(true).cloned());
        let archived = self.archived(false).map(|hold| {
            let created_at = hold.created_at.div_ceil(HOUR) * HOUR;
            ModelHold { created_at, ..hold.clone() }
        });
        let (live, archived): (Vec<_>, Vec<_>) = (live.collect(), archived.collect());
        Limited::of(&self.drops[question.drop].rules, question, &live, &archived)
    }

    pub fn on_hold(&mut self, act: &Verb, id: u64) -> String {
        let (now, ttl_of) = (self.now, self.drops.iter().map(|drop| drop.ttl).collect::<Vec<_>>());
        let Some(hold) = self.holds.get_mut(&id) else { return "not found".to_owned() };
        let (state, ceiling, total) = (hold.state, hold.created_at + LIFE, hold.created_at + LIFE + PAYMENT);
        let live = hold.is_live();
        match act {
            Verb::Get { .. } => {}
            Verb::Extend { ttl, .. } if live => {
                hold.expires_at = hold.expires_at.max((now + ttl.unwrap_or(ttl_of[hold.drop()])).min(ceiling));
            }
            Verb::Stage { paying: true, .. } if live => {
                hold.state = HoldState::Paying;
                hold.expires_at = hold.expires_at.max((now + PAYMENT).min(total));
            }
            Verb::Stage { paying: false, .. } if state == HoldState::Paying => {
                hold.state = HoldState::Held;
                // An outage's grace may reach beyond the total: then the deadline is not cut below the least remaining
                // life.
                let kept = hold.expires_at.min(now + MINUTE);
                hold.expires_at = total.min((now + MINUTE).max(hold.expires_at.min(ceiling))).max(kept);
            }
            Verb::Stage { .. } if live => {}
            Verb::Claim { .. } => return self.claim(act, id),
            Verb::Release { abandon: false, .. } if state == HoldState::Paying => {
                return self.dead(id, "payment_in_progress");
            }
            Verb::Release { keep, .. } if live => {
                hold.has = hold.first(keep, |place| hold.has[&place]);
                if hold.has.values().all(|units| *units == 0) {
                    hold.state = HoldState::Released;
                }
            }
            Verb::Release { .. } if state == HoldState::Released && hold.superseded_by.is_none() => {}
            Verb::Return { .. } if live => return "precondition".to_owned(),
            Verb::Return { returned, restock, .. } if state == HoldState::Claimed => {
                if returned.iter().any(|(item, units)| *units > hold.sum(*item, |place| hold.sold(place))) {
                    return "invalid".to_owned();
                }
                hold.come_back(returned, *restock);
            }
            _ if state == HoldState::Claimed => return self.dead(id, "hold_claimed"),
            _ if state == HoldState::Released => {
                let reason = hold.released();
                return self.dead(id, reason);
            }
            _ if state == HoldState::Expired => return self.dead(id, "hold_expired"),
            Verb::Extend { .. } | Verb::Stage { .. } | Verb::Release { .. } | Verb::Return { .. } => {}
        }
        self.show(id)
    }

    fn claim(&mut self, act: &Verb, id: u64) -> String {
        let Verb::Claim { order, late, lines, .. } = act else { return String::new() };
        let hold = self.holds[&id].clone();
        match hold.state {
            HoldState::Claimed if hold.order == Some(*order) => return self.show(id),
            HoldState::Claimed => return self.dead(id, "order_mismatch"),
            HoldState::Released => return self.dead(id, hold.released()),
            HoldState::Expired if !late => return self.dead(id, "hold_expired"),
            HoldState::Expired | HoldState::Held | HoldState::Paying => {}
        }
        let had = |place: Place| hold.has[&place];
        if lines.iter().any(|(item, units)| *units > hold.sum(*item, had)) {
            return "invalid".to_owned();
        }
        let takes = if lines.is_empty() { hold.has.clone() } else { hold.first(lines, had) };
        if hold.state == HoldState::Expired
            && let Some(why) = self.late_refusal(&hold, &takes)
        {
            return self.dead(id, &why);
        }
        let hold = self.holds.get_mut(&id).expect("a hold");
        (hold.state, hold.order, hold.has) = (HoldState::Claimed, Some(*order), takes);
        self.show(id)
    }

    /// A late claim checks limits before stock, since stock was set aside for it before.
    /// It draws on the pools of its lines alone.
    fn late_refusal(&self, hold: &ModelHold, takes: &Parts) -> Option<String> {
        let (drop, items) = (hold.drop(), ITEMS[hold.drop()]);
        let mut sums: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for (place, units) in takes.iter().filter(|(_, units)| **units > 0) {
            let free = u32::try_from(self.free_in(drop, *place)).expect("small");
            let (there, wanted) = sums.entry(place.0).or_default();
            (*there, *wanted) = (*there + free.min(*units), *wanted + units);
        }
        let lines: &Units = &sums.iter().map(|(item, (_, wanted))| (*item, *wanted)).collect();
        let subjects = Subjects { customer: hold.ask.customer, cards: &hold.ask.cards, gold: hold.gold };
        let question = Question { drop, subjects, lines, late: Some(hold.created_at), now: self.now };
        if !hold.ask.over
            && let Some(told) = self.limited(&question, None).told(&question)
        {
            return Some(told);
        }
        let short = sums.iter().filter(|(_, (there, wanted))| there < wanted);
        let told: Vec<_> = short.map(|(item, (there, _))| (items[*item], "sold_out", *there)).collect();
        (!told.is_empty()).then(|| format!("sold_out {told:?} retry None"))
    }
}

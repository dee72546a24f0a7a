//! Reserves in the naive model, including those that supersede a hold and partial ones.

use std::collections::BTreeMap;

use stockade_engine::answer::{HoldView, RefusedLine};
use stockade_engine::command::Reserve;
use stockade_types::hold::HoldState;
use stockade_types::ids::IdentityKind;
use stockade_types::time::Millis;

use super::rules::{Limited, Question, Subjects};
use super::state::{Model, ModelHold};
use super::words::{self, hold_id};
use super::{CUSTOMERS, DROPS, ITEMS, LIFE, Parts, Place};

/// A reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub hold: u64,
    pub drop: usize,
    pub customer: usize,
    /// In the request's order.
    pub lines: Vec<(usize, u32)>,
    pub ttl: Option<u64>,
    pub cards: Vec<u8>,
    pub gold: bool,
    pub over: bool,
    pub old: Option<u64>,
    pub partial: bool,
    pub aim: Aim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// At existing items and holds.
    Something,
    /// At whatever was drawn, even if it is invalid.
    Anything,
}

/// What the answer to a reserve says about lines that got less.
pub fn shorts(view: &HoldView) -> String {
    let line =
        |line: &RefusedLine| format!(" {}:{} {} of {}", line.sku, line.reason.label(), line.available, line.requested);
    view.short_lines().iter().map(line).collect()
}

impl Ask {
    fn content(&self) -> BTreeMap<usize, u32> {
        self.lines.iter().copied().collect()
    }

    pub fn command(&self) -> Reserve {
        let Self { hold, drop, customer, lines, ttl, cards, gold, over, old, partial, aim: _ } = self;
        let lines: Vec<_> = lines.iter().map(|(item, units)| (ITEMS[*drop][*item], *units)).collect();
        let kind: IdentityKind = "card".parse().expect("a kind");
        Reserve {
            ttl: ttl.map(Millis),
            tiers: if *gold { vec!["gold".parse().expect("a tier")] } else { Vec::new() },
            identities: cards.iter().map(|card| (kind.clone(), card.to_string())).collect(),
            over_limits: over.then(|| "asked".into()),
            supersedes: old.map(hold_id),
            allow_partial: *partial,
            ..words::reserve(hold_id(*hold), DROPS[*drop], CUSTOMERS[*customer], &lines)
        }
    }
}

impl Model {
    /// The request adjusted to the state, if it is aimed at something: a new id, existing items, and an own hold to
    /// supersede.
    pub fn in_earnest(&self, ask: &Ask) -> Ask {
        let mut ask = ask.clone();
        if ask.aim == Aim::Anything {
            return ask;
        }
        ask.hold = (0..u64::MAX).find(|id| !self.holds.contains_key(id)).expect("one of many");
        ask.old = ask.old.filter(|_| !self.holds.is_empty()).map(|old| self.known(old));
        if let Some(old) = ask.old.and_then(|old| self.holds.get(&old)) {
            (ask.drop, ask.customer) = (old.ask.drop, old.ask.customer);
        }
        let there = self.drops[ask.drop].pools.len();
        if ask.lines.iter().any(|(item, _)| *item < there) {
            ask.lines.retain(|(item, _)| *item < there);
        }
        ask
    }

    /// The id of the n-th existing hold, modulo their number: live holds first, then the latest.
    pub fn known(&self, nth: u64) -> u64 {
        let mut known: Vec<_> = self.holds.iter().map(|(id, hold)| (!hold.is_live(), u64::MAX - id)).collect();
        known.sort_unstable();
        let nth = usize::try_from(nth).expect("small") % known.len().max(1);
        known.get(nth).map_or(0, |(_, id)| u64::MAX - id)
    }

    pub fn reserve(&mut self, ask: &Ask) -> String {
        let (id, drop) = (ask.hold, &self.drops[ask.drop]);
        if ask.lines.iter().any(|(item, _)| *item >= drop.pools.len()) {
            return "invalid".to_owned();
        }
        let closed = "closed [] retry None".to_owned();
        if drop.archived.is_some() {
            return closed;
        }
        if let Some(hold) = self.holds.get(&id).or_else(|| self.leaving(id)) {
            return self.again(hold, ask);
        }
        if let Some(old) = ask.old
            && let Some(refused) = self.not_superseded(old, ask)
        {
            return refused;
        }
        if self.closed_since(ask.drop).is_some() {
            return closed;
        }
        if self.drops[ask.drop].paused {
            return "paused [] retry None".to_owned();
        }
        let (gets, shorts) = if ask.partial { self.partly(ask) } else { (ask.content(), String::new()) };
        let nothing = gets.is_empty();
        if (nothing || !ask.partial)
            && let Some(refused) = self.refused(ask)
        {
            return refused;
        }
        assert!(!nothing, "nothing is served and nothing is refused: {ask:?}");
        let has = self.drawn(ask, &gets);
        self.make(ask, has, shorts);
        self.show(id) + &self.holds[&id].shorts
    }

    /// The pools that these units come from: those of the hold to be superseded, the first ones first, then all in order.
    fn drawn(&self, ask: &Ask, gets: &BTreeMap<usize, u32>) -> Parts {
        let old = ask.old.and_then(|old| self.holds.get(&old));
        let mut has = Parts::new();
        for (item, units) in gets {
            let own = old.map(|old| old.first(&[(*item, *units)], |place| old.has[&place])).unwrap_or_default();
            let mut rest = units - own.values().sum::<u32>();
            let drawn = (0..).zip(&self.drops[ask.drop].pools[*item]).map(|(pool, _)| {
                let place: Place = (*item, pool);
                let units = rest.min(u32::try_from(self.free_in(ask.drop, place)).expect("small"));
                rest -= units;
                (place, units)
            });
            for (place, units) in own.into_iter().chain(drawn).filter(|(_, units)| *units > 0) {
                *has.entry(place).or_default() += units;
            }
        }
        has
    }

    fn make(&mut self, ask: &Ask, has: Parts, shorts: String) {
        let drop = &self.drops[ask.drop];
        let (mut created_at, mut expires_at) = (self.now, self.now + ask.ttl.unwrap_or(drop.ttl).min(LIFE));
        let gold = ask.gold && drop.rules.iter().any(|rule| rule.gold.is_some());
        if let Some(old) = ask.old.and_then(|old| self.holds.get_mut(&old)) {
            created_at = old.created_at;
            expires_at = old.expires_at.max(expires_at.min(created_at + LIFE));
            (old.state, old.superseded_by) = (HoldState::Released, Some(ask.hold));
        }
        let hold = ModelHold {
            ask: ask.clone(),
            gold,
            shorts,
            superseded_by: None,
            has,
            state: HoldState::Held,
            created_at,
            expires_at,
            order: None,
            returned: Parts::new(),
            withdrawn: Parts::new(),
        };
        self.holds.insert(ask.hold, hold);
    }

    fn again(&self, hold: &ModelHold, ask: &Ask) -> String {
        let asked = &hold.ask;
        let differs = [
            ("drop_id", asked.drop != ask.drop),
            ("customer.id", asked.customer != ask.customer),
            ("lines", asked.content() != ask.content()),
            ("supersedes", asked.old != ask.old),
            ("allow_partial", asked.partial != ask.partial),
        ];
        if let Some((field, _)) = differs.iter().find(|(_, differs)| *differs) {
            return format!("exists {field}");
        }
        match hold.state {
            HoldState::Held | HoldState::Paying | HoldState::Claimed => self.show(ask.hold) + &hold.shorts,
            HoldState::Released => self.dead(ask.hold, hold.released()),
            HoldState::Expired => self.dead(ask.hold, "hold_expired"),
        }
    }

    /// Why this request can't supersede the hold.
    fn not_superseded(&self, old: u64, ask: &Ask) -> Option<String> {
        let his = |hold: &&ModelHold| (hold.ask.customer, hold.ask.drop) == (ask.customer, ask.drop);
        let Some(hold) = self.holds.get(&old).filter(his) else {
            return Some("not found".to_owned());
        };
        let reason = match hold.state {
            HoldState::Held => return None,
            HoldState::Paying => "payment_in_progress",
            HoldState::Claimed => "hold_claimed",
            HoldState::Released => hold.released(),
            HoldState::Expired => "hold_expired",
        };
        Some(self.dead(old, reason))
    }

    /// Units that the customer can get: free ones, and those of the hold to be superseded.
    fn there(&self, ask: &Ask, item: usize) -> u32 {
        let own = ask.old.and_then(|old| self.holds.get(&old)).map_or(0, |old| old.owns(item));
        u32::try_from(self.free(ask.drop, item)).expect("small") + own
    }

    /// The result of the limits for these lines of a request.
    fn limits_on(&self, ask: &Ask, lines: &[(usize, u32)]) -> (Limited, Option<String>) {
        if ask.over {
            return (Limited::default(), None);
        }
        let subjects = Subjects { customer: ask.customer, cards: &ask.cards, gold: ask.gold };
        let question = Question { drop: ask.drop, subjects, lines, late: None, now: self.now };
        let limited = self.limited(&question, ask.old);
        let told = limited.told(&question);
        (limited, told)
    }

    /// The units that each line gets, one line after the other, and the answer's text about lines that get less.
    fn partly(&self, ask: &Ask) -> (BTreeMap<usize, u32>, String) {
        let mut served: Vec<(usize, u32)> = Vec::new();
        let mut shorts = Vec::new();
        for (item, units) in &ask.lines {
            let there = self.there(ask, *item).min(*units);
            let (mut gets, mut reason) = (there, "sold_out");
            if there > 0 {
                let (limited, _) = self.limits_on(ask, &[&served[..], &[(*item, there)]].concat());
                if let (Some((why, _)), Some(room)) = (limited.lines.get(item), limited.room.get(item)) {
                    gets = there.min(*room);
                    reason = if there < *units { reason } else { why.label() };
                }
            }
            if gets > 0 {
                served.push((*item, gets));
            }
            if gets < *units {
                shorts.push(format!(" {}:{reason} {gets} of {units}", ITEMS[ask.drop][*item]));
            }
        }
        (served.into_iter().collect(), shorts.concat())
    }

    /// Why the customer can't have all of these lines now.
    fn refused(&self, ask: &Ask) -> Option<String> {
        let (limited, told_by_limits) = self.limits_on(ask, &ask.lines);
        let name = |item: usize| ITEMS[ask.drop][item];
        let short = |item: usize, units: u32| self.there(ask, item) < units;
        if ask.lines.iter().all(|(item, units)| !short(*item, *units)) {
            return told_by_limits;
        }
        let mut told = Vec::new();
        let mut retry = Some(0);
        for (item, units) in &ask.lines {
            let left = limited.lines.get(item);
            if short(*item, *units) {
                let most = left.map_or(*units, |(_, left)| *left);
                told.push((name(*item), "sold_out", self.there(ask, *item).min(*units).min(most)));
                let others = self.holds.iter().filter(|(id, _)| Some(**id) != ask.old).map(|(_, hold)| hold);
                let live = others.filter(|hold| hold.ask.drop == ask.drop && hold.is_live());
                let holding = live.filter(|hold| hold.owns(*item) > 0);
                let next = holding.map(|hold| hold.expires_at - self.now).min();
                retry = retry.and_then(|soonest| next.map(|next| next.max(soonest)));
            } else if let Some((reason, left)) = left {
                told.push((name(*item), reason.label(), *left));
            }
        }
        Some(format!("sold_out {told:?} retry {retry:?}"))
    }
}

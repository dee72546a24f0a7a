//! Reserves as the naive model sees them: also in place of another hold, and of what there is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stockade::definition::Scope;
use stockade::engine::Engine;
use stockade::engine::answer::HoldView;
use stockade::hold::HoldState;
use stockade::time::{Millis, Timestamp};

use super::{CUSTOMERS, ITEMS, LIFE, Model, ModelHold, TTL};
use crate::common::{self, hold_id, settle};

/// What a reserve asks for.
#[derive(Debug, Clone)]
pub struct Ask {
    pub customer: usize,
    /// In the request's order.
    lines: Vec<(usize, u32)>,
    ttl: Option<u64>,
    old: Option<u64>,
    partial: bool,
}

pub fn ttls() -> impl Strategy<Value = Option<u64>> {
    prop::option::weighted(0.4, 1_u64..4_000)
}

pub fn asks() -> impl Strategy<Value = Ask> {
    let lines = prop::collection::btree_map(0..ITEMS.len(), 1_u32..4, 1..=3);
    let lines = lines.prop_map(|map| map.into_iter().collect::<Vec<_>>()).prop_shuffle();
    let old = prop::option::weighted(0.4, 0_u64..6);
    (0..CUSTOMERS.len(), lines, ttls(), old, prop::bool::weighted(0.3))
        .prop_map(|(customer, lines, ttl, old, partial)| Ask { customer, lines, ttl, old, partial })
}

/// What the answer to a reserve says about lines served short.
pub fn shorts(view: &HoldView) -> String {
    let line = |line: &stockade::engine::answer::RefusedLine| {
        format!(" {}:{} {} of {}", line.sku, line.reason.label(), line.available, line.requested)
    };
    view.short_lines().iter().map(line).collect()
}

impl Ask {
    fn content(&self) -> (usize, BTreeMap<usize, u32>) {
        (self.customer, self.lines.iter().copied().collect())
    }

    pub fn engine_says(&self, engine: &Engine, hold: u64, now: Timestamp) -> String {
        let names: Vec<_> = self.lines.iter().map(|(item, units)| (ITEMS[*item], *units)).collect();
        let mut command = common::reserve(hold_id(hold), "d", CUSTOMERS[self.customer], &names);
        command.ttl = self.ttl.map(Millis);
        (command.supersedes, command.allow_partial) = (self.old.map(hold_id), self.partial);
        super::told(settle(|| engine.reserve(&command, now)), true)
    }
}

impl Model {
    pub fn reserve(&mut self, id: u64, ask: &Ask) -> String {
        if let Some(hold) = self.holds.get(&id) {
            return self.again(id, hold, ask);
        }
        if let Some(old) = ask.old
            && let Some(refused) = self.not_superseded(old, ask.customer)
        {
            return refused;
        }
        let (has, shorts) =
            if ask.partial { self.partly(ask) } else { (ask.lines.iter().copied().collect(), String::new()) };
        let nothing = has.is_empty();
        if (nothing || !ask.partial)
            && let Some(refused) = self.refused(ask)
        {
            return refused;
        }
        assert!(!nothing, "nothing is served and nothing is refused: {ask:?}");
        let ttl = ask.ttl.unwrap_or(TTL).min(LIFE);
        let (mut created_at, mut expires_at) = (self.now, self.now + ttl);
        if let Some(old) = ask.old.and_then(|old| self.holds.get_mut(&old)) {
            created_at = old.created_at;
            expires_at = old.expires_at.max(expires_at.min(created_at + LIFE));
            (old.state, old.superseded_by) = (HoldState::Released, Some(id));
        }
        let hold = ModelHold {
            asked: ask.clone(),
            shorts,
            superseded_by: None,
            has,
            state: HoldState::Held,
            created_at,
            expires_at,
            order: None,
            returned: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
        };
        self.holds.insert(id, hold);
        self.show(id) + &self.holds[&id].shorts
    }

    fn again(&self, id: u64, hold: &ModelHold, ask: &Ask) -> String {
        let asked = &hold.asked;
        let differs = [
            ("customer.id", asked.customer != ask.customer),
            ("lines", asked.content() != ask.content()),
            ("supersedes", asked.old != ask.old),
            ("allow_partial", asked.partial != ask.partial),
        ];
        if let Some((field, _)) = differs.iter().find(|(_, differs)| *differs) {
            return format!("exists {field}");
        }
        match hold.state {
            HoldState::Held | HoldState::Paying | HoldState::Claimed => self.show(id) + &hold.shorts,
            HoldState::Released => self.dead(id, self.released(id)),
            HoldState::Expired => self.dead(id, "hold_expired"),
        }
    }

    /// Why a hold can't be superseded by one of this customer's.
    fn not_superseded(&self, old: u64, customer: usize) -> Option<String> {
        let Some(hold) = self.holds.get(&old).filter(|hold| hold.asked.customer == customer) else {
            return Some("not found".to_owned());
        };
        let reason = match hold.state {
            HoldState::Held => return None,
            HoldState::Paying => "payment_in_progress",
            HoldState::Claimed => "hold_claimed",
            HoldState::Released => self.released(old),
            HoldState::Expired => "hold_expired",
        };
        Some(self.dead(old, reason))
    }

    /// Units that are there for the customer: free ones, and those of the hold that he gives up for them.
    fn there(&self, item: usize, old: Option<u64>) -> u32 {
        let own = old.and_then(|old| self.holds.get(&old)).map_or(0, |old| old.owns(item));
        u32::try_from(self.free(item)).expect("small") + own
    }

    /// What is served of each line, one after the other, and what is told of those that get less.
    fn partly(&self, ask: &Ask) -> (BTreeMap<usize, u32>, String) {
        let mut served = BTreeMap::new();
        let mut shorts = Vec::new();
        for (item, units) in &ask.lines {
            let there = self.there(*item, ask.old).min(*units);
            let left = self.limits.iter().map(|(_, scope, max)| match scope {
                Scope::Item => max.saturating_sub(self.used(ask.customer, Some(*item), ask.old)),
                Scope::Drop | Scope::Series | Scope::Shop => {
                    max.saturating_sub(self.used(ask.customer, None, ask.old) + served.values().sum::<u32>())
                }
            });
            let gets = left.min().unwrap_or(u32::MAX).min(there);
            if gets > 0 {
                served.insert(*item, gets);
            }
            if gets < *units {
                let reason = if there < *units { "sold_out" } else { "limit_reached" };
                shorts.push(format!(" {}:{reason} {gets} of {units}", ITEMS[*item]));
            }
        }
        (served, shorts.concat())
    }

    /// Why the customer can't have all of these lines now.
    fn refused(&self, Ask { customer, lines, old, .. }: &Ask) -> Option<String> {
        // What each limit leaves of each line.
        let mut hit = None;
        let mut allowed: BTreeMap<usize, u32> = BTreeMap::new();
        for (name, scope, max) in &self.limits {
            let all: u32 = lines.iter().map(|(_, units)| units).sum();
            for (item, units) in lines {
                let (used, wants) = match scope {
                    Scope::Item => (self.used(*customer, Some(*item), *old), *units),
                    Scope::Drop | Scope::Series | Scope::Shop => (self.used(*customer, None, *old), all),
                };
                if used + wants > *max {
                    hit.get_or_insert((*name, used, *max));
                    let left = max.saturating_sub(used).min(*units);
                    allowed.entry(*item).and_modify(|least| *least = left.min(*least)).or_insert(left);
                }
            }
        }
        let short = |item: usize, units: u32| self.there(item, *old) < units;
        if lines.iter().any(|(item, units)| short(*item, *units)) {
            let mut told = Vec::new();
            let mut retry = Some(0);
            for (item, units) in lines {
                let most = allowed.get(item).copied().unwrap_or(*units);
                if short(*item, *units) {
                    told.push((ITEMS[*item], "sold_out", self.there(*item, *old).min(*units).min(most)));
                    let live = self.holds.iter().filter(|(id, hold)| {
                        Some(**id) != *old && matches!(hold.state, HoldState::Held | HoldState::Paying)
                    });
                    let holding = live.filter(|(_, hold)| hold.owns(*item) > 0);
                    let next = holding.map(|(_, hold)| hold.expires_at - self.now).min();
                    retry = retry.and_then(|soonest| next.map(|next| next.max(soonest)));
                } else if allowed.contains_key(item) {
                    told.push((ITEMS[*item], "limit_reached", most));
                }
            }
            return Some(format!("sold_out {told:?} retry {retry:?}"));
        }
        if let Some((name, used, max)) = hit {
            let told: Vec<_> = lines
                .iter()
                .filter_map(|(item, _)| Some((ITEMS[*item], "limit_reached", *allowed.get(item)?)))
                .collect();
            return Some(format!("limit_reached {told:?} {name} {used}/{max}"));
        }
        None
    }
}

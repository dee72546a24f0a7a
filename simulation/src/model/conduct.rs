//! Rules of conduct in the naive model: each is judged by all holds.

use stockade_types::definition::{Conduct, ConductRule, Limit, Scope};
use stockade_types::hold::HoldState;
use stockade_types::time::Millis;

use super::plan::Crowd;
use super::reserves::Ask;
use super::rules::{Rule, Whose};
use super::state::{Model, ModelHold};

/// A rule of conduct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConductPlan {
    pub id: u8,
    pub counts: Conduct,
    pub at_least: u32,
    pub within: u64,
    pub crowd: Crowd,
    pub ttl: Option<u64>,
    /// Its bounds: units, live units and a cooldown in the drop, by customer or by card.
    pub bounds: Rule,
}

/// A rule that applies to one customer or card.
#[derive(Debug)]
pub struct Active<'a> {
    pub plan: &'a ConductPlan,
    pub card: Option<u8>,
    /// Until when, if nothing more is done.
    pub over_at: u64,
}

impl Active<'_> {
    /// Whose holds its bounds count.
    pub fn whose(&self, customer: usize) -> Whose {
        match self.card {
            Some(card) => Box::new(move |hold| hold.ask.cards.contains(&card)),
            None => Box::new(move |hold| hold.ask.customer == customer),
        }
    }
}

impl ConductPlan {
    pub fn rule(&self) -> ConductRule {
        let Limit { identity_kind, max_units, max_live_units, cooldown, .. } = self.bounds.limit(0);
        let id = format!("c{}", self.id).parse().expect("an id");
        ConductRule {
            counts: self.counts,
            at_least: self.at_least,
            within: Millis(self.within),
            audience: self.crowd.audience(),
            hold_ttl: self.ttl.map(Millis),
            limit: Limit { identity_kind, max_units, max_live_units, cooldown, ..Limit::new(id, Scope::Drop) },
        }
    }

    /// When a hold did what the rule counts. Of archived drops only returns are known.
    fn deed(&self, hold: &ModelHold, is_archived: bool) -> Option<u64> {
        let did = hold.conduct_at?;
        match (self.counts, hold.state) {
            (Conduct::UnclaimedHolds, HoldState::Released | HoldState::Expired) if !is_archived => Some(did),
            (Conduct::Returns, HoldState::Claimed) => Some(did),
            _ => None,
        }
    }
}

impl ModelHold {
    /// It ends without a sale.
    pub fn end(&mut self, state: HoldState, now: u64) {
        self.state = state;
        let late = 2 * (now - self.created_at) > self.expires_at.saturating_sub(self.created_at);
        let at = if state == HoldState::Expired { Some(self.expires_at) } else { late.then_some(now) };
        self.conduct_at = at.filter(|_| !self.grace);
    }

    /// The deadline moves because somebody asked for it.
    pub fn extend(&mut self, expires_at: u64) {
        self.grace &= self.expires_at == expires_at;
        self.expires_at = expires_at;
    }
}

impl Model {
    /// The rules of conduct that apply to a request.
    pub fn active(&self, ask: &Ask) -> Vec<Active<'_>> {
        let mut active = Vec::new();
        if ask.over.limits {
            return active;
        }
        let known = self.holds.values().chain(self.archived(true)).map(|hold| (hold, false));
        let known: Vec<_> = known.chain(self.archived(false).map(|hold| (hold, true))).collect();
        for plan in self.drops[ask.drop].plan.conduct.iter().filter(|plan| plan.crowd.has(ask.gold, &ask.zones)) {
            let cards: Vec<Option<u8>> =
                if plan.bounds.by_card { ask.cards.iter().copied().map(Some).collect() } else { vec![None] };
            for card in cards {
                let mut rule = Active { plan, card, over_at: 0 };
                let whose = rule.whose(ask.customer);
                let deeds = known.iter().filter(|(hold, _)| whose(hold)).filter_map(|(hold, is)| plan.deed(hold, *is));
                let mut ends: Vec<u64> = deeds.map(|at| at + plan.within).filter(|end| self.now < *end).collect();
                ends.sort_unstable_by(|one, other| other.cmp(one));
                let last = usize::try_from(plan.at_least).expect("few") - 1;
                if let Some(over_at) = ends.get(last) {
                    rule.over_at = *over_at;
                    active.push(rule);
                }
            }
        }
        active
    }

    /// The longest life of a hold that conduct allows, with all extensions.
    pub fn life_max(&self, ask: &Ask) -> Option<u64> {
        let old = ask.old.filter(|_| !ask.over.limits).and_then(|old| self.holds.get(&old)?.life_max);
        self.active(ask).iter().filter_map(|active| active.plan.ttl).chain(old).min()
    }
}

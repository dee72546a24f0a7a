//! The naive model: plain lists, counted by adding up.

use std::collections::BTreeMap;

use stockade::hold::HoldState;

use super::rules::{Limited, Question, Rule, Subjects};
use super::{Act, Ask, ITEMS, LIFE, PAYMENT, Shape, TTL};

/// What a hold has at least after payment.
const MINUTE: u64 = 60_000;

/// A hold.
#[derive(Debug, Clone)]
pub struct ModelHold {
    pub drop: usize,
    pub customer: usize,
    pub cards: Vec<u8>,
    gold: bool,
    over: bool,
    pub asked: Vec<(usize, u32)>,
    has: BTreeMap<usize, u32>,
    state: HoldState,
    pub created_at: u64,
    pub expires_at: u64,
    order: Option<u8>,
    returned: BTreeMap<usize, u32>,
    withdrawn: BTreeMap<usize, u32>,
}

impl ModelHold {
    /// Units that nobody else can have: those of a dead hold are free again.
    pub fn owns(&self, item: usize) -> u32 {
        let lives = matches!(self.state, HoldState::Held | HoldState::Paying | HoldState::Claimed);
        if lives { self.has.get(&item).copied().unwrap_or(0) } else { 0 }
    }

    pub fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying)
    }
}

/// Everything, as plainly as it can be said. Times count from the beginning.
#[derive(Debug)]
pub struct Model {
    units: Vec<Vec<u64>>,
    rules: Vec<Vec<Rule>>,
    holds: BTreeMap<u64, ModelHold>,
    pub now: u64,
}

impl Model {
    pub fn new(shapes: &[Shape; 2]) -> Self {
        let (units, rules) = shapes.iter().cloned().unzip();
        Self { units, rules, holds: BTreeMap::new(), now: 0 }
    }

    pub fn drop_of(&self, hold: u64) -> Option<usize> {
        self.holds.get(&hold).map(|hold| hold.drop)
    }

    pub fn expire(&mut self) {
        for hold in self.holds.values_mut() {
            if hold.is_live() && hold.expires_at <= self.now {
                hold.state = HoldState::Expired;
            }
        }
    }

    pub fn free(&self, drop: usize, item: usize) -> u64 {
        let gone = |hold: &ModelHold| hold.owns(item) + hold.withdrawn.get(&item).copied().unwrap_or(0);
        let here = self.holds.values().filter(|hold| hold.drop == drop);
        self.units[drop][item] - here.map(|hold| u64::from(gone(hold))).sum::<u64>()
    }

    fn show(&self, id: u64) -> String {
        let hold = &self.holds[&id];
        let lines: Vec<_> = hold.asked.iter().map(|(item, _)| (ITEMS[hold.drop][*item], hold.owns(*item))).collect();
        let until = if hold.is_live() { hold.expires_at } else { 0 };
        format!("{:?} {lines:?} until {until}", hold.state)
    }

    fn dead(&self, id: u64, reason: &str) -> String {
        format!("{reason} [{}]", self.show(id))
    }

    pub fn reserve(&mut self, ask: &Ask) -> String {
        let Ask { hold: id, drop, customer, lines, ttl, cards, gold, over } = ask;
        if let Some(hold) = self.holds.get(id) {
            if hold.drop != *drop {
                return "exists drop_id".to_owned();
            }
            if hold.customer != *customer {
                return "exists customer.id".to_owned();
            }
            if hold.asked != *lines {
                return "exists lines".to_owned();
            }
            return match hold.state {
                HoldState::Held | HoldState::Paying | HoldState::Claimed => self.show(*id),
                HoldState::Released => self.dead(*id, "hold_released"),
                HoldState::Expired => self.dead(*id, "hold_expired"),
            };
        }
        if let Some(refused) = self.refused(ask) {
            return refused;
        }
        let hold = ModelHold {
            drop: *drop,
            customer: *customer,
            cards: cards.clone(),
            gold: *gold,
            over: *over,
            asked: lines.clone(),
            has: lines.iter().copied().collect(),
            state: HoldState::Held,
            created_at: self.now,
            expires_at: self.now + ttl.unwrap_or(TTL).min(LIFE),
            order: None,
            returned: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
        };
        self.holds.insert(*id, hold);
        self.show(*id)
    }

    /// Why the customer can't have these lines now.
    fn refused(&self, ask: &Ask) -> Option<String> {
        let Ask { hold: _, drop, customer, lines, ttl: _, cards, gold, over } = ask;
        let subjects = Subjects { customer: *customer, cards, gold: *gold };
        let limited = if *over { Limited::default() } else { self.limited(*drop, &subjects, lines, None) };
        let name = |item: usize| ITEMS[*drop][item];
        let short = |item: usize, units: u32| self.free(*drop, item) < u64::from(units);
        if lines.iter().any(|(item, units)| short(*item, *units)) {
            let mut told = Vec::new();
            let mut retry = Some(0);
            for (item, units) in lines {
                let left = limited.lines.get(item);
                if short(*item, *units) {
                    let free = u32::try_from(self.free(*drop, *item)).expect("small");
                    let most = left.map_or(*units, |(_, left)| *left);
                    told.push((name(*item), "sold_out", free.min(*units).min(most)));
                    let live = self.holds.values().filter(|hold| hold.drop == *drop && hold.is_live());
                    let holding = live.filter(|hold| hold.owns(*item) > 0);
                    let next = holding.map(|hold| hold.expires_at - self.now).min();
                    retry = retry.and_then(|soonest| next.map(|next| next.max(soonest)));
                } else if let Some((reason, left)) = left {
                    told.push((name(*item), reason.label(), *left));
                }
            }
            return Some(format!("sold_out {told:?} retry {retry:?}"));
        }
        limited.told(ITEMS[*drop], self.now)
    }

    fn limited(&self, drop: usize, subjects: &Subjects<'_>, lines: &[(usize, u32)], late: Option<u64>) -> Limited {
        let holds: Vec<&ModelHold> = self.holds.values().collect();
        Limited::of(&self.rules[drop], &Question { drop, subjects, lines, late, now: self.now, holds: &holds })
    }

    pub fn on_hold(&mut self, act: &Act, id: u64) -> String {
        let now = self.now;
        let Some(hold) = self.holds.get_mut(&id) else { return "not found".to_owned() };
        let (state, ceiling, total) = (hold.state, hold.created_at + LIFE, hold.created_at + LIFE + PAYMENT);
        let live = hold.is_live();
        match act {
            Act::Get { .. } => {}
            Act::Extend { ttl, .. } if live => {
                hold.expires_at = hold.expires_at.max((now + ttl.unwrap_or(TTL)).min(ceiling));
            }
            Act::Stage { paying: true, .. } if live => {
                hold.state = HoldState::Paying;
                hold.expires_at = hold.expires_at.max((now + PAYMENT).min(total));
            }
            Act::Stage { paying: false, .. } if state == HoldState::Paying => {
                hold.state = HoldState::Held;
                hold.expires_at = total.min((now + MINUTE).max(hold.expires_at.min(ceiling)));
            }
            Act::Stage { .. } if live => {}
            Act::Claim { .. } => return self.claim(act, id),
            Act::Release { abandon: false, .. } if state == HoldState::Paying => {
                return self.dead(id, "payment_in_progress");
            }
            Act::Release { keep, .. } if live => {
                for (item, units) in &mut hold.has {
                    let kept = keep.iter().find(|(kept, _)| kept == item).map_or(0, |(_, units)| *units);
                    *units = kept.min(*units);
                }
                if hold.has.values().all(|units| *units == 0) {
                    hold.state = HoldState::Released;
                }
            }
            Act::Release { .. } if state == HoldState::Released => {}
            Act::Return { .. } if live => return "precondition".to_owned(),
            Act::Return { returned, restock, .. } if state == HoldState::Claimed => {
                let sold =
                    |hold: &ModelHold, item| hold.has.get(&item).unwrap_or(&0) + hold.returned.get(&item).unwrap_or(&0);
                if returned.iter().any(|(item, units)| *units > sold(hold, *item)) {
                    return "invalid".to_owned();
                }
                for item in hold.has.clone().into_keys() {
                    let asked = returned.iter().find(|(back, _)| *back == item).map(|(_, units)| *units);
                    let total = if returned.is_empty() { sold(hold, item) } else { asked.unwrap_or(0) };
                    let before = hold.returned.get(&item).copied().unwrap_or(0);
                    let more = total.saturating_sub(before);
                    *hold.has.entry(item).or_default() -= more;
                    *hold.returned.entry(item).or_default() += more;
                    if !restock {
                        *hold.withdrawn.entry(item).or_default() += more;
                    }
                }
            }
            _ if state == HoldState::Claimed => return self.dead(id, "hold_claimed"),
            _ if state == HoldState::Released => return self.dead(id, "hold_released"),
            _ if state == HoldState::Expired => return self.dead(id, "hold_expired"),
            Act::Reserve(_)
            | Act::Extend { .. }
            | Act::Stage { .. }
            | Act::Release { .. }
            | Act::Return { .. }
            | Act::Tick(_)
            | Act::Sweep
            | Act::Snapshot
            | Act::Restart => panic!("not on a hold: {act:?}"),
        }
        self.show(id)
    }

    fn claim(&mut self, act: &Act, id: u64) -> String {
        let Act::Claim { order, late, lines, .. } = act else { panic!("a claim") };
        let hold = self.holds[&id].clone();
        match hold.state {
            HoldState::Claimed if hold.order == Some(*order) => return self.show(id),
            HoldState::Claimed => return self.dead(id, "order_mismatch"),
            HoldState::Released => return self.dead(id, "hold_released"),
            HoldState::Expired if !late => return self.dead(id, "hold_expired"),
            HoldState::Expired | HoldState::Held | HoldState::Paying => {}
        }
        if lines.iter().any(|(item, units)| *units > hold.has.get(item).copied().unwrap_or(0)) {
            return "invalid".to_owned();
        }
        let all: Vec<_> =
            hold.has.iter().map(|(item, units)| (*item, *units)).filter(|(_, units)| *units > 0).collect();
        let takes = if lines.is_empty() { all } else { lines.clone() };
        if hold.state == HoldState::Expired
            && let Some(why) = self.late_refusal(&hold, &takes)
        {
            return self.dead(id, &why);
        }
        let hold = self.holds.get_mut(&id).expect("a hold");
        (hold.state, hold.order) = (HoldState::Claimed, Some(*order));
        for (item, units) in &mut hold.has {
            *units = takes.iter().find(|(taken, _)| taken == item).map_or(0, |(_, units)| *units);
        }
        self.show(id)
    }

    /// A late claim checks limits first: stock was set aside for it once.
    fn late_refusal(&self, hold: &ModelHold, lines: &[(usize, u32)]) -> Option<String> {
        let items = ITEMS[hold.drop];
        let subjects = Subjects { customer: hold.customer, cards: &hold.cards, gold: hold.gold };
        let limited = self.limited(hold.drop, &subjects, lines, Some(hold.created_at));
        if !hold.over
            && let Some(told) = limited.told(items, self.now)
        {
            return Some(told);
        }
        let free = |item: usize| u32::try_from(self.free(hold.drop, item)).expect("small");
        let short = lines.iter().filter(|(item, units)| free(*item) < *units);
        let told: Vec<_> = short.map(|(item, _)| (items[*item], "sold_out", free(*item))).collect();
        (!told.is_empty()).then(|| format!("sold_out {told:?} retry None"))
    }
}

//! The naive model: plain lists and sums over them.

use std::collections::BTreeMap;

use stockade_types::hold::HoldState;

use super::rules::{Limited, Question, Rule, Subjects};
use super::stock::Adjustments;
use super::words::hold_id;
use super::{HOUR, ITEMS, LIFE, PAYMENT, Shape, TTL, Verb};

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
    pub has: BTreeMap<usize, u32>,
    pub state: HoldState,
    pub created_at: u64,
    pub expires_at: u64,
    pub order: Option<u8>,
    pub returned: BTreeMap<usize, u32>,
    pub withdrawn: BTreeMap<usize, u32>,
}

impl ModelHold {
    pub const fn drop(&self) -> usize {
        self.ask.drop
    }

    /// Units of the hold that are not free: none if it has ended without a sale.
    pub fn owns(&self, item: usize) -> u32 {
        let lives = matches!(self.state, HoldState::Held | HoldState::Paying | HoldState::Claimed);
        if lives { self.has.get(&item).copied().unwrap_or(0) } else { 0 }
    }

    pub fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying)
    }

    fn sold(&self, item: usize) -> u32 {
        self.has.get(&item).unwrap_or(&0) + self.returned.get(&item).unwrap_or(&0)
    }

    /// Enters the units of a sale that were returned, in total.
    fn come_back(&mut self, returned: &[(usize, u32)], restock: bool) {
        for item in self.has.clone().into_keys() {
            let asked = returned.iter().find(|(back, _)| *back == item).map(|(_, units)| *units);
            let total = if returned.is_empty() { self.sold(item) } else { asked.unwrap_or(0) };
            let before = self.returned.get(&item).copied().unwrap_or(0);
            let more = total.saturating_sub(before);
            if more == 0 {
                continue;
            }
            *self.has.entry(item).or_default() -= more;
            *self.returned.entry(item).or_default() += more;
            if !restock {
                *self.withdrawn.entry(item).or_default() += more;
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
    pub units: Vec<u64>,
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
        let drop = |(units, rules): &Shape| ModelDrop {
            units: units.clone(),
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
        let gone = |hold: &ModelHold| hold.owns(item) + hold.withdrawn.get(&item).copied().unwrap_or(0);
        let here = self.holds.values().filter(|hold| hold.drop() == drop);
        let here = here.chain(self.drops[drop].archived.iter().flatten());
        let out = here.map(|hold| u64::from(gone(hold))).sum::<u64>() + self.drops[drop].adjustments.taken_out(item);
        self.drops[drop].units[item] - out
    }

    pub fn show(&self, id: u64) -> String {
        let hold = &self.holds[&id];
        let lines: Vec<_> = hold.has.keys().map(|item| (ITEMS[hold.drop()][*item], hold.owns(*item))).collect();
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
                for (item, units) in &mut hold.has {
                    let kept = keep.iter().find(|(kept, _)| kept == item).map_or(0, |(_, units)| *units);
                    *units = kept.min(*units);
                }
                if hold.has.values().all(|units| *units == 0) {
                    hold.state = HoldState::Released;
                }
            }
            Verb::Release { .. } if state == HoldState::Released && hold.superseded_by.is_none() => {}
            Verb::Return { .. } if live => return "precondition".to_owned(),
            Verb::Return { returned, restock, .. } if state == HoldState::Claimed => {
                if returned.iter().any(|(item, units)| *units > hold.sold(*item)) {
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

    /// A late claim checks limits before stock, since stock was set aside for it before.
    fn late_refusal(&self, hold: &ModelHold, lines: &[(usize, u32)]) -> Option<String> {
        let (drop, items) = (hold.drop(), ITEMS[hold.drop()]);
        let subjects = Subjects { customer: hold.ask.customer, cards: &hold.ask.cards, gold: hold.gold };
        let question = Question { drop, subjects, lines, late: Some(hold.created_at), now: self.now };
        if !hold.ask.over
            && let Some(told) = self.limited(&question, None).told(&question)
        {
            return Some(told);
        }
        let free = |item: usize| u32::try_from(self.free(drop, item)).expect("small");
        let short = lines.iter().filter(|(item, units)| free(*item) < *units);
        let told: Vec<_> = short.map(|(item, _)| (items[*item], "sold_out", free(*item))).collect();
        (!told.is_empty()).then(|| format!("sold_out {told:?} retry None"))
    }
}

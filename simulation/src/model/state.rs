//! The naive model: plain lists and sums over them.

use std::collections::{BTreeMap, BTreeSet};

use stockade_types::hold::HoldState;

use super::conduct::Active;
use super::defined::ModelDefined;
use super::plan::{Plan, PricePlan};
use super::rules::{Limited, Question, Rule, Subjects};
use super::stock::Adjustments;
use super::words::{hold_id, pool_id};
use super::{HOUR, ITEMS, LIFE, PAYMENT, Part, Parts, Place, Shape, TTL, Units, Verb, Wanted, in_order};

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
    /// Whether an outage moved its deadline.
    pub grace: bool,
    /// The longest life that conduct allows it.
    pub life_max: Option<u64>,
    /// When it ended unclaimed, or when units of it came back.
    pub conduct_at: Option<u64>,
    pub order: Option<u8>,
    pub returned: Parts,
    pub withdrawn: Parts,
}

impl ModelHold {
    pub const fn drop(&self) -> usize {
        self.ask.drop
    }

    pub fn items(&self) -> BTreeSet<usize> {
        self.has.keys().map(|part| part.item).collect()
    }

    /// Units of a pool that are not free: none if the hold has ended without a sale.
    pub fn owns_in(&self, place: Place) -> u32 {
        let lives = matches!(self.state, HoldState::Held | HoldState::Paying | HoldState::Claimed);
        if lives { sum(&self.has, |part| part.place() == place) } else { 0 }
    }

    /// Units of an item that are not free.
    pub fn owns(&self, item: usize) -> u32 {
        let pools: BTreeSet<u16> = self.has.keys().filter(|part| part.item == item).map(|part| part.pool).collect();
        pools.into_iter().map(|pool| self.owns_in((item, pool))).sum()
    }

    /// Units of a pool that were returned and are not for sale any more.
    pub fn withdrawn_in(&self, place: Place) -> u32 {
        sum(&self.withdrawn, |part| part.place() == place)
    }

    /// The wanted units of each part, from the first parts on, as far as `there` has them; lines that name a pool come
    /// first. None if some units are not there.
    fn first(&self, wanted: &[Wanted], there: impl Fn(Part) -> u32) -> (Parts, bool) {
        let mut all: Parts = self.has.keys().map(|part| (*part, 0)).collect();
        let mut whole = true;
        for line in in_order(wanted) {
            let mut left = line.units;
            for (part, units) in all.iter_mut().filter(|(part, _)| line.is_of(part.place())) {
                let more = (there(*part) - *units).min(left);
                (*units, left) = (*units + more, left - more);
            }
            whole &= left == 0;
        }
        (all, whole)
    }

    pub fn is_live(&self) -> bool {
        matches!(self.state, HoldState::Held | HoldState::Paying)
    }

    fn sold(&self, part: Part) -> u32 {
        self.has.get(&part).unwrap_or(&0) + self.returned.get(&part).unwrap_or(&0)
    }

    /// Enters the units of a sale that were returned, in total.
    fn come_back(&mut self, returned: &[Wanted], restock: bool) {
        let all: Units = self.items().into_iter().map(|item| Wanted::from((item, u32::MAX))).collect();
        let wanted = in_order(if returned.is_empty() { &all } else { returned });
        for line in &wanted {
            let parts: Vec<Part> = self.has.keys().filter(|part| line.is_of(part.place())).copied().collect();
            // What a line without a pool says comes on top of what those of its item that name one say.
            let named =
                wanted.iter().filter(|other| line.pool.is_none() && other.pool.is_some() && other.item == line.item);
            let named: u32 = named.map(|other| other.units).sum();
            let before: u32 = parts.iter().map(|part| self.returned.get(part).unwrap_or(&0)).sum();
            let mut left = line.units.saturating_sub(before.saturating_sub(named));
            for part in parts.into_iter().rev() {
                let more = self.has[&part].min(left);
                left -= more;
                if more == 0 {
                    continue;
                }
                *self.has.entry(part).or_default() -= more;
                *self.returned.entry(part).or_default() += more;
                if !restock {
                    *self.withdrawn.entry(part).or_default() += more;
                }
            }
        }
    }

    /// The reason of a refusal once it was released.
    pub fn released(&self) -> &'static str {
        if self.superseded_by.is_some() { "superseded" } else { "hold_released" }
    }
}

/// The sum of these parts.
fn sum(parts: &Parts, of: impl Fn(&Part) -> bool) -> u32 {
    parts.iter().filter(|(part, _)| of(part)).map(|(_, units)| units).sum()
}

/// A drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelDrop {
    /// Units received, by item and pool.
    pub pools: Vec<Vec<u64>>,
    pub rules: Vec<Rule>,
    pub plan: Plan,
    /// All prices that its plans ever had: whose, and how much.
    pub offers: Vec<(u8, i64)>,
    /// What of its plan has come, with the instant for which that was scheduled.
    pub fired: BTreeMap<String, u64>,
    pub ttl: u64,
    pub opened: Option<u64>,
    pub closed: Option<u64>,
    pub paused: bool,
    /// The holds that it had when it was archived.
    pub archived: Option<Vec<ModelHold>>,
    /// Whether they are still in memory: they count as they are, and their ids are not free.
    pub leaving: bool,
    pub adjustments: Adjustments,
}

/// A hold's line as text, with the window that it came through, and its terms and price.
pub fn line_text(units: u32, (sku, pool): (&str, &str), pinned: (Option<&str>, Option<(&str, i64)>)) -> String {
    let window = pinned.0.map(|window| format!(" {window}")).unwrap_or_default();
    let price = pinned.1.map(|(terms, price)| format!(" {terms}={price}")).unwrap_or_default();
    format!("{units}*{sku}/{pool}{window}{price}")
}

/// The prices that a drop has had, with those of its plan.
pub fn priced(mut offers: Vec<(u8, i64)>, plan: &Plan) -> Vec<(u8, i64)> {
    let all = plan.prices.iter().flat_map(|terms: &PricePlan| terms.prices().map(|price| (terms.id, price)));
    for offer in all {
        if !offers.contains(&offer) {
            offers.push(offer);
        }
    }
    offers
}

impl ModelDrop {
    /// Whether it has the item and the pool of a line.
    pub fn has(&self, line: Wanted) -> bool {
        let pools = self.pools.get(line.item).map(Vec::len);
        pools.is_some_and(|pools| line.pool.is_none_or(|pool| usize::from(pool) < pools))
    }
}

/// The whole state. Times count from [`START`](super::words::START).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub drops: Vec<ModelDrop>,
    pub holds: BTreeMap<u64, ModelHold>,
    pub defined: ModelDefined,
    pub now: u64,
}

impl Model {
    pub fn new(shapes: &[Shape; 2]) -> Self {
        let drop = |Shape { units, limits, plan }: &Shape| ModelDrop {
            pools: units.clone(),
            rules: limits.clone(),
            plan: plan.clone(),
            offers: priced(Vec::new(), plan),
            fired: BTreeMap::new(),
            ttl: TTL,
            opened: None,
            closed: None,
            paused: false,
            archived: None,
            leaving: false,
            adjustments: Adjustments::default(),
        };
        let drops = shapes.iter().map(drop).collect();
        let mut model = Self { drops, holds: BTreeMap::new(), defined: ModelDefined::default(), now: 0 };
        model.turn_all();
        model
    }

    /// The pickup slots, by drop and item.
    pub fn slots(&self) -> Vec<(usize, usize)> {
        let drops = self.drops.iter().enumerate();
        let items = drops.flat_map(|(drop, of)| (0..of.pools.len()).map(move |item| (drop, item)));
        items.filter(|(drop, item)| self.drops[*drop].plan.is_slot(*item)).collect()
    }

    pub fn drop_of(&self, hold: u64) -> Option<usize> {
        self.holds.get(&hold).map(ModelHold::drop)
    }

    /// Expires due holds, and fires what is due of all drops.
    pub fn expire(&mut self) {
        self.turn_all();
        for hold in self.holds.values_mut() {
            if hold.is_live() && hold.expires_at <= self.now {
                hold.end(HoldState::Expired, self.now);
            }
        }
    }

    /// Some expired hold.
    pub fn expired(&self) -> Option<u64> {
        self.holds.iter().find(|(_, hold)| hold.state == HoldState::Expired).map(|(id, _)| *id)
    }

    pub fn free_in(&self, drop: usize, place: Place) -> u64 {
        let gone = |hold: &ModelHold| hold.owns_in(place) + hold.withdrawn_in(place);
        let here = self.holds.values().filter(|hold| hold.drop() == drop);
        let here = here.chain(self.drops[drop].archived.iter().flatten());
        let out = here.map(|hold| u64::from(gone(hold))).sum::<u64>() + self.drops[drop].adjustments.taken_out(place);
        self.drops[drop].pools[place.0][usize::from(place.1)] - out
    }

    pub fn show(&self, id: u64) -> String {
        let hold = &self.holds[&id];
        let offers = &self.drops[hold.drop()].offers;
        let has_ended = matches!(hold.state, HoldState::Released | HoldState::Expired);
        let line = |(part, units): (&Part, &u32)| {
            let price = part.offer.map(|offer| (format!("t{}", offers[offer].0), offers[offer].1));
            let window = part.window.map(|id| format!("w{id}"));
            let pinned = (window.as_deref(), price.as_ref().map(|(terms, price)| (&terms[..], *price)));
            let (sku, pool) = (ITEMS[hold.drop()][part.item], pool_id(part.pool));
            line_text(if has_ended { 0 } else { *units }, (sku, pool.as_str()), pinned)
        };
        let lines: Vec<_> = hold.has.iter().map(line).collect();
        let until = if hold.is_live() { hold.expires_at } else { 0 };
        format!("{:?} {lines:?} until {until} by {:?}", hold.state, hold.superseded_by.map(hold_id))
    }

    pub fn dead(&self, id: u64, reason: &str) -> String {
        format!("{reason} [{}]", self.show(id))
    }

    /// Holds of archived drops: those that are still in memory, or the others.
    pub(super) fn archived(&self, leaving: bool) -> impl Iterator<Item = &ModelHold> {
        self.drops.iter().filter(move |drop| drop.leaving == leaving).flat_map(|drop| drop.archived.iter().flatten())
    }

    /// A hold of an archived drop that is still in memory.
    pub fn leaving(&self, id: u64) -> Option<&ModelHold> {
        self.archived(true).find(|hold| hold.ask.hold == id)
    }

    /// The result of the limits, without the hold to be superseded. Units sold in an archived drop whose holds have
    /// left memory count as reserved at the end of their hour. That they were reserved no longer counts for cooldowns.
    pub fn limited(&self, question: &Question<'_>, but: Option<u64>, conduct: &[Active<'_>]) -> Limited {
        let live = self.holds.iter().filter(|(id, _)| Some(**id) != but).map(|(_, hold)| hold.clone());
        let live = live.chain(self.archived(true).cloned());
        let archived = self.archived(false).map(|hold| {
            let created_at = hold.created_at.div_ceil(HOUR) * HOUR;
            ModelHold { created_at, ..hold.clone() }
        });
        let (live, archived): (Vec<_>, Vec<_>) = (live.collect(), archived.collect());
        Limited::of((&self.drops[question.drop].rules, conduct), question, &live, &archived)
    }

    pub fn on_hold(&mut self, act: &Verb, id: u64) -> String {
        let now = self.now;
        let Some(hold) = self.holds.get(&id) else { return "not found".to_owned() };
        if act.units().iter().any(|line| !self.drops[hold.drop()].has(*line)) {
            return "invalid".to_owned();
        }
        let usual = self.usual_ttl(hold.drop(), &hold.has);
        let (state, live) = (hold.state, hold.is_live());
        let ceiling = hold.created_at + hold.life_max.map_or(LIFE, |of_conduct| of_conduct.min(LIFE));
        let total = ceiling + PAYMENT;
        if let Verb::Release { keep, abandon, .. } = act
            && live
            && (*abandon || state == HoldState::Held)
        {
            return self.release(id, keep);
        }
        let hold = self.holds.get_mut(&id).expect("a hold");
        match act {
            Verb::Get { .. } => {}
            Verb::Extend { ttl, .. } if live => {
                hold.extend(hold.expires_at.max((now + ttl.unwrap_or(usual)).min(ceiling)));
            }
            Verb::Stage { paying: true, .. } if live => {
                hold.grace &= state == HoldState::Paying;
                hold.state = HoldState::Paying;
                hold.extend(hold.expires_at.max((now + PAYMENT).min(total)));
            }
            Verb::Stage { paying: false, .. } if state == HoldState::Paying => {
                hold.state = HoldState::Held;
                // An outage's grace may reach beyond the total: then the deadline is not cut below the least remaining
                // life.
                let kept = hold.expires_at.min(now + MINUTE);
                hold.grace = false;
                hold.expires_at = total.min((now + MINUTE).max(hold.expires_at.min(ceiling))).max(kept);
            }
            Verb::Stage { .. } if live => {}
            Verb::Claim { .. } => return self.claim(act, id),
            Verb::Release { .. } if live => return self.dead(id, "payment_in_progress"),
            Verb::Release { .. } if state == HoldState::Released && hold.superseded_by.is_none() => {}
            Verb::Return { .. } if live => return "precondition".to_owned(),
            Verb::Return { returned, restock, .. } if state == HoldState::Claimed => {
                if !hold.first(returned, |part| hold.sold(part)).1 {
                    return "invalid".to_owned();
                }
                let before = hold.returned.clone();
                hold.come_back(returned, *restock);
                if hold.returned != before {
                    hold.conduct_at = Some(now);
                }
            }
            _ if state == HoldState::Claimed => return self.dead(id, "hold_claimed"),
            _ if state == HoldState::Released => {
                let reason = hold.released();
                return self.dead(id, reason);
            }
            _ if state == HoldState::Expired => return self.dead(id, "hold_expired"),
            Verb::Extend { .. } | Verb::Stage { .. } | Verb::Return { .. } | Verb::Release { .. } => {}
        }
        self.show(id)
    }

    fn release(&mut self, id: u64, keep: &[Wanted]) -> String {
        let hold = &self.holds[&id];
        let (kept, _) = hold.first(keep, |part| hold.has[&part]);
        if kept != hold.has
            && let Some(refused) = self.slots_left(id, &kept)
        {
            return refused;
        }
        let hold = self.holds.get_mut(&id).expect("a hold");
        hold.has = kept;
        if hold.has.values().all(|units| *units == 0) {
            hold.end(HoldState::Released, self.now);
        }
        self.show(id)
    }

    /// Why these parts can't be all that is kept or claimed of a hold: a slot needs goods and, where slots are required,
    /// the goods of a hold with a slot need one.
    fn slots_left(&self, id: u64, kept: &Parts) -> Option<String> {
        let hold = &self.holds[&id];
        let plan = &self.drops[hold.drop()].plan;
        let slots = sum(kept, |part| plan.is_slot(part.item)) > 0;
        let goods = sum(kept, |part| !plan.is_slot(part.item)) > 0;
        let had_slot = sum(&hold.has, |part| plan.is_slot(part.item)) > 0;
        match (goods, slots) {
            (true, false) if plan.slot_required && had_slot && !hold.ask.over.windows => {
                Some(self.dead(id, "slot_required"))
            }
            (false, true) => Some("invalid".to_owned()),
            _ => None,
        }
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
        let (some, whole) = hold.first(lines, |part| hold.has[&part]);
        if !whole {
            return "invalid".to_owned();
        }
        let takes = if lines.is_empty() { hold.has.clone() } else { some };
        if takes != hold.has
            && let Some(refused) = self.slots_left(id, &takes)
        {
            return refused;
        }
        if hold.state == HoldState::Expired
            && let Some(why) = self.late_refusal(&hold, &takes)
        {
            return self.dead(id, &why);
        }
        let hold = self.holds.get_mut(&id).expect("a hold");
        (hold.state, hold.order, hold.has) = (HoldState::Claimed, Some(*order), takes);
        hold.conduct_at = None;
        self.show(id)
    }

    /// A late claim checks slots, then limits, then stock, since stock was set aside for it before. It draws on the pools
    /// of its lines alone, whatever their audiences.
    fn late_refusal(&self, hold: &ModelHold, takes: &Parts) -> Option<String> {
        let drop = hold.drop();
        let mut pools: BTreeMap<Place, u32> = BTreeMap::new();
        for (part, units) in takes {
            *pools.entry(part.place()).or_default() += units;
        }
        let mut sums: BTreeMap<usize, (u32, u32, bool)> = BTreeMap::new();
        for (place, units) in pools.into_iter().filter(|(_, units)| *units > 0) {
            let free = u32::try_from(self.free_in(drop, place)).expect("small").min(units);
            let is_held =
                self.holds.values().any(|other| other.drop() == drop && other.is_live() && other.owns_in(place) > 0);
            let (there, wanted, back) = sums.entry(place.0).or_insert((0, 0, true));
            (*there, *wanted) = (*there + free, *wanted + units);
            *back &= is_held || free == units;
        }
        let line = |item: usize, units: u32| Wanted { item, pool: None, units };
        let begun = sums.iter().filter(|(item, _)| self.has_begun(drop, **item));
        let begun: Vec<_> =
            begun.map(|(item, (_, units, _))| line(*item, *units).reported(drop, "closed", 0)).collect();
        if !begun.is_empty() {
            return Some(format!("closed {begun:?} retry None"));
        }
        let units: &Vec<_> = &sums.iter().map(|(item, (_, wanted, _))| (*item, *wanted)).collect();
        let subjects = Subjects { customer: hold.ask.customer, cards: &hold.ask.cards, gold: hold.gold };
        let slots = &self.slots();
        let question = Question { drop, subjects, units, slots, late: Some(hold.created_at), now: self.now };
        let lines: Units = units.iter().map(|(item, units)| line(*item, *units)).collect();
        if !hold.ask.over.limits
            && let Some(reported) = self.limited(&question, None, &[]).reported(&question, &lines, |_| None)
        {
            return Some(reported);
        }
        let short = sums.iter().filter(|(_, (there, wanted, _))| there < wanted);
        let reported =
            short.clone().map(|(item, (there, wanted, _))| line(*item, *wanted).reported(drop, "sold_out", *there));
        let back = if short.clone().all(|(.., (_, _, back))| *back) { " may come back" } else { "" };
        let reported: Vec<_> = reported.collect();
        (!reported.is_empty()).then(|| format!("sold_out {reported:?} retry None{back}"))
    }
}

//! The engine against a naive model: random histories, every answer compared, and at the end the state that is there
//! against the state that its journal replays to.
//!
//! The model keeps plain lists, expires everything that is due before each step and counts by adding up. It shares
//! nothing with the engine but the words. A failing history is shrunk and printed with its seed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult};
use stockade::definition::Scope;
use stockade::engine::Engine;
use stockade::engine::answer::{Answer, Fault, Outcome};
use stockade::engine::command::{ExpiredPolicy, Return, Stage};
use stockade::hold::HoldState;
use stockade::time::{Millis, Timestamp};

use updates::Update;

use crate::common::{self, World, claim, create, definition, extend, hold_id, release, settle};

mod updates;

/// Random histories in a default run.
const HISTORIES: u32 = 10_000;

const ITEMS: [&str; 4] = ["A", "B", "C", "D"]; // the last is not there at first
const CUSTOMERS: [&str; 3] = ["ada", "bob", "cleo"];
const TTL: u64 = 1_000;
const LIFE: u64 = 2_500;
const PAYMENT: u64 = 1_500;
/// What a hold has at least after payment.
const MINUTE: u64 = 60_000;

/// One step of a history.
#[derive(Debug, Clone)]
enum Act {
    Reserve { hold: u64, customer: usize, lines: Vec<(usize, u32)>, ttl: Option<u64> },
    Extend { hold: u64, ttl: Option<u64> },
    Stage { hold: u64, paying: bool },
    Claim { hold: u64, order: u8, late: bool, lines: Vec<(usize, u32)> },
    Release { hold: u64, keep: Vec<(usize, u32)>, abandon: bool },
    Return { hold: u64, returned: Vec<(usize, u32)>, restock: bool },
    Get { hold: u64 },
    Update(Update),
    Tick(u64),
    Sweep,
    Snapshot,
    Restart,
}

fn acts() -> impl Strategy<Value = Act> {
    let hold = 0_u64..6;
    let lines = prop::collection::btree_map(0..ITEMS.len(), 1_u32..4, 1..=3).prop_map(|map| map.into_iter().collect());
    let some =
        || prop::collection::btree_map(0_usize..3, 1_u32..4, 0..=2).prop_map(|map| map.into_iter().collect::<Vec<_>>());
    let ttl = prop::option::weighted(0.4, 1_u64..4_000);
    prop_oneof![
        8 => (hold.clone(), 0..CUSTOMERS.len(), lines, ttl.clone())
            .prop_map(|(hold, customer, lines, ttl)| Act::Reserve { hold, customer, lines, ttl }),
        2 => (hold.clone(), ttl).prop_map(|(hold, ttl)| Act::Extend { hold, ttl }),
        2 => (hold.clone(), any::<bool>()).prop_map(|(hold, paying)| Act::Stage { hold, paying }),
        3 => (hold.clone(), 0_u8..2, any::<bool>(), prop_oneof![2 => Just(Vec::new()), 1 => some()])
            .prop_map(|(hold, order, late, lines)| Act::Claim { hold, order, late, lines }),
        3 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, keep, abandon)| Act::Release { hold, keep, abandon }),
        2 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, returned, restock)| Act::Return { hold, returned, restock }),
        1 => hold.prop_map(|hold| Act::Get { hold }),
        1 => updates::updates().prop_map(Act::Update),
        3 => (0_u64..900).prop_map(Act::Tick),
        1 => Just(Act::Sweep),
        1 => Just(Act::Snapshot),
        1 => Just(Act::Restart),
    ]
}

/// What a drop is like in a history: units of each item, and limits.
type Shape = (Vec<u64>, Option<u32>, Option<u32>);

fn shapes() -> impl Strategy<Value = Shape> {
    (prop::collection::vec(0_u64..7, 3), prop::option::of(0_u32..6), prop::option::of(0_u32..4))
}

#[derive(Debug, Clone)]
struct ModelHold {
    customer: usize,
    asked: Vec<(usize, u32)>,
    has: BTreeMap<usize, u32>,
    state: HoldState,
    created_at: u64,
    expires_at: u64,
    order: Option<u8>,
    returned: BTreeMap<usize, u32>,
    withdrawn: BTreeMap<usize, u32>,
}

impl ModelHold {
    /// Units that nobody else can have: those of a dead hold are free again.
    fn owns(&self, item: usize) -> u32 {
        let lives = matches!(self.state, HoldState::Held | HoldState::Paying | HoldState::Claimed);
        if lives { self.has.get(&item).copied().unwrap_or(0) } else { 0 }
    }
}

/// Everything, as plainly as it can be said. Times count from the beginning.
#[derive(Debug)]
struct Model {
    units: Vec<u64>,
    limits: Vec<(&'static str, Scope, u32)>,
    holds: BTreeMap<u64, ModelHold>,
    ttl: u64,
    closes: Option<u64>,
    now: u64,
}

impl Model {
    fn new((units, drop_limit, item_limit): &Shape) -> Self {
        let limits = drop_limit.iter().map(|max| ("in-all", Scope::Drop, *max));
        let limits = limits.chain(item_limit.iter().map(|max| ("of-each", Scope::Item, *max))).collect();
        Self { units: units.clone(), limits, holds: BTreeMap::new(), ttl: TTL, closes: None, now: 0 }
    }

    fn expire(&mut self) {
        for hold in self.holds.values_mut() {
            if matches!(hold.state, HoldState::Held | HoldState::Paying) && hold.expires_at <= self.now {
                hold.state = HoldState::Expired;
            }
        }
    }

    fn free(&self, item: usize) -> u64 {
        let gone = |hold: &ModelHold| hold.owns(item) + hold.withdrawn.get(&item).copied().unwrap_or(0);
        self.units[item] - self.holds.values().map(|hold| u64::from(gone(hold))).sum::<u64>()
    }

    fn used(&self, customer: usize, item: Option<usize>) -> u32 {
        let holds = self.holds.values().filter(|hold| hold.customer == customer);
        let items = |hold: &ModelHold| match item {
            Some(item) => hold.owns(item),
            None => (0..ITEMS.len()).map(|item| hold.owns(item)).sum(),
        };
        holds.map(items).sum()
    }

    fn show(&self, id: u64) -> String {
        let hold = &self.holds[&id];
        let lines: Vec<_> = hold.asked.iter().map(|(item, _)| (ITEMS[*item], hold.owns(*item))).collect();
        let until = if matches!(hold.state, HoldState::Held | HoldState::Paying) { hold.expires_at } else { 0 };
        format!("{:?} {lines:?} until {until}", hold.state)
    }

    fn dead(&self, id: u64, reason: &str) -> String {
        format!("{reason} [{}]", self.show(id))
    }

    fn reserve(&mut self, id: u64, customer: usize, lines: &[(usize, u32)], ttl: Option<u64>) -> String {
        if lines.iter().any(|(item, _)| *item >= self.units.len()) {
            return "invalid".to_owned();
        }
        if let Some(hold) = self.holds.get(&id) {
            if hold.customer != customer {
                return "exists customer.id".to_owned();
            }
            if hold.asked != lines {
                return "exists lines".to_owned();
            }
            return match hold.state {
                HoldState::Held | HoldState::Paying | HoldState::Claimed => self.show(id),
                HoldState::Released => self.dead(id, "hold_released"),
                HoldState::Expired => self.dead(id, "hold_expired"),
            };
        }
        if self.is_closed() {
            return "closed [] retry None".to_owned();
        }
        if let Some(refused) = self.refused(customer, lines) {
            return refused;
        }
        let expires_at = self.now + ttl.unwrap_or(self.ttl).min(LIFE);
        let hold = ModelHold {
            customer,
            asked: lines.to_vec(),
            has: lines.iter().copied().collect(),
            state: HoldState::Held,
            created_at: self.now,
            expires_at,
            order: None,
            returned: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
        };
        self.holds.insert(id, hold);
        self.show(id)
    }

    /// Why the customer can't have these lines now.
    fn refused(&self, customer: usize, lines: &[(usize, u32)]) -> Option<String> {
        // What each limit leaves of each line.
        let mut hit = None;
        let mut allowed: BTreeMap<usize, u32> = BTreeMap::new();
        for (name, scope, max) in &self.limits {
            let all: u32 = lines.iter().map(|(_, units)| units).sum();
            for (item, units) in lines {
                let (used, wants) = match scope {
                    Scope::Item => (self.used(customer, Some(*item)), *units),
                    Scope::Drop => (self.used(customer, None), all),
                };
                if used + wants > *max {
                    hit.get_or_insert((*name, used, *max));
                    let left = max.saturating_sub(used).min(*units);
                    allowed.entry(*item).and_modify(|least| *least = left.min(*least)).or_insert(left);
                }
            }
        }
        let short = |item: usize, units: u32| self.free(item) < u64::from(units);
        if lines.iter().any(|(item, units)| short(*item, *units)) {
            let mut told = Vec::new();
            let mut retry = Some(0);
            for (item, units) in lines {
                let most = allowed.get(item).copied().unwrap_or(*units);
                if short(*item, *units) {
                    let free = u32::try_from(self.free(*item)).expect("small");
                    told.push((ITEMS[*item], "sold_out", free.min(*units).min(most)));
                    let live =
                        self.holds.values().filter(|hold| matches!(hold.state, HoldState::Held | HoldState::Paying));
                    let holding = live.filter(|hold| hold.owns(*item) > 0);
                    let next = holding.map(|hold| hold.expires_at - self.now).min();
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

    fn on_hold(&mut self, act: &Act, id: u64) -> String {
        let (now, usual) = (self.now, self.ttl);
        let Some(hold) = self.holds.get_mut(&id) else { return "not found".to_owned() };
        let (state, ceiling, total) = (hold.state, hold.created_at + LIFE, hold.created_at + LIFE + PAYMENT);
        let live = matches!(state, HoldState::Held | HoldState::Paying);
        match act {
            Act::Get { .. } => {}
            Act::Extend { ttl, .. } if live => {
                hold.expires_at = hold.expires_at.max((now + ttl.unwrap_or(usual)).min(ceiling));
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
            Act::Reserve { .. }
            | Act::Extend { .. }
            | Act::Stage { .. }
            | Act::Release { .. }
            | Act::Return { .. }
            | Act::Update(_)
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
            && let Some(why) = self.late_refusal(hold.customer, &takes)
        {
            return self.dead(id, why);
        }
        let hold = self.holds.get_mut(&id).expect("a hold");
        (hold.state, hold.order) = (HoldState::Claimed, Some(*order));
        for (item, units) in &mut hold.has {
            *units = takes.iter().find(|(taken, _)| taken == item).map_or(0, |(_, units)| *units);
        }
        self.show(id)
    }

    /// A late claim checks limits first: stock was set aside for it once.
    fn late_refusal(&self, customer: usize, lines: &[(usize, u32)]) -> Option<&'static str> {
        for (_, scope, max) in &self.limits {
            let all: u32 = lines.iter().map(|(_, units)| units).sum();
            let over = |item: Option<usize>, wants: u32| self.used(customer, item) + wants > *max;
            let broken = match scope {
                Scope::Item => lines.iter().any(|(item, units)| over(Some(*item), *units)),
                Scope::Drop => over(None, all),
            };
            if broken {
                return Some("limit_reached");
            }
        }
        lines.iter().any(|(item, units)| self.free(*item) < u64::from(*units)).then_some("sold_out")
    }
}

fn engine_says(engine: &Engine, act: &Act, now: Timestamp) -> String {
    let names = |lines: &[(usize, u32)]| lines.iter().map(|(item, units)| (ITEMS[*item], *units)).collect::<Vec<_>>();
    let answer = match act {
        Act::Reserve { hold, customer, lines, ttl } => {
            let mut command = common::reserve(hold_id(*hold), "d", CUSTOMERS[*customer], &names(lines));
            command.ttl = ttl.map(Millis);
            settle(|| engine.reserve(&command, now))
        }
        Act::Extend { hold, ttl } => settle(|| engine.extend(&extend(hold_id(*hold), ttl.map(Millis)), now)),
        Act::Stage { hold, paying } => {
            let mut command = extend(hold_id(*hold), None);
            command.stage = Some(if *paying { Stage::Paying } else { Stage::Held });
            settle(|| engine.extend(&command, now))
        }
        Act::Claim { hold, order, late, lines } => {
            let mut command = claim(hold_id(*hold), &order.to_string());
            command.expired = if *late { ExpiredPolicy::TakeFreeStock } else { ExpiredPolicy::Refuse };
            command.lines = common::lines(&names(lines));
            settle(|| engine.claim(&command, now))
        }
        Act::Release { hold, keep, abandon } => {
            let mut command = release(hold_id(*hold), &names(keep));
            command.abandon_payment = *abandon;
            settle(|| engine.release(&command, now))
        }
        Act::Return { hold, returned, restock } => {
            let returned = common::lines(&names(returned));
            let command = Return { target: common::target(hold_id(*hold)), returned, restock: *restock };
            settle(|| engine.return_units(&command, now))
        }
        Act::Get { hold } => engine
            .get_hold(hold_id(*hold), None, now)
            .map(|(view, ticket)| Answer { outcome: Outcome::Hold(view), ticket }),
        Act::Update(update) => return updates::engine_says(engine, update, now),
        Act::Tick(_) | Act::Sweep | Act::Snapshot | Act::Restart => return String::new(),
    };
    match answer {
        Err(Fault::NoHold(_)) => "not found".to_owned(),
        Err(Fault::Exists { field, .. }) => format!("exists {field}"),
        Err(Fault::Invalid(_)) => "invalid".to_owned(),
        Err(Fault::Precondition(_)) => "precondition".to_owned(),
        Err(fault) => format!("{fault:?}"),
        Ok(Answer { outcome: Outcome::Hold(view), .. }) => show(&view),
        Ok(Answer { outcome: Outcome::Refused(refusal), .. }) => {
            let lines: Vec<_> =
                refusal.lines.iter().map(|line| (line.sku.as_str(), line.reason.label(), line.available)).collect();
            match (&refusal.hold, &refusal.limit) {
                (Some(view), _) => format!("{} [{}]", refusal.reason.label(), show(view)),
                (None, Some(limit)) => {
                    format!("{} {lines:?} {} {}/{}", refusal.reason.label(), limit.id, limit.used, limit.max)
                }
                (None, None) => {
                    format!("{} {lines:?} retry {:?}", refusal.reason.label(), refusal.retry_after.map(|span| span.0))
                }
            }
        }
    }
}

fn show(view: &stockade::engine::answer::HoldView) -> String {
    let hold = &view.hold;
    let lines: Vec<_> =
        hold.shown_lines().map(|line| (view.definition.sku(line.item).as_str(), line.quantity)).collect();
    let until = if hold.state.is_live() { common::START.until(hold.expires_at).0 } else { 0 };
    format!("{:?} {lines:?} until {until}", hold.state)
}

fn sweep_all(engine: &Engine, now: Timestamp) {
    while engine.sweep(now).expect("a sweep") > 0 {}
}

fn check(shape: &Shape, history: &[Act]) -> TestCaseResult {
    let mut world = World::new();
    world.options.outage_grace = Millis(0);
    let mut model = Model::new(shape);
    let (mut engine, _) = world.start();
    let items: Vec<_> = ITEMS.iter().copied().zip(shape.0.iter().copied()).collect();
    let mut sale = definition("d", &items, &model.limits);
    (sale.hold_ttl, sale.max_hold_life, sale.payment_ttl) = (Millis(TTL), Millis(LIFE), Millis(PAYMENT));
    create(&engine, sale, world.now);

    for act in history {
        model.now += if let Act::Tick(span) = act { *span } else { 0 };
        world.now = common::START.plus(Millis(model.now));
        model.expire();
        let expected = match act {
            Act::Reserve { hold, customer, lines, ttl } => model.reserve(*hold, *customer, lines, *ttl),
            Act::Extend { hold, .. }
            | Act::Stage { hold, .. }
            | Act::Claim { hold, .. }
            | Act::Release { hold, .. }
            | Act::Return { hold, .. }
            | Act::Get { hold } => model.on_hold(act, *hold),
            Act::Update(update) => model.update(update),
            Act::Tick(_) => String::new(),
            Act::Sweep => {
                sweep_all(&engine, world.now);
                String::new()
            }
            Act::Snapshot => {
                engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
                String::new()
            }
            Act::Restart => {
                engine = same_after_restart(engine, &world)?;
                String::new()
            }
        };
        let answer = engine_says(&engine, act, world.now);
        prop_assert_eq!(&answer, &expected, "{:?}", act);
        if ["Held", "Paying", "Claimed", "Released"].iter().any(|state| answer.starts_with(state)) {
            let again = engine_says(&engine, act, world.now);
            prop_assert_eq!(&again, &answer, "sent again: {:?}", act);
        }
        prop_assert_eq!(engine.conservation_error(), 0);
    }
    sweep_all(&engine, world.now);
    let (stock, _) = engine.get_drop(&common::drop_id("d"), world.now).expect("the drop");
    for (item, pools) in stock.stock.iter().enumerate() {
        prop_assert_eq!(pools[0].free, model.free(item));
    }
    same_after_restart(engine, &world).map(drop)
}

/// hash(live state) = hash(replayed state).
fn same_after_restart(engine: Engine, world: &World) -> Result<Engine, TestCaseError> {
    // What was due is given back first: nothing is due while the server is down, with no grace.
    sweep_all(&engine, world.now);
    let (engine, live, replayed) = common::restart(engine, world);
    prop_assert_eq!(replayed, live, "the journal replays to another state");
    Ok(engine)
}

#[test]
fn the_engine_answers_like_the_naive_model() {
    let config = Config { cases: HISTORIES, max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let histories = (shapes(), prop::collection::vec(acts(), 1..40));
    let outcome = runner.run(&histories, |(shape, history)| check(&shape, &history));
    assert!(outcome.is_ok(), "{}", outcome.expect_err("a failure"));
}

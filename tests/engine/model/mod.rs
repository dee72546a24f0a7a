//! The engine against a naive model: random histories, every answer compared, and at the end the state that is there
//! against the state that its journal replays to.
//!
//! The model keeps plain lists, expires everything that is due before each step and counts by adding up. It shares
//! nothing with the engine but the words. A failing history is shrunk and printed with its seed.

mod naive;
mod reserves;
mod rules;
mod updates;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult};
use stockade::engine::Engine;
use stockade::engine::answer::{Answer, Fault, Outcome};
use stockade::engine::command::{ExpiredPolicy, Return, Stage};
use stockade::time::{Millis, Timestamp};

use crate::common::{self, World, claim, create, definition, extend, hold_id, release, settle};
use naive::Model;
use reserves::{Ask, asks, ttls};
use rules::{Rule, rule};
use updates::{Update, engine_closes, engine_updates, updates};

/// Random histories in a default run.
const HISTORIES: u32 = 10_000;

/// Two drops of one series sell the same goods, in another order.
const DROPS: [&str; 2] = ["d", "e"];
/// Their goods. The last of each is not there at first.
const ITEMS: [[&str; 4]; 2] = [["A", "B", "C", "D"], ["C", "A", "B", "D"]];
const CUSTOMERS: [&str; 3] = ["ada", "bob", "cleo"];
/// Ids of holds in a history.
const HOLDS: u64 = 6;
const TTL: u64 = 1_000;
const LIFE: u64 = 2_500;
const PAYMENT: u64 = 1_500;
/// How long after its closing a drop is archived here, so that its series sells on meanwhile.
const ARCHIVE_AFTER: u64 = 800;

/// One step of a history.
#[derive(Debug, Clone)]
enum Act {
    Reserve(Ask),
    /// The same request as the one that made this hold.
    Again {
        hold: u64,
    },
    Extend {
        hold: u64,
        ttl: Option<u64>,
    },
    Stage {
        hold: u64,
        paying: bool,
    },
    Claim {
        hold: u64,
        order: u8,
        late: bool,
        lines: Vec<(usize, u32)>,
    },
    Release {
        hold: u64,
        keep: Vec<(usize, u32)>,
        abandon: bool,
    },
    Return {
        hold: u64,
        returned: Vec<(usize, u32)>,
        restock: bool,
    },
    Get {
        hold: u64,
    },
    Update {
        drop: usize,
        update: Update,
    },
    Close(usize),
    /// What may be archived after so long.
    Archive(u64),
    Tick(u64),
    Sweep,
    Snapshot,
    Restart,
}

fn acts() -> impl Strategy<Value = Act> {
    let hold = 0..HOLDS;
    let drop = || prop_oneof![2 => Just(0_usize), 3 => Just(1)];
    let some = || {
        let lines = prop::collection::btree_map(0_usize..3, 1_u32..4, 0..=2);
        lines.prop_map(|map| map.into_iter().collect::<Vec<_>>())
    };
    prop_oneof![
        9 => asks().prop_map(Act::Reserve),
        1 => hold.clone().prop_map(|hold| Act::Again { hold }),
        2 => (hold.clone(), ttls()).prop_map(|(hold, ttl)| Act::Extend { hold, ttl }),
        2 => (hold.clone(), any::<bool>()).prop_map(|(hold, paying)| Act::Stage { hold, paying }),
        3 => (hold.clone(), 0_u8..2, any::<bool>(), prop_oneof![2 => Just(Vec::new()), 1 => some()])
            .prop_map(|(hold, order, late, lines)| Act::Claim { hold, order, late, lines }),
        3 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, keep, abandon)| Act::Release { hold, keep, abandon }),
        2 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, returned, restock)| Act::Return { hold, returned, restock }),
        1 => hold.prop_map(|hold| Act::Get { hold }),
        2 => (drop(), updates()).prop_map(|(drop, update)| Act::Update { drop, update }),
        1 => drop().prop_map(Act::Close),
        2 => (0_u64..1_200).prop_map(Act::Archive),
        3 => prop_oneof![29 => 0_u64..900, 1 => 0..2 * updates::HOUR].prop_map(Act::Tick),
        1 => Just(Act::Sweep),
        1 => Just(Act::Snapshot),
        1 => Just(Act::Restart),
    ]
}

/// Mostly one act; or the second drop of the series ends, and all that is about it.
fn steps() -> impl Strategy<Value = Vec<Act>> {
    let ends = (ARCHIVE_AFTER..4 * ARCHIVE_AFTER).prop_map(|wait| vec![Act::Close(1), Act::Archive(wait)]);
    prop_oneof![59 => acts().prop_map(|act| vec![act]), 1 => ends]
}

/// What a drop is like in a history: units of each item, and limits.
type Shape = (Vec<u64>, Vec<Rule>);

fn shapes() -> impl Strategy<Value = [Shape; 2]> {
    let shape =
        || (prop::collection::vec(prop_oneof![1 => 0_u64..4, 2 => 4_u64..14], 3), prop::collection::vec(rule(), 0..=3));
    [shape(), shape()]
}

/// The drop that the n-th hold of a history is in, as far as an act on it names goods: where the model knows none, the
/// engine finds none either.
fn items_of(model: &Model, hold: u64) -> [&'static str; 4] {
    ITEMS[model.drop_of(hold).unwrap_or(0)]
}

/// `items` are the goods of the drop that the act is about.
fn engine_says(engine: &Engine, act: &Act, items: [&'static str; 4], now: Timestamp) -> String {
    let names = |lines: &[(usize, u32)]| lines.iter().map(|(item, units)| (items[*item], *units)).collect::<Vec<_>>();
    let answer = match act {
        Act::Reserve(ask) => {
            let command = ask.command();
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
        Act::Again { .. }
        | Act::Update { .. }
        | Act::Close(_)
        | Act::Archive(_)
        | Act::Tick(_)
        | Act::Sweep
        | Act::Snapshot
        | Act::Restart => return String::new(),
    };
    let reserved = matches!(act, Act::Reserve(_));
    match answer {
        Err(Fault::NoHold(_)) => "not found".to_owned(),
        Err(Fault::Exists { field, .. }) => format!("exists {field}"),
        Err(Fault::Invalid(_)) => "invalid".to_owned(),
        Err(Fault::Precondition(_)) => "precondition".to_owned(),
        Err(fault) => format!("{fault:?}"),
        Ok(Answer { outcome: Outcome::Hold(view), .. }) if reserved => show(&view) + &reserves::shorts(&view),
        Ok(Answer { outcome: Outcome::Hold(view), .. }) => show(&view),
        Ok(Answer { outcome: Outcome::Refused(refusal), .. }) => {
            let lines: Vec<_> =
                refusal.lines.iter().map(|line| (line.sku.as_str(), line.reason.label(), line.available)).collect();
            let retry = refusal.retry_after.map(|span| span.0);
            let limit = refusal.limit.as_ref().map(|limit| format!("{} {}/{}", limit.id, limit.used, limit.max));
            let told = match limit {
                Some(limit) => format!("{} {lines:?} {limit} retry {retry:?}", refusal.reason.label()),
                None => format!("{} {lines:?} retry {retry:?}", refusal.reason.label()),
            };
            match &refusal.hold {
                Some(view) if lines.is_empty() => format!("{} [{}]", refusal.reason.label(), show(view)),
                Some(view) => format!("{told} [{}]", show(view)),
                None => told,
            }
        }
    }
}

fn show(view: &stockade::engine::answer::HoldView) -> String {
    let hold = &view.hold;
    let lines: Vec<_> =
        hold.shown_lines().map(|line| (view.definition.sku(line.item).as_str(), line.quantity)).collect();
    let until = if hold.state.is_live() { common::START.until(hold.expires_at).0 } else { 0 };
    format!("{:?} {lines:?} until {until} by {:?}", hold.state, hold.superseded_by())
}

fn sweep_all(engine: &Engine, now: Timestamp) {
    while engine.sweep(now).expect("a sweep") > 0 {}
}

fn check(shapes: &[Shape; 2], history: &[Act]) -> TestCaseResult {
    let mut world = World::new();
    world.options.outage_grace = Millis(0);
    world.options.bounds.archive_after = Millis(ARCHIVE_AFTER);
    let mut model = Model::new(shapes);
    let (mut engine, _) = world.start();
    for ((units, rules), (id, items)) in shapes.iter().zip(DROPS.iter().zip(ITEMS)) {
        let items: Vec<_> = items.iter().copied().zip(units.iter().copied()).collect();
        let mut sale = definition(id, &items, &[]);
        sale.limits = rules.iter().enumerate().map(|(place, rule)| rule.limit(place)).collect();
        sale.series = Some("winter".parse().expect("a series"));
        (sale.hold_ttl, sale.max_hold_life, sale.payment_ttl) = (Millis(TTL), Millis(LIFE), Millis(PAYMENT));
        create(&engine, sale, world.now);
    }

    for act in history {
        model.now += if let Act::Tick(span) | Act::Archive(span) = act { *span } else { 0 };
        world.now = common::START.plus(Millis(model.now));
        model.expire();
        let act = in_earnest(&model, act);
        engine = step(engine, &mut model, &world, &act)?;
        prop_assert_eq!(engine.conservation_error(), 0);
    }
    sweep_all(&engine, world.now);
    for (drop, id) in DROPS.iter().enumerate() {
        let (stock, _) = engine.get_drop(&common::drop_id(id), world.now).expect("the drop");
        for (item, pools) in stock.stock.iter().enumerate() {
            prop_assert_eq!(pools[0].free, model.free(drop, item));
        }
    }
    same_after_restart(engine, &world).map(drop)
}

/// An act on something that is there, as far as there is.
fn in_earnest(model: &Model, act: &Act) -> Act {
    let mut act = act.clone();
    match &mut act {
        Act::Reserve(ask) => *ask = model.in_earnest(ask),
        Act::Again { hold } => {
            if let Some(hold) = model.holds.get(&model.known(*hold)) {
                act = Act::Reserve(hold.ask.clone());
            }
        }
        Act::Claim { hold, late: true, .. } => *hold = model.expired().unwrap_or_else(|| model.known(*hold)),
        Act::Extend { hold, .. }
        | Act::Stage { hold, .. }
        | Act::Claim { hold, .. }
        | Act::Release { hold, .. }
        | Act::Return { hold, .. }
        | Act::Get { hold } => *hold = model.known(*hold),
        Act::Update { .. }
        | Act::Close(_)
        | Act::Archive(_)
        | Act::Tick(_)
        | Act::Sweep
        | Act::Snapshot
        | Act::Restart => {}
    }
    act
}

fn step(engine: Engine, model: &mut Model, world: &World, act: &Act) -> Result<Engine, TestCaseError> {
    match act {
        Act::Reserve(ask) => {
            let expected = model.reserve(ask);
            same_answer(&engine, act, ITEMS[0], &expected, world.now)?;
        }
        Act::Extend { hold, .. }
        | Act::Stage { hold, .. }
        | Act::Claim { hold, .. }
        | Act::Release { hold, .. }
        | Act::Return { hold, .. }
        | Act::Get { hold } => {
            let items = items_of(model, *hold);
            let expected = model.on_hold(act, *hold);
            same_answer(&engine, act, items, &expected, world.now)?;
        }
        Act::Update { drop, update } => {
            let answer = engine_updates(&engine, (*drop, update), model, world.now);
            prop_assert_eq!(answer, model.update(*drop, update), "{:?}", act);
        }
        Act::Close(drop) => {
            prop_assert_eq!(engine_closes(&engine, *drop, world.now), model.close(*drop), "{:?}", act);
        }
        Act::Archive(_) => {
            sweep_all(&engine, world.now);
            let archived = engine.archive(world.now).expect("a look");
            prop_assert_eq!(archived.to_string(), model.archive(), "{:?}", act);
        }
        Act::Again { .. } | Act::Tick(_) => {}
        Act::Sweep => sweep_all(&engine, world.now),
        Act::Snapshot => {
            engine.snapshot(&world.snapshots, world.now).expect("a snapshot");
        }
        Act::Restart => return same_after_restart(engine, world),
    }
    Ok(engine)
}

/// The engine says what is expected; where units are the customer's, it says so again.
fn same_answer(engine: &Engine, act: &Act, items: [&'static str; 4], expected: &str, now: Timestamp) -> TestCaseResult {
    let answer = engine_says(engine, act, items, now);
    prop_assert_eq!(&answer, expected, "{:?}", act);
    if ["Held", "Paying", "Claimed", "Released"].iter().any(|state| answer.starts_with(state)) {
        let again = engine_says(engine, act, items, now);
        prop_assert_eq!(&again, &answer, "sent again: {:?}", act);
    }
    Ok(())
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
    let histories = (shapes(), prop::collection::vec(steps(), 1..40).prop_map(|steps| steps.concat()));
    let outcome = runner.run(&histories, |(shapes, history)| check(&shapes, &history));
    assert!(outcome.is_ok(), "{}", outcome.expect_err("a failure"));
}

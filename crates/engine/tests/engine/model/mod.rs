//! The engine against the naive model of `simulation/src/model`: random histories, every answer compared, and at the
//! end the state against the one that the journal replays to. A failing history is shrunk and printed with its seed.

mod operators;
mod strategies;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult};
use stockade_engine::Engine;
use stockade_engine::context::Context;
use stockade_types::time::{Millis, Timestamp};

use crate::common::{self, AtOnce, World, create, definition};
use crate::naive::reserves::Ask;
use crate::naive::state::Model;
use crate::naive::updates::{Update, engine_updates};
use crate::naive::{ARCHIVE_AFTER, DROPS, HOUR, ITEMS, LIFE, PAYMENT, Shape, TTL, Verb, says};
use operators::engine_closes;
use strategies::{asks, rule, ttls, updates};

/// Random histories in a default run.
const HISTORIES: u32 = 10_000;

/// One in this many histories is followed from each of its records, the others from a few.
const FOLLOWED: u64 = 32;

/// Hold ids in a history.
const HOLDS: u64 = 6;

/// One step of a history.
#[derive(Debug, Clone)]
enum Act {
    Reserve(Ask),
    /// The request that made this hold, sent again.
    Again {
        hold: u64,
    },
    On(Verb),
    Update {
        drop: usize,
        update: Update,
    },
    Close(usize),
    /// After this time, archives what may be archived.
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
        2 => (hold.clone(), ttls()).prop_map(|(hold, ttl)| Act::On(Verb::Extend { hold, ttl })),
        2 => (hold.clone(), any::<bool>()).prop_map(|(hold, paying)| Act::On(Verb::Stage { hold, paying })),
        3 => (hold.clone(), 0_u8..2, any::<bool>(), prop_oneof![2 => Just(Vec::new()), 1 => some()])
            .prop_map(|(hold, order, late, lines)| Act::On(Verb::Claim { hold, order, late, lines })),
        3 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, keep, abandon)| Act::On(Verb::Release { hold, keep, abandon })),
        2 => (hold.clone(), some(), any::<bool>())
            .prop_map(|(hold, returned, restock)| Act::On(Verb::Return { hold, returned, restock })),
        1 => hold.prop_map(|hold| Act::On(Verb::Get { hold })),
        2 => (drop(), updates()).prop_map(|(drop, update)| Act::Update { drop, update }),
        1 => drop().prop_map(Act::Close),
        2 => (0_u64..1_200).prop_map(Act::Archive),
        3 => prop_oneof![29 => 0_u64..900, 1 => 0..2 * HOUR].prop_map(Act::Tick),
        1 => Just(Act::Sweep),
        1 => Just(Act::Snapshot),
        1 => Just(Act::Restart),
    ]
}

/// Mostly one act; sometimes the series' second drop is closed and archived.
fn steps() -> impl Strategy<Value = Vec<Act>> {
    let ends = (ARCHIVE_AFTER..4 * ARCHIVE_AFTER).prop_map(|wait| vec![Act::Close(1), Act::Archive(wait)]);
    prop_oneof![59 => acts().prop_map(|act| vec![act]), 1 => ends]
}

fn shapes() -> impl Strategy<Value = [Shape; 2]> {
    let shape =
        || (prop::collection::vec(prop_oneof![1 => 0_u64..4, 2 => 4_u64..14], 3), prop::collection::vec(rule(), 0..=3));
    [shape(), shape()]
}

fn sweep_all(engine: &Engine, now: Timestamp) {
    while engine.sweep(now).expect("a sweep") > 0 {}
}

fn check(shapes: &[Shape; 2], history: &[Act], seed: u64) -> TestCaseResult {
    let at_once = if seed.is_multiple_of(FOLLOWED) { AtOnce::Each } else { AtOnce::Drawn(seed) };
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
        (sale.terms.hold_ttl, sale.terms.max_hold_life, sale.terms.payment_ttl) =
            (Millis(TTL), Millis(LIFE), Millis(PAYMENT));
        create(&engine, sale, world.now);
    }

    for act in history {
        model.now += if let Act::Tick(span) | Act::Archive(span) = act { *span } else { 0 };
        world.now = common::START.plus(Millis(model.now));
        model.expire();
        let act = in_earnest(&model, act);
        engine = step(engine, &mut model, (&world, at_once), &act)?;
        prop_assert_eq!(engine.conservation_error(), 0);
    }
    sweep_all(&engine, world.now);
    for (drop, id) in DROPS.iter().enumerate() {
        let stock = engine.get_drop(&common::drop_id(id), Context::anonymous(world.now)).expect("the drop").value;
        for (item, pools) in stock.stock.iter().enumerate() {
            prop_assert_eq!(pools[0].free, model.free(drop, item));
        }
    }
    same_after_restart(engine, (&world, at_once)).map(drop)
}

/// An act adjusted to existing holds and items, as far as there are any.
fn in_earnest(model: &Model, act: &Act) -> Act {
    let mut act = act.clone();
    match &mut act {
        Act::Reserve(ask) => *ask = model.in_earnest(ask),
        Act::Again { hold } => {
            if let Some(hold) = model.holds.get(&model.known(*hold)) {
                act = Act::Reserve(hold.ask.clone());
            }
        }
        Act::On(Verb::Claim { hold, late: true, .. }) => *hold = model.expired().unwrap_or_else(|| model.known(*hold)),
        Act::On(verb) => *verb = verb.clone().about(model.known(verb.hold())),
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

fn step(
    engine: Engine,
    model: &mut Model,
    (world, at_once): (&World, AtOnce),
    act: &Act,
) -> Result<Engine, TestCaseError> {
    match act {
        Act::Reserve(ask) => {
            let expected = model.reserve(ask);
            same_answer(act, &expected, || says::reserved(&engine, ask, world.now).text)?;
        }
        Act::On(verb) => {
            // If the model has no such hold, the engine finds none either, whichever drop is named.
            let drop = model.drop_of(verb.hold()).unwrap_or(0);
            let expected = model.on_hold(verb, verb.hold());
            same_answer(act, &expected, || says::answered(&engine, verb, drop, world.now).text)?;
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
        Act::Restart => return same_after_restart(engine, (world, at_once)),
    }
    Ok(engine)
}

/// Checks that the engine returns the expected answer, and returns it again if the answer shows units of the customer.
fn same_answer(act: &Act, expected: &str, ask: impl Fn() -> String) -> TestCaseResult {
    let answer = ask();
    prop_assert_eq!(&answer, expected, "{:?}", act);
    if ["Held", "Paying", "Claimed", "Released"].iter().any(|state| answer.starts_with(state)) {
        prop_assert_eq!(&ask(), &answer, "sent again: {:?}", act);
    }
    Ok(())
}

/// Checks that live, replayed and followed states have the same digest.
fn same_after_restart(engine: Engine, (world, at_once): (&World, AtOnce)) -> Result<Engine, TestCaseError> {
    // Due holds are expired first, and no grace applies: so nothing falls due while the server is down.
    sweep_all(&engine, world.now);
    let (engine, live, replayed) = common::restart(engine, world, at_once);
    prop_assert_eq!(replayed, live, "the journal replays to another state");
    Ok(engine)
}

#[test]
fn the_engine_answers_like_the_naive_model() {
    let config = Config { cases: HISTORIES, max_shrink_iters: 2_000, failure_persistence: None, ..Config::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let history = prop::collection::vec(steps(), 1..40).prop_map(|steps| steps.concat());
    let histories = (shapes(), history, any::<u64>().no_shrink());
    let outcome = runner.run(&histories, |(shapes, history, seed)| check(&shapes, &history, seed));
    assert!(outcome.is_ok(), "{}", outcome.expect_err("a failure"));
}

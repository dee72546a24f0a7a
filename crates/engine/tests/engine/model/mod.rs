//! The engine against the naive model of `simulation/src/model`: random histories, every answer compared, and at the
//! end the state against the one that the journal replays to. A failing history is shrunk and printed with its seed.

mod strategies;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestCaseResult};
use stockade_simulation::model::plan::Plan;
use stockade_simulation::model::reserves::Ask;
use stockade_simulation::model::state::Model;
use stockade_simulation::model::stock::{Adjust, adjusted, shown, steered};
use stockade_simulation::model::updates::{Update, engine_updates};
use stockade_simulation::model::{ARCHIVE_AFTER, DROPS, HOUR, Shape, Verb, Wanted, sale, says};
use stockade_simulation::prelude::*;

use strategies::{adjusts, asks, rule, ttls, updates};

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
    Adjust(Adjust),
    Steer(usize, Steer),
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
        lines.prop_map(|map| map.into_iter().map(Wanted::from).collect::<Vec<_>>())
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
        1 => adjusts().prop_map(Act::Adjust),
        2 => (drop(), prop_oneof![2 => Just(Steer::Close), 1 => Just(Steer::Pause), 2 => Just(Steer::Resume)])
            .prop_map(|(drop, steer)| Act::Steer(drop, steer)),
        2 => (0_u64..1_200).prop_map(Act::Archive),
        3 => prop_oneof![29 => 0_u64..900, 1 => 0..2 * HOUR].prop_map(Act::Tick),
        1 => Just(Act::Sweep),
        1 => Just(Act::Snapshot),
        1 => Just(Act::Restart),
    ]
}

/// Mostly one act; sometimes the series' second drop is closed and archived.
fn steps() -> impl Strategy<Value = Vec<Act>> {
    let ends =
        (ARCHIVE_AFTER..4 * ARCHIVE_AFTER).prop_map(|wait| vec![Act::Steer(1, Steer::Close), Act::Archive(wait)]);
    prop_oneof![59 => acts().prop_map(|act| vec![act]), 1 => ends]
}

fn shapes() -> impl Strategy<Value = [Shape; 2]> {
    let shape = || {
        let one = prop_oneof![1 => 0_u64..4, 2 => 4_u64..14].prop_map(|units| vec![units]);
        let pools = prop_oneof![2 => one, 1 => prop::collection::vec(0_u64..5, 2..=3)];
        let limits = prop::collection::vec(rule(), 0..=3);
        let shape = |(units, limits)| Shape { units, limits, plan: Plan::default() };
        (prop::collection::vec(pools, 3), limits).prop_map(shape)
    };
    [shape(), shape()]
}

fn check(shapes: &[Shape; 2], history: &[Act], seed: u64) -> TestCaseResult {
    let at_once = if seed.is_multiple_of(FOLLOWED) { AtOnce::Each } else { AtOnce::Drawn(seed) };
    let mut world = World::new();
    world.options.outage_grace = Millis(0);
    world.options.bounds.archive_after = Millis(ARCHIVE_AFTER);
    let mut model = Model::new(shapes);
    let (mut engine, _) = world.start();
    for (drop, shape) in shapes.iter().enumerate() {
        create(&engine, sale(drop, shape), world.now);
    }

    for act in history {
        let passes = if let Act::Tick(span) | Act::Archive(span) = act { *span } else { 0 };
        let closes = model.closes_within(passes);
        if closes {
            // What is made known of a drop that closes is what is free: in the model, what was due is free already.
            engine.sweep_all(world.now);
        }
        model.now += passes;
        world.now = START.plus(Millis(model.now));
        if closes {
            engine.turn_due(world.now).expect("turned");
        }
        model.expire();
        let act = in_earnest(&model, act);
        engine = step(engine, &mut model, (&world, at_once), &act)?;
        prop_assert_eq!(engine.conservation_error(), 0);
    }
    engine.sweep_all(world.now);
    for drop in 0..DROPS.len() {
        prop_assert_eq!(shown(&engine, drop, world.now), model.stock(drop));
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
        | Act::Adjust(_)
        | Act::Steer(..)
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
        Act::Adjust(adjust) => {
            let expected = model.adjust(adjust);
            same_answer(act, &expected, || adjusted(&engine, adjust, world.now).text)?;
        }
        Act::Steer(drop, steer) => {
            if *steer == Steer::Close {
                // In the model, what is due is free already.
                engine.sweep_all(world.now);
                let changes = model.last_changes(*drop);
                model.make_known(*drop, &changes);
            }
            let expected = model.steer(*drop, *steer);
            let mut closed_at = Vec::new();
            for _sent in 0..2 {
                prop_assert_eq!(&steered(&engine, *drop, *steer, world.now).text, &expected, "{:?}", act);
                closed_at.push(engine.view(DROPS[*drop], world.now).closed_at);
            }
            prop_assert_eq!(closed_at[0], closed_at[1], "sent again: {:?}", act);
        }
        Act::Archive(_) => {
            engine.sweep_all(world.now);
            let archived = engine.archive(world.now).expect("a look");
            prop_assert_eq!(archived.to_string(), model.archive(), "{:?}", act);
        }
        Act::Again { .. } | Act::Tick(_) => {}
        Act::Sweep => engine.sweep_all(world.now),
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
    if ["Held", "Paying", "Claimed", "Released", "Open", "Paused", "Closed", "Archived"]
        .iter()
        .any(|state| answer.starts_with(state))
    {
        prop_assert_eq!(&ask(), &answer, "sent again: {:?}", act);
    }
    Ok(())
}

/// Checks that live, replayed and followed states have the same digest.
fn same_after_restart(engine: Engine, (world, at_once): (&World, AtOnce)) -> Result<Engine, TestCaseError> {
    // Due holds are expired first, and no grace applies: so nothing falls due while the server is down.
    engine.sweep_all(world.now);
    let (engine, live, replayed) = restart(engine, world, at_once);
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

//! Openings and closings are facts: appended once, in order, before whatever depends on them.

use std::thread;

use stockade_simulation::prelude::*;
use stockade_types::record::MarkKind;

/// Opens 10 seconds after the start, and closes 10 seconds later.
fn scheduled() -> Definition {
    let mut definition = definition("d", &[("A", 100)], &[]);
    (definition.schedule.opens_at, definition.schedule.closes_at) = (Some(after(10)), Some(after(20)));
    definition
}

fn answer(engine: &Engine, n: u64, now: Timestamp) -> Result<Lsn, Reason> {
    match engine.ask(&reserve(hold_id(n), "d", "ada", &[("A", 1)]), now).value {
        Outcome::Hold(view) => Ok(view.hold.revision),
        Outcome::Refused(refusal) => Err(refusal.reason),
    }
}

/// The moments in the journal: LSN, kind, time of the record, and scheduled time.
fn turned(engine: &Engine, world: &World) -> Vec<(Lsn, MarkKind, Timestamp, Timestamp)> {
    engine.journal().barrier().wait().expect("durable");
    let mut turned = Vec::new();
    for (lsn, record) in records(world) {
        if let Record::DropFact(fact) = record {
            assert_eq!(fact.marks.is_empty(), fact.verb != DropVerb::Turn);
            turned.extend(fact.marks.iter().map(|moment| (lsn, moment.kind, fact.at, moment.scheduled_for)));
        }
    }
    turned
}

#[test]
fn a_herd_at_the_opening_makes_it_one_fact_before_the_first_hold() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, scheduled(), START);
    assert_eq!(answer(&engine, 0, after(9)), Err(Reason::NotOpen));
    let made: Vec<Lsn> = thread::scope(|scope| {
        let herd: Vec<_> = (1..9)
            .map(|n| {
                scope.spawn({
                    let engine = &engine;
                    move || answer(engine, n, after(10))
                })
            })
            .collect();
        herd.into_iter().map(|one| one.join().expect("an answer").expect("a hold")).collect()
    });
    let [(opened, kind, at, scheduled_for)] = turned(&engine, &world)[..] else { panic!("not one moment") };
    assert_eq!((kind, at, scheduled_for), (MarkKind::Opens, after(10), after(10)));
    assert!(made.iter().all(|hold| opened < *hold), "{opened} {made:?}");
    assert_eq!(answer(&engine, 9, after(20)), Err(Reason::Closed));
    holds_stand_in_open_drops(&world);
}

#[test]
fn a_request_that_read_the_clock_before_another_turned_the_drop_counts_as_of_then() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, scheduled(), START);
    let _view = engine.get_drop(&drop_id("d"), Context::anonymous(after(10))).expect("the drop");
    let held = engine.ask(&reserve(hold_id(1), "d", "ada", &[("A", 1)]), after(9)).value;
    let Outcome::Hold(view) = held else { panic!("it is open") };
    assert_eq!(view.hold.created_at(), after(10));
    let _view = engine.get_drop(&drop_id("d"), Context::anonymous(after(20))).expect("the drop");
    assert_eq!(answer(&engine, 2, after(19)), Err(Reason::Closed));
    holds_stand_in_open_drops(&world);
}

#[test]
fn what_was_missed_comes_at_the_next_start_in_one_record_and_late() {
    let mut world = World::new();
    let (engine, _) = world.start();
    create(&engine, scheduled(), START);
    engine.journal().close(START).expect("a clean stop");
    world.now = after(60);
    let (engine, _) = world.start();
    assert_eq!(engine.turn_due(after(60)), Ok(1));
    assert_eq!(engine.turn_due(after(60)), Ok(0));
    let reported = turned(&engine, &world);
    let [opened, closed] = reported[..] else { panic!("not two moments: {reported:?}") };
    assert_eq!(opened, (opened.0, MarkKind::Opens, after(60), after(10)));
    assert_eq!(closed, (opened.0, MarkKind::Closes, after(60), after(20)));
}

#[test]
fn a_crash_between_a_drop_and_its_opening_opens_it_at_the_next_start() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 5)], &[]), START);
    drop(engine);
    let journal = world.journal.files();
    let (name, bytes) = journal.first_key_value().expect("a segment");
    // Whichever batches the two are in, each prefix of the journal is one that a crash may leave.
    for cut in (0..bytes.len()).rev() {
        let world = World {
            journal: SimulatedStorage::with_files([(name.clone(), bytes[..cut].to_vec())].into()),
            root: SimulatedStorage::with_files(world.root.files()),
            ..World::new()
        };
        let Ok(recovered) = world.try_start() else { continue };
        if let Ok(Decided { value: view, .. }) = recovered.engine.get_drop(&drop_id("d"), Context::anonymous(START)) {
            assert_eq!(view.state, DropState::Open, "cut at {cut}");
            assert_eq!(turned(&recovered.engine, &world).len(), 1, "cut at {cut}");
        }
    }
}

#[test]
fn what_is_closed_by_hand_before_its_opening_is_cancelled_and_never_opens() {
    let world = World::new();
    let (engine, _) = world.start();
    create(&engine, scheduled(), START);
    let view = engine.steer(&drop_id("d"), Steer::Close, Context::anonymous(after(5))).expect("closed").value;
    assert_eq!(view.state, DropState::Cancelled);
    assert_eq!(engine.turn_due(after(60)), Ok(0));
    assert_eq!(answer(&engine, 1, after(60)), Err(Reason::Closed));
    assert!(turned(&engine, &world).is_empty());
}

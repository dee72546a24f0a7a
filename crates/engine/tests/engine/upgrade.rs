//! A folder of format 1 is upgraded to format 2 once, wherever the start that does it is interrupted.

use std::sync::Arc;

use stockade_feed::Kind;
use stockade_simulation::prelude::*;
use stockade_types::record::{Closed, Lifecycle};

use crate::events;

const HOUR: u64 = 3_600_000;

/// A drop of format 1: when it opens and closes, pause and manual close, in hours from [`START`], and the expected
/// state.
type OldDrop = (&'static str, i64, Option<i64>, bool, Option<i64>, DropState);

const DROPS: [OldDrop; 7] = [
    ("ahead", 1, None, false, None, DropState::Scheduled),
    ("open", -3, Some(2), false, None, DropState::Open),
    ("over", -3, Some(-1), false, None, DropState::Closed),
    ("paused", -3, None, true, None, DropState::Paused),
    ("ended", -3, Some(5), false, Some(-1), DropState::Closed),
    ("ended-late", -3, None, true, Some(-2), DropState::Closed),
    ("cancelled", -1, None, false, Some(-2), DropState::Cancelled),
];

fn at(hours: i64) -> Timestamp {
    let from_start = HOUR * hours.unsigned_abs();
    if hours < 0 { Timestamp(START.0 - from_start) } else { Timestamp(START.0 + from_start) }
}

/// A folder as left by a build of format 1.
fn of_format_1() -> World {
    let mut world = World::new();
    world.options.outage_grace = Millis(0);
    let mut records = Vec::new();
    for (number, (id, opens, closes, paused, closed, _)) in (0..).map(DropNo).zip(DROPS) {
        let mut definition = definition(id, &[("A", 5)], &[]);
        (definition.schedule.opens_at, definition.schedule.closes_at) = (Some(at(opens)), closes.map(at));
        records.push(drop_record(number.0, definition));
        let closed = closed.map(|hours| Closed { at: at(hours), by_hand: true });
        if paused || closed.is_some() {
            records.push(Record::Lifecycle(Lifecycle { paused, closed, ..Lifecycle::new(number) }));
        }
    }
    world.append(&records, at(-1));
    let mut meta = b"STOCKADE".to_vec();
    meta.extend_from_slice(&1_u32.to_le_bytes());
    meta.extend_from_slice(&[7; 16]);
    meta.extend_from_slice(&crc32c::crc32c(&meta).to_le_bytes());
    world.root = SimulatedStorage::with_files([("stockade.meta".to_owned(), meta)].into());
    world
}

fn states(engine: &Engine) -> Vec<DropState> {
    DROPS.map(|(id, ..)| engine.view(id, START).state).to_vec()
}

/// The LSNs of the records that end format 1.
fn ends(world: &World) -> Vec<Lsn> {
    let records = records(world);
    records.into_iter().filter(|(_, record)| matches!(record, Record::Upgraded(_))).map(|(lsn, _)| lsn).collect()
}

fn wanted() -> Vec<DropState> {
    DROPS.map(|(.., state)| state).to_vec()
}

#[test]
fn what_had_come_by_then_is_marked_and_makes_no_fact_and_older_builds_refuse_the_folder() {
    let world = of_format_1();
    let before = records(&world).len();
    let (engine, report) = world.start();
    assert!(report.upgraded);
    assert_eq!(states(&engine), wanted());
    let live = engine.inventory().digest();
    engine.journal().close(START).expect("a clean stop");
    assert_eq!(records(&world).len(), before + 1, "no drop was turned by looking at it");
    let meta = world.root.read("stockade.meta").expect("there");
    assert_eq!((meta[8], meta[28]), (3, 0), "of format 2, and through");
    let (engine, report) = world.start();
    assert!(!report.upgraded);
    assert_eq!((states(&engine), engine.inventory().digest()), (wanted(), live));
    engine.journal().close(START).expect("a clean stop");
    assert_eq!(ends(&world).len(), 1);
}

#[test]
fn moments_behind_the_upgrade_are_facts() {
    let mut world = of_format_1();
    drop(world.start());
    world.now = at(3);
    let (engine, _) = world.start();
    let state = |id| engine.view(id, at(3)).state;
    assert_eq!([state("ahead"), state("open")], [DropState::Open, DropState::Closed]);
    engine.journal().barrier().wait().expect("durable");
    let turned = records(&world).into_iter().filter(|(_, record)| record.name() == "turned").count();
    assert_eq!(turned, 2);
    let engine = Arc::new(engine);
    let reported: Vec<_> = events::all(&events::feed(&engine))
        .iter()
        .map(|event| (event.kind, event.drop.as_ref().map(|drop| drop.id.to_string())))
        .collect();
    let [opened, closed] = ["ahead", "open"].map(|id| Some(id.to_owned()));
    let expected = [(Kind::DropOpened, opened), (Kind::DropClosed, closed)];
    assert_eq!(reported, expected, "and no event tells of what was before");
}

#[test]
fn a_start_that_ends_on_the_way_is_gone_on_with_by_the_next() {
    // Interrupted after the file was written, before the journal's record.
    let world = of_format_1();
    assert!(world.folder().upgrade().expect("written"));
    let between = world.root.files();
    let (engine, report) = world.start();
    assert!(report.upgraded, "reported by the start that gets through");
    assert_eq!(states(&engine), wanted());
    drop(engine);
    assert_eq!(ends(&world).len(), 1);
    // Interrupted after the journal's record, before the file says that it exists.
    let world = World { root: SimulatedStorage::with_files(between), ..world };
    let (engine, _) = world.start();
    assert_eq!(states(&engine), wanted());
    drop(engine);
    assert_eq!(ends(&world).len(), 1, "said once");
    assert_eq!(world.root.read("stockade.meta").expect("there")[28], 0, "through");
}

#[test]
fn a_power_cut_behind_the_first_start_does_not_undo_half_of_it() {
    for seed in 0..20 {
        let mut world = of_format_1();
        world.options.log.durability = Durability::Os;
        drop(world.start());
        world.lose_power(seed);
        let (engine, _) = world.start();
        assert_eq!(states(&engine), wanted(), "seed {seed}");
        engine.journal().close(START).expect("a clean stop");
        assert_eq!(ends(&world).len(), 1, "seed {seed}");
    }
}

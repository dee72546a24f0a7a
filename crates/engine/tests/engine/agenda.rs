//! The agenda alone: each entry does its work at its instant, in bounded pieces.

use std::sync::Arc;

use stockade_engine::background::agenda::AgendaEntry;
use stockade_engine::background::snapshots::Between;
use stockade_journal::Permit;
use stockade_simulation::prelude::*;

/// About one hold for each shard of the table.
const MANY: u64 = 4_096;

fn started(world: &World) -> (Arc<Engine>, Agenda) {
    let engine = Arc::new(world.start().0);
    let agenda = Agenda::new(Arc::clone(&engine));
    (engine, agenda)
}

fn scheduled(id: &str) -> Definition {
    let mut definition = definition(id, &[("A", 10_000)], &[]);
    (definition.schedule.opens_at, definition.schedule.closes_at) = (Some(after(10)), Some(after(20)));
    definition
}

/// The drop's state, read without applying its due moments.
fn state(engine: &Engine, id: &str) -> DropState {
    engine.inventory().drops.with_id(&drop_id(id), |entry| entry.read().state()).expect("a drop")
}

fn in_state(engine: &Engine, wanted: DropState) -> usize {
    engine.inventory().drops.all().iter().filter(|entry| entry.read().state() == wanted).count()
}

/// Takes permits, as if this many operations waited for a slow disk.
fn busy(engine: &Engine) -> Vec<Permit<'_>> {
    (0..QUEUED_OPERATIONS_MAX / 8).map(|_| engine.journal().permit().expect("room")).collect()
}

fn held(engine: &Engine, n: u64, id: &str, now: Timestamp) {
    let command = reserve(hold_id(n), id, &format!("c{n}"), &[("A", 1)]);
    let answer = engine.ask(&command, now);
    assert!(matches!(answer.value, Outcome::Hold(_)), "{answer:?}");
}

fn sold(engine: &Engine, n: u64, id: &str, now: Timestamp) {
    held(engine, n, id, now);
    engine.ask(&claim(hold_id(n), "order"), now);
}

fn close(engine: &Engine, id: &str, now: Timestamp) {
    engine.steer(&drop_id(id), Steer::Close, Context::anonymous(now)).expect("closed");
}

fn run_until_done(agenda: &mut Agenda, now: Timestamp) -> Timestamp {
    loop {
        let next = agenda.run_due(now);
        if next > now {
            return next;
        }
    }
}

#[test]
fn a_drop_that_nobody_asks_for_opens_closes_and_is_archived_and_the_next_look_is_named() {
    let world = World::new();
    let (engine, mut agenda) = started(&world);
    create(&engine, scheduled("d"), START);
    assert_eq!((run_until_done(&mut agenda, after(9)), state(&engine, "d")), (after(10), DropState::Scheduled));
    let soon = |at: Timestamp| at.plus(Millis(100));
    assert_eq!((agenda.run_due(after(10)), state(&engine, "d")), (soon(after(10)), DropState::Open), "its stock");
    held(&engine, 1, "d", after(11));
    assert_eq!(agenda.run_due(after(11)), soon(after(11)));
    let archived_at = after(20).plus(world.options.bounds.archive_after);
    assert_eq!((agenda.run_due(after(20)), state(&engine, "d")), (after(311), DropState::Closed));
    assert_eq!(engine.inventory().owned(), 1);
    let forgotten_at = after(311).plus(world.options.bounds.retry_window);
    assert_eq!(run_until_done(&mut agenda, after(311)), forgotten_at);
    assert_eq!((engine.inventory().owned(), engine.inventory().ended()), (0, 1));
    assert_eq!(run_until_done(&mut agenda, forgotten_at), archived_at);
    assert_eq!(engine.inventory().ended(), 0);
    assert_eq!(run_until_done(&mut agenda, archived_at), Timestamp::NEVER);
    assert_eq!(state(&engine, "d"), DropState::Archived);
}

#[test]
fn a_turn_that_meets_a_busy_journal_stops_and_goes_on_later() {
    let world = World::new();
    let (engine, mut agenda) = started(&world);
    (0..10).for_each(|n| create(&engine, scheduled(&format!("d{n}")), START));
    let open = || in_state(&engine, DropState::Open);
    let waiting = busy(&engine);
    let later = |ms| after(10).plus(Millis(ms));
    assert_eq!((agenda.run_due(later(0)), open()), (later(2), 1), "one now, and the next later");
    assert_eq!((agenda.run_due(later(0)), open()), (later(2), 1), "nor by looking again");
    assert_eq!((agenda.run_due(later(2)), open()), (later(4), 2), "but one at each time");
    drop(waiting);
    assert_eq!((run_until_done(&mut agenda, later(4)), open()), (later(100), 10), "and all once there is room");

    run_until_done(&mut agenda, after(20));
    let due = after(20).plus(world.options.bounds.archive_after);
    let archived = || in_state(&engine, DropState::Archived);
    let waiting = busy(&engine);
    assert_eq!((agenda.run_due(due), archived()), (due.plus(Millis(2)), 1));
    assert_eq!((agenda.run_due(due.plus(Millis(2))), archived()), (due.plus(Millis(4)), 2));
    drop(waiting);
    run_until_done(&mut agenda, due.plus(Millis(4)));
    assert_eq!(archived(), 10);
}

#[test]
fn at_each_look_every_entry_has_its_turn_and_none_is_done_with_all_at_once() {
    let mut world = World::new();
    world.options.bounds.archive_after = Millis::from_secs(60);
    let (engine, mut agenda) = started(&world);
    for n in 0..40 {
        let id = format!("d{n}");
        create(&engine, definition(&id, &[("A", 10)], &[]), START);
        held(&engine, n, &id, START);
    }
    let mut late = scheduled("late");
    (late.schedule.opens_at, late.schedule.closes_at) = (Some(after(300)), None);
    create(&engine, late, START);
    create(&engine, definition("over", &[("A", 10)], &[]), START);
    close(&engine, "over", START);
    let due = after(300);
    assert_eq!(agenda.run_due(due), Timestamp(0), "there is more to do at once");
    let owned = engine.inventory().owned();
    assert!((1..40).contains(&owned), "a part of the holds is given back: {owned} are left");
    assert_eq!((state(&engine, "late"), state(&engine, "over")), (DropState::Open, DropState::Archived));
    agenda.run_due(due);
    assert!(engine.inventory().owned() < owned, "and another part at the next look");
    run_until_done(&mut agenda, due);
    assert_eq!(engine.inventory().owned(), 0, "each pool has had its turn");
}

#[test]
fn a_closed_drop_with_a_live_hold_is_looked_at_again_until_it_has_none() {
    let mut world = World::new();
    world.options.bounds.archive_after = Millis::from_secs(60);
    let (engine, mut agenda) = started(&world);
    for id in ["d", "e"] {
        create(&engine, definition(id, &[("A", 10)], &[]), START);
        close(&engine, id, after(if id == "d" { 1 } else { 2 }));
    }
    create(&engine, definition("f", &[("A", 10)], &[]), START);
    held(&engine, 1, "f", START);
    close(&engine, "f", START);
    assert_eq!(run_until_done(&mut agenda, after(60)), after(61), "one is put off, and another is due then");
    run_until_done(&mut agenda, after(62));
    let states = || ["d", "e", "f"].map(|id| state(&engine, id));
    let (archived, closed) = (DropState::Archived, DropState::Closed);
    assert_eq!(states(), [archived, archived, closed], "none waits for another");
    run_until_done(&mut agenda, after(299));
    assert_eq!(states(), [archived, archived, closed]);
    run_until_done(&mut agenda, after(300));
    run_until_done(&mut agenda, after(301));
    assert_eq!(states(), [archived; 3]);
}

/// Sells units of a drop whose series has a limit for each customer, and closes it.
fn sold_out(engine: &Engine) {
    let mut sale = definition("d", &[("A", 100_000)], &[]);
    sale.series = Some("winter".parse().expect("a series"));
    create(engine, sale, START);
    for n in 0..MANY {
        sold(engine, n, "d", START);
        if n.is_multiple_of(512) {
            engine.journal().barrier().wait().expect("durable");
        }
    }
    close(engine, "d", START);
}

fn claimed(engine: &Engine) -> u64 {
    engine.inventory().holds.counts()[HoldState::Claimed.place()]
}

#[test]
fn a_drop_is_archived_while_a_snapshot_is_taken_and_its_holds_leave_memory_after_it() {
    let world = World::new();
    let (engine, mut agenda) = started(&world);
    sold_out(&engine);
    let now = START.plus(world.options.bounds.archive_after);
    let mut parts = 0_u64;
    engine
        .snapshot_in_steps(&world.snapshots, now, &mut |between| {
            parts += 1;
            // Before the first part of the walk is written, in the middle of it, and after it.
            if between != Between::Shards || [1, 2_000].contains(&parts) {
                assert!(agenda.run_due(now) > now, "it does not wait");
                assert_eq!((state(&engine, "d"), claimed(&engine)), (DropState::Archived, MANY));
            }
        })
        .expect("a snapshot");
    let found = engine.get_hold(hold_id(0), None, Context::anonymous(now));
    assert!(found.is_err(), "nobody finds them meanwhile");
    let later = now.plus(Millis(100));
    assert_eq!(run_until_done(&mut agenda, later), Timestamp::NEVER);
    assert_eq!((claimed(&engine), engine.inventory().subjects.old()), (0, MANY));
    same_after_a_start(world, engine, agenda, later);
}

#[test]
fn a_snapshot_that_comes_while_holds_leave_memory_has_each_of_them_once() {
    let world = World::new();
    let (engine, mut agenda) = started(&world);
    sold_out(&engine);
    let now = START.plus(world.options.bounds.archive_after);
    while claimed(&engine) > MANY / 2 {
        assert!(agenda.run_entry(AgendaEntry::Archiving, now) <= now, "there is more");
    }
    assert!(claimed(&engine) > 0);
    engine.snapshot(&world.snapshots, now).expect("a snapshot");
    run_until_done(&mut agenda, now);
    assert_eq!((claimed(&engine), engine.inventory().subjects.old()), (0, MANY));
    same_after_a_start(world, engine, agenda, now);
}

/// Starts from the existing snapshot, and from a new one of the state recovered from it.
fn same_after_a_start(mut world: World, engine: Arc<Engine>, agenda: Agenda, now: Timestamp) {
    drop(agenda);
    let live = engine.inventory().digest();
    Arc::into_inner(engine).expect("one holder").stop(now);
    world.now = now;
    for _ in 0..2 {
        let (engine, report) = world.start();
        assert!(report.snapshot.is_some());
        assert_eq!(engine.inventory().digest(), live);
        engine.snapshot(&world.snapshots, now).expect("a snapshot");
        engine.journal().close(now).expect("a clean stop");
    }
}

#[test]
fn what_archives_a_drop_is_never_before_the_closing_that_came_late() {
    let mut world = World::new();
    world.options.bounds.archive_after = Millis::from_secs(5);
    let (engine, mut agenda) = started(&world);
    create(&engine, scheduled("d"), START);
    // It closes at 60, though scheduled for 20: archiving with a clock that was read at 30 must not be recorded before.
    agenda.run_entry(AgendaEntry::Moments, after(60));
    engine.archive(after(30)).expect("archived");
    engine.journal().barrier().wait().expect("durable");
    let times: Vec<(DropVerb, Timestamp)> = records(&world)
        .into_iter()
        .filter_map(|(_, record)| if let Record::DropFact(fact) = record { Some((fact.verb, fact.at)) } else { None })
        .collect();
    assert_eq!(times[1..], [(DropVerb::Turn, after(60)), (DropVerb::Archive, after(60))]);
}

//! Bounds that are reached, and the answers then.

use std::sync::Arc;

use stockade_engine::answer::Stock;
use stockade_simulation::prelude::*;
use stockade_types::ids::LimitId;

#[test]
fn what_was_sold_in_archived_drops_does_not_stop_the_next_sale() {
    let mut world = World::new();
    world.options.bounds.max_holds = 4;
    world.options.bounds.max_ended_holds = 0;
    let (engine, _) = world.start();
    let mut d = definition("d", &[("A", 100)], &[]);
    d.schedule.closes_at = Some(START.plus(Millis(10)));
    create(&engine, d, START);
    for n in 0..4_u64 {
        engine.ask(&reserve(hold_id(n), "d", &format!("c{n}"), &[("A", 1)]), START);
        engine.ask(&claim(hold_id(n), "o"), START);
    }
    let later = after(8 * 24 * 3600);
    assert_eq!(engine.archive(later).expect("a look"), 1);
    assert_eq!(engine.inventory().owned(), 0);
    create(&engine, definition("e", &[("A", 100)], &[]), later);
    let came = engine.try_ask(&reserve(hold_id(9), "e", "c0", &[("A", 1)]), later);
    assert!(matches!(came, Ok(Decided { value: Outcome::Hold(_), .. })), "{came:?}");
    assert_eq!((engine.inventory().subjects.len(), engine.inventory().subjects.old()), (1, 3));
}

#[test]
fn a_change_that_is_only_tried_is_told_what_the_change_would_be_told() {
    let world = World::new();
    let (engine, _) = world.start();
    let name = |n: usize| format!("{n:0>128}");
    let names: Vec<String> = (0..256).map(name).collect();
    let items: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    create(&engine, definition("d", &items, &[]), START);
    let command = update(&engine, "d", START, |definition| {
        let skus: Vec<_> = definition.items.iter().map(|item| item.sku.clone()).collect();
        definition.limits = (0..8)
            .map(|n| Limit {
                max_units: Some(1),
                skus: skus.clone(),
                ..Limit::new(LimitId::try_from(format!("l{n}").as_str()).expect("id"), Scope::Drop)
            })
            .collect();
    });
    let tried = engine.update_drop(&UpdateDrop { validate_only: true, ..command.clone() }, Context::anonymous(START));
    let done = engine.update_drop(&command, Context::anonymous(START));
    let (tried, done) = (tried.expect_err("too much"), done.expect_err("too much"));
    assert_eq!(tried, done);
}

#[test]
fn a_wave_of_deadlines_does_not_fill_the_journal_and_no_customer_is_turned_away_for_it() {
    let (engine, _) = World::new().start();
    let engine = Arc::new(engine);
    create(&engine, definition("d", &[("A", 10_000)], &[]), START);
    for n in 0..1_000 {
        let answered =
            engine.reserve(&reserve(hold_id(n), "d", &format!("c{n}"), &[("A", 1)]), Context::anonymous(START));
        answered.expect("an answer");
    }
    engine.journal().barrier().wait().expect("durable");
    let held = || engine.inventory().owned();
    let mut agenda = Agenda::new(Arc::clone(&engine));
    let due = after(301);
    // As if this many operations waited for a slow disk.
    let waiting: Vec<_> = (0..QUEUED_OPERATIONS_MAX / 8).map(|_| engine.journal().permit().expect("room")).collect();
    assert!(agenda.run_due(due) > due, "a part now, and no more at once");
    let part = held();
    assert!((1..1_000).contains(&part), "{part} of 1,000 are left");
    assert!(agenda.run_due(due) > due && held() == part, "nor by looking again");
    engine.ask(&reserve(hold_id(2_000), "d", "c", &[("A", 1)]), due);
    let later = due.plus(Millis(2));
    assert!(agenda.run_due(later) > later && held() < part + 1, "but a part at each time");
    drop(waiting);
    let later = due.plus(Millis(4));
    while agenda.run_due(later) <= later {}
    assert_eq!(held(), 1, "and all of it once there is room");
}

#[test]
fn a_drop_that_opens_at_once_is_open_in_the_answer_or_is_not_made() {
    let (engine, _) = World::new().start();
    let command = CreateDrop { definition: definition("d", &[("A", 5)], &[]), validate_only: false };
    let made = || engine.create_drop(&command, Context::anonymous(START)).map_err(|fault| fault.value);
    let mut waiting: Vec<_> = (1..QUEUED_OPERATIONS_MAX).map(|_| engine.journal().permit().expect("room")).collect();
    assert!(matches!(made(), Err(Fault::Overloaded(_))), "there is room for its record, and none for its opening");
    assert!(engine.inventory().drops.all().is_empty());
    waiting.pop();
    assert_eq!(made().expect("there is room for both").value.state, DropState::Open);

    let mut later = definition("e", &[("A", 5)], &[]);
    later.schedule.opens_at = Some(START.plus(Millis(60_000)));
    waiting.clear();
    create(&engine, later, START);
    let command = update(&engine, "e", START, |definition| definition.schedule.opens_at = None);
    let changed = || engine.update_drop(&command, Context::anonymous(START)).map_err(|fault| fault.value);
    engine.journal().barrier().wait().expect("durable");
    waiting.extend((1..QUEUED_OPERATIONS_MAX).map(|_| engine.journal().permit().expect("room")));
    assert!(matches!(changed(), Err(Fault::Overloaded(_))), "there is room for its record, and none for its opening");
    waiting.pop();
    assert_eq!(changed().expect("there is room for both").value.state, DropState::Open);
}

#[test]
fn the_bound_on_drops_is_one_on_those_that_live_and_the_oldest_archived_ones_go() {
    let mut world = World::new();
    world.options.bounds.max_drops = 3;
    world.options.bounds.max_archived_drops = 2;
    let (mut engine, _) = world.start();
    let make = |engine: &Engine, name: &str, now| {
        let command = CreateDrop { definition: definition(name, &[("A", 5), ("B", 5)], &[]), validate_only: false };
        durable(engine, engine.create_drop(&command, Context::anonymous(now)))
    };
    let mut now = START;
    for round in 0..4_u64 {
        for n in 0..3 {
            make(&engine, &format!("d{round}-{n}"), now).expect("room");
        }
        let name = format!("d{round}-0");
        let command = reserve(hold_id(round), &name, "ada", &[("B", 2)]);
        engine.ask(&command, now);
        engine.ask(&claim(hold_id(round), "order"), now);
        let full = make(&engine, "one-more", now).expect_err("full");
        assert!(matches!(full, Fault::Exhausted(_)), "{full:?}");
        for n in [1, 2, 0] {
            let _closed = engine
                .steer(&drop_id(&format!("d{round}-{n}")), Steer::Close, Context::anonymous(now))
                .expect("closed");
            assert!(n != 1 || make(&engine, "one-more", now).is_err(), "a closed drop still lives");
            now = now.plus(Millis::from_secs(8 * 24 * 3600));
            engine.archive(now).expect("archived");
            let room = CreateDrop { definition: definition("one-more", &[("A", 1)], &[]), validate_only: true };
            let _made = engine.create_drop(&room, Context::anonymous(now)).expect("its place is given back");
        }
        // Two are kept: the last that were archived. The one with the highest number is always kept.
        let known =
            |engine: &Engine, n: u64| engine.get_drop(&drop_id(&format!("d{round}-{n}")), Context::anonymous(now));
        assert!(
            matches!(known(&engine, 1), Err(fault) if matches!(fault.value, Fault::NoDrop(_))),
            "the first that was archived is forgotten"
        );
        for engine_again in 0..3 {
            let view = known(&engine, 0).expect("kept").value;
            assert_eq!((view.state, view.stock.len()), (DropState::Archived, 2));
            let sold = Stock { received: 5, free: 3, claimed: 2, ..Stock::default() };
            assert_eq!(view.stock[1], [sold], "round {round}, start {engine_again}");
            assert_eq!(listed(&engine, Some(DropState::Archived), now).len(), 2);
            assert!(listed(&engine, None, now).is_empty());
            // From the journal alone, from a snapshot, and from a snapshot after which the journal has none of the
            // others.
            if engine_again > 0 {
                engine.snapshot(&world.snapshots, now).expect("a snapshot");
            }
            let digest = engine.inventory().digest();
            engine.stop(now);
            world.now = now;
            engine = world.start().0;
            assert_eq!(engine.inventory().digest(), digest);
        }
    }
    assert_eq!(make(&engine, "d0-1", now).expect("an id of one that was forgotten").state, DropState::Open);
}

fn listed(engine: &Engine, state: Option<DropState>, now: Timestamp) -> Vec<String> {
    let (filter, mut page) = (DropFilter { state, ..DropFilter::default() }, page::<DropView>(100));
    let _next = engine.list_drops(&filter, None, &mut page, Context::anonymous(now)).expect("a page");
    page.into_shown().iter().map(|view| view.definition.id.to_string()).collect()
}

#[test]
fn beyond_the_mark_nothing_new_is_let_in_and_all_else_goes_on_until_there_is_memory_again() {
    let (engine, _) = World::new().start();
    create(&engine, definition("d", &[("A", 100)], &[]), START);
    for n in 0..3 {
        engine.ask(&reserve(hold_id(n), "d", "ada", &[("A", 1)]), START);
    }
    let new = |n| engine.try_ask(&reserve(hold_id(n), "d", "bob", &[("A", 1)]), START);
    let made = || {
        let command = CreateDrop { definition: definition("e", &[("A", 1)], &[]), validate_only: true };
        engine.create_drop(&command, Context::anonymous(START)).map(drop).map_err(|fault| fault.value)
    };
    let adjusted = |n| {
        engine
            .adjust_stock(&adjust("d", "A", n, StockChange::Delta(1)), Context::anonymous(START))
            .map(drop)
            .map_err(|fault| fault.value)
    };
    let short = |fault: Fault| matches!(fault, Fault::Exhausted(what) if what.starts_with("memory is short"));
    adjusted(50).expect("there is memory");
    engine.see_memory(850, 1_000);
    assert!(short(new(9).expect_err("short")) && short(made().expect_err("short")));
    assert!(short(adjusted(51).expect_err("short")));
    adjusted(50).expect("this one was made before");
    engine.ask(&reserve(hold_id(0), "d", "ada", &[("A", 1)]), START);
    engine.ask(&claim(hold_id(0), "order"), START);
    engine.ask(&release(hold_id(1), &[]), START);
    engine.sweep_all(after(600));
    assert_eq!(engine.inventory().owned(), 1);
    engine.see_memory(830, 1_000);
    assert!(short(new(9).expect_err("just below the mark it may be beyond it at once")));
    engine.see_memory(810, 1_000);
    new(9).expect("there is memory again");
    made().expect("there is memory again");
}

#[test]
fn a_start_forgets_as_serving_did_but_for_what_is_claimed_late_further_on() {
    const HOLDS: u64 = 24_000;
    let mut world = World::new();
    world.options.bounds.max_ended_holds = 100;
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 1_000_000)], &[]), START);
    for n in 0..HOLDS {
        engine
            .reserve(&reserve(hold_id(n), "d", &format!("c{n}"), &[("A", 1)]), Context::anonymous(START))
            .expect("an answer");
        if n > 0 {
            engine.release(&release(hold_id(n), &[]), Context::anonymous(START)).expect("an answer");
        }
        if n.is_multiple_of(1_000) {
            engine.journal().barrier().wait().expect("durable");
        }
    }
    let end = after(600);
    engine.sweep_all(end);
    // The first hold in the list of ended ones moves to its end: it expired, and is claimed late.
    let late = Claim { expired: ExpiredPolicy::TakeFreeStock, ..claim(hold_id(0), "late") };
    for n in HOLDS..HOLDS + 20_000 {
        engine.reserve(&reserve(hold_id(n), "d", "x", &[("A", 1)]), Context::anonymous(end)).expect("an answer");
        engine.release(&release(hold_id(n), &[]), Context::anonymous(end)).expect("an answer");
        if n.is_multiple_of(1_000) {
            engine.journal().barrier().wait().expect("durable");
        }
    }
    engine.ask(&late, end);
    engine.stop(end);
    world.now = end;
    let (engine, _) = world.start();
    let [held, _, claimed, released, expired] = engine.inventory().holds.counts();
    assert_eq!((held, claimed), (0, 1), "the late sale is there");
    assert!(released + expired < 20_000, "{released} and {expired} of 44,000 that ended");
    assert!(
        engine.get_hold(hold_id(HOLDS + 19_999), None, Context::anonymous(end)).is_ok(),
        "the latest are remembered"
    );
    let drop = engine.view("d", end);
    assert_eq!((drop.stock[0][0].claimed, engine.conservation_error()), (1, 0));
}

//! Bounds that are met, and told.

use std::sync::Arc;

use stockade::definition::{Limit, Scope};
use stockade::engine::answer::{Answer, Outcome};
use stockade::engine::background::Sweeper;
use stockade::engine::command::UpdateDrop;
use stockade::ids::LimitId;
use stockade::journal::MAX_QUEUED_OPERATIONS;
use stockade::time::Millis;

use crate::common::{self, START, World, claim, create, definition, hold_id, reserve, settle};

#[test]
fn what_was_sold_in_archived_drops_does_not_stop_the_next_sale() {
    let mut world = World::new();
    world.options.bounds.max_holds = 4;
    world.options.bounds.max_ended_holds = 0;
    let (engine, _) = world.start();
    let mut d = definition("d", &[("A", 100)], &[]);
    d.closes_at = Some(START.plus(Millis(10)));
    create(&engine, d, START);
    for n in 0..4_u64 {
        settle(|| engine.reserve(&reserve(hold_id(n), "d", &format!("c{n}"), &[("A", 1)]), START)).expect("answer");
        settle(|| engine.claim(&claim(hold_id(n), "o"), START)).expect("claimed");
    }
    let later = START.plus(Millis::from_secs(8 * 24 * 3600));
    assert_eq!(engine.archive(later).expect("a look"), 1);
    assert_eq!(engine.inventory().owned(), 0);
    create(&engine, definition("e", &[("A", 100)], &[]), later);
    let came = settle(|| engine.reserve(&reserve(hold_id(9), "e", "c0", &[("A", 1)]), later));
    assert!(matches!(came, Ok(Answer { outcome: Outcome::Hold(_), .. })), "{came:?}");
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
    let command = common::update(&engine, "d", START, |definition| {
        let skus: Vec<_> = definition.items.iter().map(|item| item.sku.clone()).collect();
        definition.limits = (0..8)
            .map(|n| Limit {
                max_units: Some(1),
                skus: skus.clone(),
                ..Limit::new(LimitId::try_from(format!("l{n}").as_str()).expect("id"), Scope::Drop)
            })
            .collect();
    });
    let tried = engine.update_drop(&UpdateDrop { validate_only: true, ..command.clone() }, START);
    let done = engine.update_drop(&command, START);
    let (tried, done) = (tried.expect_err("too much"), done.expect_err("too much"));
    assert_eq!(tried, done);
}

#[test]
fn a_wave_of_deadlines_does_not_fill_the_journal_and_no_customer_is_turned_away_for_it() {
    let (engine, _) = World::new().start();
    let engine = Arc::new(engine);
    create(&engine, definition("d", &[("A", 10_000)], &[]), START);
    for n in 0..1_000 {
        let answered = engine.reserve(&reserve(hold_id(n), "d", &format!("c{n}"), &[("A", 1)]), START);
        answered.expect("an answer");
    }
    engine.journal().barrier().wait().expect("durable");
    let held = || engine.inventory().owned();
    let mut sweeper = Sweeper::new(Arc::clone(&engine));
    let due = START.plus(Millis::from_secs(301));
    // As if so many operations waited for a slow disk.
    let waiting: Vec<_> = (0..MAX_QUEUED_OPERATIONS / 8).map(|_| engine.journal().permit().expect("room")).collect();
    assert!(!sweeper.look(due), "a part now, and no more at once");
    let part = held();
    assert!((1..1_000).contains(&part), "{part} of 1,000 are left");
    assert!(!sweeper.look(due) && held() == part, "nor by looking again");
    settle(|| engine.reserve(&reserve(hold_id(2_000), "d", "c", &[("A", 1)]), due)).expect("there is room for it");
    assert!(!sweeper.look(due.plus(Millis(2))) && held() < part + 1, "but a part at each time");
    drop(waiting);
    while sweeper.look(due.plus(Millis(2))) {}
    assert_eq!(held(), 1, "and all of it once there is room");
}

//! Bounds that are met, and told.

use stockade::definition::{Limit, Scope};
use stockade::engine::answer::{Answer, Outcome};
use stockade::engine::command::UpdateDrop;
use stockade::ids::LimitId;
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

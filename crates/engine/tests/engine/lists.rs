//! Lists: every hold that exists throughout is listed exactly once, whatever is made or ends between the pages.

use std::collections::BTreeMap;

use stockade_engine::verbs::list::DropPlace;
use stockade_engine::verbs::page::Page;
use stockade_simulation::prelude::*;

fn all(engine: &Engine, filter: &HoldFilter, size: usize, mut between: impl FnMut(u64)) -> BTreeMap<HoldId, u32> {
    let (mut seen, mut from) = (BTreeMap::new(), None);
    for number in 0.. {
        let mut shown = page(size);
        let listed = engine.list_holds(filter, from, &mut shown, Context::anonymous(START));
        let next = durable(engine, listed).expect("a page");
        let views: Vec<HoldView> = shown.into_shown();
        assert!(views.len() <= size && (next.is_none() || views.len() == size), "page {number}");
        for view in views {
            *seen.entry(view.hold.id).or_default() += 1;
        }
        match next {
            Some(_) => from = next,
            None => break,
        }
        between(number);
    }
    seen
}

fn filled(world: &World) -> Engine {
    let (engine, _) = world.start();
    create(&engine, definition("d", &[("A", 10_000), ("B", 10_000)], &[("many", Scope::Drop, 10_000)]), START);
    create(&engine, definition("e", &[("A", 10_000)], &[]), START);
    for n in 0..300 {
        let drop = if n % 3 == 0 { "e" } else { "d" };
        let command = reserve(hold_id(n), drop, &format!("customer-{}", n % 7), &[("A", 1)]);
        engine.ask(&command, START);
    }
    engine
}

#[test]
fn a_hold_that_stays_is_told_once_although_others_come_and_go() {
    let engine = filled(&World::new());
    let filter = HoldFilter { drop: Some(drop_id("d")), ..HoldFilter::default() };
    let staying: Vec<u64> = (0..300).filter(|n| n % 3 == 1).collect();
    let seen = all(&engine, &filter, 7, |page| {
        let gone = hold_id(page * 3 + 2);
        engine.ask(&release(gone, &[]), START);
        let command = reserve(hold_id(1_000 + page), "d", "new", &[("B", 1)]);
        engine.ask(&command, START);
    });
    for n in staying {
        assert_eq!(seen.get(&hold_id(n)), Some(&1), "hold {n}");
    }
    assert!(seen.values().all(|times| *times == 1));
}

#[test]
fn every_filter_leaves_out_what_does_not_fit() {
    let engine = filled(&World::new());
    engine.ask(&claim(hold_id(1), "order-1"), START);
    let count = |filter: &HoldFilter| all(&engine, filter, 1_000, |_| {}).len();
    let none = HoldFilter::default;
    let customer = Some(CustomerId::try_from("customer-1").expect("an id"));
    assert_eq!(count(&HoldFilter { drop: Some(drop_id("e")), ..none() }), 100);
    assert_eq!(count(&HoldFilter { customer: customer.clone(), ..none() }), 43);
    let order_ref = claim(hold_id(1), "order-1").order_ref;
    assert_eq!(count(&HoldFilter { order_ref: Some(order_ref), ..none() }), 1);
    assert_eq!(count(&HoldFilter { customer, sku: Some(sku("B")), ..none() }), 0);
    assert_eq!(count(&HoldFilter { drop: Some(drop_id("d")), state: Some(HoldState::Held), ..none() }), 199);
    assert_eq!(count(&HoldFilter { drop: Some(drop_id("d")), older_than: Some(Millis(1)), ..none() }), 0);
    let nowhere = HoldFilter { drop: Some(drop_id("x")), ..none() };
    assert!(engine.list_holds(&nowhere, None, &mut page::<HoldView>(10), Context::anonymous(START)).is_err());
}

#[test]
fn drops_come_page_by_page_in_the_order_of_their_opening() {
    let world = World::new();
    let (engine, _) = world.start();
    for n in 0..10_u64 {
        let mut sale = definition(&format!("d{n}"), &[("A", 1)], &[]);
        sale.schedule.opens_at = Some(START.plus(Millis(1_000 - (n / 2) * 100)));
        create(&engine, sale, START);
    }
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let mut shown = page::<DropView>(3);
        let listed = engine.list_drops(&DropFilter::default(), from.as_ref(), &mut shown, Context::anonymous(START));
        seen.extend(shown.into_shown().iter().map(|view| view.definition.id.to_string()));
        match listed.expect("a page").value {
            Some(next) => from = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["d8", "d9", "d6", "d7", "d4", "d5", "d2", "d3", "d0", "d1"]);
}

#[test]
fn a_page_that_ends_by_bytes_is_gone_on_with_where_it_ended_and_a_shard_is_looked_through_to_its_end() {
    let engine = filled(&World::new());
    let filter = HoldFilter { drop: Some(drop_id("e")), ..HoldFilter::default() };
    let (mut seen, mut from) = (BTreeMap::new(), None);
    loop {
        // Forty bytes each, with room for two of them.
        let mut shown = Page::new(1_000, 100, |view: &HoldView| (view.hold.id, 40));
        let next = engine.list_holds(&filter, from, &mut shown, Context::anonymous(START)).expect("a page").value;
        let ids = shown.into_shown();
        assert!(ids.len() == 2 || next.is_none(), "{ids:?}");
        for id in ids {
            *seen.entry(id).or_insert(0) += 1;
        }
        from = next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!((seen.len(), seen.values().copied().max()), (100, Some(1)));
}

/// A page of three drops, and where the next page begins.
fn three(engine: &Engine, from: Option<&DropPlace>) -> Result<(Vec<String>, Option<DropPlace>), Fault> {
    let mut shown = page::<DropView>(3);
    let listed = engine.list_drops(&DropFilter::default(), from, &mut shown, Context::anonymous(START));
    let next = durable(engine, listed)?;
    Ok((shown.into_shown().iter().map(|view| view.definition.id.to_string()).collect(), next))
}

fn open_later(engine: &Engine, id: &str, millis: u64) {
    let command =
        update(engine, id, START, |definition| definition.schedule.opens_at = Some(START.plus(Millis(millis))));
    engine.updated(&command, START);
}

#[test]
fn a_drop_that_stays_is_told_once_although_openings_move() {
    let mut world = World::new();
    let (engine, _) = world.start();
    for n in 0..12_u64 {
        let mut sale = definition(&format!("d{n:02}"), &[("A", 1)], &[]);
        sale.schedule.opens_at = Some(START.plus(Millis(1_000 * (n + 1))));
        create(&engine, sale, START);
    }
    let (mut seen, next) = three(&engine, None).expect("a page");
    // A listed one moves to after the place, an unlisted one to before it; both twice.
    for later in [90_000, 95_000] {
        open_later(&engine, "d01", later);
        open_later(&engine, "d07", later / 90_000);
    }
    let (more, next) = three(&engine, next.as_ref()).expect("a page");
    seen.extend(more);
    // Another one, just before it would be listed, moves to the place of a listed one.
    open_later(&engine, "d06", 1_000);
    let (more, next) = three(&engine, next.as_ref()).expect("a page");
    seen.extend(more);

    // A start has no record of these moves and refuses to go on; if there were none since the list began, it goes on.
    engine.stop(START);
    world.now = START;
    let (engine, _) = world.start();
    assert!(matches!(three(&engine, next.as_ref()), Err(Fault::Invalid(_))), "{next:?}");
    let (first, next) = three(&engine, None).expect("a page");
    assert_eq!(first, ["d07", "d00", "d06"], "a new list goes by what is so now");
    engine.stop(START);
    let (engine, _) = world.start();
    assert_eq!(three(&engine, next.as_ref()).expect("a page").0, ["d02", "d03", "d04"]);
    assert_eq!(seen, ["d00", "d01", "d02", "d03", "d04", "d05", "d06", "d07", "d08"]);
}

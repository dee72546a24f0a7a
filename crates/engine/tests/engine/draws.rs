//! Items with several pools: the order in which units are drawn, and the pools to which they return.

use stockade_simulation::prelude::*;

/// An engine with a drop whose items have these pools.
fn engine(world: &World, items: &[(&str, &[u64])]) -> Engine {
    let (engine, _) = world.start();
    let names: Vec<_> = items.iter().map(|(sku, _)| (*sku, 0)).collect();
    let mut sale = definition("d", &names, &[]);
    sale.items.iter_mut().zip(items).for_each(|(item, (_, units))| item.pools = pools(units));
    create(&engine, sale, world.now);
    engine
}

/// A hold's lines: SKU, pool, units.
fn shown(view: &HoldView) -> Vec<(String, u16, u32)> {
    let line = |line: HoldLine| (view.definition.sku(line.item).to_string(), line.pool.0, line.quantity);
    view.hold.shown_lines().map(line).collect()
}

fn cart(n: u64, wanted: &[(&str, u32)]) -> Reserve {
    reserve(hold_id(n), "d", "ada", wanted)
}

/// The pools and units that a reserve of one item gets.
fn gets(engine: &Engine, command: &Reserve) -> Vec<(u16, u32)> {
    shown(&engine.granted(command, START)).into_iter().map(|(_, pool, units)| (pool, units)).collect()
}

/// Units free in each pool.
fn free(engine: &Engine, now: Timestamp) -> Vec<Vec<u64>> {
    assert_eq!(engine.conservation_error(), 0);
    let view = engine.view("d", now);
    view.stock.iter().map(|pools| pools.iter().map(|stock| stock.free).collect()).collect()
}

#[test]
fn the_first_pool_is_drawn_from_until_it_is_empty_then_the_next() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[2, 0, 1])]);
    let pools: Vec<_> = (0..3).flat_map(|n| gets(&engine, &cart(n, &[("A", 1)]))).collect();
    assert_eq!(pools, [(0, 1), (0, 1), (2, 1)]);
    let refusal = engine.refused(&cart(3, &[("A", 1)]), START);
    assert_eq!((refusal.reason, refusal.lines[0].available), (Reason::SoldOut, 0));
    assert_eq!(free(&engine, START), [[0, 0, 0]]);
}

#[test]
fn a_pool_that_has_too_few_gives_what_it_has_and_the_next_one_the_rest() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 5, 2])]);
    assert_eq!(gets(&engine, &cart(0, &[("A", 3)])), [(0, 1), (1, 2)]);
    assert_eq!(gets(&engine, &cart(1, &[("A", 2)])), [(1, 2)]);
    assert_eq!(gets(&engine, &cart(2, &[("A", 3)])), [(1, 1), (2, 2)]);
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!(replayed, live);
    assert_eq!(free(&engine, START), [[0, 0, 0]]);
}

#[test]
fn a_refusal_counts_what_is_free_in_all_pools_and_takes_none_of_it() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 2]), ("B", &[9])]);
    let refusal = engine.refused(&cart(0, &[("A", 4), ("B", 3)]), START);
    let reported: Vec<_> =
        refusal.lines.iter().map(|line| (line.sku.as_str(), line.available, line.requested)).collect();
    assert_eq!(reported, [("A", 3, 4)]);
    assert_eq!((refusal.retry_after, refusal.may_come_back), (None, false), "nothing is held");
    assert_eq!(free(&engine, START), [vec![1, 2], vec![9]]);
}

#[test]
fn the_earliest_deadline_of_all_pools_says_when_to_ask_again() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 1])]);
    assert_eq!(gets(&engine, &cart(0, &[("A", 1)])), [(0, 1)]);
    let shorter = Reserve { ttl: Some(Millis::from_secs(100)), ..cart(1, &[("A", 1)]) };
    assert_eq!(gets(&engine, &shorter), [(1, 1)]);
    let refusal = engine.refused(&cart(2, &[("A", 1)]), START);
    assert_eq!(refusal.retry_after, Some(Millis::from_secs(100)));
    // At that instant the unit is for sale, before a sweep has returned it.
    let later = after(100);
    assert_eq!(shown(&engine.granted(&cart(3, &[("A", 1)]), later)), [("A".to_owned(), 1, 1)]);
}

#[test]
fn what_there_is_comes_from_all_pools() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 0, 2]), ("B", &[1])]);
    let partial = |n, wanted: &[(&str, u32)]| Reserve { allow_partial: true, ..cart(n, wanted) };
    assert_eq!(gets(&engine, &partial(0, &[("A", 2)])), [(0, 1), (2, 1)]);
    assert_eq!(gets(&engine, &partial(1, &[("A", 5), ("B", 1)])), [(2, 1), (0, 1)]);
    let refusal = engine.refused(&partial(2, &[("A", 1), ("B", 1)]), START);
    assert_eq!((refusal.reason, refusal.lines.len()), (Reason::SoldOut, 2));
}

#[test]
fn a_successor_keeps_the_units_of_the_first_lines_in_their_pools_and_draws_only_more() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 4])]);
    assert_eq!(gets(&engine, &cart(0, &[("A", 3)])), [(0, 1), (1, 2)]);
    let instead = |n: u64, of: u64, units| Reserve { supersedes: Some(hold_id(of)), ..cart(n, &[("A", units)]) };
    assert_eq!(gets(&engine, &instead(1, 0, 5)), [(0, 1), (1, 4)]);
    let refusal = engine.refused(&instead(2, 1, 6), START);
    assert_eq!((refusal.lines[0].available, refusal.lines[0].requested), (5, 6));
    assert_eq!(gets(&engine, &instead(3, 1, 2)), [(0, 1), (1, 1)]);
    assert_eq!(free(&engine, START), [[0, 3]]);
    // A successor does not keep released units.
    engine.granted(&release(hold_id(3), &[("A", 1)]), START);
    assert_eq!(gets(&engine, &instead(4, 3, 3)), [(0, 1), (1, 2)]);
    let (engine, live, replayed) = restart(engine, &world, AtOnce::Each);
    assert_eq!((replayed, free(&engine, START)), (live, vec![vec![0, 2]]));
}

#[test]
fn units_go_back_to_the_pool_that_they_came_from() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 2])]);
    assert_eq!(gets(&engine, &cart(0, &[("A", 3)])), [(0, 1), (1, 2)]);
    // A release keeps the units of the first lines.
    engine.granted(&release(hold_id(0), &[("A", 2)]), START);
    assert_eq!(free(&engine, START), [[0, 1]]);
    engine.granted(&claim(hold_id(0), "order"), START);
    let back = Return { target: target(hold_id(0)), returned: lines(&[("A", 1)]), restock: true };
    engine.granted(&back, START);
    assert_eq!(free(&engine, START), [[0, 2]]);
    assert_eq!(gets(&engine, &cart(1, &[("A", 2)])), [(1, 2)]);
    let later = after(300);
    engine.sweep_all(later);
    assert_eq!(free(&engine, later), [[0, 2]]);
}

#[test]
fn what_is_due_in_every_pool_is_given_back_for_one_request_of_all() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1; 6])]);
    for n in 0..6 {
        assert_eq!(gets(&engine, &cart(n, &[("A", 1)])).len(), 1);
    }
    let later = Context::anonymous(after(300));
    // A single call is enough.
    let Ok(Decided { value: Outcome::Hold(all), .. }) = engine.reserve(&cart(6, &[("A", 6)]), later) else {
        panic!("not decided, or refused")
    };
    assert_eq!(shown(&all).len(), 6, "a line for each pool");
    let Ok(Decided { value: Outcome::Refused(refusal), .. }) = engine.reserve(&cart(7, &[("A", 1)]), later) else {
        panic!("not decided, or granted")
    };
    assert_eq!(refusal.reason, Reason::SoldOut);
}

#[test]
fn a_late_claim_draws_on_the_pools_of_its_lines_alone() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 2])]);
    assert_eq!(gets(&engine, &cart(0, &[("A", 2)])), [(0, 1), (1, 1)]);
    let later = after(300);
    assert_eq!(shown(&engine.granted(&cart(1, &[("A", 1)]), later)), [("A".to_owned(), 0, 1)]);
    let late = Claim { expired: ExpiredPolicy::TakeFreeStock, ..claim(hold_id(0), "o") };
    // Pool 0 has no free unit, pool 1 has two; the hold had one of each.
    let refusal = engine.refused(&late, later);
    let reported: Vec<_> = refusal.lines.iter().map(|line| (line.available, line.requested)).collect();
    assert_eq!((refusal.reason, reported, refusal.may_come_back), (Reason::SoldOut, vec![(1, 2)], true));
    engine.granted(&release(hold_id(1), &[]), later);
    let sold = engine.granted(&late, later);
    assert_eq!(sold.hold.state, HoldState::Claimed);
    assert_eq!(shown(&sold), [("A".to_owned(), 0, 1), ("A".to_owned(), 1, 1)]);
    assert_eq!(free(&engine, later), [[0, 1]]);
}

#[test]
fn what_is_added_to_a_pool_is_drawn_from_there() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 0])]);
    let mut more = adjust("d", "A", 1, StockChange::Delta(2));
    engine.adjust_stock(&more, Context::anonymous(START)).expect("an adjustment of the last pool");
    assert_eq!(free(&engine, START), [[1, 2]]);
    assert_eq!(gets(&engine, &cart(0, &[("A", 2)])), [(0, 1), (1, 1)]);
    (more.pool, more.id) = (Some(pool_id(0)), adjust("d", "A", 2, more.change).id);
    engine.adjust_stock(&more, Context::anonymous(START)).expect("an adjustment of the first pool");
    assert_eq!(free(&engine, START), [[2, 1]]);
}

#[test]
fn with_a_unit_for_each_over_several_pools_nobody_is_ever_refused() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[1, 2, 1])]);
    together(4, |t| {
        for id in (0..2_000).map(|n| t * 10_000 + n) {
            let partial = Reserve { allow_partial: id % 3 == 0, ..cart(id, &[("A", 1)]) };
            assert_eq!(gets(&engine, &partial).len(), 1);
            engine.granted(&release(hold_id(id), &[]), START);
        }
    });
    assert_eq!(free(&engine, START), [[1, 2, 1]]);
}

#[test]
fn a_herd_gets_every_unit_of_all_pools_and_not_one_more() {
    let world = World::new();
    let engine = engine(&world, &[("A", &[7, 300, 0, 193])]);
    let served = |id| matches!(engine.ask(&cart(id, &[("A", 1)]), START).value, Outcome::Hold(_));
    let won: usize = together(4, |t| (0..300).filter(|n| served(t * 10_000 + n)).count()).into_iter().sum();
    assert_eq!((won, free(&engine, START)), (500, vec![vec![0; 4]]));
}

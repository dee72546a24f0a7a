//! Which rule refused, and what it saw: each kind of rule.

use stockade_types::definition::{Limit, Scope};
use stockade_types::time::Millis;

use super::definitions::{members, prices, sale, slots, windows};
use super::{play, value, why};
use stockade_engine::answer::Fault;
use stockade_engine::context::Context;
use stockade_engine::verbs::explain::Subject;
use stockade_simulation::world::{START, World, create, definition, drop_id, hold_id, settle};

#[test]
fn a_drop_and_its_windows_say_when_they_open() {
    play(
        "drop and windows",
        &windows(),
        "
        5   reserve 1 ada,gold 1*A -> not_open for 5 s
        5   why 1 -> reserve by drop d, opens_in_ms 5000
        10  reserve 2 bob@mitte 1*A 1*B -> not_open for 120 s; A not_open 0 of 1; B not_open 0 of 1
        10  why 2 -> reserve by window all, requested 1, available 0, opens_in_ms 120000
        10  reserve 3 eve 1*A -> not_open for 120 s; A not_open 0 of 1
        10  why 3 -> reserve by window all, requested 1, available 0, opens_in_ms 120000
        20  pause -> paused: A/general 5+0+0-0 B/general 5+0+0-0
        20  reserve 3 eve 1*A -> paused
        20  why 3 -> reserve by drop d
        ",
    );
}

#[test]
fn a_window_that_is_over_is_named_and_none_where_none_is_for_the_customer() {
    let mut few = windows();
    few.rules.windows.truncate(2);
    play(
        "no window",
        &few,
        "
        10  reserve 1 eve 1*A -> not_eligible; A not_eligible 0 of 1
        10  why 1 -> reserve by window , requested 1, available 0
        310 reserve 2 ada,gold 1*B -> closed; B closed 0 of 1
        310 why 2 -> reserve by window members, requested 1, available 0
        ",
    );
}

#[test]
fn prices_pools_and_slots_are_told_apart() {
    let mut few = prices();
    few.rules.prices.truncate(1);
    play(
        "no price",
        &few,
        "
        10  reserve 1 eve 1*A -> not_eligible; A not_eligible 0 of 1
        10  why 1 -> reserve by terms , requested 1, available 0
        ",
    );
    let mut closed = members(None);
    closed.items[0].pools.truncate(1);
    closed.items[0].pools[0].flows.clear();
    play(
        "no pool",
        &closed,
        "
        10  reserve 1 eve 1*A -> not_eligible; A not_eligible 0 of 1
        10  why 1 -> reserve by stock A, requested 1, available 0
        10  reserve 2 ada,gold 4*A -> sold_out; A sold_out 3 of 4
        10  why 2 -> reserve by stock A, requested 4, available 3, free 3
        ",
    );
    play(
        "slots",
        &slots(true),
        "
        10  reserve 1 eve 1*A -> slot_required
        10  why 1 -> reserve by slot
        110 reserve 2 eve 1*A 1*six -> closed; six closed 0 of 1
        110 why 2 -> reserve by slot six, requested 1, available 0
        ",
    );
}

#[test]
fn stock_and_limits_say_how_much_there_was() {
    let mut few = sale(&[("A", 3), ("B", 9)]);
    let limit = |name: &str| Limit::new(name.parse().expect("an id"), Scope::Drop);
    few.limits = vec![
        Limit { max_units: Some(4), ..limit("four-each") },
        Limit { max_live_holds: Some(2), ..limit("two-carts") },
        Limit { cooldown: Some(Millis::from_secs(5)), ..limit("wait") },
    ];
    play(
        "stock and limits",
        &few,
        "
        10  reserve 1 ada 2*A -> held: 2*A/general, for 300 s
        10  reserve 2 bob 2*A 1*B -> sold_out for 300 s, may come back; A sold_out 1 of 2
        10  why 2 -> reserve by stock A, requested 2, available 1, free 1, retry_after_ms 300000
        11  reserve 3 ada 1*B -> cooldown wait 0 of 0 for 4 s; B cooldown 0 of 1
        11  why 3 -> reserve by limit wait, requested 1, available 0, retry_after_ms 4000
        20  reserve 3 ada 3*B -> limit_reached four-each 2 of 4; B limit_reached 2 of 3
        20  why 3 -> reserve by limit four-each, requested 3, available 2, used 2, max 4
        20  reserve 3 ada 1*B -> held: 1*B/general, for 300 s
        30  reserve 4 ada 1*B -> too_many_holds two-carts 2 of 2 for 280 s; B too_many_holds 0 of 1
        30  why 4 -> reserve by limit two-carts, requested 1, available 0, used 2, max 2, retry_after_ms 280000
        31  reserve 4 ada 2*A -> sold_out for 279 s, may come back; A sold_out 0 of 2
        31  why 4 -> reserve by stock A, requested 2, available 0, free 1, retry_after_ms 279000
        ",
    );
}

#[test]
fn a_hold_says_what_it_was_in_the_way_of() {
    play(
        "holds",
        &sale(&[("A", 3)]),
        "
        10  reserve 1 ada 2*A -> held: 2*A/general, for 300 s
        311 claim 1 -> hold_expired
        311 why 1 -> claim by hold 9e3779b9-7f4a-7c15-0000-000000000001, late_ms 1000
        312 reserve 2 bob 2*A -> held: 2*A/general, for 300 s
        313 claim 1 late -> sold_out, may come back; A sold_out 1 of 2
        313 why 1 -> claim by stock A, requested 2, available 1, free 1
        314 reserve 3 ada 1*A for=1 -> hold_expired
        314 why 3 -> reserve by hold 9e3779b9-7f4a-7c15-0000-000000000001
        315 claim 2 -> claimed: 2*A/general
        316 release 2 -> hold_claimed
        316 why 2 -> release by hold 3c6ef372-fe94-f82a-0000-000000000002
        ",
    );
}

#[test]
fn what_a_hold_s_state_refuses_names_the_hold() {
    let first = "hold 9e3779b9-7f4a-7c15-0000-000000000001";
    let second = "hold 3c6ef372-fe94-f82a-0000-000000000002";
    let mut sale = sale(&[("A", 9)]);
    sale.terms.max_hold_life = Millis::from_secs(300);
    sale.terms.payment_ttl = Millis::from_secs(40);
    let script = format!(
        "
        10  reserve 1 ada 1*A -> held: 1*A/general, for 300 s
        11  release 1 -> released: 0*A/general
        12  extend 1 -> hold_released
        12  why 1 -> extend by {first}
        12  claim 1 late -> hold_released
        12  why 1 -> claim by {first}
        20  reserve 2 ada 2*A -> held: 2*A/general, for 300 s
        21  reserve 3 ada 1*A for=2 -> held: 1*A/general, for 299 s
        22  claim 2 -> superseded
        22  why 2 -> claim by {second}
        22  release 2 -> superseded
        22  why 2 -> release by {second}
        30  claim 3 as=one -> claimed: 1*A/general
        31  claim 3 as=two -> order_mismatch
        31  why 3 -> claim by hold daa66d2c-7ddf-743f-0000-000000000003
        40  reserve 4 bob 1*A -> held: 1*A/general, for 300 s
        41  pay 4 -> paying: 1*A/general, for 299 s
        42  release 4 -> payment_in_progress
        42  why 4 -> release by hold 78dde6e5-fd29-f054-0000-000000000004
        43  reserve 5 bob 1*A for=4 -> payment_in_progress
        43  why 5 -> reserve by hold 78dde6e5-fd29-f054-0000-000000000004
        44  abandon 4 -> released: 0*A/general
        50  reserve 6 cid 1*A -> held: 1*A/general, for 300 s
        331 pay 6 -> ceiling_reached
        331 why 6 -> extend by hold b54cda58-fbbe-e87e-0000-000000000006
        350 claim 6 -> hold_expired
    "
    );
    play("states of holds", &sale, &script);
}

#[test]
fn a_herd_of_one_reason_evicts_no_refusal_of_another() {
    let (engine, _) = World::new().start();
    create(&engine, definition("d", &[("A", 3)], &[("two-each", Scope::Drop, 2)]), START);
    let ask = |n, customer, units| {
        let command = stockade_simulation::world::reserve(hold_id(n), "d", customer, &[("A", units)]);
        value(settle(|| engine.reserve(&command, Context::anonymous(START))).map_err(Into::into)).expect("an answer")
    };
    ask(1, "ada", 2);
    ask(2, "ada", 1);
    ask(3, "bob", 1);
    for n in 4..100_000 {
        ask(n, "eve", 1);
    }
    let context = Context::anonymous(START);
    assert_eq!(why(&engine, hold_id(2), context), "reserve by limit two-each, requested 1, available 0, used 2, max 2");
    assert!(why(&engine, hold_id(99_999), context).starts_with("reserve by stock A"));
    let gone = engine.explain(&Subject::Hold(hold_id(4)), context).map(|_| ()).expect_err("evicted");
    assert!(matches!(gone.value, Fault::NoHold(_)));
}

#[test]
fn refusals_that_an_answer_leaves_out_are_not_said_to_be_there() {
    let (engine, _) = World::new().start();
    create(&engine, definition("d", &[("A", 0)], &[]), START);
    for n in 1..=1_500 {
        let command = stockade_simulation::world::reserve(hold_id(n), "d", "eve", &[("A", 1)]);
        let context = Context::anonymous(START.plus(Millis(n)));
        let refused = value(settle(|| engine.reserve(&command, context)).map_err(Into::into));
        assert!(refused.is_ok(), "{refused:?}");
    }
    let about = Subject::Customer { drop: drop_id("d"), customer: "eve".parse().expect("an id") };
    let known = value(engine.explain(&about, Context::anonymous(START.plus(Millis(2_000))))).expect("refusals");
    let since = known.refusals_since;
    let oldest = known.decisions([]).iter().map(|decision| decision.at).min().expect("some");
    assert!(since >= START.plus(Millis(500)) && oldest >= since, "{oldest}, {since}");
}

//! The tables: each rule, and each pair of rules that can collide.

use stockade_types::definition::{Level, Window};
use stockade_types::time::Millis;

use super::definitions::{
    after, at_level, at_moment, euros, flow, members, places, pool, prices, sale, slots, terms, tranches, window,
    windows,
};
use super::play;
use stockade_simulation::world::sku;

#[test]
fn windows_let_in_whom_they_are_for_while_they_are_open() {
    play(
        "windows",
        &windows(),
        "
        5   reserve 1 ada,gold 1*A -> not_open for 5 s
        10  reserve 1 ada,gold 1*A -> held: 1*A/general members, for 600 s
        10  reserve 2 bob@mitte 1*A -> not_open for 60 s; A not_open 0 of 1
        10  reserve 2 bob@mitte 1*A 1*B -> not_open for 120 s; A not_open 0 of 1; B not_open 0 of 1
        10  reserve 3 eve 1*A -> not_open for 120 s; A not_open 0 of 1
        69.9 reserve 2 bob@mitte 1*A -> not_open for 0 s; A not_open 0 of 1
        70  reserve 2 bob@mitte 1*A -> held: 1*A/general near, for 300 s
        70  reserve 4 bob@mitte 1*B -> not_open for 60 s; B not_open 0 of 1
        130 reserve 4 bob@mitte 1*A 1*B -> held: 1*A/general near; 1*B/general all, for 300 s
        130 reserve 5 eve 1*B -> held: 1*B/general all, for 300 s
        130 reserve 6 kim,gold 1*B ttl=50 -> held: 1*B/general members, for 50 s
        310 reserve 7 ida,gold 1*A -> held: 1*A/general all, for 300 s
        310 extend 1 -> held: 1*A/general members, for 600 s
        310 show -> open: A/general 1+4+0-0 B/general 2+3+0-0 window_opened window_opened window_closed
    ",
    );
}

#[test]
fn a_customer_without_a_window_is_refused_for_good() {
    let mut few = windows();
    few.rules.windows.truncate(2);
    play(
        "no window",
        &few,
        "
        10  reserve 1 eve 1*A -> not_eligible; A not_eligible 0 of 1
        10  reserve 1 eve,gold 1*A -> held: 1*A/general members, for 600 s
        310 reserve 2 ada,gold 1*B -> closed; B closed 0 of 1
        310 reserve 2 ada,gold@mitte 1*A 1*B -> closed; B closed 0 of 1
        310 reserve 2 ada@mitte 1*B -> not_eligible; B not_eligible 0 of 1
        310 reserve 2 eve 1*A over -> held: 1*A/general, for 300 s
    ",
    );
}

#[test]
fn a_line_comes_whole_through_the_first_window_that_can_serve_it() {
    let mut sale = members(None);
    let only = |pool: &str| vec![pool.parse().expect("an id")];
    sale.rules.windows = vec![
        Window { pools: only("members"), hold_ttl: Some(Millis::from_secs(60)), ..window("few", "", None, None) },
        Window { pools: only("general"), ..window("many", "", None, None) },
    ];
    play(
        "two windows",
        &sale,
        "
        10 reserve 1 ada,gold 3*A -> held: 3*A/members few, for 60 s
        10 release 1 -> released: 0*A/members few
        10 reserve 2 ada,gold 4*A -> held: 4*A/general many, for 300 s
        10 reserve 3 eve 2*A -> sold_out for 300 s, may come back; A sold_out 1 of 2
        10 reserve 3 ida,gold 4*A -> sold_out for 300 s, may come back; A sold_out 3 of 4
        10 reserve 3 ida,gold 4*A partial -> held: 3*A/members few; 1*A/general many, for 60 s
    ",
    );
}

#[test]
fn own_pools_come_first_and_a_pool_is_for_its_audience() {
    play(
        "members",
        &members(Some(at_moment(600))),
        "
        10 reserve 1 ada,gold 4*A -> held: 3*A/members; 1*A/general, for 300 s
        10 reserve 2 eve 5*A -> sold_out for 300 s, may come back; A sold_out 4 of 5
        10 reserve 2 eve 4*A -> held: 4*A/general, for 300 s
        10 reserve 3 eve 1*A/members -> not_eligible; A/members not_eligible 0 of 1
        10 reserve 3 eve 1*A/other -> invalid lines[0].pool
        20 release 1 3*A -> held: 3*A/members; 0*A/general, for 290 s
        20 release 1 1*A/members -> held: 1*A/members; 0*A/general, for 290 s
        20 reserve 3 eve 2*A -> sold_out for 290 s, may come back; A sold_out 1 of 2
        20 reserve 3 ida,gold 2*A/members 1*A -> invalid lines[0].pool
        20 reserve 3 ida,gold 2*A/members 1*A/general -> held: 2*A/members; 1*A/general, for 300 s
        30 claim 1 -> claimed: 1*A/members; 0*A/general
    ",
    );
}

#[test]
fn a_pool_opens_at_its_moment_and_its_units_stay_in_it() {
    play(
        "flow by moment",
        &members(Some(at_moment(60))),
        "
        10  reserve 1 eve 5*A -> held: 5*A/general, for 300 s
        10  reserve 2 kim 1*A -> sold_out for 60 s, may come back; A sold_out 0 of 1
        69.9 reserve 2 kim 1*A -> sold_out for 0 s, may come back; A sold_out 0 of 1
        70  reserve 2 kim 2*A -> held: 2*A/members, for 300 s
        70  restart ->
        70  release 1 4*A -> held: 4*A/general, for 240 s
        70  reserve 3 ida 2*A -> held: 1*A/members; 1*A/general, for 300 s
        70  show -> open: A/members 0+3+0-0 A/general 0+5+0-0 flow_fired
        80  update no-flow -> drop d: drop.items[0].pools[0].flows has fired and can't be changed
    ",
    );
}

#[test]
fn a_pool_opens_at_a_level_of_stock_or_by_hand_and_stays_open() {
    let level = Some(at_level(Level::Taken(5_000)));
    play(
        "flow by level",
        &members(level),
        "
        10 reserve 1 ada 3*A -> held: 3*A/general, for 300 s
        11 look -> open: A/members 3+0+0-0 A/general 2+3+0-0
        11 reserve 2 kim 3*A -> sold_out for 299 s, may come back; A sold_out 2 of 3
        12 reserve 2 kim 1*A -> held: 1*A/general, for 300 s
        13 look -> open: A/members 3+0+0-0 A/general 1+4+0-0 flow_fired
        13 release 1 -> released: 0*A/general
        13 look -> open: A/members 3+0+0-0 A/general 4+1+0-0 flow_fired
        13 reserve 3 eve 7*A -> held: 3*A/members; 4*A/general, for 300 s
    ",
    );
    play(
        "flow by hand",
        &members(None),
        "
        5  fire A general members -> invalid to
        5  fire A members nowhere -> invalid to
        5  fire B members general -> invalid sku
        10 reserve 1 ada 5*A -> held: 5*A/general, for 300 s
        10 reserve 2 eve 1*A -> sold_out for 300 s, may come back; A sold_out 0 of 1
        11 fire A members general -> open: A/members 3+0+0-0 A/general 0+5+0-0 flow_fired
        11 fire A members general -> open: A/members 3+0+0-0 A/general 0+5+0-0 flow_fired
        11 reserve 2 eve 1*A -> held: 1*A/members, for 300 s
        4000 fire A members general -> closed: A/members 2+1+0-0 A/general 0+5+0-0 flow_fired
    ",
    );
}

#[test]
fn flows_are_not_transitive() {
    let mut sale = members(None);
    let black = stockade_types::definition::Pool {
        flows: vec![flow("members", Some(at_moment(10)))],
        ..pool("black", 2, "black")
    };
    sale.items[0].pools.insert(0, black);
    sale.items[0].pools[1].flows = vec![flow("general", Some(at_moment(10)))];
    play(
        "no chain of flows",
        &sale,
        "
        20 reserve 1 eve 9*A -> sold_out; A sold_out 8 of 9
        20 reserve 1 eve 8*A -> held: 3*A/members; 5*A/general, for 300 s
        20 reserve 2 ada,gold 3*A -> sold_out for 300 s, may come back; A sold_out 2 of 3
        20 reserve 2 ada,gold 2*A -> held: 2*A/black, for 300 s
    ",
    );
}

#[test]
fn a_flow_in_the_middle_of_a_cart_s_life_moves_nothing_of_it() {
    play(
        "flow and cart",
        &members(Some(at_moment(60))),
        "
        10  reserve 1 eve 2*A -> held: 2*A/general, for 300 s
        10  reserve 2 ada,gold 3*A -> held: 3*A/members, for 300 s
        75  reserve 3 eve 4*A for=1 -> held: 4*A/general, for 300 s
        75  reserve 4 ada 3*A for=2 -> held: 3*A/members, for 300 s
        76  release 4 1*A -> held: 1*A/members, for 299 s
        76  reserve 5 eve 5*A for=3 -> held: 5*A/general, for 300 s
        200 reserve 6 kim 1*A -> held: 1*A/members, for 300 s
    ",
    );
}

#[test]
fn a_pickup_place_is_drawn_from_only_by_lines_that_name_it() {
    play(
        "places",
        &places(),
        "
        10 reserve 1 ada 3*A -> sold_out; A sold_out 2 of 3
        10 reserve 1 ada 1*A/north 2*A -> held: 1*A/north; 2*A/general, for 300 s
        10 reserve 1 ada 1*A/south 2*A -> hold 9e3779b9-7f4a-7c15-0000-000000000001 exists already with another lines
        10 reserve 2 eve 2*A/north -> sold_out for 300 s, may come back; A/north sold_out 1 of 2
        20 reserve 3 ada 1*A/south 1*A for=1 -> held: 1*A/south; 1*A/general, for 300 s
        20 reserve 4 eve 2*A/north partial -> held: 2*A/north, for 300 s
        20 claim 3 1*A/north -> invalid lines[0].quantity
        20 claim 3 1*A/south -> claimed: 1*A/south; 0*A/general
        20 show -> open: A/north 0+2+0-0 A/south 1+0+1-0 A/general 2+0+0-0
    ",
    );
}

#[test]
fn a_price_is_pinned_by_audience_time_and_step() {
    play("prices", &prices(), "
        10  reserve 1 ada,gold 1*A 1*B -> held: 1*A/general member=700; 1*B/general member=700, for 300 s
        10  reserve 2 eve 1*B -> not_eligible; B not_eligible 0 of 1
        10  reserve 2 eve 1*A -> held: 1*A/general early=800, for 300 s
        70  reserve 3 kim 1*A -> held: 1*A/general normal=1000, for 300 s
        70  reserve 4 eve 2*A for=2 -> held: 1*A/general early=800; 1*A/general normal=1000, for 300 s
        70  claim 4 -> claimed: 1*A/general early=800; 1*A/general normal=1000
        71  look -> open: A/general 0+2+2-0 B/general 3+1+0-0 terms_started terms_ended price_stepped
        71  release 3 -> released: 0*A/general normal=1000
        72  reserve 5 kim 1*A -> held: 1*A/general normal=1500, for 300 s
        130 show -> open: A/general 0+2+2-0 B/general 3+1+0-0 terms_started terms_ended price_stepped price_stepped
        130 add A 1 5 -> open: A/general 5+2+2-0 B/general 3+1+0-0 terms_started terms_ended price_stepped price_stepped
        131 reserve 6 ida 1*A -> held: 1*A/general normal=1500, for 300 s
        132 update first-step-later -> drop d: drop.terms[2].steps[0] has fired and can't be changed
        132 update no-terms -> drop d: drop.terms, drop.terms has fired and can't be changed
        132 update no-member -> open: A/general 4+3+2-0 B/general 3+1+0-0 terms_started terms_ended price_stepped price_stepped
        133 reserve 7 ida 1*B -> held: 1*B/general, for 300 s
        133 extend 6 -> held: 1*A/general normal=1500, for 300 s
    ");
}

#[test]
fn a_pool_with_terms_of_its_own_is_the_exact_form_of_the_first_few() {
    let mut sale = members(None);
    sale.items[0].pools = vec![pool("first", 2, ""), pool("rest", 5, "")];
    let of = |pool: &str| vec![pool.parse().expect("an id")];
    sale.rules.prices = vec![
        stockade_types::definition::PriceTerms { pools: of("first"), ..terms("early-bird", "", 500) },
        stockade_types::definition::PriceTerms { pools: of("rest"), ..terms("normal", "", 900) },
    ];
    play(
        "the first two",
        &sale,
        "
        10 reserve 1 ada 1*A -> held: 1*A/first early-bird=500, for 300 s
        10 reserve 2 eve 2*A -> held: 1*A/first early-bird=500; 1*A/rest normal=900, for 300 s
        20 release 2 1*A -> held: 1*A/first early-bird=500; 0*A/rest normal=900, for 290 s
        20 release 1 -> released: 0*A/first early-bird=500
        20 reserve 3 kim 1*A -> held: 1*A/first early-bird=500, for 300 s
    ",
    );
}

#[test]
fn two_prices_in_one_pool_are_one_share_of_it() {
    let mut sale = prices();
    sale.rules.prices.remove(0);
    play(
        "shares",
        &sale,
        "
        10  reserve 1 eve 1*A -> held: 1*A/general early=800, for 300 s
        70  reserve 2 eve 3*A for=1 -> held: 1*A/general early=800; 2*A/general normal=1000, for 300 s
        80  release 2 2*A -> held: 1*A/general early=800; 1*A/general normal=1000, for 290 s
        370 reserve 3 kim 4*A -> held: 4*A/general normal=1200, for 300 s
        371 claim 2 late -> sold_out, may come back; A sold_out 0 of 2
        371 release 3 3*A -> held: 3*A/general normal=1200, for 299 s
        371 claim 2 late -> sold_out, may come back; A sold_out 1 of 2
        372 release 3 2*A -> held: 2*A/general normal=1200, for 298 s
        372 claim 2 late -> claimed: 1*A/general early=800; 1*A/general normal=1000
    ",
    );
}

#[test]
fn a_tranche_comes_once_and_sold_out_says_when() {
    play(
        "tranches",
        &tranches(),
        "
        10 reserve 1 ada 2*A -> held: 2*A/general, for 300 s
        10 reserve 2 eve 1*A -> sold_out for 60 s, may come back; A sold_out 0 of 1
        11 look -> open: A/general 4+2+0-0 tranche_released
        11 look -> open: A/general 4+2+0-0 tranche_released
        12 reserve 2 eve 4*A -> held: 4*A/general, for 300 s
        12 look -> open: A/general 0+6+0-0 tranche_released
        12 restart ->
        69 update second-larger -> open: A/general 0+6+0-0 tranche_released
        70 reserve 3 kim 9*A -> held: 9*A/general, for 300 s
        71 update no-second -> drop d: drop.tranches has fired and can't be changed
        71 show -> open: A/general 0+15+0-0 tranche_released tranche_released
    ",
    );
}

#[test]
fn a_level_is_judged_while_the_drop_is_open_and_missed_moments_come_at_the_start() {
    play(
        "pause and outage",
        &tranches(),
        "
        10 reserve 1 ada 2*A -> held: 2*A/general, for 300 s
        11 pause -> paused: A/general 0+2+0-0
        12 look -> paused: A/general 0+2+0-0
        80 restart ->
        80 show -> paused: A/general 3+2+0-0 tranche_released
        80 resume -> open: A/general 3+2+0-0 tranche_released
        80 reserve 2 eve 3*A -> held: 3*A/general, for 300 s
        81 look -> open: A/general 4+5+0-0 tranche_released tranche_released
    ",
    );
}

#[test]
fn a_slot_is_taken_with_goods_whole_and_until_it_begins() {
    play(
        "slots",
        &slots(true),
        "
        10  reserve 1 ada 1*A -> slot_required
        10  reserve 1 ada 1*six -> invalid lines[0].sku
        10  reserve 1 ada 2*A 1*six -> held: 2*A/general; 1*six/general, for 300 s
        10  reserve 2 eve 1*A 2*six -> sold_out for 300 s, may come back; six sold_out 1 of 2
        10  reserve 2 eve 1*A 2*six partial -> sold_out for 300 s, may come back; six sold_out 1 of 2
        10  reserve 2 eve 1*A over -> held: 1*A/general, for 300 s
        20  release 1 1*six -> invalid keep[0].sku
        20  release 1 1*A -> slot_required
        20  release 1 1*A 1*six -> held: 1*A/general; 1*six/general, for 290 s
        110 reserve 3 kim 1*A 1*six -> closed; six closed 0 of 1
        110 reserve 3 kim 1*A 1*seven -> held: 1*A/general; 1*seven/general, for 300 s
        110 show -> open: A/general 6+3+0-0 six/general 0+1+0-1 seven/general 1+1+0-0 slot_started
        120 claim 1 -> claimed: 1*A/general; 1*six/general
        420 claim 3 late -> closed; seven closed 0 of 1
    ",
    );
}

#[test]
fn limits_count_goods_and_leave_visits_out() {
    let mut sale = slots(false);
    let limit =
        stockade_types::definition::Limit::new("two".parse().expect("an id"), stockade_types::definition::Scope::Drop);
    sale.limits = vec![stockade_types::definition::Limit { max_units: Some(2), ..limit }];
    play(
        "limits and slots",
        &sale,
        "
        10 reserve 1 ada 2*A 1*six -> held: 2*A/general; 1*six/general, for 300 s
        10 reserve 2 ada 1*A 1*six -> limit_reached two 2 of 2; A limit_reached 0 of 1
        10 reserve 2 ada 1*A 1*six partial -> limit_reached two 2 of 2; A limit_reached 0 of 1
    ",
    );
}

#[test]
fn what_is_defined_may_change_but_what_has_fired_stays() {
    play(
        "updates of windows",
        &windows(),
        "
        20  update near-starts-later -> open: A/general 5+0+0-0 B/general 5+0+0-0
        80  reserve 1 bob@mitte 1*A -> not_open for 20 s; A not_open 0 of 1
        100 reserve 1 bob@mitte 1*A -> held: 1*A/general near, for 300 s
        101 update near-starts-later -> open: A/general 4+1+0-0 B/general 5+0+0-0 window_opened
        102 update before-opening -> invalid drop.windows[1].starts
        102 update behind-closing -> invalid drop.windows[1].ends
        103 update members-longer -> open: A/general 4+1+0-0 B/general 5+0+0-0 window_opened
        103 update no-near -> drop d: drop.windows has fired and can't be changed
        103 update no-all -> open: A/general 4+1+0-0 B/general 5+0+0-0 window_opened
        104 reserve 2 eve 1*A -> not_eligible; A not_eligible 0 of 1
        104 extend 1 -> held: 1*A/general near, for 300 s
        104 update zone -> drop d is OPEN: drop.time_zone can't be changed
        350 reserve 3 ada,gold 1*A -> held: 1*A/general members, for 600 s
    ",
    );
    play("updates of pools", &members(Some(at_moment(600))), "
        20 update fewer-for-members -> drop d is OPEN: drop.items[0].quantity, drop.items[0].pools can't be changed; stock changes by AdjustStock
        20 reserve 1 ada,gold 3*A -> held: 3*A/members, for 300 s
        21 update members-for-black -> open: A/members 0+3+0-0 A/general 5+0+0-0
        22 reserve 2 ada,gold 3*A for=1 -> held: 3*A/members, for 300 s
        23 reserve 3 ada,gold 1*A/members -> not_eligible; A/members not_eligible 0 of 1
        23 update no-flow -> open: A/members 0+3+0-0 A/general 5+0+0-0
    ");
}

#[test]
fn a_window_s_end_leaves_its_holds_and_their_successors() {
    play(
        "supersede and ended window",
        &windows(),
        "
        10  reserve 1 ada,gold 2*A -> held: 2*A/general members, for 600 s
        320 reserve 2 ada,gold 2*A for=1 -> held: 2*A/general members, for 600 s
        320 reserve 3 ada,gold 3*A for=2 -> held: 2*A/general members; 1*A/general all, for 600 s
        330 release 3 1*A -> held: 1*A/general members; 0*A/general all, for 590 s
    ",
    );
}

#[test]
fn the_clock_of_a_late_request_is_that_of_the_last_mark() {
    play(
        "clock step",
        &windows(),
        "
        130 reserve 1 eve 1*A -> held: 1*A/general all, for 300 s
        20  reserve 2 kim 1*A -> held: 1*A/general all, for 410 s
        140 show -> open: A/general 3+2+0-0 B/general 5+0+0-0 window_opened window_opened
    ",
    );
}

#[test]
fn euros_are_counted_in_cents() {
    assert_eq!((euros(1_250).to_string(), after(5), sale(&[]).items.len()), ("1250 EUR".to_owned(), after(5), 0));
    assert_eq!(sku("A").as_str(), "A");
}

//! Tables of what random histories have found: rules that meet in one request.

use stockade_types::definition::{Level, Limit, PriceStep, PriceTerms, Scope, StockLevel, Tranche, Trigger, Window};
use stockade_types::time::Millis;

use super::definitions::{at_moment, euros, members, places, sale, slots, terms, window};
use super::play;
use stockade_simulation::world::{definition, sku};

#[test]
fn a_late_claim_keeps_slots_with_goods() {
    play(
        "late claim and slots",
        &slots(true),
        "
        10 reserve 1 ada 2*A 1*seven ttl=20 -> held: 2*A/general; 1*seven/general, for 20 s
        40 claim 1 2*A late -> slot_required
        40 claim 1 1*seven late -> invalid lines[0].sku
        40 claim 1 1*A 1*seven late -> claimed: 1*A/general; 1*seven/general
    ",
    );
}

#[test]
fn what_can_be_had_through_two_windows_is_had_once() {
    let mut sale = members(None);
    let first = Window { hold_ttl: Some(Millis::from_secs(60)), ..window("one", "", None, None) };
    sale.rules.windows = vec![first, window("two", "", None, None)];
    play(
        "two windows to one pool",
        &sale,
        "
        10 reserve 1 ada,gold 9*A partial -> held: 3*A/members one; 5*A/general one, for 60 s, short 8 of 9
    ",
    );
}

#[test]
fn sold_out_counts_only_what_can_serve_the_customer() {
    let mut sale = members(None);
    sale.items[0].pools[0].flows.clear();
    let pool = Some("members".parse().expect("an id"));
    let when = at_moment(60);
    sale.rules.tranches = vec![Tranche { id: "more".parse().expect("an id"), sku: sku("A"), pool, units: 2, when }];
    sale.rules.windows = vec![window("all", "", None, None), window("again", "", Some(30), None)];
    play(
        "a tranche for others and a window that adds nothing",
        &sale,
        "
        10 reserve 1 eve 5*A -> held: 5*A/general all, for 300 s
        10 reserve 2 kim 1*A -> sold_out for 300 s, may come back; A sold_out 0 of 1
        10 reserve 2 ida,gold 4*A -> sold_out for 60 s, may come back; A sold_out 3 of 4
        10 claim 1 -> claimed: 5*A/general all
        10 reserve 2 kim 1*A -> sold_out; A sold_out 0 of 1
    ",
    );
}

#[test]
fn units_of_a_slot_that_has_begun_are_withdrawn_for_levels_too() {
    let mut sale = slots(false);
    let level = StockLevel { sku: Some(sku("six")), pool: None, level: Level::FreeAtMost(0) };
    let steps = vec![PriceStep { when: Trigger::Stock(level), price: euros(1_500) }];
    sale.rules.prices = vec![PriceTerms { steps, ..terms("normal", "", 1_000) }];
    play(
        "a level of a slot",
        &sale,
        "
        20  look -> open: A/general 9+0+0-0 six/general 2+0+0-0 seven/general 2+0+0-0
        110 show -> open: A/general 9+0+0-0 six/general 0+0+0-2 seven/general 2+0+0-0 slot_started
        110 look -> open: A/general 9+0+0-0 six/general 0+0+0-2 seven/general 2+0+0-0 price_stepped slot_started
    ",
    );
}

#[test]
fn lines_of_one_sku_are_limited_together_and_told_together() {
    let mut sale = places();
    sale.items.extend(definition("d", &[("B", 2)], &[]).items);
    let limit = Limit::new("three".parse().expect("an id"), Scope::Item);
    sale.limits = vec![Limit { max_units: Some(3), ..limit }];
    play(
        "two lines of one SKU",
        &sale,
        "
        10 reserve 1 ada 2*A 3*B 3*A/north -> sold_out; A/north sold_out 2 of 3; A limit_reached 2 of 2; B sold_out 2 of 3
        10 reserve 1 ada 2*A 2*A/north partial -> held: 2*A/north; 1*A/general, for 300 s, short 3 of 4
        20 release 1 1*A/north -> held: 1*A/north; 0*A/general, for 290 s, short 3 of 4
    ",
    );
}

#[test]
fn a_pool_is_named_by_all_lines_of_a_sku_or_by_none() {
    play(
        "a drop without rules",
        &sale(&[("A", 2)]),
        "
        10 reserve 1 ada 1*A/general 1*A -> invalid lines[0].pool
        10 reserve 1 ada 2*A/general -> held: 2*A/general, for 300 s
        10 release 1 1*A/other -> invalid keep[0].pool
        400 release 1 1*A/other -> invalid keep[0].pool
        400 release 1 1*A/general -> hold_expired
    ",
    );
}

#[test]
fn what_comes_back_leaves_the_last_line_first_and_no_unit_twice() {
    play(
        "returns",
        &members(None),
        "
        10 reserve 1 ada,gold 4*A -> held: 3*A/members; 1*A/general, for 300 s
        10 claim 1 -> claimed: 3*A/members; 1*A/general
        20 return 1 1*A restock -> claimed: 3*A/members; 0*A/general
        20 return 1 1*A restock -> claimed: 3*A/members; 0*A/general
        21 return 1 1*A/members restock -> claimed: 2*A/members; 0*A/general
        21 return 1 2*A restock -> claimed: 2*A/members; 0*A/general
        22 return 1 2*A/members 1*A restock -> claimed: 1*A/members; 0*A/general
        22 show -> open: A/members 2+0+1-0 A/general 5+0+0-0
        23 return 1 5*A -> invalid returned[0].quantity
        23 return 1 -> claimed: 0*A/members; 0*A/general
        23 show -> open: A/members 2+0+0-1 A/general 5+0+0-0
    ",
    );
}

#[test]
fn a_line_that_is_not_offered_is_left_out_of_a_partial_reserve() {
    let mut sale = sale(&[("A", 3), ("B", 2), ("C", 1)]);
    let only = |items: &[&str], window: Window| Window { skus: items.iter().map(|item| sku(item)).collect(), ..window };
    sale.rules.windows = vec![
        only(&["A"], window("all", "", None, None)),
        only(&["B"], window("members", "gold", None, None)),
        only(&["A", "C"], window("later", "", Some(100), None)),
    ];
    play(
        "not offered and partial",
        &sale,
        "
        10 reserve 1 eve 2*A 1*B 1*C -> not_open; B not_eligible 0 of 1; C not_open 0 of 1
        10 reserve 1 eve 1*B 1*C partial -> not_open; B not_eligible 0 of 1; C not_open 0 of 1
        10 reserve 1 eve 2*A 1*B 1*C partial -> held: 2*A/general all, for 300 s, short 0 of 1, short 0 of 1
        11 reserve 1 eve 2*A 1*B 1*C partial -> held: 2*A/general all, for 299 s, short 0 of 1, short 0 of 1
        12 reserve 2 ada,gold 2*B partial -> held: 2*B/general members, for 300 s
        12 reserve 3 kim 2*A 1*B partial -> held: 1*A/general all, for 300 s, short 1 of 2, short 0 of 1
        13 reserve 4 lou 1*A 1*B partial -> sold_out for 297 s, may come back; A sold_out 0 of 1; B not_eligible 0 of 1
        13 reserve 5 ada,gold 1*A 2*B partial -> sold_out for 299 s, may come back; A sold_out 0 of 1; B sold_out 0 of 2
        14 claim 1 1*A -> claimed: 1*A/general all, short 0 of 1, short 0 of 1
        14 reserve 4 lou 1*A 1*B partial -> held: 1*A/general all, for 300 s, short 0 of 1
    ",
    );
    let mut visits = slots(false);
    visits.rules.windows =
        vec![only(&["A"], window("all", "", None, None)), only(&["six"], window("members", "gold", None, None))];
    play(
        "a slot that is not offered",
        &visits,
        "
        10 reserve 1 eve 1*A 1*six partial -> not_eligible; six not_eligible 0 of 1
        10 reserve 1 ada,gold 1*A 1*six partial -> held: 1*A/general all; 1*six/general members, for 300 s
    ",
    );
}

#[test]
fn limits_and_what_is_not_offered_are_named_together() {
    let mut sale = sale(&[("A", 3), ("B", 2)]);
    let limit = Limit::new("one".parse().expect("an id"), Scope::Item);
    sale.limits = vec![Limit { max_units: Some(1), ..limit }];
    sale.rules.windows = vec![
        Window { skus: vec![sku("A")], ..window("all", "", None, None) },
        Window { skus: vec![sku("B")], ..window("members", "gold", None, None) },
    ];
    play(
        "limited and not offered",
        &sale,
        "
        10 reserve 1 eve 2*A 1*B partial -> held: 1*A/general all, for 300 s, short 1 of 2, short 0 of 1
        11 reserve 2 eve 2*A 1*B partial -> limit_reached one 1 of 1; A limit_reached 0 of 2; B not_eligible 0 of 1
        12 reserve 3 ida,gold 1*B -> held: 1*B/general members, for 300 s
        13 reserve 4 ida 1*A 2*B for=3 partial -> held: 1*A/general all; 1*B/general members, for 300 s, short 1 of 2
    ",
    );
}

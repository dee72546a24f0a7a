//! What it costs to let holds run out, or to send back.

use stockade_types::definition::{Conduct, ConductRule, Definition, Limit, Scope};
use stockade_types::time::Millis;

use super::definitions::{audience, sale};
use super::play;

/// A rule without bounds, over ten minutes.
fn rule(id: &str, counts: Conduct, at_least: u32) -> ConductRule {
    ConductRule {
        counts,
        at_least,
        within: Millis::from_secs(600),
        audience: audience(""),
        hold_ttl: None,
        limit: Limit::new(id.parse().expect("an id"), Scope::Drop),
    }
}

/// A drop with these rules; holds live for 300 s and can be extended to 1,200 s.
fn drop_with(rules: Vec<ConductRule>) -> Definition {
    let mut sale = sale(&[("A", 20), ("B", 20)]);
    sale.terms.max_hold_life = Millis::from_secs(1_200);
    sale.rules.conduct = rules;
    sale
}

/// One unclaimed hold: holds of 60 s. Two: one live unit, and 30 s between two reserves.
fn unclaimed() -> Definition {
    let shorter = ConductRule { hold_ttl: Some(Millis::from_secs(60)), ..rule("shorter", Conduct::UnclaimedHolds, 1) };
    let mut fewer = rule("fewer", Conduct::UnclaimedHolds, 2);
    (fewer.limit.max_live_units, fewer.limit.cooldown) = (Some(1), Some(Millis::from_secs(30)));
    drop_with(vec![shorter, fewer])
}

#[test]
fn holds_that_run_out_make_the_next_ones_shorter_and_then_fewer_and_rarer() {
    play(
        "unclaimed holds",
        &unclaimed(),
        "
        10  reserve 1 ada 2*A -> held: 2*A/general, for 300 s
        10  reserve 2 eve 2*A -> held: 2*A/general, for 300 s
        300 claim 2 -> claimed: 2*A/general
        310 reserve 3 ada 2*A -> held: 2*A/general, for 60 s
        310 reserve 4 eve 2*A -> held: 2*A/general, for 300 s
        340 extend 3 -> held: 2*A/general, for 30 s
        340 extend 4 -> held: 2*A/general, for 300 s
        369.9 reserve 5 ada 1*A -> held: 1*A/general, for 60 s
        370 reserve 6 ada 1*A -> cooldown fewer 0 of 0 for 29 s; A cooldown 0 of 1
        400 reserve 6 ada 1*A -> too_many_holds fewer 1 of 1 for 29 s; A too_many_holds 0 of 1
        400 claim 5 -> claimed: 1*A/general
        400 reserve 6 ada 2*A -> too_many_holds fewer 0 of 1 for 510 s; A too_many_holds 1 of 2
        400 reserve 6 ada 2*A partial -> held: 1*A/general, for 60 s, short 1 of 2
        910 reserve 7 ada 2*A -> too_many_holds fewer 0 of 1 for 60 s; A too_many_holds 1 of 2
        970 reserve 7 ada 2*A -> held: 2*A/general, for 60 s
    ",
    );
}

#[test]
fn a_hold_counts_as_unclaimed_if_it_is_released_after_more_than_half_of_its_time() {
    play(
        "released",
        &unclaimed(),
        "
        10  reserve 1 ada 1*A -> held: 1*A/general, for 300 s
        160 release 1 -> released: 0*A/general
        160 reserve 2 ada 1*A -> held: 1*A/general, for 300 s
        310 reserve 3 ada 1*A for=2 -> held: 1*A/general, for 300 s
        311 release 3 -> released: 0*A/general
        311 reserve 4 ada 1*A -> held: 1*A/general, for 300 s
        461.1 release 4 1*A -> held: 1*A/general, for 149 s
        461.1 release 4 -> released: 0*A/general
        462 reserve 5 ada 1*A -> held: 1*A/general, for 60 s
    ",
    );
}

#[test]
fn an_outage_and_a_late_claim_leave_no_trace() {
    play(
        "outage",
        &unclaimed(),
        "
        10  reserve 1 ada 1*A -> held: 1*A/general, for 300 s
        10  reserve 2 eve 1*A -> held: 1*A/general, for 300 s
        310 reserve 3 eve 1*B -> held: 1*B/general, for 60 s
        310 claim 2 late -> claimed: 1*A/general
        311 reserve 4 eve 1*B -> held: 1*B/general, for 300 s
        312 reserve 5 kim 1*B -> held: 1*B/general, for 300 s
        360 outage 700 ->
        700 extend 5 -> held: 1*B/general, for 300 s
        740 reserve 6 eve 1*A -> held: 1*A/general, for 300 s
        1000 reserve 7 kim 1*A -> held: 1*A/general, for 60 s
    ",
    );
}

#[test]
fn returns_bound_what_is_sold_to_who_sends_back() {
    let mut returners = rule("returners", Conduct::Returns, 2);
    returners.limit.max_units = Some(3);
    let cards = ConductRule { hold_ttl: Some(Millis::from_secs(20)), ..rule("cards", Conduct::Returns, 1) };
    let cards =
        ConductRule { limit: Limit { identity_kind: Some("card".parse().expect("a kind")), ..cards.limit }, ..cards };
    play(
        "returns",
        &drop_with(vec![returners, cards]),
        "
        10  reserve 1 ada 2*A card=1 -> held: 2*A/general, for 300 s
        10  reserve 2 ada 2*A card=2 -> held: 2*A/general, for 300 s
        20  claim 1 -> claimed: 2*A/general
        20  claim 2 -> claimed: 2*A/general
        30  return 1 1*A restock -> claimed: 1*A/general
        40  return 1 restock -> claimed: 0*A/general
        40  reserve 3 ada 1*A card=3 -> held: 1*A/general, for 300 s
        40  reserve 4 eve 1*A card=1 -> held: 1*A/general, for 20 s
        50  return 2 1*A -> claimed: 1*A/general
        50  reserve 5 ada 2*A 1*B -> limit_reached returners 2 of 3 for 590 s; A limit_reached 1 of 2; B limit_reached 1 of 1
        50  reserve 5 ada 1*A 1*B over-limits -> held: 1*A/general; 1*B/general, for 300 s
        640 reserve 6 ada 1*A card=1 -> held: 1*A/general, for 300 s
    ",
    );
}

#[test]
fn a_rule_is_for_its_audience_and_a_changed_cart_lives_no_longer() {
    let mut gold = ConductRule { audience: audience("gold"), ..rule("gold", Conduct::UnclaimedHolds, 1) };
    gold.hold_ttl = Some(Millis::from_secs(60));
    play(
        "audience",
        &drop_with(vec![gold]),
        "
        10  reserve 1 ada 1*A -> held: 1*A/general, for 300 s
        310 reserve 2 ada 1*A -> held: 1*A/general, for 300 s
        310 reserve 3 ada,gold 1*A -> held: 1*A/general, for 60 s
        340 reserve 4 ada 2*A for=3 -> held: 2*A/general, for 30 s
        340 extend 4 -> held: 2*A/general, for 30 s
        340 reserve 5 ada 3*A for=4 over-limits -> held: 3*A/general, for 300 s
    ",
    );
}

//! Signals, and what is made known of the stock.

use std::collections::BTreeMap;

use stockade_types::definition::{Audience, Band, Definition, Level, Named, Scarcity, Signal, Trigger};
use stockade_types::time::{Millis, Timestamp};

use super::definitions::{at_level, members, sale};
use super::play;

pub fn signal(id: &str, on: Trigger) -> Signal {
    Signal {
        id: id.parse().expect("an id"),
        on,
        audience: Audience::default(),
        channels: Vec::new(),
        repeat_after: None,
        valid_for: Millis::from_secs(10),
        labels: BTreeMap::new(),
        defined_at: Timestamp::default(),
    }
}

fn moment(seconds: i64) -> Trigger {
    Trigger::Moment(Named::AfterOpening(seconds * 1_000).into())
}

/// 10 units; signals 5 s before the opening, at half, at two left, and again a minute later.
fn signals() -> Definition {
    let mut sale = sale(&[("A", 10)]);
    sale.rules.signals = vec![
        signal("soon", moment(-5)),
        signal("half", at_level(Level::Taken(5_000))),
        Signal { repeat_after: Some(Millis::from_secs(60)), ..signal("last", at_level(Level::FreeAtMost(2))) },
    ];
    sale
}

#[test]
fn a_signal_fires_once_at_its_moment_or_level() {
    play(
        "signals",
        &signals(),
        "
        4.9 show -> scheduled: A/general 10+0+0-0
        5   show -> scheduled: A/general 10+0+0-0 signal_fired:soon@5.0
        10  reserve 1 ada 4*A -> held: 4*A/general, for 300 s
        11  levels -> open: A/general 6+4+0-0 signal_fired:soon@5.0
        12  reserve 2 bob 1*A -> held: 1*A/general, for 300 s
        12  levels -> open: A/general 5+5+0-0 signal_fired:soon@5.0 signal_fired:half@12.0
        13  release 2 -> released: 0*A/general
        13  levels -> open: A/general 6+4+0-0 signal_fired:soon@5.0 signal_fired:half@12.0
        14  reserve 3 kim 2*A -> held: 2*A/general, for 300 s
        14  levels -> open: A/general 4+6+0-0 signal_fired:soon@5.0 signal_fired:half@12.0
        14  restart ->
        15  levels -> open: A/general 4+6+0-0 signal_fired:soon@5.0 signal_fired:half@12.0
    ",
    );
}

#[test]
fn a_signal_fires_again_once_its_level_has_ceased_and_its_time_has_passed() {
    play(
        "repeated",
        &signals(),
        "
        10   reserve 1 ada 8*A -> held: 8*A/general, for 300 s
        10   levels -> open: A/general 2+8+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@10.0
        80   levels -> open: A/general 2+8+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@10.0
        81   release 1 7*A -> held: 7*A/general, for 229 s
        81   levels -> open: A/general 3+7+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@10.0
        82   reserve 2 bob 1*A -> held: 1*A/general, for 300 s
        82   levels -> open: A/general 2+8+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@82.0
        83   release 2 -> released: 0*A/general
        83   levels -> open: A/general 3+7+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@82.0
        84   reserve 3 bob 1*A -> held: 1*A/general, for 300 s
        84   levels -> open: A/general 2+8+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@82.0
        84   restart ->
        142  levels -> open: A/general 2+8+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@82.0
        143  release 3 -> released: 0*A/general
        143  levels -> open: A/general 3+7+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@82.0
        144  reserve 4 bob 1*A -> held: 1*A/general, for 300 s
        144  levels -> open: A/general 2+8+0-0 signal_fired:soon@5.0 signal_fired:half@10.0 signal_fired:last@144.0
    ",
    );
}

#[test]
fn a_signal_that_would_come_too_late_is_missed() {
    let mut sale = sale(&[("A", 1)]);
    sale.rules.signals = vec![signal("past", moment(-60)), signal("early", moment(10)), signal("late", moment(25))];
    play(
        "missed",
        &sale,
        "
        0  show -> scheduled: A/general 1+0+0-0 signal_missed:past
        15 outage 32 ->
        32 show -> open: A/general 1+0+0-0 signal_missed:past signal_missed:early
        36 show -> open: A/general 1+0+0-0 signal_fired:late@35.0 signal_missed:past signal_missed:early
        40 update signal-late -> drop d: drop.signals[2].on has fired and can't be changed
        40 update signal-gone -> drop d: drop.signals has fired and can't be changed
        40 update signal-past -> open: A/general 1+0+0-0 signal_fired:late@35.0 signal_missed:past signal_missed:early signal_missed:new
    ",
    );
}

/// 4 units; plenty from half on, then few; a band for 5 s at least.
fn bands() -> Definition {
    let mut sale = sale(&[("A", 4)]);
    let band = |id: &str, min_free| Band { id: id.parse().expect("an id"), min_free };
    let bands = vec![band("plenty", 5_000), band("few", 1), band("gone", 0)];
    sale.rules.scarcity = Some(Scarcity { bands, ..Scarcity::USUAL });
    sale
}

#[test]
fn what_the_public_sees_changes_at_most_once_a_second_and_a_band_stays_for_its_time() {
    play(
        "bands",
        &bands(),
        "
        10   sale -> open: A/general 4+0+0-0
        11   reserve 1 ada 3*A -> held: 3*A/general, for 300 s
        11.1 sale -> open: A/general 1+3+0-0 band_changed:A=few
        12   reserve 2 bob 1*A -> held: 1*A/general, for 300 s
        12   sale -> open: A/general 0+4+0-0 band_changed:A=few
        12.1 sale -> open: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
        12.2 release 2 -> released: 0*A/general
        13   sale -> open: A/general 1+3+0-0 sold_out sold_out:A band_changed:A=gone
        13.1 sale -> open: A/general 1+3+0-0 back_in_stock back_in_stock:A band_changed:A=gone
        17   sale -> open: A/general 1+3+0-0 back_in_stock back_in_stock:A band_changed:A=gone
        17.1 restart ->
        17.1 sale -> open: A/general 1+3+0-0 back_in_stock back_in_stock:A band_changed:A=few
        18   release 1 -> released: 0*A/general
        18   update bands -> open: A/general 4+0+0-0 back_in_stock back_in_stock:A
        19   sale -> open: A/general 4+0+0-0 back_in_stock back_in_stock:A
        20   pause -> paused: A/general 4+0+0-0 back_in_stock back_in_stock:A
        20   add A 1 -4 -> paused: A/general 0+0+0-4 back_in_stock back_in_stock:A
        20.1 sale -> paused: A/general 0+0+0-4 sold_out sold_out:A band_changed:A=none
    ",
    );
}

#[test]
fn bands_are_of_the_public_s_pools_and_sold_out_is_of_all() {
    play(
        "members",
        &members(None),
        "
        10   reserve 1 eve 5*A -> held: 5*A/general, for 300 s
        10   sale -> open: A/members 3+0+0-0 A/general 0+5+0-0 band_changed:A=sold_out
        12   reserve 2 ada,gold 3*A -> held: 3*A/members, for 300 s
        12   sale -> open: A/members 0+3+0-0 A/general 0+5+0-0 sold_out sold_out:A band_changed:A=sold_out
        13   release 2 1*A -> held: 1*A/members, for 299 s
        13   fire A members general -> open: A/members 2+1+0-0 A/general 0+5+0-0 flow_fired sold_out sold_out:A band_changed:A=sold_out
        15   sale -> open: A/members 2+1+0-0 A/general 0+5+0-0 flow_fired back_in_stock back_in_stock:A band_changed:A=available
    ",
    );
}

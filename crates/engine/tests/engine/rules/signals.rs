//! Signals, and what is made known of the stock.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_engine::background::agenda::AgendaEntry;
use stockade_simulation::prelude::*;
use stockade_types::definition::{Audience, Band, BandNo, Level, Named, Scarcity, Signal, Trigger};
use stockade_types::record::MarkKind;

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

/// The marks of a drop's records, a list for each record that has some.
fn marks(world: &World) -> Vec<Vec<MarkKind>> {
    let of = |(_, record): (Lsn, Record)| {
        let Record::DropFact(fact) = record else { return None };
        let kinds: Vec<_> = fact.marks.iter().map(|mark| mark.kind).filter(|kind| kind.is_of_stock()).collect();
        Some(kinds).filter(|kinds| !kinds.is_empty())
    };
    records(world).into_iter().filter_map(of).collect()
}

#[test]
fn what_changes_at_once_is_made_known_at_once_in_records_of_a_few_changes_what_is_gone_first() {
    let world = World::new();
    let (engine, _) = world.start();
    let engine = Arc::new(engine);
    let skus: Vec<String> = (0..40).map(|n| format!("S{n}")).collect();
    let items: Vec<(&str, u64)> = (0..).zip(&skus).map(|(n, sku)| (sku.as_str(), if n < 20 { 4 } else { 1 })).collect();
    let mut drop = definition("d", &items, &[]);
    drop.rules.scarcity = bands().rules.scarcity;
    create(&engine, drop, after(0));
    for (n, (sku, units)) in (0..).zip(&items) {
        let command = reserve(hold_id(n), "d", "ada", &[(*sku, if *units == 4 { 3 } else { 1 })]);
        engine.granted(&command, after(1));
    }
    let mut agenda = Agenda::new(Arc::clone(&engine));
    agenda.run_entry(AgendaEntry::Sale, after(1));
    engine.journal().barrier().wait().expect("durable");
    let made_known = marks(&world);
    assert_eq!(made_known.iter().map(Vec::len).collect::<Vec<_>>(), [16, 16, 16, 12]);
    let few = MarkKind::Band(ItemNo(0), BandNo(1));
    let is_few = |kind: &MarkKind| matches!((kind, few), (MarkKind::Band(_, is), MarkKind::Band(_, few)) if *is == few);
    let of_few: Vec<_> = made_known.iter().map(|kinds| kinds.iter().filter(|kind| is_few(kind)).count()).collect();
    assert_eq!(of_few, [0, 0, 8, 12], "what is gone comes first");
    agenda.run_entry(AgendaEntry::Sale, after(5));
    engine.journal().barrier().wait().expect("durable");
    assert_eq!(marks(&world).len(), 4, "once");
}

#[test]
fn a_pause_takes_nothing_from_a_signal_that_may_fire_again() {
    let world = World::new();
    let (engine, _) = world.start();
    let engine = Arc::new(engine);
    for id in ["d", "other"] {
        let mut drop = signals();
        drop.id = id.parse().expect("an id");
        drop.rules.signals.drain(..2);
        create(&engine, drop, after(0));
    }
    let mut agenda = Agenda::new(Arc::clone(&engine));
    agenda.run_entry(AgendaEntry::Moments, after(10));
    let mut look = |seconds| {
        agenda.run_entry(AgendaEntry::StockLevels, after(seconds));
        let marks = engine.view("d", after(seconds)).marks;
        marks.iter().find(|mark| matches!(mark.kind, MarkKind::Signal(_))).map(|mark| mark.scheduled_for)
    };
    assert_eq!(look(10), None);
    engine.granted(&reserve(hold_id(1), "d", "ada", &[("A", 8)]), after(11));
    assert_eq!(look(11), Some(after(11)));
    engine.granted(&release(hold_id(1), &[("A", 1)]), after(72));
    assert_eq!(look(72), Some(after(11)), "it has ceased");
    engine.steered("d", Steer::Pause, after(73));
    assert_eq!(look(73), Some(after(11)));
    engine.steered("d", Steer::Resume, after(74));
    engine.granted(&reserve(hold_id(2), "d", "bob", &[("A", 7)]), after(75));
    assert_eq!(look(75), Some(after(75)));
}

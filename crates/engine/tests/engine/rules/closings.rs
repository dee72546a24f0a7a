//! What is made known of the stock when a drop closes: all that has changed, before the closing.

use std::sync::Arc;

use stockade_engine::background::agenda::AgendaEntry;
use stockade_simulation::prelude::*;
use stockade_types::definition::{Band, Level, Scarcity, Tranche};
use stockade_types::time::Timestamp;

use super::definitions::{at_level, at_moment, sale, window};
use super::play;
use super::signals::signal;

/// 4 units, on sale from second 10 to 20; plenty from half on, then few, then gone.
fn short() -> Definition {
    let mut sale = sale(&[("A", 4)]);
    sale.schedule.closes_at = Some(after(20));
    let band = |id: &str, min_free| Band { id: id.parse().expect("an id"), min_free };
    let bands = vec![band("plenty", 5_000), band("few", 1), band("gone", 0)];
    sale.rules.scarcity = Some(Scarcity { bands, ..Scarcity::USUAL });
    sale
}

#[test]
fn what_is_gone_within_the_last_second_is_made_known() {
    play(
        "last second",
        &short(),
        "
        19   reserve 1 ada 3*A -> held: 3*A/general, for 300 s
        19.2 sale -> open: A/general 1+3+0-0 band_changed:A=few
        19.9 reserve 2 bob 1*A -> held: 1*A/general, for 300 s
        19.9 sale -> open: A/general 0+4+0-0 band_changed:A=few
        20   show -> closed: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
        20   sale -> closed: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
        21   release 2 -> released: 0*A/general
        22   sale -> closed: A/general 1+3+0-0 sold_out sold_out:A band_changed:A=gone
    ",
    );
    play(
        "by hand",
        &short(),
        "
        12   reserve 1 ada 3*A -> held: 3*A/general, for 300 s
        12   sale -> open: A/general 1+3+0-0 band_changed:A=few
        12.1 reserve 2 bob 1*A -> held: 1*A/general, for 300 s
        12.1 pause -> paused: A/general 0+4+0-0 band_changed:A=few
        12.2 close -> closed: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
        12.3 close -> closed: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
    ",
    );
    play(
        "in an outage",
        &short(),
        "
        15   reserve 1 ada 4*A -> held: 4*A/general, for 300 s
        15   outage 60 ->
        60   show -> closed: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
        60   restart ->
        61   show -> closed: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
    ",
    );
}

#[test]
fn what_is_back_is_made_known_and_a_band_stays_for_its_time() {
    play(
        "back",
        &short(),
        "
        18   reserve 1 ada 4*A -> held: 4*A/general, for 300 s
        19.5 sale -> open: A/general 0+4+0-0 sold_out sold_out:A band_changed:A=gone
        19.8 release 1 -> released: 0*A/general
        20   show -> closed: A/general 4+0+0-0 back_in_stock back_in_stock:A band_changed:A=gone
    ",
    );
}

#[test]
fn nothing_is_made_known_of_a_drop_that_is_not_on_sale() {
    play("cancelled", &short(), "5 close -> cancelled: A/general 4+0+0-0");
    play(
        "never served",
        &short(),
        "
        5  add A 1 -4 -> scheduled: A/general 0+0+0-4
        6  outage 60 ->
        60 show -> closed: A/general 0+0+0-4
    ",
    );
}

/// What stands in the marks of each record of a drop, or the record's verb where there is none.
fn said(world: &World) -> Vec<Vec<&'static str>> {
    let of = |(_, record): (Lsn, Record)| {
        let Record::DropFact(fact) = record else { return None };
        let marks: Vec<_> = fact.marks.iter().map(|mark| mark.kind.label()).collect();
        Some(if marks.is_empty() { vec![fact.verb.label()] } else { marks })
    };
    records(world).into_iter().filter_map(of).collect()
}

fn started(world: &World, drop: Definition) -> Arc<Engine> {
    let (engine, _) = world.start();
    create(&engine, drop, START);
    engine.view("d", after(10));
    Arc::new(engine)
}

/// What the records say once the drop has closed.
fn closed(world: &World, engine: &Engine, now: Timestamp) -> Vec<Vec<&'static str>> {
    assert_eq!(engine.view("d", now).state, DropState::Closed);
    engine.journal().barrier().wait().expect("durable");
    said(world)
}

#[test]
fn the_changes_stand_between_what_comes_before_the_closing_and_the_closing() {
    let world = World::new();
    let mut drop = short();
    drop.rules.windows = vec![window("all", "", None, Some(10))];
    let engine = started(&world, drop);
    engine.granted(&reserve(hold_id(1), "d", "ada", &[("A", 4)]), after(15));
    let records = closed(&world, &engine, after(30));
    assert_eq!(
        records,
        [
            vec!["created"],
            vec!["opened"],
            vec!["window_closed"],
            vec!["sold_out", "sold_out", "band_changed"],
            vec!["closed"]
        ]
    );
}

#[test]
fn stock_that_joins_by_the_same_turn_counts() {
    let arrives = |units| {
        let world = World::new();
        let mut drop = short();
        let id = "late".parse().expect("an id");
        drop.rules.tranches = vec![Tranche { id, sku: sku("A"), pool: None, units, when: at_moment(9) }];
        drop.rules.windows = vec![window("all", "", None, Some(10))];
        let engine = started(&world, drop);
        engine.granted(&reserve(hold_id(1), "d", "ada", &[("A", 4)]), after(15));
        closed(&world, &engine, after(30)).split_off(2)
    };
    let few = [vec!["tranche_released", "window_closed"], vec!["band_changed"], vec!["closed"]];
    assert_eq!(arrives(1), few, "1 of 5 is free");
    assert_eq!(arrives(8), [["tranche_released", "window_closed", "closed"]], "8 of 12 are free");
}

#[test]
fn a_closing_without_changes_is_one_record() {
    let world = World::new();
    let engine = started(&world, short());
    engine.granted(&reserve(hold_id(1), "d", "ada", &[("A", 1)]), after(15));
    assert_eq!(closed(&world, &engine, after(30)), [["created"], ["opened"], ["closed"]]);
}

#[test]
fn many_changes_are_several_records_by_time_and_by_hand() {
    let skus: Vec<String> = (0..20).map(|n| format!("S{n}")).collect();
    let items: Vec<(&str, u64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    for by_hand in [false, true] {
        let world = World::new();
        let mut drop = sale(&items);
        drop.schedule.closes_at = Some(after(20));
        let engine = started(&world, drop);
        for (n, (sku, _)) in (0..).zip(&items) {
            engine.granted(&reserve(hold_id(n), "d", "ada", &[(*sku, 1)]), after(15));
        }
        let now = if by_hand { after(16) } else { after(20) };
        if by_hand {
            engine.steered("d", Steer::Close, now);
        }
        let lengths: Vec<_> = closed(&world, &engine, now).iter().map(Vec::len).collect();
        assert_eq!(lengths, [1, 1, 16, 16, 9, 1], "20 items and all goods, 20 bands");
    }
}

#[test]
fn a_level_that_is_reached_and_the_changes_are_each_a_record_of_their_look() {
    let world = World::new();
    let mut drop = short();
    drop.rules.signals = vec![signal("gone", at_level(Level::FreeAtMost(0)))];
    let engine = started(&world, drop);
    let mut agenda = Agenda::new(Arc::clone(&engine));
    engine.granted(&reserve(hold_id(1), "d", "ada", &[("A", 4)]), after(15));
    agenda.run_entry(AgendaEntry::StockLevels, after(15));
    let records = closed(&world, &engine, after(20)).split_off(2);
    assert_eq!(records, [vec!["signal_fired"], vec!["sold_out", "sold_out", "band_changed"], vec!["closed"]]);
}

//! The table of facts: copies by pieces while it changes, records over copies, and bounds.

use stockade_types::ids::SubjectKey;
use stockade_types::record::{FactKind, Origin};
use stockade_types::time::Millis;

use super::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const START: Timestamp = Timestamp(500 * DAY);

/// The n-th fact: a view of a drop from a zone.
fn view(n: u64, drop: u32, hour: u64) -> Fact {
    Fact {
        // Spread over the shards, as hashes are.
        key: FactKey(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        content: n,
        kind: FactKind::View,
        time: Timestamp(START.0 - hour * HOUR),
        shop: "default".parse().expect("a shop"),
        drop: Some(DropNo(drop)),
        order: None,
        sku: None,
        zone: Some(format!("zone-{}", n % 3).parse().expect("a zone")),
        value: 1,
        subjects: Vec::<SubjectKey>::new(),
        holds: Vec::new(),
    }
}

fn facts(at: Timestamp, facts: Vec<Fact>) -> Facts {
    Facts { at, origin: Origin::ENGINE, facts }
}

/// The n-th record: ten facts.
fn record(n: u64) -> Facts {
    let views = (n * 10..n * 10 + 10).map(|n| view(n, u32::try_from(n % 4).expect("small"), n % 7));
    facts(START.plus(Millis(n)), views.collect())
}

/// All of it in order, whatever the order of zones and shards within a copy.
fn content(table: &FactTable) -> Vec<Record> {
    table.all_images()
}

#[test]
fn a_copy_that_was_taken_piece_by_piece_while_facts_came_in_and_the_records_since_are_the_same_table() {
    let mut table = FactTable::default();
    (1..20).for_each(|n| table.apply(Lsn(n), &record(n), |_| true));
    let from = 19;
    let (mut copy, mut next, mut n) = (Vec::new(), Some(FactsPart::Tallies), from);
    while let Some(part) = next {
        // A record between any two pieces.
        n += 1;
        table.apply(Lsn(n), &record(n), |_| true);
        let (images, rest) = table.images(part);
        copy.extend(images);
        next = rest;
    }
    let mut restored = FactTable::default();
    for image in &copy {
        let Record::FactsImage(image) = image else { panic!("an image") };
        restored.restore(image);
    }
    (from + 1..=n).for_each(|n| restored.apply(Lsn(n), &record(n), |_| true));
    assert_eq!(content(&restored), content(&table));
    assert_eq!(restored.len(), table.len());
    // A record that is known changes nothing.
    restored.apply(Lsn(n), &record(n), |_| true);
    assert_eq!(content(&restored), content(&table));
    let sum: u64 = (0..4).map(|drop| restored.tally(DropNo(drop)).views).sum();
    assert_eq!(sum, n * 10);
}

#[test]
fn more_hours_than_fit_into_one_record_are_copied_from_where_the_last_one_ended() {
    let mut table = FactTable::default();
    let hours = 2 * u64::try_from(FACT_ENTRIES_MAX).expect("small") + 3;
    for n in 0..hours {
        let fact = Fact { zone: None, ..view(n, 0, n) };
        table.apply(Lsn(n + 1), &facts(START, vec![fact]), |_| true);
    }
    let lengths: Vec<usize> = content(&table)
        .iter()
        .filter_map(|image| {
            let Record::FactsImage(FactsImage::Demand { hours, .. }) = image else { return None };
            Some(hours.len())
        })
        .collect();
    assert_eq!(lengths, [FACT_ENTRIES_MAX, FACT_ENTRIES_MAX, 3]);
}

#[test]
fn what_is_old_is_forgotten_by_the_newest_record_and_its_memory_is_freed() {
    let mut table = FactTable::default();
    table.apply(Lsn(1), &facts(START, (0..1_000).map(|n| view(n, 0, 0)).collect()), |_| true);
    let later = START.plus(FACT_KEPT);
    assert!(table.content(view(7, 0, 0).key, Timestamp(later.0 - 1)).is_some());
    assert!(table.content(view(7, 0, 0).key, later).is_none());
    table.apply(Lsn(2), &facts(later, vec![view(7, 0, 0)]), |_| true);
    assert_eq!((table.len(), table.content(view(7, 0, 0).key, later)), (1_000, Some(7)));
    let known = |table: &FactTable| -> usize {
        let of = |image: &Record| {
            if let Record::FactsImage(FactsImage::Known(known)) = image { known.len() } else { 0 }
        };
        table.all_images().iter().map(of).sum()
    };
    assert_eq!(known(&table), 1, "what is old is in no copy");
    assert!(table.has_room(999, 1_000, later), "room is made by freeing what is old");
    assert_eq!(table.len(), 1);
    assert!(!table.has_room(1_000, 1_000, later));
}

#[test]
fn hours_of_demand_are_bounded_and_old_ones_make_room() {
    let mut table = FactTable::default();
    let of = |n: u64, time: Timestamp| Fact { zone: None, time, ..view(n, 0, 0) };
    let hours: Vec<Fact> = (0..).take(DEMAND_HOURS_MAX).map(|n| of(n, Timestamp(START.0 + n * HOUR))).collect();
    assert!(table.has_room_for_demand(&hours, START));
    table.apply(Lsn(1), &facts(START, hours.clone()), |_| true);
    assert_eq!(table.demand_hours(), DEMAND_HOURS_MAX);
    assert!(table.has_room_for_demand(&hours, START), "the same hours take no room");
    let another = [of(1_000, Timestamp(START.0 - HOUR))];
    assert!(!table.has_room_for_demand(&another, START));
    let late = START.plus(FACT_KEPT).plus(Millis(2 * HOUR));
    assert!(table.has_room_for_demand(&[of(1_001, late)], late));
    assert_eq!(table.demand_hours(), DEMAND_HOURS_MAX - 2);
}

#[test]
fn tallies_are_of_drops_that_are_remembered() {
    let mut table = FactTable::default();
    table.apply(Lsn(1), &facts(START, vec![view(1, 0, 0), view(2, 1, 0), view(3, 2, 0)]), |drop| drop != DropNo(2));
    let views = |table: &FactTable| [0, 1, 2].map(|drop| table.tally(DropNo(drop)).views);
    assert_eq!(views(&table), [1, 1, 0]);
    table.forget_drop(DropNo(0));
    assert_eq!(views(&table), [0, 1, 0]);
    table.keep_drops(|drop| drop == DropNo(0));
    assert_eq!(views(&table), [0, 0, 0]);
    assert_eq!(table.len(), 3, "the ids stay known");
}

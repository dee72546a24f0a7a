//! Facts of other systems, and what is kept of them.

use super::*;
use crate::ids::{FactKey, OrderKey, ZoneId};

fn fact(kind: FactKind) -> Fact {
    Fact {
        key: FactKey(u128::MAX - 3),
        content: u64::MAX - 4,
        kind,
        time: Timestamp(u64::MAX),
        shop: "default".parse().expect("a shop"),
        drop: (!kind.is_demand()).then_some(DropNo(u32::MAX)),
        order: kind.is_conduct().then(|| "o".parse().expect("a ref")),
        sku: None,
        zone: kind.is_demand().then(|| "north".parse().expect("a zone")),
        value: 7,
        subjects: if kind.is_conduct() { vec![SubjectKey(1), SubjectKey(u128::MAX)] } else { Vec::new() },
        holds: if kind == FactKind::Returned { vec![HoldId::from_bytes([9; 16])] } else { Vec::new() },
    }
}

fn piece(facts: Vec<Fact>) -> Record {
    Record::Facts(Facts { at: Timestamp(5), origin: origin(), facts })
}

/// A fact in which everything is as long as it may be.
fn largest() -> Fact {
    let text = |n: usize| "x".repeat(n);
    Fact {
        shop: text(64).parse().expect("a shop"),
        drop: Some(DropNo(u32::MAX)),
        order: Some(text(128).parse().expect("a ref")),
        sku: Some(text(128).parse().expect("a sku")),
        zone: Some(text(64).parse().expect("a zone")),
        value: u32::MAX,
        subjects: vec![SubjectKey(u128::MAX); FACT_SUBJECTS_MAX],
        holds: vec![HoldId::from_bytes([255; 16]); FACT_HOLDS_MAX],
        ..fact(FactKind::Returned)
    }
}

fn tally(n: u64) -> FactTally {
    FactTally {
        cancelled: n,
        chargebacks: n + 1,
        returned_units: n + 2,
        promoters: n + 3,
        passives: n + 4,
        detractors: n + 5,
        support_contacts: n + 6,
        views: n + 7,
        interest: n + 8,
    }
}

/// Images with this many entries.
fn images(count: usize, most: u64) -> Vec<Record> {
    let order = |n: usize| (Timestamp(most), OrderKey(u64::try_from(n).expect("small")));
    let orders = || (0..count).map(order).collect();
    let zone: Option<ZoneId> = Some("x".repeat(64).parse().expect("a zone"));
    let known = KnownFact { key: FactKey(u128::MAX), content: most, at: Timestamp(most) };
    let hours = vec![(u32::MAX, Lsn(most), Demand { views: most, interest: most }); count];
    let conduct = FactConduct { cancelled: orders(), charged_back: orders(), returned: orders() };
    vec![
        FactsImage::Known(vec![known; count]),
        FactsImage::Tallies(vec![(DropNo(u32::MAX), Lsn(most), tally(most - 8)); count]),
        FactsImage::Demand { shop: "x".repeat(64).parse().expect("a shop"), zone, hours },
        FactsImage::Conduct(SubjectKey(u128::MAX), conduct),
    ]
    .into_iter()
    .map(Record::FactsImage)
    .collect()
}

pub(super) fn samples() -> Vec<Record> {
    let facts = [piece(Vec::new()), piece(FactKind::ALL.map(fact).into()), piece(vec![largest()])];
    facts.into_iter().chain(images(0, 9)).chain(images(2, 300)).collect()
}

#[test]
fn the_most_facts_with_the_longest_texts_fit_a_record_and_more_are_refused() {
    let of = |count| bytes(&piece(vec![largest(); count]));
    let whole = of(FACTS_MAX);
    assert!(whole.len() <= RECORD_BYTES_MAX && Record::decode(&whole).is_ok(), "{} bytes", whole.len());
    assert_eq!(Record::decode(&of(FACTS_MAX + 1)), Err(DecodeError::Bad("count of facts")));
    let more = |change: fn(&mut Fact)| {
        let mut fact = largest();
        change(&mut fact);
        Record::decode(&bytes(&piece(vec![fact])))
    };
    assert_eq!(more(|fact| fact.subjects.push(SubjectKey(0))), Err(DecodeError::Bad("count of keys")));
    assert_eq!(more(|fact| fact.holds.push(HoldId::from_bytes([0; 16]))), Err(DecodeError::Bad("count of keys")));
}

#[test]
fn the_largest_parts_of_a_snapshot_fit_a_record_and_larger_ones_are_refused() {
    for image in images(FACT_ENTRIES_MAX, u64::MAX) {
        let whole = bytes(&image);
        assert!(whole.len() <= RECORD_BYTES_MAX && Record::decode(&whole).is_ok(), "{} bytes", whole.len());
    }
    for image in images(FACT_ENTRIES_MAX + 1, 9) {
        assert_eq!(Record::decode(&bytes(&image)), Err(DecodeError::Bad("count of entries")));
    }
}

#[test]
fn a_tally_counts_each_kind_by_itself() {
    let mut sum = FactTally::default();
    FactKind::ALL.iter().for_each(|kind| sum.add(*kind, 8));
    [0, 6, 9, 10].iter().for_each(|points| sum.add(FactKind::Nps, *points));
    let wanted = FactTally {
        cancelled: 1,
        chargebacks: 1,
        returned_units: 8,
        promoters: 2,
        passives: 1,
        detractors: 2,
        support_contacts: 1,
        views: 8,
        interest: 8,
    };
    assert_eq!(sum, wanted);
}

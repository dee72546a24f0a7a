//! What came of occurrences of series.

use super::*;

/// A result with every part set.
fn fact(verb: OccurrenceVerb) -> OccurrenceFact {
    OccurrenceFact {
        series: "weekly".parse().expect("an id"),
        shop: "s".parse().expect("an id"),
        local: "2026-12-04T18:00".parse().expect("a time"),
        verb,
        at: Timestamp(9),
        origin: origin(),
        opens_at: Timestamp(10),
        by: Lsn(7),
        reason: "x".repeat(REASON_MAX).into(),
    }
}

pub(super) fn samples() -> Vec<Record> {
    use OccurrenceVerb::{Cancel, Change, Create, Fail, Skip};
    [Create, Change, Cancel, Skip, Fail].map(|verb| Record::Occurrence(Box::new(fact(verb)))).into()
}

#[test]
fn a_reason_is_bounded_and_a_time_has_one_form() {
    let mut long = fact(OccurrenceVerb::Skip);
    long.reason = "x".repeat(REASON_MAX + 1).into();
    assert_eq!(Record::decode(&bytes(&Record::Occurrence(Box::new(long)))), Err(DecodeError::Bad("reason")));
    for bad in ["20261204T18000", "20261304T1800", "20261204 1800", "202612041800T"] {
        let text = bytes(&Record::Occurrence(Box::new(fact(OccurrenceVerb::Skip))));
        let place = text.windows(13).position(|part| part == b"20261204T1800").expect("the time");
        let mut changed = text.clone();
        changed[place..place + 13].copy_from_slice(&bad.as_bytes()[..13]);
        let is_the_same = bad.starts_with("20261204T1800");
        assert_eq!(Record::decode(&changed).is_ok(), is_the_same, "{bad}");
    }
}

#[test]
fn the_verbs_of_occurrences_are_those_that_the_first_build_could_read() {
    let created = Record::Occurrence(Box::new(fact(OccurrenceVerb::Create)));
    assert_eq!(read_at(&created, 1, "verb"), [1, 2, 3, 4, 5]);
}

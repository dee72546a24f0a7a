//! Changes of what operators define by an id.

use super::*;
use crate::webhook::{ERROR_BYTES_MAX, EventPlace, Progress, WebhookProgress};

/// A change with every part set.
fn fact(verb: DefinedVerb) -> DefinedFact {
    let update = (verb != DefinedVerb::Create).then_some(DefinedUpdate { base: Lsn(7), request: [4; 32] });
    let image = DefinedImage {
        kind: DefinedKind::Series,
        id: "weekly".parse().expect("an id"),
        created_at: Timestamp(5),
        request: [3; 32],
        update,
        bytes: [1, 2, 3].into(),
    };
    DefinedFact { verb, at: Timestamp(9), origin: origin(), image }
}

pub(super) fn samples() -> Vec<Record> {
    let defined = [DefinedVerb::Create, DefinedVerb::Update, DefinedVerb::Delete]
        .map(|verb| Record::Defined(Box::new(fact(verb))));
    let delivered = [0, 1, 2].map(|count| delivered(count, "no route"));
    defined.into_iter().chain(delivered).collect()
}

/// How far the deliveries of this many webhooks are.
fn delivered(count: usize, error: &str) -> Record {
    let entry = |n: usize| {
        let progress = Progress {
            delivered_to: EventPlace { lsn: Lsn(300), place: u16::MAX },
            era: 1,
            last_success_at: Some(Timestamp(8)),
            failing_since: (n > 0).then_some(Timestamp(9)),
            given_up: 2,
            last_error: error.to_owned(),
        };
        let webhook = format!("{n:064}").parse().expect("an id");
        WebhookProgress { webhook, created_at: Timestamp(u64::MAX), progress }
    };
    Record::Delivered(Delivered { at: Timestamp(10), webhooks: (0..count).map(entry).collect() })
}

#[test]
fn the_most_webhooks_with_the_longest_texts_fit_a_record_and_more_are_refused() {
    let error = "x".repeat(ERROR_BYTES_MAX);
    let largest = bytes(&delivered(DELIVERED_MAX, &error));
    assert!(largest.len() <= RECORD_BYTES_MAX && Record::decode(&largest).is_ok());
    let more = bytes(&delivered(DELIVERED_MAX + 1, &error));
    assert_eq!(Record::decode(&more), Err(DecodeError::Bad("count of webhooks")));
}

#[test]
fn the_largest_definition_fits_a_record_and_a_larger_one_is_refused() {
    let of = |length| {
        let mut fact = fact(DefinedVerb::Update);
        fact.image.bytes = vec![1; length].into();
        bytes(&Record::Defined(Box::new(fact)))
    };
    let largest = of(DEFINED_BYTES_MAX);
    assert!(largest.len() <= RECORD_BYTES_MAX && Record::decode(&largest).is_ok());
    assert_eq!(Record::decode(&of(DEFINED_BYTES_MAX + 1)), Err(DecodeError::Bad("size of a definition")));
}

#[test]
fn the_verbs_and_kinds_of_definitions_are_those_that_the_first_build_could_read() {
    let created = Record::Defined(Box::new(fact(DefinedVerb::Create)));
    assert_eq!(read_at(&created, 1, "verb"), [1, 2, 3]);
    assert_eq!(read_at(&created, 2, "kind of a definition"), [1, 2]);
}

//! The progress of a webhook does not become that of another one with its id, whatever is applied in whichever order.

use stockade_types::record::{DefinedImage, Origin};
use stockade_types::webhook::EventPlace;

use super::*;

fn id() -> DefinedId {
    "a".parse().expect("an id")
}

fn fact(verb: DefinedVerb, created_at: u64) -> DefinedFact {
    let image = DefinedImage {
        kind: DefinedKind::Webhook,
        id: id(),
        created_at: Timestamp(created_at),
        request: [1; 32],
        update: None,
        bytes: [1].into(),
    };
    DefinedFact { verb, at: Timestamp(created_at), origin: Origin::ENGINE, image }
}

fn delivered(created_at: u64, given_up: u64) -> Delivered {
    let progress = Progress {
        delivered_to: EventPlace { lsn: Lsn(1), place: u16::MAX },
        era: 1,
        last_success_at: None,
        failing_since: None,
        given_up,
        last_error: String::new(),
    };
    let entry = WebhookProgress { webhook: id(), created_at: Timestamp(created_at), progress };
    Delivered { at: Timestamp(0), webhooks: vec![entry] }
}

/// The events that were given up, by the progress that is known.
fn given_up(table: &DefinedTable) -> Option<u64> {
    table.progress(&id()).map(|progress| progress.given_up)
}

#[test]
fn records_from_before_a_snapshots_images_leave_no_progress_of_another_webhook() {
    // The webhook was created, delivered to, deleted and created again while the snapshot was taken; one may have been
    // created in the same millisecond as the other.
    for (first, second) in [(1, 2), (1, 1)] {
        let mut table = DefinedTable::default();
        assert!(table.apply(Lsn(55), &fact(DefinedVerb::Create, second)));
        table.delivered(Lsn(45), &delivered(first, 7));
        assert!(!table.apply(Lsn(50), &fact(DefinedVerb::Delete, first)), "seen already");
        assert!(!table.apply(Lsn(55), &fact(DefinedVerb::Create, second)), "seen already");
        assert_eq!(given_up(&table), None, "created at {first}, and again at {second}");
        table.delivered(Lsn(57), &delivered(second, 2));
        assert_eq!(given_up(&table), Some(2));
    }
}

#[test]
fn progress_that_is_newer_than_a_delete_stays() {
    let mut table = DefinedTable::default();
    table.apply(Lsn(55), &fact(DefinedVerb::Create, 2));
    table.delivered(Lsn(57), &delivered(2, 3));
    assert!(!table.apply(Lsn(50), &fact(DefinedVerb::Delete, 1)));
    assert_eq!(given_up(&table), Some(3));
}

#[test]
fn progress_of_a_webhook_that_was_deleted_meanwhile_does_not_count_for_the_next_one() {
    let mut table = DefinedTable::default();
    table.apply(Lsn(1), &fact(DefinedVerb::Create, 1));
    table.delivered(Lsn(2), &delivered(1, 3));
    assert!(table.apply(Lsn(3), &fact(DefinedVerb::Delete, 1)));
    assert_eq!(given_up(&table), None);
    table.apply(Lsn(4), &fact(DefinedVerb::Create, 9));
    table.delivered(Lsn(5), &delivered(1, 4));
    assert_eq!((given_up(&table), table.progress_images().count()), (None, 0));
}

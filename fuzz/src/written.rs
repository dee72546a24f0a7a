//! Records as they are applied: any that can be read lead to a sound state or to a clear no, and twice to the same.

use stockade::digest::DigestKey;
use stockade::ids::Lsn;
use stockade::inventory::{BulkLoad, Inventory, ReplayError};
use stockade::record::Record;

/// Applies records with their revisions, derives the rest, and holds what came of it to the rules.
pub(crate) fn applied(records: &[(Lsn, Record)]) {
    // An inventory has thousands of shards: without a drop there is nothing to see in one.
    if !records.iter().any(|(_, record)| matches!(record, Record::Drop(_) | Record::DropFact(_))) {
        return;
    }
    let once = state(records, 1);
    assert_eq!(state(records, 2), once, "applied twice, the records are another state");
    // In the order of a journal, who follows them comes to the same, or says no.
    if records.is_sorted_by(|one, next| one.0 < next.0) {
        for at_once in [0, records.len() / 2] {
            let follower = followed(records, at_once);
            assert!(follower.is_err() || follower == once, "followed, the records are another state: {once:?}");
        }
    }
}

fn state(records: &[(Lsn, Record)], times: usize) -> Result<[u8; 32], ReplayError> {
    let load = BulkLoad::new(DigestKey::from_bytes([7; 16]));
    for (lsn, record) in std::iter::repeat_n(records, times).flatten() {
        load.apply(*lsn, record)?;
    }
    load.finish(usize::MAX).map(|inventory| sound(&inventory))
}

/// The state of one that follows the records, having loaded so many at once.
fn followed(records: &[(Lsn, Record)], at_once: usize) -> Result<[u8; 32], ReplayError> {
    let load = BulkLoad::new(DigestKey::from_bytes([7; 16]));
    let (first, rest) = records.split_at(at_once);
    for (lsn, record) in first {
        load.apply(*lsn, record)?;
    }
    let follower = load.finish(usize::MAX)?;
    for (lsn, record) in rest {
        follower.follow(*lsn, record)?;
    }
    Ok(sound(&follower))
}

fn sound(inventory: &Inventory) -> [u8; 32] {
    for drop in inventory.drops.all() {
        assert_eq!(drop.conservation_error(), 0, "a state was taken for sound that is not");
    }
    inventory.digest()
}

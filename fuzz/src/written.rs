//! Applying records: any readable records lead to a consistent state or to a clear error, and to the same state when
//! applied twice.

use stockade_engine::inventory::{BulkLoad, Inventory, ReplayError};
use stockade_types::digest::DigestKey;
use stockade_types::ids::Lsn;
use stockade_types::record::Record;

/// How one record is applied.
type Read = fn(&BulkLoad, Lsn, &Record) -> Result<(), ReplayError>;

/// Loads the entities of a snapshot, derives the rest, and checks the state.
pub(crate) fn restored(entities: &[(Lsn, Record)]) {
    if has_a_drop(entities) {
        let _state = twice_the_same(entities, BulkLoad::restore);
    }
}

/// Applies the records of a journal, derives the rest, and checks the state.
pub(crate) fn applied(records: &[(Lsn, Record)]) {
    if !has_a_drop(records) {
        return;
    }
    let once = twice_the_same(records, BulkLoad::apply);
    // If the records are in a journal's order, a follower must have the same result.
    if records.is_sorted_by(|one, next| one.0 < next.0) {
        for at_once in [0, records.len() / 2] {
            let follower = followed(records, at_once);
            let agrees = match &follower {
                // A follower checks units after each record, a start at the end.
                Err(ReplayError::Oversold { .. }) => true,
                Err(ReplayError::Record { .. } | ReplayError::Orphan(_)) => once.is_err(),
                Ok(_) => follower == once,
            };
            assert!(agrees, "followed, the records are another state: {follower:?} instead of {once:?}");
        }
    }
}

/// An inventory has thousands of shards; without a drop it is not worth the time.
fn has_a_drop(records: &[(Lsn, Record)]) -> bool {
    records.iter().any(|(_, record)| matches!(record, Record::Drop(_) | Record::DropFact(_)))
}

fn twice_the_same(records: &[(Lsn, Record)], read: Read) -> Result<[u8; 32], ReplayError> {
    let once = state(records, read, 1);
    assert_eq!(state(records, read, 2), once, "applied twice, the records are another state");
    once
}

fn state(records: &[(Lsn, Record)], read: Read, times: usize) -> Result<[u8; 32], ReplayError> {
    let load = BulkLoad::new(DigestKey::from_bytes([7; 16]));
    for (lsn, record) in std::iter::repeat_n(records, times).flatten() {
        read(&load, *lsn, record)?;
    }
    load.finish(usize::MAX).map(|inventory| sound(&inventory))
}

/// The state of a follower that has loaded the first `at_once` records at once.
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

//! Records as they are applied: any that can be read lead to a sound state or to a clear no, and twice to the same.

use stockade::digest::DigestKey;
use stockade::ids::Lsn;
use stockade::inventory::{Inventory, Unsound};
use stockade::record::Record;

/// Applies records with their revisions, derives the rest, and holds what came of it to the rules.
pub(crate) fn applied(records: &[(Lsn, Record)]) {
    // An inventory has thousands of shards: without a drop there is nothing to see in one.
    if !records.iter().any(|(_, record)| matches!(record, Record::Drop(_))) {
        return;
    }
    let once = state(records, 1);
    assert_eq!(state(records, 2), once, "applied twice, the records are another state");
}

fn state(records: &[(Lsn, Record)], times: usize) -> Result<[u8; 32], Unsound> {
    let mut inventory = Inventory::new(DigestKey::from_bytes([7; 16]));
    for (lsn, record) in std::iter::repeat_n(records, times).flatten() {
        inventory.apply(*lsn, record)?;
    }
    inventory.derive(usize::MAX)?;
    for drop in inventory.drops.all() {
        assert_eq!(drop.conservation_error(), 0, "a state was taken for sound that is not");
    }
    Ok(inventory.digest())
}

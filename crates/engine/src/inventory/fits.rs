//! Checks that a record is possible after those before it. One that is not is damage, or a bug of the engine that wrote
//! the journal.
//!
//! Written once for all readers of a journal: a follower checks before it applies a record, and so does a start,
//! although it derives stock and limits once, at its end. Whether units add up, a follower knows after each record, a
//! start only at its end.

use stockade_types::hold::Hold;
use stockade_types::ids::Lsn;
use stockade_types::record::{HoldChange, PoolBasis, Superseded};

use super::apply::ReplayError;
use super::drop_inner::DropInner;

/// Whether the hold that a record makes is here already, if a hold with its id is known. A known hold that has ended is
/// replaced: the engine that wrote the record had forgotten it.
pub(super) fn is_here(lsn: Lsn, known: &Hold) -> Result<bool, ReplayError> {
    if known.revision >= lsn {
        return Ok(true);
    }
    if known.state.is_ended() {
        return Ok(false);
    }
    Err(ReplayError::Record { lsn, what: format!("hold {} is made twice", known.id) })
}

/// Checks that a change follows the known state of its hold.
pub(super) fn changes(lsn: Lsn, change: &HoldChange, known: &Hold) -> Result<(), ReplayError> {
    if !change.is_next_of(known) {
        let HoldChange { hold, prev, .. } = change;
        let what = format!("it changes hold {} as record {prev} left it, which is another", hold.id);
        return Err(ReplayError::Record { lsn, what });
    }
    if known.superseded_by().is_some() {
        let what = format!("hold {} is changed after another took its place", known.id);
        return Err(ReplayError::Record { lsn, what });
    }
    Ok(())
}

/// Checks that one hold may take another's place.
pub(super) fn succeeds(lsn: Lsn, Superseded { ended, made }: &Superseded) -> Result<(), ReplayError> {
    let old = &ended.hold;
    if old.id == made.id {
        return Err(ReplayError::Record { lsn, what: format!("hold {} takes its own place", made.id) });
    }
    if (old.drop, &old.customer) != (made.drop, &made.customer) {
        return Err(ReplayError::Record {
            lsn,
            what: format!("hold {} takes the place of another customer's", made.id),
        });
    }
    Ok(())
}

/// Checks that the hold that a record makes goes into its drop, whose gate is held. The holds of an archived drop have
/// left memory, and no further ones are made.
pub(super) fn belongs_to(lsn: Lsn, hold: &Hold, inner: &DropInner) -> Result<(), ReplayError> {
    let pools = |item: usize| inner.definition.items.get(item).map_or(0, |item| item.pools.len());
    let has_pools = hold.lines().iter().all(|line| line.pool.index() < pools(line.item.index()));
    if has_pools && !has_left(lsn, inner) { Ok(()) } else { Err(ReplayError::Orphan(hold.id)) }
}

/// Whether the holds of a drop had left memory before this record.
pub(super) fn has_left(lsn: Lsn, inner: &DropInner) -> bool {
    inner.archived.as_ref().is_some_and(|(archived, _)| *archived < lsn)
}

/// Units that a pool has: received and not taken out.
pub(super) fn units(lsn: Lsn, PoolBasis { received, taken_out }: PoolBasis) -> Result<u64, ReplayError> {
    let more_out = || ReplayError::Record { lsn, what: "more units are taken out than were received".to_owned() };
    received.checked_sub(taken_out).ok_or_else(more_out)
}

/// The error for a record of snapshots in a journal.
pub(super) fn only_in_snapshots(lsn: Lsn) -> ReplayError {
    ReplayError::Record { lsn, what: "it stands in snapshots only".to_owned() }
}

/// The error for a record of journals in a snapshot.
pub(super) fn only_in_journals(lsn: Lsn) -> ReplayError {
    ReplayError::Record { lsn, what: "it stands in journals only".to_owned() }
}

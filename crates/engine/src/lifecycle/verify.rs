//! Checks a data folder without serving it: whether all can be read and all sums are right. Changes nothing.

use std::path::Path;
use std::sync::Arc;

use stockade_journal::snapshot::{self, SnapshotError};
use stockade_journal::storage::FolderLock;
use stockade_journal::{Ending, LogError, ScannedJournal, inspect};

use crate::lifecycle::data_folder::{DataFolder, FolderError};
use crate::lifecycle::fact_order::FactOrder;
use crate::lifecycle::recover::{RecoverError, replay};

/// What an offline check of a data folder found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Remarks that are no faults.
    pub notes: Vec<String>,
    /// Damage and wrong sums.
    pub findings: Vec<String>,
}

/// Why a folder could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The folder can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The journal can't be read.
    #[error(transparent)]
    Journal(#[from] LogError),
    /// The snapshots can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The disk failed.
    #[error("can't read the data folder: {0}")]
    Io(#[from] std::io::Error),
}

/// Reads journal and snapshots of a data folder and checks all sums.
///
/// # Errors
/// [`VerifyError`] when something can't be read at all. Damage is a finding, not an error.
pub fn verify(path: &Path) -> Result<Verified, VerifyError> {
    match DataFolder::inspect(path) {
        Ok(folder) => {
            // Only for a note, so an error is ignored.
            let served = FolderLock::holder(path).unwrap_or_default();
            let mut verified = verify_folder(&folder)?;
            if let Some(holder) = served {
                let note = format!("{holder} serves this folder: what it wrote meanwhile may look torn or missing");
                verified.notes.insert(0, note);
            }
            Ok(verified)
        }
        Err(error @ FolderError::Damaged { .. }) => {
            Ok(Verified { findings: vec![error.to_string()], ..Verified::default() })
        }
        Err(
            error @ (FolderError::Locked(_)
            | FolderError::Io { .. }
            | FolderError::KeyFile(_)
            | FolderError::Key { .. }
            | FolderError::Foreign { .. }),
        ) => Err(error.into()),
    }
}

/// As [`verify`], for an open folder.
///
/// # Errors
/// As [`verify`].
pub fn verify_folder(folder: &DataFolder) -> Result<Verified, VerifyError> {
    let mut verified = Verified::default();
    if folder.key_elsewhere {
        let note = "stockade.meta: the identity key is kept elsewhere; a start needs it, this check does not";
        verified.notes.push(note.to_owned());
    }
    for from in snapshot::list(folder.snapshots.as_ref())? {
        match snapshot::load(folder.snapshots.as_ref(), from, |_, _| Ok(())) {
            Ok(loaded) => verified.notes.push(format!(
                "snapshot {from}: {} entries, {} bytes, good with a journal up to {}",
                loaded.entries, loaded.bytes, loaded.upto
            )),
            Err(error @ SnapshotError::Damage { .. }) => verified.findings.push(error.to_string()),
            Err(error @ (SnapshotError::Foreign { .. } | SnapshotError::Io { .. })) => return Err(error.into()),
        }
    }
    for file in snapshot::list_set_aside(folder.snapshots.as_ref())? {
        verified
            .notes
            .push(format!("snapshot file {file}: a start could not use it and set it aside; never read again"));
    }
    if journal(folder, &mut verified)? {
        sums(folder, &mut verified)?;
    }
    Ok(verified)
}

/// Reads every batch of the journal. Returns whether it is whole.
fn journal(folder: &DataFolder, verified: &mut Verified) -> Result<bool, VerifyError> {
    let mut inspection = inspect(folder.journal.as_ref())?;
    let (mut batches, mut records) = (0_u64, 0_usize);
    let mut order = FactOrder::default();
    for batch in inspection.by_ref() {
        match batch {
            Ok(batch) => {
                batch.iter().for_each(|(lsn, record)| order.see(lsn, record));
                batches = batches.saturating_add(1);
                records = records.saturating_add(batch.records.len());
            }
            Err(error) => return damage(error, verified).map(|()| false),
        }
    }
    verified.findings.append(&mut order.findings());
    let oldest = inspection.oldest().unwrap_or_default();
    let next = inspection.next_lsn();
    verified.notes.push(format!("journal: {records} records in {batches} batches, from {oldest} to before {next}"));
    match inspection.ending() {
        Some(Ending::Clean(_)) => verified.notes.push("journal: closed in order".to_owned()),
        Some(Ending::Torn(cut)) => verified.notes.push(format!(
            "journal: torn tail in {} at byte {}, record {}: {} bytes of a write that was cut short and never \
             acknowledged, or of a last batch that has rotted: they look the same ({})",
            cut.file, cut.offset, cut.lsn, cut.bytes, cut.what
        )),
        Some(Ending::Lost(cut, later)) => verified.notes.push(format!(
            "journal: with os durability it ends in {} at byte {}, record {} ({}); lost behind that: {}",
            cut.file,
            cut.offset,
            cut.lsn,
            cut.what,
            if later.is_empty() { "the rest of that file".to_owned() } else { later.join(", ") }
        )),
        Some(Ending::Open) | None => verified.notes.push("journal: not closed in order".to_owned()),
    }
    Ok(true)
}

/// Replays all, as a start would, and checks the sums.
fn sums(folder: &DataFolder, verified: &mut Verified) -> Result<(), VerifyError> {
    let scanned = match ScannedJournal::scan(Arc::clone(&folder.journal)) {
        Ok(scanned) => scanned,
        Err(error) => return damage(error, verified),
    };
    let mut replayed = match replay(&folder.key, folder.snapshots.as_ref(), &scanned, usize::MAX) {
        Ok(replayed) => replayed,
        Err(RecoverError::Journal(error)) => return damage(error, verified),
        Err(RecoverError::Io(error)) => return Err(error.into()),
        Err(
            error @ (RecoverError::NoSnapshot { .. }
            | RecoverError::Behind { .. }
            | RecoverError::SetAside(_)
            | RecoverError::Upgrade(_)
            | RecoverError::Replay(_)
            | RecoverError::Clock { .. }
            | RecoverError::Append(_)),
        ) => {
            verified.findings.push(error.to_string());
            return Ok(());
        }
    };
    for skipped in replayed.report.skipped.drain(..) {
        // A damaged snapshot is among the findings already, since each was read by itself.
        if !verified.findings.contains(&skipped) {
            verified.findings.push(skipped);
        }
    }
    let inventory = match replayed.load.finish(usize::MAX) {
        Ok(inventory) => inventory,
        Err(unsound) => {
            verified.findings.push(unsound.to_string());
            return Ok(());
        }
    };
    let [held, paying, claimed, released, expired] = inventory.holds.counts();
    let drops = inventory.drops.all();
    let error = drops.iter().map(|drop| drop.conservation_error()).fold(0, u64::saturating_add);
    if error > 0 {
        verified.findings.push(format!("conservation is broken by {error} units"));
    }
    verified.notes.push(format!(
        "state: {} drops; holds: {held} held, {paying} paying, {claimed} claimed, {released} released, {expired} expired; \
         {error} units unaccounted for",
        drops.len()
    ));
    Ok(())
}

fn damage(error: LogError, verified: &mut Verified) -> Result<(), VerifyError> {
    match error {
        LogError::Damage { .. } => {
            verified.findings.push(error.to_string());
            Ok(())
        }
        LogError::Io { .. }
        | LogError::Full(_)
        | LogError::Unknown(_)
        | LogError::Gone(_)
        | LogError::Foreign { .. }
        | LogError::ForeignFiles(_)
        | LogError::Fenced { .. }
        | LogError::WrongPosition { .. }
        | LogError::Stopped => Err(error.into()),
    }
}

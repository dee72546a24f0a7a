//! Keeps the journal short: snapshots while the engine runs, then trimming up to them.

use std::io;
use std::sync::Arc;

use stockade_journal::snapshot::{self, SnapshotWriter};
use stockade_journal::storage::Storage;
use stockade_journal::{JournalFailed, LogError};
use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::record::Record;
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::inventory::FactsPart;

/// When a snapshot is due: by time or by bytes journaled, whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// Time since the last snapshot, if anything was journaled since.
    pub every: Millis,
    /// Bytes journaled since the last snapshot; at least half of its size.
    pub bytes: u64,
}

/// The last snapshot, for deciding when the next is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastSnapshot {
    /// When it was taken.
    pub at: Timestamp,
    /// The journal's last record when it began.
    pub from: Lsn,
    /// Bytes that had been journaled in this term when it began.
    pub journaled: u64,
    /// Bytes journaled after it in earlier terms.
    pub before: u64,
    /// Its size; 0 before the first.
    pub bytes: u64,
}

/// Why no snapshot was made. The engine goes on without one.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The disk failed.
    #[error("the snapshot could not be written: {0}")]
    Io(#[from] io::Error),
    /// The journal could not be forced to the disk.
    #[error(transparent)]
    Journal(#[from] JournalFailed),
    /// The journal could not be trimmed.
    #[error("the journal could not be trimmed: {0}")]
    Trim(#[from] Arc<LogError>),
}

impl SnapshotPolicy {
    /// Whether a snapshot is due.
    #[must_use]
    pub fn is_due(&self, last: &LastSnapshot, now: Timestamp, appended: Lsn, journaled: u64) -> bool {
        if appended <= last.from {
            return false;
        }
        let grown = journaled.saturating_sub(last.journaled).saturating_add(last.before);
        last.at.plus(self.every) <= now || grown >= self.bytes.max(last.bytes / 2)
    }
}

/// Points of a snapshot at which only the walk is locked, so requests can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// Some of the holds, or of the subjects' folded usage, are copied.
    Shards,
    /// All is copied; next the snapshot waits for the journal.
    WalkAndSync,
    /// The snapshot has its name; next the oldest is removed.
    NameAndPrune,
    /// The oldest is removed; next the journal is trimmed.
    PruneAndTrim,
}

impl Engine {
    /// Takes a snapshot, removes those that it replaces, and trims the journal up to the oldest one kept. Requests go
    /// on meanwhile: each shard of holds is locked by itself, and nothing is written to the disk under a lock.
    ///
    /// # Errors
    /// [`CompactError`].
    pub fn snapshot(&self, storage: &dyn Storage, now: Timestamp) -> Result<LastSnapshot, CompactError> {
        self.snapshot_in_steps(storage, now, &mut |_| {})
    }

    /// As [`Engine::snapshot`], and calls `between` wherever requests can run: to rest there, or to run requests on the
    /// same thread. `between` must not take another snapshot or call [`Engine::archive`], since both wait for this one
    /// to end; the agenda can run, and leaves holds of archived drops in memory until then. After
    /// [`Between::WalkAndSync`] the snapshot waits for the journal: a caller that drives the journal's writer itself
    /// must let it run first.
    ///
    /// # Errors
    /// [`CompactError`].
    pub fn snapshot_in_steps(
        &self,
        storage: &dyn Storage,
        now: Timestamp,
        between: &mut dyn FnMut(Between),
    ) -> Result<LastSnapshot, CompactError> {
        let _scanning = self.scan_lock.lock();
        if storage.make_again()? {
            tracing::error!("the snapshots' folder was gone: made again, with a snapshot of what is in memory");
        }
        let watch = Stopwatch::start();
        let journaled = self.journal.written();
        let from = self.journal.appended();
        let mut writer = SnapshotWriter::create(storage, from)?;
        for entry in self.inventory.drops.all() {
            for (revision, image) in entry.images() {
                writer.put(revision, &image);
            }
            writer.flush()?;
        }
        for (revision, image) in self.inventory.definition_images() {
            writer.put(revision, &image);
        }
        writer.flush()?;
        let reports = self.inventory.reports.lock().images();
        for (revision, image) in reports {
            writer.put(revision, &image);
        }
        writer.flush()?;
        // Two closures share the writer: one fills it under a lock, the other writes it out without one.
        let writer_cell = std::cell::RefCell::new(&mut writer);
        self.inventory.holds.scan(
            |shard| {
                let mut writer = writer_cell.borrow_mut();
                for (_, hold) in shard.iter() {
                    writer.put(hold.revision, &Record::Hold(hold.clone()));
                }
            },
            || {
                between(Between::Shards);
                writer_cell.borrow_mut().flush()
            },
        )?;
        self.inventory.subjects.scan_folded(
            |image| writer_cell.borrow_mut().put(Lsn::default(), &image),
            || {
                between(Between::Shards);
                writer_cell.borrow_mut().flush()
            },
        )?;
        let mut next = Some(FactsPart::Tallies);
        while let Some(part) = next {
            let (images, rest) = self.inventory.facts.lock().images(part);
            for image in &images {
                writer_cell.borrow_mut().put(Lsn::default(), image);
            }
            between(Between::Shards);
            writer_cell.borrow_mut().flush()?;
            next = rest;
        }
        between(Between::WalkAndSync);
        let (upto, chain) = self.journal.sync()?;
        let written = writer.finish(upto, &chain.0, now)?;
        self.metrics.snapshot_duration.observe(watch.elapsed());
        self.metrics.snapshot_at.set(now.0);
        between(Between::NameAndPrune);
        if let Some(oldest) = snapshot::prune(storage)? {
            between(Between::PruneAndTrim);
            self.journal.trim(oldest.next())?;
        }
        Ok(LastSnapshot { at: now, from, journaled, before: 0, bytes: written.bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: SnapshotPolicy = SnapshotPolicy { every: Millis(300_000), bytes: 1_000 };

    fn last(bytes: u64) -> LastSnapshot {
        LastSnapshot { at: Timestamp(0), from: Lsn(10), journaled: 5_000, before: 0, bytes }
    }

    #[test]
    fn what_earlier_terms_have_journaled_counts() {
        let last = LastSnapshot { journaled: 0, before: 900, ..last(0) };
        assert!(!POLICY.is_due(&last, Timestamp(1), Lsn(11), 99));
        assert!(POLICY.is_due(&last, Timestamp(1), Lsn(11), 100));
    }

    #[test]
    fn time_and_bytes_make_a_snapshot_due_whichever_comes_first() {
        assert!(!POLICY.is_due(&last(0), Timestamp(299_999), Lsn(11), 5_999));
        assert!(POLICY.is_due(&last(0), Timestamp(300_000), Lsn(11), 5_001));
        assert!(POLICY.is_due(&last(0), Timestamp(1), Lsn(11), 6_000));
    }

    #[test]
    fn nothing_journaled_makes_nothing_due_and_a_large_snapshot_is_not_repeated_for_little() {
        assert!(!POLICY.is_due(&last(0), Timestamp(900_000), Lsn(10), 5_000));
        assert!(!POLICY.is_due(&last(4_000), Timestamp(1), Lsn(11), 6_999), "less than half of its size");
        assert!(POLICY.is_due(&last(4_000), Timestamp(1), Lsn(11), 7_000));
    }
}

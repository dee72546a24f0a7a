//! Reads a journal that is not in use, without changing it.

use stockade_types::ids::Lsn;

use super::kept::kept_before;
use super::scan::{Ending, Files, Scan};
use crate::log::LogError;
use crate::log::batch::Batch;
use crate::storage::Storage;

/// A walk over a journal, batch by batch. Damage is returned as the last item; the ending is available afterwards.
#[derive(Debug)]
pub struct Inspection<'s> {
    scan: Scan<'s>,
    files: Vec<String>,
    oldest: Option<Lsn>,
}

/// Starts a walk over the journal in a folder.
///
/// # Errors
/// [`LogError::ForeignFiles`], or when the folder can't be read.
pub fn inspect(storage: &dyn Storage) -> Result<Inspection<'_>, LogError> {
    let segments = Files::list(storage)?.segments;
    let files = segments.iter().map(|segment| segment.name.clone()).collect();
    let oldest = segments.first().map(|segment| segment.first);
    Ok(Inspection { scan: Scan::new(storage, segments, None), files, oldest })
}

/// The same, beginning with the segments that have left the journal and are kept for readers in a folder of their own, as
/// far as they lead up to it without a gap.
///
/// # Errors
/// As of [`inspect`].
pub fn inspect_with_kept<'s>(storage: &'s dyn Storage, kept: &'s dyn Storage) -> Result<Inspection<'s>, LogError> {
    let mut segments = Files::list(storage)?.segments;
    if let Some(oldest) = segments.first().map(|segment| segment.first) {
        segments.splice(0..0, kept_before(kept, oldest).map_err(LogError::reading)?);
    }
    let files = segments.iter().map(|segment| segment.name.clone()).collect();
    let oldest = segments.first().map(|segment| segment.first);
    Ok(Inspection { scan: Scan::new(storage, segments, None).with_kept(kept), files, oldest })
}

impl Inspection<'_> {
    /// Its segments, oldest first.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The oldest record, or the next LSN if there is none; none in an empty folder.
    #[must_use]
    pub const fn oldest(&self) -> Option<Lsn> {
        self.oldest
    }

    /// The LSN after the last record read so far.
    #[must_use]
    pub fn next_lsn(&self) -> Lsn {
        self.scan.tip().next
    }

    /// How the journal ends: set once all batches were read, and only if there was no error.
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        self.scan.ending()
    }
}

impl Iterator for Inspection<'_> {
    type Item = Result<Batch, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.scan.batch().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::file_log::{FileLog, FileLogOptions};
    use super::*;
    use crate::storage::SimulatedStorage;
    use std::sync::Arc;

    #[test]
    fn an_empty_folder_is_no_journal_and_a_fresh_one_is_empty() {
        let storage = SimulatedStorage::new();
        let mut inspection = inspect(&storage).expect("readable");
        assert!(inspection.next().is_none());
        assert_eq!((inspection.oldest(), inspection.ending()), (None, Some(&Ending::Open)));
        let opened = FileLog::open(Arc::new(storage.clone()), FileLogOptions::default());
        opened.expect("opens");
        let mut inspection = inspect(&storage).expect("readable");
        assert!(inspection.next().is_none());
        assert_eq!((inspection.oldest(), inspection.next_lsn()), (Some(Lsn(1)), Lsn(1)));
        assert_eq!(inspection.files(), ["00000000000000000001.journal"]);
    }
}

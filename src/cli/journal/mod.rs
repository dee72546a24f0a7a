//! `stockade journal dump`: prints every record of a journal that no server has open, in order, a line each.
//!
//! It reads as `verify` does and changes nothing. Records go to standard output, everything else to standard error.
//! Nothing is replayed: each record is shown as it is.

use stockade_engine::lifecycle::data_folder::{DataFolder, FolderError};
use stockade_engine::lifecycle::verify::VerifyError;
use stockade_journal::storage::FolderLock;
use stockade_journal::{Batch, Ending, Inspection, LogError, inspect, inspect_with_kept};
use stockade_types::ids::Lsn;

use super::Finding;
use super::args::DumpOptions;
use super::failure::Failure;
use super::output::Output;

mod defined;
mod drops;
mod fact;
mod facts;
mod fields;
mod measured;
mod rules;

use drops::KnownDrops;
use fact::fact;

/// Prints the journal of a data folder.
///
/// # Errors
/// If the folder or its journal can't be read. Damage is a finding, reported after all records before it.
pub(super) fn dump(options: &DumpOptions, output: &mut Output) -> Result<Finding, Failure> {
    let folder = match DataFolder::inspect(&options.data) {
        Ok(folder) => folder,
        Err(error @ FolderError::Damaged { .. }) => {
            output.complain(&format!("finding: {error}"));
            return Ok(Finding::Amiss);
        }
        Err(
            error @ (FolderError::Locked(_)
            | FolderError::Io { .. }
            | FolderError::KeyFile(_)
            | FolderError::Key { .. }
            | FolderError::Foreign { .. }),
        ) => {
            return Err(VerifyError::from(error).into());
        }
    };
    // Only for a note: a lock that can't be checked is ignored.
    if let Some(holder) = FolderLock::holder(&options.data).unwrap_or_default() {
        output.complain(&format!(
            "note: {holder} serves this folder: what it writes meanwhile may be missing, or look torn or damaged"
        ));
    }
    let kept = if options.kept { DataFolder::kept_segments(&options.data).map_err(VerifyError::from)? } else { None };
    let journal = folder.journal.as_ref();
    let inspection = kept.as_deref().map_or_else(|| inspect(journal), |kept| inspect_with_kept(journal, kept));
    let mut inspection = inspection.map_err(VerifyError::from)?;
    let oldest = inspection.oldest().unwrap_or(Lsn(1));
    let mut drops = KnownDrops::new(options.drop.clone());
    if oldest > Lsn(1) {
        drops.read_snapshot(&folder, output);
    }
    let mut dump = Dump { options, drops, printed: 0 };
    if options.from.is_some_and(|from| from < oldest) {
        output.complain(&format!(
            "note: the journal begins with record {oldest}: older ones are in snapshots alone, or in kept/ (--kept)"
        ));
    }
    let ended = dump.dump(&mut inspection, output)?;
    if ended == DumpEnd::ToTheEnd {
        tell_ending(inspection.ending(), output);
        dump.tell_nothing(inspection.next_lsn(), output);
    }
    Ok(if ended == DumpEnd::ToDamage { Finding::Amiss } else { Finding::Well })
}

/// How far the walk got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DumpEnd {
    ToTheEnd,
    /// As many records as requested, or the output is not read any more.
    Enough,
    /// To damage, which was reported.
    ToDamage,
}

struct Dump<'a> {
    options: &'a DumpOptions,
    drops: KnownDrops,
    printed: u64,
}

impl Dump<'_> {
    fn dump(&mut self, inspection: &mut Inspection<'_>, output: &mut Output) -> Result<DumpEnd, Failure> {
        if self.is_enough() {
            return Ok(DumpEnd::Enough);
        }
        for batch in inspection.by_ref() {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error @ LogError::Damage { .. }) => {
                    output.complain(&format!("finding: {error}"));
                    return Ok(DumpEnd::ToDamage);
                }
                Err(
                    error @ (LogError::Io { .. }
                    | LogError::Full(_)
                    | LogError::Unknown(_)
                    | LogError::Gone(_)
                    | LogError::Foreign { .. }
                    | LogError::ForeignFiles(_)
                    | LogError::Fenced { .. }
                    | LogError::WrongPosition { .. }
                    | LogError::Stopped),
                ) => return Err(VerifyError::from(error).into()),
            };
            let lines = self.lines(&batch);
            if !lines.is_empty() {
                // One write for each batch, not for each line. In both formats everything but plain words is JSON.
                output.json(&lines.join("\n"));
            }
            if self.is_enough() || !output.is_open() {
                return Ok(DumpEnd::Enough);
            }
        }
        Ok(DumpEnd::ToTheEnd)
    }

    fn is_enough(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.printed >= limit)
    }

    /// The requested records of a batch, as lines.
    fn lines(&mut self, batch: &Batch) -> Vec<String> {
        let mut lines = Vec::new();
        let mut lsn = batch.head.first;
        for record in &batch.records {
            let wanted = self.drops.meet(record) && self.options.hold.is_none_or(|hold| drops::is_of(record, hold));
            if wanted && self.options.from.is_none_or(|from| lsn >= from) && !self.is_enough() {
                let fact = fact(record, &self.drops);
                lines.push(fact.line(lsn, batch.head.written_at, self.options.json));
                self.printed = self.printed.saturating_add(1);
            }
            lsn = lsn.plus(1);
        }
        lines
    }

    /// Says why nothing was printed, if something was requested by name.
    fn tell_nothing(&self, next: Lsn, output: &mut Output) {
        if self.printed > 0 {
            return;
        }
        match self.options.from {
            Some(from) if from >= next => {
                output.complain(&format!("note: no record {from} yet: the journal ends before record {next}"));
            }
            Some(_) | None if self.options.hold.is_some() || self.options.drop.is_some() => {
                output.complain("note: no record of the journal is of that hold or drop");
            }
            Some(_) | None => {}
        }
    }
}

/// Says how the journal ends, if it was not closed cleanly.
fn tell_ending(ending: Option<&Ending>, output: &mut Output) {
    match ending {
        Some(Ending::Torn(cut)) => output.complain(&format!(
            "note: torn tail in {} at byte {}, record {}: {} bytes of a write that was cut short and never \
             acknowledged, or of a last batch that has rotted: they look the same ({})",
            cut.file, cut.offset, cut.lsn, cut.bytes, cut.what
        )),
        Some(Ending::Lost(cut, later)) => output.complain(&format!(
            "note: with os durability the journal ends in {} at byte {}, record {} ({}); lost behind that: {}",
            cut.file,
            cut.offset,
            cut.lsn,
            cut.what,
            if later.is_empty() { "the rest of that file".to_owned() } else { later.join(", ") }
        )),
        Some(Ending::Open | Ending::Clean(_)) | None => {}
    }
}

#[cfg(test)]
mod tests;

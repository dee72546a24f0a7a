//! A reader of the history that the journal keeps: what it was shown of a place stays true, and survives every crash.

use std::collections::BTreeMap;

use stockade_journal::storage::Storage as _;
use stockade_journal::{Batch, BatchHash, Durability, History, HistoryError, inspect};
use stockade_types::ids::Lsn;

use crate::simulation::{Checked, Doom, Plant, Simulation};

/// The approximate number of bytes in each read.
const AT_ONCE: usize = 2_000;

/// The reader's state.
#[derive(Debug)]
pub struct Reader {
    /// Hashes of batches by their first record.
    seen: BTreeMap<Lsn, BatchHash>,
    /// Where it reads on; from the oldest kept record if that is later.
    from: Lsn,
}

impl Reader {
    /// A reader that has read nothing.
    pub const fn new() -> Self {
        Self { seen: BTreeMap::new(), from: Lsn(1) }
    }

    /// After a restart it reads everything once more.
    pub fn begin_again(&mut self) {
        self.from = Lsn(1);
    }
}

impl Simulation {
    /// Reads on, and lets the history drop what it has kept for long enough. Under a planted fault nothing is read,
    /// unless it is the one that concerns the history.
    pub(crate) fn read_history(&mut self) -> Checked {
        let is_spoilt = self.options.plant == Some(Plant::UnforcedHistory);
        if self.doom.is_some() || (self.options.plant.is_some() && !is_spoilt) {
            return Ok(());
        }
        // With `os` the reader is shown what others have forced, and in half of the cases forces the journal itself.
        let is_os = self.weather.durability == Durability::Os;
        if is_os && !is_spoilt && self.dice.percent(50) && !self.force() {
            return Ok(());
        }
        let history = self.engine().history().expect("a folder that keeps something");
        loop {
            let batches = match self.shown(&history) {
                Ok(batches) => batches,
                Err(HistoryError::NotKept { oldest }) if oldest > self.reader.from => {
                    self.coverage.count("history began later");
                    self.reader.from = oldest;
                    continue;
                }
                Err(error) => {
                    let from = self.reader.from;
                    return self.violated(format!("the history can't be read from {from}: {error:?}"));
                }
            };
            let Some(last) = batches.last() else { break };
            self.reader.from = last.head.next();
            self.is_certain(last.head.next().0 - 1)?;
            for batch in &batches {
                let (first, hash) = (batch.head.first, batch.hash);
                if self.reader.seen.insert(first, hash).is_some_and(|seen| seen != hash) {
                    return self.violated(format!("{first} is another record than it was when it was read before"));
                }
            }
            self.coverage.count("history read");
        }
        // What can't be dropped now is dropped later.
        let _tended = history.tend(self.machine.instant());
        if self.machine.kept().list().is_ok_and(|kept| !kept.is_empty()) {
            self.coverage.count("history kept");
        }
        if self.machine.crashed() {
            self.coverage.count("crash at an operation of the disk");
            self.doom = Some(Doom::Machine);
        }
        Ok(())
    }

    /// The next batches of the history; under the planted fault those on the disk, forced or not.
    fn shown(&self, history: &History) -> Result<Vec<Batch>, HistoryError> {
        if self.options.plant != Some(Plant::UnforcedHistory) {
            return history.batches(self.reader.from, AT_ONCE);
        }
        let written = inspect(&self.machine.journal).map_err(HistoryError::Damage)?;
        let new = |batch: &Batch| batch.head.first >= self.reader.from;
        Ok(written.map_while(Result::ok).filter(new).collect())
    }

    /// A record up to here was shown: no crash of the machine may lose it. With `sync` it must have been certain
    /// before.
    fn is_certain(&mut self, shown: u64) -> Checked {
        if shown > self.certain {
            if self.weather.durability == Durability::Sync {
                return self.violated(format!("{shown} was read, and only {} is certain", self.certain));
            }
            self.coverage.count("history forced by others");
            self.certain = shown;
        }
        Ok(())
    }

    /// Forces what was appended. Returns whether that worked.
    pub(crate) fn force(&mut self) -> bool {
        let engine = self.engine();
        let forced = engine.journal().force();
        if self.machine.crashed() {
            self.coverage.count("crash at an operation of the disk");
            self.doom = Some(Doom::Machine);
        } else if forced.is_err() {
            self.coverage.count("fault of the journal");
            self.doom = Some(Doom::Process);
        } else {
            self.certain = self.certain.max(engine.journal().durable().0);
        }
        self.doom.is_none()
    }
}

//! Somebody who reads what the journal keeps for readers: what was once told of a place stays true of it, and is
//! there, whatever ends.

use std::collections::BTreeMap;

use stockade_journal::storage::Storage as _;
use stockade_journal::{Batch, BatchHash, Durability, History, HistoryError, inspect};
use stockade_types::ids::Lsn;

use crate::simulation::{Checked, Doom, Plant, Simulation};

/// Bytes that are read at once, about.
const AT_ONCE: usize = 2_000;

/// What he knows.
#[derive(Debug)]
pub struct Reader {
    /// Batches by their first record.
    seen: BTreeMap<Lsn, BatchHash>,
    /// Where he reads on; from the oldest that is kept where that is later.
    from: Lsn,
}

impl Reader {
    /// Who knows nothing yet.
    pub const fn new() -> Self {
        Self { seen: BTreeMap::new(), from: Lsn(1) }
    }

    /// A new process: he reads all of it once more.
    pub fn begin_again(&mut self) {
        self.from = Lsn(1);
    }
}

impl Simulation {
    /// He reads on, and what has been kept for long enough is dropped. Planted faults are for others to see, but for one.
    pub(crate) fn read_history(&mut self) -> Checked {
        let is_spoilt = self.options.plant == Some(Plant::UnforcedHistory);
        if self.doom.is_some() || (self.options.plant.is_some() && !is_spoilt) {
            return Ok(());
        }
        // With `os` he is shown what others have had forced, and now and then has it forced himself.
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

    /// What the history shows him next; or, planted, what the disk has, forced or not.
    fn shown(&self, history: &History) -> Result<Vec<Batch>, HistoryError> {
        if self.options.plant != Some(Plant::UnforcedHistory) {
            return history.batches(self.reader.from, AT_ONCE);
        }
        let written = inspect(&self.machine.journal).map_err(HistoryError::Damage)?;
        let new = |batch: &Batch| batch.head.first >= self.reader.from;
        Ok(written.map_while(Result::ok).filter(new).collect())
    }

    /// Up to here a record was shown: from now on no end of the machine may take it. With `sync` that is known before.
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

    /// Forces what was appended, for him. Says whether that was done.
    fn force(&mut self) -> bool {
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

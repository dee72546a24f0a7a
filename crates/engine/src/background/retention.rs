//! Tends what the journal keeps for readers: while there are readers, appended records are forced to the disk for them;
//! segments that were kept long enough are removed.

use std::sync::Arc;
use std::time::Duration;

use stockade_journal::History;
use stockade_types::time::{Clock, Millis, Timestamp};

use crate::Engine;
use crate::watch::PersistentError;

/// How often it checks: with `os` durability readers see a record about this long after it was appended.
pub(crate) const TICK_INTERVAL: Duration = Duration::from_millis(100);
/// How often kept segments are tended.
const TEND_INTERVAL: Millis = Millis(1_000);

/// The work of one thread: a check may wait for the disk.
pub(crate) struct Retention {
    engine: Arc<Engine>,
    history: Arc<History>,
    clock: Arc<dyn Clock>,
    /// None before the first time.
    tended: Option<Timestamp>,
    trouble: PersistentError,
}

impl Retention {
    /// None for an engine without a data folder.
    pub(crate) fn new(engine: &Arc<Engine>, clock: &Arc<dyn Clock>) -> Option<Self> {
        let history = engine.history()?;
        let (engine, clock) = (Arc::clone(engine), Arc::clone(clock));
        Some(Self { engine, history, clock, tended: None, trouble: PersistentError::default() })
    }

    /// Checks once.
    pub(crate) fn tick(&mut self) {
        let journal = self.engine.journal();
        if self.history.is_followed() && self.history.forced() < journal.durable() {
            // If this fails, the journal has failed and reports it.
            let _forced = journal.force();
        }
        let now = self.clock.now();
        if self.tended.is_some_and(|tended| tended.plus(TEND_INTERVAL) > now) {
            return;
        }
        self.tended = Some(now);
        let trouble = self.history.tend(now).err().map(|error| error.to_string());
        if let Some(error) = self.trouble.becomes(trouble) {
            tracing::warn!(error, "segments of the journal that readers may still want can't be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use stockade_journal::storage::SimulatedStorage;
    use stockade_journal::storage::simulated::StorageOperation;
    use stockade_journal::{Durability, FileLogOptions, KeepPolicy};
    use stockade_types::ids::Lsn;
    use stockade_types::record::{Record, Restart};
    use stockade_types::time::ManualClock;

    use super::*;
    use crate::Bounds;
    use crate::lifecycle::data_folder::DataFolder;
    use crate::lifecycle::recover::{StartOptions, recover};

    fn append(engine: &Engine) {
        let record = Record::Restart(Restart { stopped_at: Timestamp(1), grace_until: Timestamp(1), at: None });
        let permit = engine.journal().permit().expect("room");
        let appended = engine.journal().append(permit, &[record], Timestamp(1)).expect("appends");
        engine.journal().ticket(appended.lsn()).wait().expect("written");
    }

    fn started(journal: &SimulatedStorage) -> (Arc<Engine>, Retention) {
        let storage = || Arc::new(SimulatedStorage::new());
        let folder = DataFolder::over(storage(), Arc::new(journal.clone()), storage(), "simulated").expect("a folder");
        let keep = KeepPolicy { age: Millis(1_000), bytes: 1 << 20 };
        let folder = folder.keeping_in(Arc::new(journal.beside("kept/")), keep);
        let log = FileLogOptions { durability: Durability::Os, segment_bytes: 300 };
        let options = StartOptions { bounds: Bounds::default(), log, outage_grace: Millis(0), accept_clock: false };
        let engine = Arc::new(recover(&folder, &options, &|| Timestamp(1)).expect("an engine").engine);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp(1)));
        let retention = Retention::new(&engine, &clock).expect("a history");
        (engine, retention)
    }

    #[test]
    fn what_is_appended_is_forced_while_somebody_follows_and_not_otherwise() {
        let journal = SimulatedStorage::new();
        let (engine, mut retention) = started(&journal);
        let history = engine.history().expect("a history");
        append(&engine);
        retention.tick();
        assert_eq!(history.forced(), Lsn(0));
        let following = history.follow();
        retention.tick();
        assert_eq!(history.forced(), Lsn(1));
        let syncs = journal.count(StorageOperation::SyncData);
        retention.tick();
        assert_eq!(journal.count(StorageOperation::SyncData), syncs, "there is nothing new");
        drop(following);
        append(&engine);
        retention.tick();
        assert_eq!(history.forced(), Lsn(1));
    }

    #[test]
    fn a_sync_that_fails_is_the_journals_end() {
        let journal = SimulatedStorage::new();
        let (engine, mut retention) = started(&journal);
        let _following = engine.history().expect("a history").follow();
        append(&engine);
        journal.fail_at(
            StorageOperation::SyncData,
            journal.count(StorageOperation::SyncData),
            std::io::ErrorKind::Other,
        );
        retention.tick();
        assert!(engine.journal().permit().is_err());
    }
}

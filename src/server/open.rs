//! Opens the data folder with its engine and clock, and closes them in order.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use stockade_engine::background::snapshots::{LastSnapshot, SnapshotPolicy};
use stockade_engine::background::watermark::{self, MemoryWatermark};
use stockade_engine::background::{Background, Snapshots};
use stockade_engine::lifecycle::data_folder::{DataFolder, FORMAT_VERSION};
use stockade_engine::lifecycle::identity_key::IdentityKey;
use stockade_engine::lifecycle::recover::{Report, StartOptions, recover};
use stockade_engine::memory::{self, Limit};
use stockade_engine::{Bounds, Engine};
use stockade_journal::{Failure, FileLogOptions, KeepPolicy};
use stockade_types::digest::DigestKey;
use stockade_types::time::{Clock, EngineClock, Timestamp, wall_clock};

use super::ServeError;
use crate::config::{Config, Durability};

/// An engine that is ready to serve.
#[derive(Debug)]
pub struct OpenedEngine {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Its clock.
    pub clock: Arc<EngineClock>,
    /// Resolves with the reason if the journal fails.
    pub failed: Failure,
    /// Background threads: the agenda, snapshots, the journal's history and the comparison of counters with ledgers.
    background: Background,
    /// `None` if the process's memory is unknown.
    watermark: Option<MemoryWatermark>,
    /// `None` for an ephemeral engine. The folder's lock is held until everything is closed.
    folder: Option<DataFolder>,
}

/// Opens the data folder and recovers.
///
/// # Errors
/// When the data folder can't be used.
pub fn open_engine(config: &Config) -> Result<OpenedEngine, ServeError> {
    let (bounds, memory) = bounds(config);
    let (engine, not_before, kept) =
        if config.ephemeral { ephemeral(config, bounds)? } else { durable(config, bounds)? };
    let clock = Arc::new(EngineClock::start(not_before));
    let engine = Arc::new(engine.serving_from(clock.now()));
    let policy = SnapshotPolicy { every: config.snapshot_every.period, bytes: config.snapshot_every.bytes };
    let (folder, last) = kept.unzip();
    let snapshots = folder.as_ref().zip(last).map(|(folder, last): (&DataFolder, _)| Snapshots {
        storage: Arc::clone(&folder.snapshots),
        policy,
        last,
    });
    let ticking: Arc<dyn Clock> = clock.clone();
    let lock = folder.as_ref().and_then(DataFolder::lock);
    let background = Background::start(&engine, &ticking, snapshots, lock).map_err(|error| refused(&error))?;
    let watermark =
        memory.map(|memory| MemoryWatermark::start(&engine, memory)).transpose().map_err(|error| refused(&error))?;
    let failed = engine.journal().failure();
    Ok(OpenedEngine { engine, clock, failed, background, watermark, folder })
}

/// An engine, the time at which its clock starts, and its folder with the last snapshot in it.
type Started = (Engine, Timestamp, Option<(DataFolder, LastSnapshot)>);

fn durable(config: &Config, bounds: Bounds) -> Result<Started, ServeError> {
    let key = identity_key(config)?;
    let keep = KeepPolicy { age: config.keep_events.age, bytes: config.keep_events.bytes };
    let folder = DataFolder::open_with(&config.data, key.as_ref()).map_err(|error| refused(&error))?.keeping(keep);
    let durability = match config.durability {
        Durability::Sync => stockade_journal::Durability::Sync,
        Durability::Os => stockade_journal::Durability::Os,
    };
    let options = StartOptions {
        bounds,
        log: FileLogOptions { durability, ..FileLogOptions::default() },
        outage_grace: config.outage_grace,
        accept_clock: config.accept_clock,
    };
    let recovered = recover(&folder, &options, &wall_clock)
        .map_err(|error| ServeError::Data(format!("data folder {}: {}", config.data.display(), told_whole(&error))))?;
    log_report(config, &recovered.report);
    Ok((recovered.engine, recovered.now, Some((folder, recovered.last_snapshot))))
}

/// The key from `--identity-key-file`, if that is set.
fn identity_key(config: &Config) -> Result<Option<IdentityKey>, ServeError> {
    config.identity_key_file.as_deref().map(IdentityKey::read).transpose().map_err(|error| refused(&error))
}

fn ephemeral(config: &Config, bounds: Bounds) -> Result<Started, ServeError> {
    // The file is read here too, so that a wrong file is found now and not at the first durable start.
    let key = if let Some(given) = identity_key(config)? {
        given.key().clone()
    } else {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| ServeError::Data(format!("no random key: {error}")))?;
        DigestKey::from_bytes(key)
    };
    let engine = Engine::ephemeral(key, bounds).map_err(|error| refused(&error))?;
    tracing::warn!("ephemeral: nothing is kept, everything is gone with this process");
    Ok((engine, Timestamp::default(), None))
}

/// The bounds, as configured or derived from the process's memory, and that memory, if it is known.
fn bounds(config: &Config) -> (Bounds, Option<u64>) {
    let given = config.memory_budget.map(|bytes| Limit { bytes, from: "--memory-budget".to_owned() });
    let limit = given.or_else(memory::limit);
    let usual = Bounds::default();
    let (holds, ended) = limit.as_ref().map_or_else(
        || (usual.max_holds, u64::try_from(usual.max_ended_holds).unwrap_or(u64::MAX)),
        |limit| watermark::bounds_for(limit.bytes),
    );
    let (max_holds, ended) = (config.max_holds.unwrap_or(holds), config.max_ended_holds.unwrap_or(ended));
    let (memory, from) = limit.map(|Limit { bytes, from }| (bytes, from)).unzip();
    tracing::info!(memory, from, max_holds, max_ended_holds = ended, "bounds that follow from memory and settings");
    let bounds = Bounds {
        max_holds,
        max_ended_holds: usize::try_from(ended).unwrap_or(usize::MAX),
        retry_window: config.retry_window,
        archive_after: config.archive_after,
        max_facts: memory.map_or(usual.max_facts, watermark::facts_for),
        start_room: memory.map_or(usual.start_room, watermark::start_room),
        records_demand: true,
        ..usual
    };
    (bounds, memory)
}

fn log_report(config: &Config, report: &Report) {
    let Report { snapshot, skipped, set_aside, entries, replayed, last, .. } = report;
    let Report { cut, lost, first_start, upgraded, clean, grace_until, .. } = report;
    if *first_start {
        tracing::info!(data = %config.data.display(), "a new data folder");
        return;
    }
    for (why, file) in skipped.iter().zip(set_aside) {
        if let Some(from) = snapshot {
            tracing::error!(why, file, from = from.0, "a snapshot can't be used: started from another");
        } else {
            tracing::error!(why, file, "a snapshot can't be used: started from the journal alone");
        }
    }
    if *upgraded {
        tracing::info!(
            data = %config.data.display(),
            format = FORMAT_VERSION,
            "the data folder has this build's format from now on: older builds refuse it"
        );
    }
    if let Some(cut) = cut {
        let (file, bytes, lsn) = (cut.file.as_str(), cut.bytes, cut.lsn.0);
        tracing::warn!(file, bytes, lsn, why = cut.what, "the journal's torn tail was cut");
    }
    for file in lost {
        tracing::error!(file, "bytes that os durability had not kept whole were set aside");
    }
    if let Some(until) = grace_until {
        tracing::info!(%until, "holds that the outage would have eaten live until then");
    }
    let snapshot = snapshot.map_or(0, |lsn| lsn.0);
    tracing::info!(data = %config.data.display(), snapshot, entries, replayed, last = last.0, clean, "recovered");
}

fn refused(error: &(impl Error + ?Sized)) -> ServeError {
    ServeError::Data(told_whole(error))
}

/// An error with all its causes, on one line.
pub(super) fn told_whole(error: &(impl Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        // Some errors include their cause in their own message.
        if !text.ends_with(&words) {
            // Writing to a string can't fail.
            let _written = write!(text, ": {words}");
        }
        cause = error.source();
    }
    text
}

impl OpenedEngine {
    /// Stops the background work, takes a last snapshot and closes the journal.
    ///
    /// # Errors
    /// [`ServeError::Journal`] if the journal can't be closed. [`ServeError::LastSnapshot`] if it was closed and is
    /// complete, but no snapshot could be taken.
    pub fn close(self) -> Result<(), ServeError> {
        let Self { engine, clock, failed: _, background, watermark, folder } = self;
        drop((background, watermark));
        if let Err(fault) = engine.record_all_demand(clock.now()) {
            tracing::warn!(%fault, "what was asked last is not recorded");
        }
        let taken = folder.as_ref().map(|folder| engine.snapshot(folder.snapshots.as_ref(), clock.now())).transpose();
        // Also after a failed snapshot: the journal is complete, and its trailer proves that.
        engine.journal().close(clock.now()).map_err(|error| ServeError::Journal(told_whole(&error)))?;
        match taken {
            Ok(Some(taken)) => tracing::info!(from = taken.from.0, bytes = taken.bytes, "last snapshot taken"),
            Ok(None) => {}
            Err(error) => return Err(ServeError::LastSnapshot(told_whole(&error))),
        }
        Ok(())
    }
}

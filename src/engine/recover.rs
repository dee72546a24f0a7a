//! From a data folder to a serving engine: load the newest snapshot that is whole, apply the journal behind it, check
//! that everything adds up, and give holds that the outage would have eaten some more time.

use std::io;
use std::sync::Arc;

use super::folder::Folder;
use super::{Bounds, Engine};
use crate::digest::DigestKey;
use crate::ids::Lsn;
use crate::inventory::{Inventory, Unsound};
use crate::journal::{AppendError, Batches, Cut, FileLog, FileLogOptions, Journal, JournalMetrics, Log, LogError};
use crate::record::{Record, Restart};
use crate::snapshot::{self, SnapshotError};
use crate::storage::Storage;
use crate::time::{Millis, Timestamp};

/// A journal whose last record is further ahead of the wall clock than this is not started on unasked.
pub const CLOCK_TOLERANCE: Millis = Millis(5_000);

/// How to start.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// The engine's bounds.
    pub bounds: Bounds,
    /// How the journal is written.
    pub log: FileLogOptions,
    /// How much time a hold has at least after an outage.
    pub outage_grace: Millis,
    /// Start although the wall clock is behind the journal.
    pub accept_clock: bool,
    /// The wall clock.
    pub wall: Timestamp,
}

/// Why the engine can't start.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] LogError),
    /// No snapshot can be used, and without one the journal is not enough.
    #[error("no usable snapshot, and the journal starts at {first}: {why}")]
    NoSnapshot {
        /// Where the journal starts.
        first: Lsn,
        /// Why each snapshot can't be used.
        why: String,
    },
    /// A whole snapshot and a journal that lacks what the snapshot has seen: records are missing, and a start without
    /// them would lose what was acknowledged.
    #[error("snapshot {snapshot} and the journal do not belong together: {why}")]
    Mismatch {
        /// Where the snapshot starts.
        snapshot: Lsn,
        /// How they differ.
        why: String,
    },
    /// Records that do not add up.
    #[error("the journal does not add up: {0}")]
    Unsound(#[from] Unsound),
    /// The wall clock is behind the journal.
    #[error(
        "the wall clock says {wall}, but the journal's last record is from {last}: set the clock right, or start with \
         --accept-clock"
    )]
    Clock {
        /// The wall clock.
        wall: Timestamp,
        /// The last record's time.
        last: Timestamp,
    },
    /// The disk.
    #[error("can't read the snapshots: {0}")]
    Io(#[from] io::Error),
    /// The fact of this start could not be journaled.
    #[error("can't write to the journal: {0}")]
    Append(#[from] AppendError),
}

/// A started engine, and what its start was like.
#[derive(Debug)]
pub struct Recovered {
    /// The engine.
    pub engine: Engine,
    /// Engine time starts here.
    pub now: Timestamp,
    /// For the log.
    pub report: Report,
}

/// What recovery found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Where the snapshot that was used starts.
    pub snapshot: Option<Lsn>,
    /// Newer snapshots that could not be used, and why.
    pub skipped: Vec<String>,
    /// Entities in that snapshot.
    pub entries: u64,
    /// Records that were applied after it.
    pub replayed: u64,
    /// The last place of the journal.
    pub last: Lsn,
    /// A torn tail that was cut.
    pub cut: Option<Cut>,
    /// Files that keep what was cut from between whole batches.
    pub lost: Vec<String>,
    /// There was nothing before: a new data folder.
    pub first_start: bool,
    /// The server was stopped in order.
    pub clean: bool,
    /// Holds with a deadline before this were given this one.
    pub grace_until: Option<Timestamp>,
}

/// Starts an engine on a data folder.
///
/// # Errors
/// [`RecoverError`]; the folder is left as it was, but for a torn tail that was cut.
pub fn recover(folder: &Folder, options: &StartOptions) -> Result<Recovered, RecoverError> {
    let (log, opened) = FileLog::open(Arc::clone(&folder.journal), options.log)?;
    let source = Source { oldest: opened.oldest, next: opened.next, read: &|from| log.read(from) };
    let replayed = replay(&folder.key, folder.snapshots.as_ref(), &source)?;
    let Replayed { mut inventory, mut report, last_time } = replayed;
    report.clean = opened.clean;
    report.first_start = report.snapshot.is_none() && opened.next == Lsn(1);
    report.cut.clone_from(&opened.cut);
    report.lost.clone_from(&opened.lost);

    let last_time = last_time.max(opened.last_written_at);
    let now = start_time(options, last_time)?;
    let journal = Journal::start(Arc::new(log), opened.start(), Arc::new(JournalMetrics::default()))?;
    if let Some(stopped_at) = last_time {
        let restart = Restart { stopped_at, grace_until: now.plus(options.outage_grace) };
        if inventory.restart_matters(restart) {
            let record = Record::Restart(restart);
            let ticket = journal.append(journal.permit()?, std::slice::from_ref(&record), now)?;
            inventory.apply(ticket.lsn(), &record)?;
            report.grace_until = Some(restart.grace_until);
        }
    }
    inventory.derive()?;
    Ok(Recovered { engine: Engine::new(inventory, journal, options.bounds), now, report })
}

/// A journal to replay: opened for serving, or only looked at.
pub(super) struct Source<'a> {
    /// The oldest record that is there, or would be.
    pub(super) oldest: Lsn,
    /// The LSN after the last record.
    pub(super) next: Lsn,
    /// Batches from the one on that holds this place; earlier ones may come before it.
    pub(super) read: &'a dyn Fn(Lsn) -> Result<Batches<'a>, LogError>,
}

/// An inventory to which everything on disk was applied. Nothing is derived yet.
pub(super) struct Replayed {
    pub(super) inventory: Inventory,
    pub(super) report: Report,
    /// The latest time that snapshot or journal name.
    pub(super) last_time: Option<Timestamp>,
}

/// Loads the newest snapshot that is whole and belongs to this journal, and applies the journal behind it.
pub(super) fn replay(key: &DigestKey, snapshots: &dyn Storage, log: &Source<'_>) -> Result<Replayed, RecoverError> {
    let mut skipped = Vec::new();
    for from in snapshot::list(snapshots)? {
        match replay_from(Some(from), key, snapshots, log)? {
            Ok(mut replayed) => {
                replayed.report.skipped = skipped;
                return Ok(replayed);
            }
            Err(why) => skipped.push(why),
        }
    }
    let first = log.oldest;
    if first > Lsn(1) {
        let why = if skipped.is_empty() { "there is none".to_owned() } else { skipped.join("; ") };
        return Err(RecoverError::NoSnapshot { first, why });
    }
    match replay_from(None, key, snapshots, log)? {
        Ok(mut replayed) => {
            replayed.report.skipped = skipped;
            Ok(replayed)
        }
        Err(why) => Err(RecoverError::NoSnapshot { first, why }),
    }
}

/// As [`replay`], with one snapshot. The inner error says why that snapshot can't be used.
fn replay_from(
    from: Option<Lsn>,
    key: &DigestKey,
    snapshots: &dyn Storage,
    log: &Source<'_>,
) -> Result<Result<Replayed, String>, RecoverError> {
    let inventory = Inventory::new(key.clone());
    let mut report = Report { snapshot: from, ..Report::default() };
    let mut last_time = None;
    let mut bound = None;
    if let Some(from) = from {
        let apply = |lsn, record: Record| inventory.apply(lsn, &record).map_err(|error| error.to_string());
        match snapshot::load(snapshots, from, apply) {
            Ok(loaded) => {
                report.entries = loaded.entries;
                last_time = Some(loaded.written_at);
                bound = Some((loaded.upto, loaded.chain));
            }
            Err(error @ (SnapshotError::Damage { .. } | SnapshotError::Foreign { .. } | SnapshotError::Io { .. })) => {
                return Ok(Err(error.to_string()));
            }
        }
        if log.oldest > from.next() {
            return Ok(Err(format!("snapshot {from}: the journal starts at {} only", log.oldest)));
        }
    }
    let from = from.unwrap_or_default();
    report.last = from;
    let mismatch = |why| RecoverError::Mismatch { snapshot: from, why };
    if let Some((upto, _)) = bound
        && upto >= log.next
    {
        return Err(mismatch(format!("it has seen record {upto}, but the journal ends before {}", log.next)));
    }
    // From the snapshot's own place, where the journal still has it: the two are compared there.
    for batch in (log.read)(from.max(log.oldest))? {
        let batch = batch?;
        for (lsn, record) in batch.iter() {
            // A batch may begin before the snapshot: what it has seen may have been forgotten since.
            if lsn > from {
                inventory.apply(lsn, record)?;
                report.replayed = report.replayed.saturating_add(1);
            }
            report.last = report.last.max(lsn);
        }
        last_time = last_time.max(Some(batch.head.written_at));
        if let Some((upto, chain)) = bound
            && batch.head.next() == upto.next()
            && batch.hash.0 != chain
        {
            return Err(mismatch(format!("they differ up to record {upto}")));
        }
    }
    Ok(Ok(Replayed { inventory, report, last_time }))
}

fn start_time(options: &StartOptions, last: Option<Timestamp>) -> Result<Timestamp, RecoverError> {
    let Some(last) = last else { return Ok(options.wall) };
    if last > options.wall.plus(CLOCK_TOLERANCE) && !options.accept_clock {
        return Err(RecoverError::Clock { wall: options.wall, last });
    }
    Ok(last.max(options.wall))
}

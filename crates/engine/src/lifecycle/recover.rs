//! From a data folder to a serving engine: load the newest snapshot that is whole, apply the journal after it, check
//! that all sums are right, and give more time to holds whose deadline lies in the outage or shortly after it.

use std::io;
use std::sync::Arc;

use stockade_journal::snapshot::{self, Loaded, SnapshotError};
use stockade_journal::storage::Storage;
use stockade_journal::{
    AppendError, BatchHash, Cut, Durability, FileLog, FileLogOptions, History, Journal, JournalMetrics, JournalState,
    KeptSegments, LogError, ScannedJournal, Writer,
};
use stockade_types::digest::DigestKey;
use stockade_types::ids::Lsn;
use stockade_types::invariant;
use stockade_types::record::{Record, Restart};
use stockade_types::time::{Millis, Timestamp};

use crate::background::snapshots::LastSnapshot;
use crate::inventory::{BulkLoad, ReplayError};
use crate::lifecycle::data_folder::DataFolder;
use crate::lifecycle::replay_eviction::ReplayEviction;
use crate::{Bounds, Engine};

/// If the journal's last record is further ahead of the wall clock than this, a start is refused unless it is asked
/// for.
pub const CLOCK_TOLERANCE: Millis = Millis(5_000);

/// How to start.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// The engine's bounds.
    pub bounds: Bounds,
    /// How the journal is written.
    pub log: FileLogOptions,
    /// How much time holds have at least after an outage.
    pub outage_grace: Millis,
    /// Start even if the wall clock is behind the journal.
    pub accept_clock: bool,
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
    /// Records are missing that were on the disk when a snapshot was taken.
    #[error(
        "snapshot {file} was taken when the journal went up to record {upto}, but now it ends before record {next}: \
         records {next} to {upto} are missing. Put the missing end of the journal back; or, to go on without those \
         records, move that snapshot out of its folder"
    )]
    Behind {
        /// Which snapshot.
        file: String,
        /// The journal's last record then, at least.
        upto: Lsn,
        /// The first record that is missing.
        next: Lsn,
    },
    /// The folder can't be marked as one of this build's format.
    #[error("can't write that the data folder has records of this build's format: {0}")]
    Upgrade(#[source] io::Error),
    /// A snapshot that can't be used can't be set aside.
    #[error("can't set a snapshot aside that can't be used: {0}")]
    SetAside(#[source] io::Error),
    /// Records that contradict each other.
    #[error("the journal does not add up: {0}")]
    Replay(#[from] ReplayError),
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
    /// The disk failed.
    #[error("can't read the snapshots: {0}")]
    Io(#[from] io::Error),
    /// The record of this start could not be journaled.
    #[error("can't write to the journal: {0}")]
    Append(#[from] AppendError),
}

/// A started engine, and how it was started.
#[derive(Debug)]
pub struct Recovered {
    /// The engine.
    pub engine: Engine,
    /// Engine time starts here.
    pub now: Timestamp,
    /// The snapshot that it was started from, for deciding when the next is due.
    pub last_snapshot: LastSnapshot,
    /// For the log.
    pub report: Report,
}

/// What recovery found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The record after which the snapshot that was used begins.
    pub snapshot: Option<Lsn>,
    /// Newer snapshots that could not be used, and why.
    pub skipped: Vec<String>,
    /// The new names of those files.
    pub set_aside: Vec<String>,
    /// Entities in that snapshot.
    pub entries: u64,
    /// Records that were applied after it.
    pub replayed: u64,
    /// The last record of the journal.
    pub last: Lsn,
    /// A torn tail that was cut.
    pub cut: Option<Cut>,
    /// Files that keep what was cut off between whole batches.
    pub lost: Vec<String>,
    /// The data folder was new.
    pub first_start: bool,
    /// The folder was written by an older build, and older builds can't read it from now on.
    pub upgraded: bool,
    /// The server was stopped in order.
    pub clean: bool,
    /// Holds whose deadline lies between the stop and this instant were given this one.
    pub grace_until: Option<Timestamp>,
}

/// Starts an engine on a data folder. `wall` reads the wall clock: the journal is compared with its first reading.
/// Engine time and the outage's grace begin with a reading after the replay, which may take minutes.
///
/// # Errors
/// [`RecoverError`]. Reasons found in the journal, the snapshots or the clock are found before anything is changed: the
/// refused folder is unchanged.
pub fn recover(
    folder: &DataFolder,
    options: &StartOptions,
    wall: &dyn Fn() -> Timestamp,
) -> Result<Recovered, RecoverError> {
    let (recovered, writer) = recover_driven(folder, options, wall)?;
    let journal = &recovered.engine.journal;
    journal.run(writer)?;
    if folder.is_of_format_1() {
        // With any durability: what the meta file says must not outlast the record that it refers to.
        journal.sync().map_err(|failed| RecoverError::Upgrade(io::Error::other(failed)))?;
        folder.finish_upgrade().map_err(RecoverError::Upgrade)?;
    }
    Ok(recovered)
}

/// As [`recover`], with the journal's writer driven by the caller: see [`Journal::driven`].
///
/// # Errors
/// As [`recover`].
pub fn recover_driven(
    folder: &DataFolder,
    options: &StartOptions,
    wall: &dyn Fn() -> Timestamp,
) -> Result<(Recovered, Writer), RecoverError> {
    let asked = wall();
    let scanned = ScannedJournal::scan(Arc::clone(&folder.journal))?;
    let Replayed { load, mut report, last_time, unusable, loaded, behind, marked } =
        replay(&folder.key, folder.snapshots.as_ref(), &scanned, options.bounds.max_ended_holds)?;
    report.first_start = report.snapshot.is_none() && scanned.state().next == Lsn(1);
    let last_time = last_time.max(scanned.state().last_written_at);
    check_clock(options, asked, last_time)?;
    let now = wall().max(last_time.unwrap_or_default());
    let mut appended_first = Vec::new();
    // An earlier start that ended before it marked `stockade.meta` may have written the record already.
    if folder.is_of_format_1() && !report.first_start && !marked {
        appended_first.push(Record::Upgraded(now));
    }
    let restart = last_time
        .map(|stopped_at| Restart { stopped_at, grace_until: now.plus(options.outage_grace), at: Some(now) })
        .filter(|restart| load.restart_matters(*restart));
    report.grace_until = restart.map(|restart| restart.grace_until);
    appended_first.extend(restart.map(Record::Restart));
    let mut next = scanned.state().next;
    for record in &appended_first {
        load.apply(next, record)?;
        next = next.next();
    }
    let inventory = load.finish(options.bounds.start_room)?;

    // The first change of the folder, before any record that older builds don't know.
    report.upgraded = folder.upgrade().map_err(RecoverError::Upgrade)? || folder.is_of_format_1();
    let kept = folder.kept();
    // A start needs disk space, and segments kept for readers are dropped first. If that fails, the journal reports
    // what it lacks.
    let _tried = kept.as_ref().map(KeptSegments::drop_while_disk_is_low);
    let (log, opened) = FileLog::serve_keeping(scanned, options.log, kept)?;
    let JournalState { clean, ref cut, ref lost, .. } = opened;
    (report.clean, report.cut, report.lost) = (clean, cut.clone(), lost.clone());
    report.set_aside = snapshot::set_aside(folder.snapshots.as_ref(), &unusable).map_err(RecoverError::SetAside)?;
    let log = Arc::new(log);
    let name = folder.journal_name().map_err(RecoverError::Upgrade)?;
    let history = name.map(|name| Arc::new(History::new(name, Arc::clone(&log))));
    let (journal, writer) = Journal::driven(log, opened.start(), Arc::new(JournalMetrics::default()));
    let mut next = opened.next;
    for record in appended_first {
        let lsn = journal.append(journal.permit()?, &[record], now)?.lsn();
        invariant!(lsn == next, "a record of this start stands at {lsn} and was applied as {next}");
        next = next.next();
    }
    let engine = Engine::new(inventory, journal, options.bounds).with_history(history);
    if let Some(stopped_at) = last_time {
        engine.missed_demand(stopped_at, now);
    }
    if let Some(loaded) = &loaded {
        engine.metrics.snapshot_at.set(loaded.written_at.0);
    }
    let last_snapshot = last_snapshot(loaded.as_ref(), &behind, now);
    Ok((Recovered { engine, now, last_snapshot, report }, writer))
}

/// For deciding when the next snapshot is due. A process that restarts often must not count from zero each time.
fn last_snapshot(loaded: Option<&Loaded>, behind: &Behind, now: Timestamp) -> LastSnapshot {
    let (at, from, bytes) = loaded.map_or_else(
        || (behind.since.unwrap_or(now), Lsn::default(), 0),
        |loaded| (loaded.written_at, loaded.from, loaded.bytes),
    );
    LastSnapshot { at, from, journaled: 0, before: behind.bytes, bytes }
}

/// The journal after a snapshot, or all of it.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// Bytes of its batches.
    bytes: u64,
    /// When its first batch was written.
    since: Option<Timestamp>,
}

/// What a start has read: all that is on the disk is applied, nothing is derived yet.
pub(crate) struct Replayed {
    pub(crate) load: BulkLoad,
    pub(crate) report: Report,
    /// The latest time in snapshot and journal.
    pub(crate) last_time: Option<Timestamp>,
    /// Newer snapshots that can't be used.
    unusable: Vec<Lsn>,
    /// The snapshot that was used.
    loaded: Option<Loaded>,
    /// What was applied after it.
    behind: Behind,
    /// One of its records says where format 1 ends.
    marked: bool,
}

/// Loads the newest snapshot that is whole and belongs to this journal, and applies the journal after it. Keeps about
/// `most_ended` ended holds. Changes nothing on the disk.
pub(crate) fn replay(
    key: &DigestKey,
    snapshots: &dyn Storage,
    scanned: &ScannedJournal,
    most_ended: usize,
) -> Result<Replayed, RecoverError> {
    let (mut skipped, mut unusable) = (Vec::new(), Vec::new());
    for from in snapshot::list(snapshots)? {
        let into = BulkLoad::new(key.clone());
        match load(from, &into, snapshots, scanned)? {
            Ok(loaded) => {
                let mut replayed = apply_journal(into, Some(loaded), scanned, most_ended)?;
                (replayed.report.skipped, replayed.unusable) = (skipped, unusable);
                return Ok(replayed);
            }
            Err(why) => {
                skipped.push(why);
                unusable.push(from);
            }
        }
    }
    let first = scanned.state().oldest;
    if first > Lsn(1) {
        let why = if skipped.is_empty() { "there is none".to_owned() } else { skipped.join("; ") };
        return Err(RecoverError::NoSnapshot { first, why });
    }
    let mut replayed = apply_journal(BulkLoad::new(key.clone()), None, scanned, most_ended)?;
    (replayed.report.skipped, replayed.unusable) = (skipped, unusable);
    Ok(replayed)
}

/// Loads a snapshot and proves that it was taken with this journal. The inner error says why it can't be used; `into`
/// must be discarded then.
fn load(
    from: Lsn,
    into: &BulkLoad,
    snapshots: &dyn Storage,
    scanned: &ScannedJournal,
) -> Result<Result<Loaded, String>, RecoverError> {
    let restore = |lsn, image: Record| into.restore(lsn, &image).map_err(|error| error.to_string());
    let loaded = match snapshot::load(snapshots, from, restore) {
        Ok(loaded) => loaded,
        Err(error @ (SnapshotError::Damage { .. } | SnapshotError::Foreign { .. } | SnapshotError::Io { .. })) => {
            return Ok(Err(error.to_string()));
        }
    };
    let file = snapshot::name(from);
    let JournalState { oldest, next, .. } = *scanned.state();
    let upto = loaded.upto;
    if upto >= next {
        let missing = RecoverError::Behind { file, upto, next };
        return match scanned.durability() {
            // The missing records had been forced to the disk for the snapshot, but this mode only promises a prefix.
            Some(Durability::Os) => Ok(Err(missing.to_string())),
            Some(Durability::Sync) | None => Err(missing),
        };
    }
    if upto < from {
        return Ok(Err(format!("snapshot {file}: it ends at {upto}, before it begins")));
    }
    if oldest > from.next() {
        return Ok(Err(format!("snapshot {file}: the journal starts at {oldest} only")));
    }
    Ok(match chain_at(scanned, upto)? {
        Some(chain) if chain.0 == loaded.chain => Ok(loaded),
        Some(_) => Err(format!("snapshot {file}: it belongs to another journal (the hash at {upto} differs)")),
        None => Err(format!("snapshot {file}: it belongs to another journal (no batch ends at {upto})")),
    })
}

/// The hash of the batch that ends at `place`, as the next batch, or the journal's end, has it. None if no batch ends
/// there.
fn chain_at(scanned: &ScannedJournal, place: Lsn) -> Result<Option<BatchHash>, RecoverError> {
    let JournalState { next, chain, .. } = *scanned.state();
    let follower = place.next();
    if follower >= next {
        return Ok((follower == next).then_some(chain));
    }
    let batch = scanned.read(follower)?.next().transpose()?;
    Ok(batch.filter(|batch| batch.head.first == follower).map(|batch| batch.head.before))
}

/// Applies the journal after a snapshot, or all of it.
fn apply_journal(
    load: BulkLoad,
    loaded: Option<Loaded>,
    scanned: &ScannedJournal,
    most_ended: usize,
) -> Result<Replayed, RecoverError> {
    let from = loaded.as_ref().map_or(Lsn::default(), |loaded| loaded.from);
    let entries = loaded.as_ref().map_or(0, |loaded| loaded.entries);
    let snapshot = loaded.as_ref().map(|loaded| loaded.from);
    let mut report = Report { snapshot, entries, last: from, ..Report::default() };
    let mut last_time = loaded.as_ref().map(|loaded| loaded.written_at);
    let mut behind = Behind::default();
    let mut marked = false;
    let mut eviction = ReplayEviction::new(most_ended);
    for batch in scanned.read(from.next())? {
        let batch = batch?;
        for (lsn, record) in batch.iter() {
            // A batch may begin before the snapshot, and its holds may have been forgotten since.
            if lsn > from {
                load.apply(lsn, record)?;
                report.replayed = report.replayed.saturating_add(1);
            }
            marked |= matches!(record, Record::Upgraded(_));
            report.last = report.last.max(lsn);
        }
        eviction.after(&load, scanned, report.last, batch.head.count)?;
        last_time = last_time.max(Some(batch.head.written_at));
        behind.bytes = behind.bytes.saturating_add(batch.bytes);
        behind.since = behind.since.or(Some(batch.head.written_at));
    }
    Ok(Replayed { load, report, last_time, unusable: Vec::new(), loaded, behind, marked })
}

fn check_clock(options: &StartOptions, wall: Timestamp, last: Option<Timestamp>) -> Result<(), RecoverError> {
    match last {
        Some(last) if last > wall.plus(CLOCK_TOLERANCE) && !options.accept_clock => {
            Err(RecoverError::Clock { wall, last })
        }
        Some(_) | None => Ok(()),
    }
}

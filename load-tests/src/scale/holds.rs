//! The cost of live holds: memory, throughput, a snapshot and a restart, at each number of them.
//!
//! Four servers run one after the other on one folder. The first is filled, and leaves a snapshot of the holds alone.
//! The second starts on that, and takes a snapshot while it serves. The third does the work in unary calls, fills the
//! journal and is killed. The fourth recovers snapshot and journal, and does the work in messages.

use std::fs;
use std::path::Path;
use std::time::Duration;

use stockade_drill::Failure;
use stockade_drill::drive::closed_loop;
use stockade_drill::numbers::real;
use stockade_drill::process::Signal;
use stockade_types::metrics::Stopwatch;
use tempfile::TempDir;

use super::cycle::{self, Batches, Calls, DROP};
use super::{Options, stage};
use crate::kernel;
use crate::output::Output;
use crate::server::{Server, own, snapshots_every};

/// Records after the snapshot that a restart must apply: half of them reserves, half releases.
const BEHIND: u64 = 1_000_000;
/// How long a restart may take.
const RESTART_TIMEOUT: Duration = Duration::from_mins(3);
/// How long a server may take to end with its last snapshot.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_mins(3);
/// How long to wait for a snapshot.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_mins(3);
/// How often it is checked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A flag that makes the server take a snapshot as soon as there is something new.
const SNAPSHOT_EVERY: &str = "1s,1TiB";

/// The cost of this many live holds.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Point {
    /// Live holds: one line, one unit, a customer of 12 bytes for each.
    pub holds: u64,
    /// Holds a second while they were made.
    pub made: f64,
    /// Growth of the server's resident memory for each hold, in bytes.
    pub memory: f64,
    /// Resident memory of the next server, which has recovered them and done nothing else, for each hold, in bytes.
    pub memory_recovered: f64,
    /// The size of the snapshot file for each hold, in bytes.
    pub snapshot: f64,
    /// How long a snapshot took while the server served, in seconds.
    pub snapshot_took: f64,
    /// From the process's start until it serves, with the snapshot alone, in seconds.
    pub restart: f64,
    /// The same with the snapshot and the journal.
    pub restart_with_journal: f64,
    /// Records of that journal.
    pub behind: u64,
    /// Reserves with their releases a second, in unary calls.
    pub calls: f64,
    /// The 99th percentile of both calls together, in milliseconds.
    pub calls_p99_ms: f64,
    /// Reserves with their releases a second, a thousand in a message.
    pub messages: f64,
}

/// Measures one number of holds.
///
/// # Errors
/// When a server does not start or end well, a hold is not granted, or the stock does not show all of them.
pub async fn measure(options: &Options, holds: u64, output: &mut Output) -> Result<Point, Failure> {
    let drops = [DROP.to_owned()];
    let server = stage::server(&options.recipe, &drops).await?;
    let before = own(server.process().and_then(kernel::resident))?;
    let watch = Stopwatch::start();
    cycle::fill(&server.endpoint, holds).await?;
    let made = real(holds) / watch.elapsed().as_secs_f64();
    let full = own(server.process().and_then(kernel::resident))?;
    stage::audit(&server, &drops, holds).await?;
    let each = |bytes: u64| real(bytes) / real(holds.max(1));
    let memory = each(full.saturating_sub(before));
    output.line(&format!("  made, {memory:.0} bytes of memory a hold"));
    let folder = left(server, Signal::TERM, true)?;
    let snapshot = each(newest_snapshot(&folder.path().join("data").join("snapshots"))?);

    let (server, restart) = restarted(options, folder, Some(SNAPSHOT_EVERY))?;
    stage::audit(&server, &drops, holds).await?;
    let recovered = own(server.process().and_then(kernel::resident))?;
    let memory_recovered = each(recovered.saturating_sub(before));
    cycle::cycles(&server.endpoint, 1).await?;
    let snapshot_took = snapshot_duration(&server).await?;
    output.line(&format!("  {snapshot:.1} bytes of snapshot a hold, taken in {snapshot_took:.2} s"));
    let folder = left(server, Signal::KILL, false)?;

    let (server, _again) = restarted(options, folder, None)?;
    let calls = closed_loop(Calls::callers(&server.endpoint).await?, options.span()).await?;
    let records = calls.operations.saturating_mul(2);
    cycle::cycles(&server.endpoint, BEHIND.saturating_sub(records) / 2).await?;
    stage::audit(&server, &drops, holds).await?;
    let folder = left(server, Signal::KILL, false)?;

    let (server, restart_with_journal) = restarted(options, folder, None)?;
    stage::audit(&server, &drops, holds).await?;
    let messages = closed_loop(Batches::callers(&server.endpoint).await?, options.span()).await?;
    stage::audit(&server, &drops, holds).await?;
    output.line(&format!(
        "  restart in {restart:.2} s, with {} records behind the snapshot in {restart_with_journal:.2} s",
        BEHIND.max(records)
    ));
    Ok(Point {
        holds,
        made,
        memory,
        memory_recovered,
        snapshot,
        snapshot_took,
        restart,
        restart_with_journal,
        behind: BEHIND.max(records),
        calls: calls.rate,
        calls_p99_ms: calls.millis(0.99),
        messages: messages.rate,
    })
}

/// Ends a server and keeps its folder.
fn left(server: Server, signal: Signal, well: bool) -> Result<TempDir, Failure> {
    let left = server.leave(signal, SHUTDOWN_TIMEOUT)?;
    if well && !left.well {
        return Err(Failure::Work("the server did not end well".to_owned()));
    }
    Ok(left.folder)
}

/// Starts the next server on the folder. Also returns the seconds from its start until it serves.
fn restarted(options: &Options, folder: TempDir, snapshot_every: Option<&str>) -> Result<(Server, f64), Failure> {
    let watch = Stopwatch::start();
    let server = options.recipe.start_on(folder, &snapshots_every(snapshot_every), RESTART_TIMEOUT)?;
    Ok((server, watch.elapsed().as_secs_f64()))
}

/// The size of the newest snapshot.
fn newest_snapshot(folder: &Path) -> Result<u64, Failure> {
    let files = fs::read_dir(folder).map_err(Failure::file(folder))?.filter_map(Result::ok);
    let snapshots = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "snapshot"));
    // File names begin with the LSN at a fixed width, so they sort by it.
    let newest = snapshots.max_by_key(fs::DirEntry::file_name);
    let newest = newest.ok_or_else(|| Failure::Work("the server left no snapshot".to_owned()))?;
    Ok(newest.metadata().map_err(Failure::file(&newest.path()))?.len())
}

/// Waits for the first snapshot of a server. Returns its duration in seconds.
async fn snapshot_duration(server: &Server) -> Result<f64, Failure> {
    let watch = Stopwatch::start();
    while watch.elapsed() < SNAPSHOT_TIMEOUT {
        let (taken, seconds) = server.snapshots().await?;
        if taken > 0.0 {
            return Ok(seconds / taken);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(Failure::Work("the server takes no snapshot".to_owned()))
}

/// The numbers of holds to measure: powers of ten up to the greatest, and the greatest itself.
#[must_use]
pub fn counts(least: u64, most: u64) -> Vec<u64> {
    let mut counts: Vec<u64> =
        std::iter::successors(Some(least), |size| size.checked_mul(10)).take_while(|size| *size < most).collect();
    counts.push(most);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_powers_of_ten_up_to_the_most() {
        assert_eq!(counts(10_000, 10_000_000), [10_000, 100_000, 1_000_000, 10_000_000]);
        assert_eq!(counts(1, 30), [1, 10, 30]);
        assert_eq!(counts(10_000, 500), [500]);
    }

    #[test]
    fn the_newest_snapshot_is_the_one_with_the_last_name() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(newest_snapshot(folder.path()).is_err(), "there is none");
        for (name, bytes) in [("01.snapshot", 5), ("02.snapshot", 7), ("03.snapshot.tmp", 9)] {
            fs::write(folder.path().join(name), vec![0; bytes]).expect("a file");
        }
        assert_eq!(newest_snapshot(folder.path()).expect("a snapshot"), 7);
    }
}

//! A follower takes over: from "lead" to the first durable answer, with 10,000,000 live holds.
//!
//! A leader fills a data folder and stops. A follower reads its journal and applies it record by record, so its state
//! is current after each. Then it leads: it opens the log's end for writing, makes an engine from its state, and
//! answers one reserve. Nothing is derived anew. For comparison a start on the same folder, which does derive, is
//! printed too.
//!
//! `cargo bench --bench takeover [-- HOLDS]`. It takes about 2 GiB of memory and as much disk space.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

mod common;
#[path = "common/drops.rs"]
mod drops;
#[expect(dead_code, reason = "of the herd only its holds are needed here")]
#[path = "common/crowd.rs"]
mod crowd;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stockade_engine::Engine;
use stockade_engine::inventory::Inventory;
use stockade_engine::lifecycle::data_folder::DataFolder;
use stockade_engine::lifecycle::recover::{StartOptions, recover};
use stockade_journal::{FileLog, FileLogOptions, Journal, JournalMetrics, ScannedJournal};
use stockade_types::ids::Lsn;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Millis;

use crowd::{CUSTOMERS, Crowd, bounds, create};
use drops::NOW;

/// Live holds, unless the command line gives a number.
const HOLDS: u64 = 10_000_000;
/// Live holds in a test run of the benchmarks.
const TRIED: u64 = 1_000;
/// Number of takeovers.
const TURNS: u32 = 5;
/// The maximum time until the first answer.
const TARGET: Duration = Duration::from_millis(500);

fn options() -> StartOptions {
    StartOptions { bounds: bounds(), log: FileLogOptions::default(), outage_grace: Millis(0), accept_clock: false }
}

/// The number of holds on the command line; the options are those of `cargo bench`.
fn asked() -> u64 {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.iter().find_map(|word| word.parse().ok());
    // `cargo bench` passes `--bench`, `cargo test` does not.
    number.unwrap_or(if words.iter().any(|word| word == "--bench") { HOLDS } else { TRIED })
}

/// Makes a data folder whose journal has this many live holds.
fn prepare(path: &Path, holds: u64) {
    let folder = DataFolder::open(path).expect("a folder");
    let engine = recover(&folder, &options(), &|| NOW).expect("an engine").engine;
    create(&engine, "knives", 2 * holds, NOW);
    let mut crowd = Crowd::new("knives", 0..CUSTOMERS, 0);
    for _ in 0..holds {
        crowd.reserve(&engine, NOW);
    }
    engine.journal().close(NOW).expect("closes");
}

/// The inventory of a follower at the journal's end.
fn followed(folder: &DataFolder, scanned: &ScannedJournal) -> Inventory {
    let inventory = Inventory::new(folder.key.clone());
    for batch in scanned.read(Lsn(1)).expect("a journal") {
        for (lsn, record) in batch.expect("a sound batch").iter() {
            inventory.follow(lsn, record).expect("a sound record");
        }
    }
    inventory
}

/// Turns a follower into a leader. Returns the engine, and the time until its first answer.
fn lead(inventory: Inventory, scanned: ScannedJournal, next: u64) -> (Engine, Duration) {
    let mut crowd = Crowd::new("knives", 0..1, next);
    let watch = Stopwatch::start();
    let (log, opened) = FileLog::serve(scanned, FileLogOptions::default()).expect("a log");
    let journal = Journal::start(Arc::new(log), opened.start(), Arc::new(JournalMetrics::default()));
    let engine = Engine::new(inventory, journal.expect("a journal"), bounds());
    crowd.reserve(&engine, NOW);
    engine.journal().barrier().wait().expect("a durable answer");
    (engine, watch.elapsed())
}

fn main() {
    let holds = asked();
    let path = tempfile::tempdir().expect("a folder");
    prepare(path.path(), holds);
    let mut slowest = Duration::ZERO;
    for turn in 0..TURNS {
        let folder = DataFolder::open(path.path()).expect("a folder");
        let scanned = ScannedJournal::scan(Arc::clone(&folder.journal)).expect("a journal");
        let watch = Stopwatch::start();
        let inventory = followed(&folder, &scanned);
        let follows = watch.elapsed();
        let known = inventory.owned();
        assert_eq!(known, holds + u64::from(turn), "it knows all");
        let (engine, taken) = lead(inventory, scanned, known);
        engine.journal().close(NOW).expect("closes");
        println!("{known} live holds: followed in {follows:.1?}, leads and has answered after {taken:.1?}");
        slowest = slowest.max(taken);
    }
    let folder = DataFolder::open(path.path()).expect("a folder");
    let watch = Stopwatch::start();
    let recovered = recover(&folder, &options(), &|| NOW).expect("an engine");
    let start = watch.elapsed();
    recovered.engine.journal().close(NOW).expect("closes");
    println!("a start of the same folder, journal alone: {start:.1?}");
    let hit = if slowest < TARGET { "hit" } else { "missed" };
    println!("the slowest of {TURNS}: {slowest:.1?}, of {TARGET:.1?} at most: {hit}");
}

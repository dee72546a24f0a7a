//! Recovery: from a data folder on a disk to an engine with 1,100,000 live holds.
//!
//! - `snapshot and journal`: a snapshot of a million, and a hundred thousand records after it, as in a restart.
//! - `journal alone`: all of it as records, as after a crash before the first snapshot.
//!
//! The output compares them with the target for a restart: 10,000,000 holds in 10 s.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]
#![expect(clippy::print_stdout, reason = "the ratio is what this program is for")]

mod common;
#[path = "common/drops.rs"]
mod drops;
#[expect(dead_code, reason = "of the herd only its holds are needed here")]
#[path = "common/crowd.rs"]
mod crowd;
#[path = "common/short.rs"]
mod short;

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stockade_engine::lifecycle::data_folder::DataFolder;
use stockade_engine::lifecycle::recover::{StartOptions, recover};
use stockade_journal::FileLogOptions;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Millis;

use crowd::{LIVE, bounds, fill};
use drops::NOW;
use short::short;

/// Records after the snapshot.
const BEHIND: u32 = 100_000;
/// The target of a restart in holds a second.
const TARGET: f64 = 1_000_000.0;

fn options() -> StartOptions {
    StartOptions { bounds: bounds(), log: FileLogOptions::default(), outage_grace: Millis(0), accept_clock: false }
}

/// Makes a data folder with a snapshot of the live holds, if wanted, and a journal.
fn prepare(path: &Path, snapshot: bool) {
    let folder = DataFolder::open(path).expect("a folder");
    let engine = recover(&folder, &options(), &|| NOW).expect("an engine").engine;
    let mut crowd = fill(&engine, NOW);
    if snapshot {
        engine.snapshot(folder.snapshots.as_ref(), NOW).expect("a snapshot");
    }
    for _ in 0..BEHIND {
        crowd.reserve(&engine, NOW);
    }
    engine.journal().close(NOW).expect("closes");
}

fn recovery(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recovery");
    let holds = LIVE + u64::from(BEHIND);
    group.throughput(Throughput::Elements(holds)).sample_size(10);
    for (name, snapshot) in [("snapshot and journal", true), ("journal alone", false)] {
        let path = tempfile::tempdir().expect("a folder");
        prepare(path.path(), snapshot);
        let mut best = Duration::MAX;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for _ in 0..times {
                    let folder = DataFolder::open(path.path()).expect("a folder");
                    let watch = Stopwatch::start();
                    let recovered = recover(&folder, &options(), &|| NOW).expect("an engine");
                    let once = watch.elapsed();
                    (taken, best) = (taken + once, best.min(once));
                    assert_eq!(recovered.engine.inventory().owned(), holds, "all are back");
                    recovered.engine.journal().close(NOW).expect("closes");
                }
                taken
            });
        });
        let rate = f64::from(u32::try_from(holds).expect("few")) / best.as_secs_f64();
        println!("{name}: holds a second, the best run: {rate:.0}, {:.2} of {TARGET:.0}", rate / TARGET);
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = short();
    targets = recovery
}
criterion_main!(benches);

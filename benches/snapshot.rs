//! Snapshots: a million live holds of a hundred thousand customers, written to a disk while the engine can go on.
//!
//! It also prints the bytes of each hold in the snapshot, of which 100 are allowed.

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

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stockade_journal::MemoryLog;
use stockade_journal::storage::DiskStorage;

use crowd::{LIVE, engine, fill};
use drops::NOW;
use short::short;

/// The maximum bytes of a hold in a snapshot.
const TARGET: f64 = 100.0;

fn snapshot(criterion: &mut Criterion) {
    let engine = engine(MemoryLog::ephemeral());
    fill(&engine, NOW);
    let folder = tempfile::tempdir().expect("a folder");
    let storage = DiskStorage::open(folder.path()).expect("opens");
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(LIVE)).sample_size(10);
    let mut bytes = 0;
    group.bench_function("a million holds", |bencher| {
        bencher.iter(|| bytes = engine.snapshot(&storage, NOW).expect("a snapshot").bytes);
    });
    group.finish();
    if let (Ok(bytes), Ok(holds)) = (u32::try_from(bytes), u32::try_from(LIVE)) {
        let each = f64::from(bytes) / f64::from(holds);
        println!("bytes a hold in a snapshot: {each:.1}, {:.2} of {TARGET:.0}", each / TARGET);
    }
}

criterion_group! {
    name = benches;
    config = short();
    targets = snapshot
}
criterion_main!(benches);

//! Group commit: the time until N operations that arrive together are durable.
//!
//! Compared with `bare`: the same bytes, written and forced to the disk by one thread in one piece. The difference is
//! the cost of the journal: encoding, the queue, waking the writer, sealing, and waking the callers.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]

#[path = "common/short.rs"]
mod short;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stockade_journal::storage::{DiskStorage, Storage};
use stockade_journal::{FileLog, FileLogOptions, Journal, Log, MemoryLog, Start, Ticket};
use stockade_types::hold::{ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{CustomerId, DropNo, HoldId, ItemNo, Lsn, PoolNo};
use stockade_types::record::Record;
use stockade_types::time::Timestamp;

use short::short;

const WAITERS: [u64; 4] = [1, 16, 128, 1024];
const NOW: Timestamp = Timestamp(1_796_403_600_000);

/// A reserve of one line, the most frequent record.
fn reserve() -> Record {
    Record::Hold(Hold::from(HoldFields {
        id: HoldId::from_bytes([7; 16]),
        drop: DropNo(0),
        state: HoldState::Held,
        customer: CustomerId::try_from("customer-012").expect("an id"),
        content: ContentHash(9),
        created_at: NOW,
        expires_at: Timestamp(NOW.0.saturating_add(300_000)),
        settled_at: Timestamp(0),
        has_grace: false,
        revision: Lsn(0),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 1)]),
        extras: None,
    }))
}

fn append(journal: &Journal, records: &[Record]) -> Ticket {
    let permit = journal.permit().expect("there is room");
    let appended = journal.append(permit, records, NOW).expect("open");
    journal.ticket(appended.lsn())
}

fn group_commit(criterion: &mut Criterion, name: &str, journal: &Journal) {
    let records = [reserve()];
    let mut group = criterion.benchmark_group(format!("group_commit/{name}"));
    for waiters in WAITERS {
        group.throughput(Throughput::Elements(waiters));
        group.bench_function(BenchmarkId::from_parameter(waiters), |bencher| {
            bencher.iter(|| {
                let tickets: Vec<Ticket> = (0..waiters).map(|_| append(journal, &records)).collect();
                for ticket in tickets {
                    ticket.wait().expect("durable");
                }
            });
        });
    }
    group.finish();
}

fn bare(criterion: &mut Criterion, storage: &dyn Storage) {
    let mut encoded = Vec::new();
    reserve().encode(&mut encoded);
    let file = storage.create("bare").expect("creates");
    let mut group = criterion.benchmark_group("group_commit/bare");
    for waiters in WAITERS {
        let bytes = encoded.repeat(usize::try_from(waiters).expect("small"));
        group.throughput(Throughput::Elements(waiters));
        group.bench_function(BenchmarkId::from_parameter(waiters), |bencher| {
            bencher.iter(|| {
                file.append(black_box(&bytes)).expect("writes");
                file.sync_data().expect("syncs");
            });
        });
    }
    group.finish();
}

/// The cost of an append under an operation's locks: without waiting, while the writer works.
fn append_only(criterion: &mut Criterion, journal: &Journal) {
    let records = [reserve()];
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(1));
    group.bench_function("ephemeral", |bencher| {
        bencher.iter(|| match journal.permit() {
            Ok(permit) => drop(journal.append(permit, &records, NOW).expect("open")),
            Err(_) => journal.barrier().wait().expect("durable"),
        });
    });
    group.finish();
}

fn benches(criterion: &mut Criterion) {
    let memory: Arc<dyn Log> = Arc::new(MemoryLog::ephemeral());
    let journal = Journal::start(memory, Start::FIRST, Arc::default()).expect("starts");
    append_only(criterion, &journal);
    group_commit(criterion, "memory", &journal);

    let folder = tempfile::tempdir().expect("a folder");
    let plain = DiskStorage::open(folder.path().join("bare")).expect("opens");
    bare(criterion, &plain);
    let storage = Arc::new(DiskStorage::open(folder.path().join("journal")).expect("opens"));
    let (log, opened) = FileLog::open(storage, FileLogOptions::default()).expect("opens");
    let journal = Journal::start(Arc::new(log), opened.start(), Arc::default()).expect("starts");
    group_commit(criterion, "file", &journal);
}

criterion_group! {
    name = journal;
    config = short();
    targets = benches
}
criterion_main!(journal);

//! Shared by the tests of the journal: records that contain their LSN, and small journals.

use std::sync::Arc;

use stockade_journal::storage::Storage;
use stockade_journal::{
    BatchHead, Durability, FileLog, FileLogOptions, JournalState, Log, LogError, SealedBatch, Start, Trailer,
};
use stockade_types::ids::Lsn;
use stockade_types::record::{Record, Restart};
use stockade_types::time::Timestamp;

/// The record at this LSN in every journal of these tests.
pub fn record(lsn: u64) -> Record {
    Record::Restart(Restart { stopped_at: Timestamp(lsn), grace_until: Timestamp(lsn + 30_000), at: None })
}

pub fn options(durability: Durability, segment_bytes: u64) -> FileLogOptions {
    FileLogOptions { durability, segment_bytes }
}

/// All records of a log from its oldest on. Panics if one is not the expected record of its LSN, or there is a gap.
pub fn read_all(log: &dyn Log) -> Result<std::ops::Range<u64>, LogError> {
    let oldest = log.oldest().0;
    let mut next = oldest;
    for batch in log.read(Lsn(oldest))? {
        for (lsn, found) in batch?.iter() {
            assert_eq!((lsn, found), (Lsn(next), &record(next)), "a wrong record");
            next += 1;
        }
    }
    Ok(oldest..next)
}

/// Opens a journal and reads it to its end.
pub fn open_and_read(
    storage: Arc<dyn Storage>,
    durability: Durability,
) -> Result<(FileLog, JournalState, std::ops::Range<u64>), LogError> {
    let (log, opened) = FileLog::open(storage, options(durability, 400))?;
    let range = read_all(&log)?;
    assert_eq!(range, opened.oldest.0..opened.next.0, "what opening reported is what is read");
    Ok((log, opened, range))
}

pub fn batch(start: Start, records: u64) -> SealedBatch {
    let Start { next, chain, term } = start;
    let head = BatchHead { term, first: next, count: 0, written_at: Timestamp(1000 + next.0), before: chain };
    SealedBatch::of_records(head, &(0..records).map(|n| record(next.0 + n)).collect::<Vec<_>>())
}

/// Appends batches of two records each.
pub fn fill(log: &dyn Log, mut start: Start, batches: usize) -> Result<Start, LogError> {
    for _ in 0..batches {
        let batch = batch(start, 2);
        log.append(start.next, &batch)?;
        start = Start { next: batch.head().next(), chain: batch.hash(), ..start };
    }
    Ok(start)
}

pub fn trailer(end: Start) -> Trailer {
    Trailer { term: end.term, next: end.next, closed_at: Timestamp(9_999), chain: end.chain }
}

//! A log in memory, for tests and for serving without a disk.

use parking_lot::Mutex;
use stockade_types::ids::Lsn;

use super::batch::{BatchHash, SealedBatch};
use super::segment::Trailer;
use super::{Batches, Log, LogError, Place};
use crate::log::Start;

/// What is kept of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// All of it, until trimmed: memory grows.
    All,
    /// Only the position: nothing can be read back.
    Nothing,
}

#[derive(Debug)]
struct Kept {
    batches: Vec<SealedBatch>,
    next: Lsn,
    oldest: Lsn,
    chain: BatchHash,
    term: u64,
    bytes: u64,
    stopped: bool,
}

/// A log in memory.
#[derive(Debug)]
pub struct MemoryLog {
    keeping: Keeping,
    kept: Mutex<Kept>,
}

impl MemoryLog {
    fn new(keeping: Keeping) -> Self {
        let Start { next, chain, term } = Start::FIRST;
        let kept = Kept { batches: Vec::new(), next, oldest: next, chain, term, bytes: 0, stopped: false };
        Self { keeping, kept: Mutex::new(kept) }
    }

    /// A log that keeps all batches until they are trimmed, for tests.
    #[must_use]
    pub fn keeping() -> Self {
        Self::new(Keeping::All)
    }

    /// A log that drops each batch at once and keeps only the position, in constant memory.
    #[must_use]
    pub fn ephemeral() -> Self {
        Self::new(Keeping::Nothing)
    }

    /// Begins a new term, as opening a log on a disk does; a closed log accepts batches again.
    #[must_use]
    pub fn reopen(&self) -> Start {
        let mut kept = self.kept.lock();
        kept.stopped = false;
        kept.term = kept.term.saturating_add(1);
        Start { next: kept.next, chain: kept.chain, term: kept.term }
    }
}

impl Log for MemoryLog {
    fn append(&self, expected: Lsn, batch: &SealedBatch) -> Result<(), LogError> {
        let mut kept = self.kept.lock();
        let head = batch.head();
        if kept.stopped {
            return Err(LogError::Stopped);
        }
        if head.term < kept.term {
            return Err(LogError::Fenced { current: kept.term });
        }
        if expected != kept.next || head.first != expected || head.before != kept.chain {
            return Err(LogError::WrongPosition { asked: expected, oldest: kept.oldest, next: kept.next });
        }
        kept.next = head.next();
        kept.chain = batch.hash();
        match self.keeping {
            Keeping::All => {
                kept.bytes = kept.bytes.saturating_add(u64::try_from(batch.bytes().len()).unwrap_or(u64::MAX));
                kept.batches.push(batch.clone());
            }
            Keeping::Nothing => kept.oldest = kept.next,
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        if self.kept.lock().stopped { Err(LogError::Stopped) } else { Ok(()) }
    }

    fn read(&self, from: Lsn) -> Result<Batches<'_>, LogError> {
        let kept = self.kept.lock();
        if from < kept.oldest || from > kept.next {
            return Err(LogError::WrongPosition { asked: from, oldest: kept.oldest, next: kept.next });
        }
        let passed = kept.batches.partition_point(|batch| batch.head().next() <= from);
        let batches: Vec<SealedBatch> = kept.batches.iter().skip(passed).cloned().collect();
        Ok(Box::new(batches.into_iter().map(|batch| {
            batch.decode().ok_or_else(|| LogError::Damage {
                place: Place { file: "memory".to_owned(), offset: 0, lsn: batch.head().first },
                what: "the batch can't be read".to_owned(),
            })
        })))
    }

    fn trim(&self, below: Lsn) -> Result<(), LogError> {
        let mut kept = self.kept.lock();
        // The newest batch stays, as in every log.
        let passed = kept.batches.partition_point(|batch| batch.head().next() <= below);
        let dropped = passed.min(kept.batches.len().saturating_sub(1));
        let freed: usize = kept.batches.drain(..dropped).map(|batch| batch.bytes().len()).sum();
        kept.bytes = kept.bytes.saturating_sub(u64::try_from(freed).unwrap_or(u64::MAX));
        if let Some(oldest) = kept.batches.first().map(|batch| batch.head().first) {
            kept.oldest = oldest;
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.kept.lock().bytes
    }

    fn oldest(&self) -> Lsn {
        self.kept.lock().oldest
    }

    fn close(&self, trailer: &Trailer) -> Result<(), LogError> {
        let mut kept = self.kept.lock();
        if kept.stopped {
            return Err(LogError::Stopped);
        }
        if trailer.next != kept.next || trailer.chain != kept.chain {
            return Err(LogError::WrongPosition { asked: trailer.next, oldest: kept.oldest, next: kept.next });
        }
        kept.stopped = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stockade_types::record::{Record, Restart};
    use stockade_types::time::Timestamp;

    use super::*;
    use crate::log::batch::BatchHead;

    #[test]
    fn an_ephemeral_log_keeps_its_place_and_nothing_else() {
        let log = MemoryLog::ephemeral();
        let Start { mut next, mut chain, term } = Start::FIRST;
        for n in 0..100 {
            let record = Record::Restart(Restart { stopped_at: Timestamp(n), grace_until: Timestamp(n), at: None });
            let head = BatchHead { term, first: next, count: 0, written_at: Timestamp(n), before: chain };
            let batch = SealedBatch::of_records(head, &[record]);
            log.append(next, &batch).expect("fits");
            (next, chain) = (batch.head().next(), batch.hash());
        }
        assert_eq!((log.bytes(), log.oldest()), (0, Lsn(101)));
        assert_eq!(log.read(Lsn(101)).expect("the end").count(), 0);
        assert!(matches!(log.read(Lsn(100)), Err(LogError::WrongPosition { .. })));
    }
}

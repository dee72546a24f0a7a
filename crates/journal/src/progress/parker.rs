//! Parks the writer, and wakes it only if it is parked and there is work.

use crossbeam_utils::CachePadded;
use stockade_counter::sync::thread::{self, Thread};
use stockade_counter::sync::{AtomicU64, OnceLock, Ordering};
use stockade_counter::{fault, sound};
use stockade_types::ids::Lsn;

/// Wakes the writer if it is parked and there is work. Waking costs a system call and a context switch, so it is
/// skipped while the writer is running or nobody waits.
///
/// One word holds both the wanted LSN and the parked flag. With two words, each side would have to write one and then
/// read the other, and either could miss the other's change.
#[derive(Debug, Default)]
pub(crate) struct WriterParker {
    /// The highest LSN that was waited for, shifted left by one; the lowest bit is [`ASLEEP`].
    word: CachePadded<AtomicU64>,
    writer: OnceLock<Thread>,
}

/// The writer is parked, or about to park.
const ASLEEP: u64 = 1;

impl WriterParker {
    /// Registers this thread as the writer.
    pub(crate) fn bind(&self) {
        let _first = self.writer.set(thread::current());
    }

    /// The highest LSN that was waited for.
    pub(crate) fn wanted(&self) -> Lsn {
        Lsn(self.word.load(Ordering::Acquire) >> 1)
    }

    /// Called before the writer parks; returns the wanted LSN. The writer checks for work after this call: it sees work
    /// that arrived before, and work that arrives later wakes it.
    pub(crate) fn prepare_park(&self) -> Lsn {
        Lsn(self.word.fetch_or(ASLEEP, Ordering::AcqRel) >> 1)
    }

    /// The writer is running.
    pub(crate) fn cancel_park(&self) {
        if self.word.load(Ordering::Acquire) & ASLEEP != 0 {
            self.word.fetch_and(!ASLEEP, Ordering::AcqRel);
        }
    }

    /// Wakes the writer if it is parked, whether or not anyone waits.
    #[inline]
    pub(crate) fn unpark(&self) {
        // A load first: while the writer runs, the cache line stays shared.
        if self.word.load(Ordering::Acquire) & ASLEEP != 0
            && self.word.fetch_and(!ASLEEP, Ordering::AcqRel) & ASLEEP != 0
        {
            self.unpark_writer();
        }
    }

    /// Records that someone waits for this LSN, and wakes the writer if it is parked.
    #[inline]
    pub(crate) fn request_flush(&self, lsn: Lsn) {
        let wanted = lsn.0 << 1;
        let mut word = self.word.load(Ordering::Acquire);
        while word < wanted || word & ASLEEP != 0 {
            fault!(
                wanted_that_is_not_said,
                if word & ASLEEP == 0 {
                    break;
                }
            );
            fault!(
                want_that_overlooks_the_sleeper,
                if word >= wanted {
                    break;
                }
            );
            match self.word.compare_exchange_weak(word, wanted.max(word & !ASLEEP), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if word & ASLEEP != 0 => return sound!(self.unpark_writer(), want_that_wakes_nobody),
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn sleeps(&self) -> bool {
        self.word.load(Ordering::Acquire) & ASLEEP != 0
    }

    fn unpark_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

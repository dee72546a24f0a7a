//! How far the journal has come, and who waits for it to come further.
//!
//! `appended >= durable`, and both only grow.

use std::sync::Arc;
use std::task::{Poll, Waker};

use crossbeam_utils::CachePadded;
use stockade_counter::sync::thread::{self, Thread};
use stockade_counter::sync::{AtomicU64, Mutex, OnceLock, Ordering};
use stockade_types::ids::Lsn;

use super::log::LogError;
use super::waiters::{Entered, Lanes, Number, Reached, Waiters, here};

/// Why the journal resolves no more tickets. What waited may or may not be durable: only recovery tells.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalFailed {
    /// The log refused. Final: it is not tried again.
    #[error("the journal has failed")]
    Log(#[source] Arc<LogError>),
    /// The writer has met a bug.
    #[error("the journal's writer has panicked")]
    Panicked,
    /// The journal was dropped or closed before the record was durable.
    #[error("the journal was closed")]
    Closed,
}

/// An LSN that only grows.
#[derive(Debug)]
pub(super) struct Watermark(CachePadded<AtomicU64>);

impl Watermark {
    pub(super) fn at(lsn: Lsn) -> Self {
        Self(CachePadded::new(AtomicU64::new(lsn.0)))
    }

    /// Acquire: who sees the mark sees what was done before it was raised.
    pub(super) fn get(&self) -> Lsn {
        Lsn(self.0.load(Ordering::Acquire))
    }

    /// Only by one thread at a time, or under one lock.
    pub(super) fn raise(&self, to: Lsn) {
        debug_assert!(self.0.load(Ordering::Relaxed) <= to.0, "a watermark never falls");
        self.0.store(to.0, Ordering::Release);
    }
}

/// Wakes the writer, if it sleeps and there is something to do. A wake-up is a system call and a change of threads, so it
/// is spared where the writer is at work or nobody waits for it.
///
/// One word has both what is wanted and whether the writer sleeps: two words would have to be changed in one order and
/// read in the other by both sides, and either could miss the other.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// The highest LSN that anyone has waited for, above [`ASLEEP`].
    word: CachePadded<AtomicU64>,
    writer: OnceLock<Thread>,
}

/// The writer sleeps, or is about to.
const ASLEEP: u64 = 1;

impl Bell {
    /// This thread is the writer.
    pub(super) fn answer(&self) {
        let _first = self.writer.set(thread::current());
    }

    /// The highest LSN that anyone has waited for.
    pub(super) fn wanted(&self) -> Lsn {
        Lsn(self.word.load(Ordering::Acquire) >> 1)
    }

    /// The writer is about to sleep; says what is wanted. What it looks at afterwards, before it sleeps, is either seen
    /// or rung for later.
    pub(super) fn doze(&self) -> Lsn {
        Lsn(self.word.fetch_or(ASLEEP, Ordering::AcqRel) >> 1)
    }

    /// The writer is at work.
    pub(super) fn rise(&self) {
        if self.word.load(Ordering::Acquire) & ASLEEP != 0 {
            self.word.fetch_and(!ASLEEP, Ordering::AcqRel);
        }
    }

    /// There is something to do, whoever waits for it.
    #[inline]
    pub(super) fn ring(&self) {
        // A look first: while the writer is at work the line is shared, not fought over.
        if self.word.load(Ordering::Acquire) & ASLEEP != 0
            && self.word.fetch_and(!ASLEEP, Ordering::AcqRel) & ASLEEP != 0
        {
            self.wake();
        }
    }

    /// Someone waits for this record.
    #[inline]
    pub(super) fn want(&self, lsn: Lsn) {
        let wanted = lsn.0 << 1;
        let mut word = self.word.load(Ordering::Acquire);
        while word < wanted || word & ASLEEP != 0 {
            match self.word.compare_exchange_weak(word, wanted.max(word & !ASLEEP), Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if word & ASLEEP != 0 => return self.wake(),
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    #[cfg(test)]
    pub(super) fn sleeps(&self) -> bool {
        self.word.load(Ordering::Acquire) & ASLEEP != 0
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }
}

/// How far the journal has come, and who waits for it to come further.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) appended: Watermark,
    durable: Watermark,
    pub(super) bell: Bell,
    failure: OnceLock<JournalFailed>,
    /// Who waits on a thread that has no courier.
    strays: Waiters,
    /// Who waits on one that has.
    pub(super) lanes: Mutex<Lanes>,
}

impl Progress {
    pub(super) fn from(last: Lsn) -> Self {
        Self {
            appended: Watermark::at(last),
            durable: Watermark::at(last),
            bell: Bell::default(),
            failure: OnceLock::new(),
            strays: Waiters::strays(),
            lanes: Mutex::new(Lanes::default()),
        }
    }

    pub(super) fn durable(&self) -> Lsn {
        self.durable.get()
    }

    pub(super) fn failure(&self) -> Option<&JournalFailed> {
        self.failure.get()
    }

    /// Whether anyone has waited for what is not durable yet.
    pub(super) fn is_awaited(&self) -> bool {
        self.bell.wanted() > self.durable()
    }

    /// Everything up to `lsn` is durable: wakes who waited for it. `woken` is scratch space.
    pub(super) fn advance(&self, lsn: Lsn, woken: &mut Vec<Waker>) {
        // Before the lists are looked at: who registers afterwards sees the mark under the list's lock.
        self.durable.raise(lsn);
        for lane in self.lanes.lock().iter() {
            lane.tell(lsn, woken);
        }
        self.strays.tell(lsn, woken);
        woken.drain(..).for_each(Waker::wake);
    }

    /// Nothing more will become durable. The first reason stays.
    pub(super) fn fail(&self, failure: JournalFailed) {
        let _first = self.failure.set(failure);
        let lanes: Vec<_> = self.lanes.lock().iter().cloned().collect();
        for lane in &lanes {
            lane.wake_all();
        }
        self.strays.wake_all();
    }

    /// The result for `lsn`, once there is one.
    fn reached(&self, lsn: Lsn) -> Option<Reached> {
        // The mark first: what was durable before a failure is durable.
        if self.durable() >= lsn {
            return Some(Ok(()));
        }
        let failure = self.failure.get()?.clone();
        // Once more: the mark may have been raised between the two looks.
        Some(if self.durable() >= lsn { Ok(()) } else { Err(failure) })
    }

    /// Waits for `lsn`; `number` is the waiter's, given on its first call. The writer is woken for it.
    pub(super) fn poll(&self, lsn: Lsn, number: &mut Option<Number>, waker: &Waker) -> Poll<Reached> {
        if let Some(result) = self.reached(lsn) {
            return Poll::Ready(result);
        }
        let reached = || self.reached(lsn);
        let entered = match here(self, |lane| lane.enter(lsn, number, waker, reached)) {
            Some(Entered::Closed) | None => self.strays.enter(lsn, number, waker, reached),
            Some(entered @ (Entered::Reached(_) | Entered::Waits)) => entered,
        };
        if let Entered::Reached(result) = entered {
            return Poll::Ready(result);
        }
        if lsn != NO_RECORD {
            self.bell.want(lsn);
        }
        Poll::Pending
    }

    /// For who waits no longer, and for something that may never come. (A ticket's waker goes when its record is
    /// durable, waited for or not: waking nobody is cheaper than looking for it.)
    pub(super) fn forget(&self, number: Number) {
        self.strays.forget(number);
        for lane in self.lanes.lock().iter() {
            lane.forget(number);
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let lanes = self.lanes.lock();
        lanes.iter().map(|lane| lane.len()).sum::<usize>() + self.strays.len()
    }
}

/// No record has it: only a failure wakes who waits for it.
pub(super) const NO_RECORD: Lsn = Lsn(u64::MAX);

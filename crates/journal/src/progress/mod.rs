//! The journal's progress, and the tasks that wait for it.
//!
//! `appended >= durable`, and both only grow. A log's followers wait in the same way for what is synced.

pub(crate) mod parker;
pub(crate) mod ticket;
pub(crate) mod waiters;

use std::sync::Arc;
use std::task::{Poll, Waker};

use crossbeam_utils::CachePadded;
use stockade_counter::sync::{AtomicU64, Mutex, OnceLock, Ordering};
use stockade_counter::{fault, ordering, sound};
use stockade_types::ids::Lsn;

use self::parker::WriterParker;
use self::waiters::{Entered, LocalLists, Reached, WaiterId, Waiters, with_local};
use crate::log::LogError;

/// Why the journal resolves no more tickets. A record that was waited for may or may not be durable: only recovery
/// shows which.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalFailed {
    /// The log failed. Final: the call is not retried.
    #[error("the journal has failed")]
    Log(#[source] Arc<LogError>),
    /// The writer panicked.
    #[error("the journal's writer has panicked")]
    Panicked,
    /// The journal was dropped or closed before the record was durable.
    #[error("the journal was closed")]
    Closed,
}

/// An LSN that only grows.
#[derive(Debug)]
pub(crate) struct Watermark(CachePadded<AtomicU64>);

impl Watermark {
    pub(crate) fn at(lsn: Lsn) -> Self {
        Self(CachePadded::new(AtomicU64::new(lsn.0)))
    }

    /// Acquire: a reader of the mark sees everything done before it was raised.
    pub(crate) fn get(&self) -> Lsn {
        Lsn(self.0.load(Ordering::Acquire))
    }

    /// Must be called by one thread at a time, or under one lock.
    pub(crate) fn raise(&self, to: Lsn) {
        debug_assert!(self.0.load(Ordering::Relaxed) <= to.0, "a watermark never falls");
        self.0.store(to.0, ordering!(Release, relaxed_mark));
    }
}

/// The journal's progress, and the tasks that wait for it.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) appended: Watermark,
    durable: Watermark,
    pub(crate) parker: WriterParker,
    failure: OnceLock<JournalFailed>,
    /// The waiters on threads without a local waker.
    shared_waiters: Waiters,
    /// The lists of threads with one.
    pub(crate) local_lists: Mutex<LocalLists>,
}

impl Progress {
    pub(crate) fn from(last: Lsn) -> Self {
        Self {
            appended: Watermark::at(last),
            durable: Watermark::at(last),
            parker: WriterParker::default(),
            failure: OnceLock::new(),
            shared_waiters: Waiters::shared(),
            local_lists: Mutex::new(LocalLists::default()),
        }
    }

    pub(crate) fn durable(&self) -> Lsn {
        self.durable.get()
    }

    pub(crate) fn failure(&self) -> Option<&JournalFailed> {
        self.failure.get()
    }

    /// Whether anyone waited for a record that is not durable yet.
    pub(crate) fn is_awaited(&self) -> bool {
        self.parker.wanted() > self.durable()
    }

    /// Everything up to `lsn` is durable: wakes the waiters. `woken` is scratch space.
    pub(crate) fn advance(&self, lsn: Lsn, woken: &mut Vec<Waker>) {
        // Before the lists are read: a waiter that registers afterwards sees the mark while it holds the list's lock.
        sound!(self.durable.raise(lsn), told_before_the_mark);
        for waiters in self.local_lists.lock().iter() {
            waiters.notify(lsn, woken);
        }
        self.shared_waiters.notify(lsn, woken);
        fault!(told_before_the_mark, self.durable.raise(lsn));
        woken.drain(..).for_each(Waker::wake);
    }

    /// Nothing more will become durable. The first reason is kept.
    pub(crate) fn fail(&self, failure: JournalFailed) {
        fault!(woken_before_the_failure, self.shared_waiters.wake_all());
        let _first = self.failure.set(failure);
        let local_lists: Vec<_> = self.local_lists.lock().iter().cloned().collect();
        for waiters in &local_lists {
            sound!(waiters.wake_all(), failure_told_to_strays_alone);
        }
        sound!(self.shared_waiters.wake_all(), woken_before_the_failure);
    }

    /// The result for `lsn`, if there is one.
    fn reached(&self, lsn: Lsn) -> Option<Reached> {
        // The mark first: a record that was durable before the failure is durable.
        if self.durable() >= lsn {
            return Some(Ok(()));
        }
        let failure = self.failure.get()?.clone();
        fault!(failure_before_the_mark, return Some(Err(failure)));
        // Once more: the mark may have been raised between the two reads.
        Some(if self.durable() >= lsn { Ok(()) } else { Err(failure) })
    }

    /// Polls for `lsn`; the first call sets `waiter_id`, the waiter's. Wakes the writer if needed.
    pub(crate) fn poll(&self, lsn: Lsn, waiter_id: &mut Option<WaiterId>, waker: &Waker) -> Poll<Reached> {
        if let Some(result) = self.reached(lsn) {
            return Poll::Ready(result);
        }
        let reached = || self.reached(lsn);
        let entered = match with_local(self, |waiters| waiters.enter(lsn, waiter_id, waker, reached)) {
            Some(Entered::Closed) | None => self.shared_waiters.enter(lsn, waiter_id, waker, reached),
            Some(entered @ (Entered::Reached(_) | Entered::Waits)) => entered,
        };
        if let Entered::Reached(result) = entered {
            return Poll::Ready(result);
        }
        if lsn != NO_RECORD {
            self.parker.request_flush(lsn);
        }
        Poll::Pending
    }

    /// Removes a waiter for something that may never happen. (A ticket's waker is not removed this way: it goes when
    /// its record is durable, because a needless wake is cheaper than a search.)
    pub(crate) fn forget(&self, waiter_id: WaiterId) {
        self.shared_waiters.forget(waiter_id);
        for waiters in self.local_lists.lock().iter() {
            waiters.forget(waiter_id);
        }
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        let local_lists = self.local_lists.lock();
        local_lists.iter().map(|waiters| waiters.len()).sum::<usize>() + self.shared_waiters.len()
    }
}

/// No record has this LSN: only a failure wakes a waiter for it.
pub(crate) const NO_RECORD: Lsn = Lsn(u64::MAX);

//! How far a log is synced to its disk, whatever its durability, and the tasks that wait for that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use stockade_types::ids::Lsn;

use crate::progress::ticket::block_on;
use crate::progress::waiters::WaiterId;
use crate::progress::{JournalFailed, Progress};

/// The synced position of one log.
#[derive(Debug)]
pub(crate) struct Forced {
    progress: Arc<Progress>,
    /// Locked while the mark is raised; contains scratch space.
    raising: Mutex<Vec<Waker>>,
}

impl Forced {
    /// Everything up to `last` is synced.
    pub(crate) fn from(last: Lsn) -> Self {
        Self { progress: Arc::new(Progress::from(last)), raising: Mutex::new(Vec::new()) }
    }

    /// The last synced record.
    pub(crate) fn get(&self) -> Lsn {
        self.progress.durable()
    }

    /// Everything before `next` is synced, too. Wakes the waiters for it.
    pub(crate) fn raise(&self, next: Lsn) {
        let last = Lsn(next.0.saturating_sub(1));
        let mut woken = self.raising.lock();
        if last > self.get() {
            self.progress.advance(last, &mut woken);
        }
    }

    /// Nothing more will be synced: fails the waiters.
    pub(crate) fn end(&self) {
        self.progress.fail(JournalFailed::Closed);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.progress.failure().is_some()
    }

    pub(crate) fn beyond(&self, lsn: Lsn) -> Beyond {
        Beyond { progress: Arc::clone(&self.progress), lsn: lsn.next(), waiter_id: None }
    }

    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.progress.waiting()
    }
}

/// Resolves once a record after a position can be read; with an error if the journal ends before. Dropping it removes
/// the waiter.
#[derive(Debug)]
#[must_use = "it waits only while it is polled"]
pub struct Beyond {
    progress: Arc<Progress>,
    lsn: Lsn,
    waiter_id: Option<WaiterId>,
}

impl Beyond {
    /// Blocks this thread. Not for threads that drive futures.
    ///
    /// # Errors
    /// [`JournalFailed`] when the journal has ended.
    pub fn wait(self) -> Result<(), JournalFailed> {
        block_on(self)
    }
}

impl Future for Beyond {
    type Output = Result<(), JournalFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { progress, lsn, waiter_id } = self.get_mut();
        progress.poll(*lsn, waiter_id, context.waker())
    }
}

impl Drop for Beyond {
    fn drop(&mut self) {
        if let Some(waiter_id) = self.waiter_id {
            self.progress.forget(waiter_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(beyond: &mut Beyond) -> Poll<Result<(), JournalFailed>> {
        Pin::new(beyond).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn who_waits_is_told_once_a_record_behind_the_place_is_forced() {
        let forced = Forced::from(Lsn(4));
        assert!(poll(&mut forced.beyond(Lsn(3))).is_ready());
        let (mut fifth, mut sixth) = (forced.beyond(Lsn(4)), forced.beyond(Lsn(5)));
        assert!(poll(&mut fifth).is_pending() && poll(&mut sixth).is_pending());
        forced.raise(Lsn(6));
        assert!(matches!(poll(&mut fifth), Poll::Ready(Ok(()))) && poll(&mut sixth).is_pending());
        forced.raise(Lsn(2));
        assert_eq!(forced.get(), Lsn(5), "it never falls");
        forced.end();
        assert!(matches!(poll(&mut sixth), Poll::Ready(Err(JournalFailed::Closed))));
    }

    #[test]
    fn who_waits_no_longer_leaves_nothing_behind() {
        let forced = Forced::from(Lsn(4));
        for _ in 0..3 {
            assert!(poll(&mut forced.beyond(Lsn(4))).is_pending());
        }
        assert_eq!(forced.waiting(), 0);
    }
}

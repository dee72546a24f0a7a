//! Tickets: they wait for the disk, separately from appending.
//!
//! A ticket resolves when its LSN is durable, or when this process will no longer learn whether it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use stockade_counter::sync::thread::{self, Thread};
use stockade_types::ids::Lsn;

use super::waiters::{WaiterId, with_local};
use super::{JournalFailed, NO_RECORD, Progress};

/// Resolves when a record, and all before it, are durable. Dropping it undoes nothing.
#[derive(Debug)]
#[must_use = "what was appended is not acknowledged before its ticket has resolved"]
pub struct Ticket {
    /// None: resolved from the start.
    progress: Option<Arc<Progress>>,
    lsn: Lsn,
    waiter_id: Option<WaiterId>,
}

impl Ticket {
    /// A resolved ticket. Its LSN is 0.
    pub const fn ready() -> Self {
        Self { progress: None, lsn: Lsn(0), waiter_id: None }
    }

    /// A ticket for a durable record.
    pub(crate) const fn settled(lsn: Lsn) -> Self {
        Self { progress: None, lsn, waiter_id: None }
    }

    pub(crate) const fn new(progress: Arc<Progress>, lsn: Lsn) -> Self {
        Self { progress: Some(progress), lsn, waiter_id: None }
    }

    /// The LSN that it waits for.
    pub const fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Blocks this thread. Not for threads that drive futures.
    ///
    /// # Errors
    /// [`JournalFailed`] when this process does not know the record to be durable.
    pub fn wait(self) -> Result<(), JournalFailed> {
        let drives_others = self.progress.as_ref().is_some_and(|progress| with_local(progress, |_| ()).is_some());
        debug_assert!(!drives_others, "this thread's local waker would never be driven");
        block_on(self)
    }
}

impl Future for Ticket {
    type Output = Result<(), JournalFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { progress, lsn, waiter_id } = self.get_mut();
        match progress {
            None => Poll::Ready(Ok(())),
            Some(progress) => progress.poll(*lsn, waiter_id, context.waker()),
        }
    }
}

/// Resolves once the journal has failed, with the reason. Never resolves if it is closed.
#[derive(Debug)]
pub struct Failure {
    progress: Arc<Progress>,
    waiter_id: Option<WaiterId>,
}

impl Failure {
    pub(crate) const fn new(progress: Arc<Progress>) -> Self {
        Self { progress, waiter_id: None }
    }
}

impl Future for Failure {
    type Output = JournalFailed;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<JournalFailed> {
        let Self { progress, waiter_id } = self.get_mut();
        match progress.poll(NO_RECORD, waiter_id, context.waker()) {
            Poll::Ready(Err(JournalFailed::Closed) | Ok(())) | Poll::Pending => Poll::Pending,
            Poll::Ready(Err(failure @ (JournalFailed::Log(_) | JournalFailed::Panicked))) => Poll::Ready(failure),
        }
    }
}

impl Drop for Failure {
    fn drop(&mut self) {
        if let Some(waiter_id) = self.waiter_id {
            self.progress.forget(waiter_id);
        }
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub(crate) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut future).poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(progress: &Arc<Progress>, lsn: u64) -> Ticket {
        Ticket::new(Arc::clone(progress), Lsn(lsn))
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_ticket_resolves_when_the_disk_has_come_as_far() {
        let progress = Arc::new(Progress::from(Lsn(4)));
        assert!(matches!(poll(&mut ticket(&progress, 4)), Poll::Ready(Ok(()))));
        let (mut fifth, mut sixth) = (ticket(&progress, 5), ticket(&progress, 6));
        assert!(poll(&mut fifth).is_pending() && poll(&mut sixth).is_pending() && poll(&mut sixth).is_pending());
        assert_eq!(progress.waiting(), 2, "polling again registers nothing new");
        progress.advance(Lsn(5), &mut Vec::new());
        assert_eq!(progress.waiting(), 1);
        assert!(matches!(poll(&mut fifth), Poll::Ready(Ok(()))));
        assert!(poll(&mut sixth).is_pending());
    }

    #[test]
    fn a_dropped_ticket_leaves_nothing_behind_once_its_record_is_durable() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let mut early = ticket(&progress, 9);
        assert!(poll(&mut early).is_pending());
        drop(early);
        progress.advance(Lsn(9), &mut Vec::new());
        assert_eq!(progress.waiting(), 0);
    }

    #[test]
    fn the_writer_is_awaited_by_who_polls_and_rung_for_only_when_it_sleeps() {
        let progress = Arc::new(Progress::from(Lsn(1)));
        progress.parker.bind();
        let (mut durable, mut waiting) = (ticket(&progress, 1), ticket(&progress, 2));
        progress.parker.prepare_park();
        assert!(poll(&mut durable).is_ready() && !progress.is_awaited());
        assert!(progress.parker.sleeps(), "nobody waits: it may sleep on");
        assert!(poll(&mut waiting).is_pending() && progress.is_awaited());
        assert!(!progress.parker.sleeps());
        let watch = stockade_types::metrics::Stopwatch::start();
        std::thread::park_timeout(std::time::Duration::from_secs(20));
        assert!(watch.elapsed().as_secs() < 10, "it was woken");
        progress.advance(Lsn(2), &mut Vec::new());
        assert!(!progress.is_awaited());
    }

    #[test]
    fn a_failure_that_nobody_waits_for_any_more_is_forgotten() {
        let progress = Arc::new(Progress::from(Lsn(1)));
        let mut failure = Failure::new(Arc::clone(&progress));
        assert!(poll(&mut failure).is_pending() && !progress.is_awaited());
        drop(failure);
        assert_eq!(progress.waiting(), 0);
    }

    #[test]
    fn a_failure_resolves_all_that_wait_and_all_that_come_but_not_what_was_durable() {
        let progress = Arc::new(Progress::from(Lsn(1)));
        let mut waiting = ticket(&progress, 2);
        let mut failure = Failure::new(Arc::clone(&progress));
        assert!(poll(&mut waiting).is_pending() && poll(&mut failure).is_pending());
        progress.fail(JournalFailed::Panicked);
        progress.fail(JournalFailed::Closed);
        assert!(matches!(poll(&mut waiting), Poll::Ready(Err(JournalFailed::Panicked))));
        assert!(matches!(poll(&mut ticket(&progress, 3)), Poll::Ready(Err(JournalFailed::Panicked))));
        assert!(matches!(poll(&mut ticket(&progress, 1)), Poll::Ready(Ok(()))));
        assert!(matches!(poll(&mut failure), Poll::Ready(JournalFailed::Panicked)));
        assert_eq!(progress.waiting(), 0);
    }

    #[test]
    fn closing_is_no_failure() {
        let progress = Arc::new(Progress::from(Lsn(1)));
        let mut failure = Failure::new(Arc::clone(&progress));
        progress.fail(JournalFailed::Closed);
        assert!(poll(&mut failure).is_pending());
        assert!(matches!(ticket(&progress, 2).wait(), Err(JournalFailed::Closed)));
    }

    #[test]
    fn waiting_blocks_until_another_thread_advances() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let waiting = ticket(&progress, 1);
        let ahead = Arc::clone(&progress);
        let other = std::thread::spawn(move || ahead.advance(Lsn(1), &mut Vec::new()));
        waiting.wait().expect("durable");
        other.join().expect("ends");
        Ticket::ready().wait().expect("at once");
    }
}

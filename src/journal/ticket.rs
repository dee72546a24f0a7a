//! Tickets: waiting for the disk, apart from appending.
//!
//! `appended >= durable`, and both only grow. A ticket resolves when `durable` has reached its LSN, or when it is
//! certain that this process will not learn of it any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;

use super::log::LogError;
use crate::ids::Lsn;

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

/// Wakes the writer, if it sleeps. A wake-up is a system call and a change of threads, so it is spared where the writer
/// is at work or nobody waits for it.
#[derive(Debug, Default)]
pub(super) struct Bell {
    sleeps: CachePadded<AtomicBool>,
    writer: OnceLock<Thread>,
}

impl Bell {
    /// This thread is the writer.
    pub(super) fn answer(&self) {
        let _first = self.writer.set(std::thread::current());
    }

    /// The writer is about to sleep. What it looks at afterwards, before it sleeps, was changed before it is rung for
    /// or is seen: both stand under one lock.
    pub(super) fn doze(&self) {
        self.sleeps.store(true, Ordering::Release);
    }

    /// The writer is at work.
    pub(super) fn rise(&self) {
        self.sleeps.store(false, Ordering::Release);
    }

    #[inline]
    pub(super) fn ring(&self) {
        // A look first: while the writer is at work the line is shared, not fought over.
        if self.sleeps.load(Ordering::Acquire)
            && self.sleeps.swap(false, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }
}

#[derive(Debug)]
struct Waiter {
    lsn: Lsn,
    number: u64,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Waiters {
    /// In the order in which they came: about that of their LSNs. A list, because nearly all of it goes at once: a tree
    /// took as long to fill and to empty as the append itself.
    all: Vec<Waiter>,
    numbered: u64,
    /// The highest LSN that anyone has waited for.
    wanted: Lsn,
}

/// How far the journal has come, and who waits for it to come further.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) appended: Watermark,
    durable: Watermark,
    pub(super) bell: Bell,
    failure: OnceLock<JournalFailed>,
    waiters: Mutex<Waiters>,
}

impl Progress {
    pub(super) fn from(last: Lsn) -> Self {
        Self {
            appended: Watermark::at(last),
            durable: Watermark::at(last),
            bell: Bell::default(),
            failure: OnceLock::new(),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    pub(super) fn durable(&self) -> Lsn {
        self.durable.get()
    }

    /// Whether anyone has waited for what is not durable yet.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiters.lock().wanted > self.durable()
    }

    pub(super) fn failure(&self) -> Option<&JournalFailed> {
        self.failure.get()
    }

    /// Everything up to `lsn` is durable: wakes who waited for it. `woken` is scratch space.
    pub(super) fn advance(&self, lsn: Lsn, woken: &mut Vec<Waker>) {
        // Before the list is looked at: who registers afterwards sees the mark under the list's lock.
        self.durable.raise(lsn);
        woken.extend(self.waiters.lock().all.extract_if(.., |waiter| waiter.lsn <= lsn).map(|waiter| waiter.waker));
        woken.drain(..).for_each(Waker::wake);
    }

    /// Nothing more will become durable. The first reason stays.
    pub(super) fn fail(&self, failure: JournalFailed) {
        let _first = self.failure.set(failure);
        let waiters = std::mem::take(&mut self.waiters.lock().all);
        for waiter in waiters {
            waiter.waker.wake();
        }
    }

    /// The result for `lsn`, once there is one.
    fn reached(&self, lsn: Lsn) -> Option<Result<(), JournalFailed>> {
        // The mark first: what was durable before a failure is durable.
        if self.durable() >= lsn {
            return Some(Ok(()));
        }
        let failure = self.failure.get()?.clone();
        // Once more: the mark may have been raised between the two looks.
        Some(if self.durable() >= lsn { Ok(()) } else { Err(failure) })
    }

    /// Waits for `lsn`; `number` is the waiter's, given on its first call. The writer is woken for it.
    fn poll(&self, lsn: Lsn, number: &mut Option<u64>, waker: &Waker) -> Poll<Result<(), JournalFailed>> {
        if let Some(result) = self.reached(lsn) {
            return Poll::Ready(result);
        }
        {
            let mut waiters = self.waiters.lock();
            if let Some(result) = self.reached(lsn) {
                return Poll::Ready(result);
            }
            waiters.enter(lsn, number, waker);
        }
        // After the lock: the writer either saw `wanted` there, or had said before that it would sleep.
        self.bell.ring();
        Poll::Pending
    }

    /// For who waits no longer, and for something that may never come. (A ticket's waker goes when its record is
    /// durable, waited for or not: waking nobody is cheaper than looking for it.)
    fn forget(&self, number: u64) {
        self.waiters.lock().all.retain(|waiter| waiter.number != number);
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiters.lock().all.len()
    }
}

impl Waiters {
    fn enter(&mut self, lsn: Lsn, number: &mut Option<u64>, waker: &Waker) {
        if let Some(known) = number
            && let Some(waiter) = self.all.iter_mut().rfind(|waiter| waiter.number == *known)
        {
            waiter.waker.clone_from(waker);
            return;
        }
        self.numbered = self.numbered.wrapping_add(1);
        *number = Some(self.numbered);
        self.all.push(Waiter { lsn, number: self.numbered, waker: waker.clone() });
        if lsn != NO_RECORD {
            self.wanted = self.wanted.max(lsn);
        }
    }
}

/// Resolves when a record, and with it all before it, is durable. Dropping it takes nothing back.
#[derive(Debug)]
#[must_use = "what was appended is not acknowledged before its ticket has resolved"]
pub struct Ticket {
    /// None: ready from the start.
    progress: Option<Arc<Progress>>,
    first: Lsn,
    last: Lsn,
    number: Option<u64>,
}

impl Ticket {
    /// A ticket that waits for nothing. Its LSNs are 0.
    pub const fn ready() -> Self {
        Self { progress: None, first: Lsn(0), last: Lsn(0), number: None }
    }

    /// A ticket for a record that is durable.
    pub(super) const fn settled(lsn: Lsn) -> Self {
        Self { progress: None, first: lsn, last: lsn, number: None }
    }

    pub(super) const fn new(progress: Arc<Progress>, first: Lsn, last: Lsn) -> Self {
        Self { progress: Some(progress), first, last, number: None }
    }

    /// LSN of the last record of its append: the one it waits for.
    pub const fn lsn(&self) -> Lsn {
        self.last
    }

    /// LSN of the first record of its append.
    pub const fn first(&self) -> Lsn {
        self.first
    }

    /// Waits on this thread. Not for threads that drive futures.
    ///
    /// # Errors
    /// [`JournalFailed`] when the record did not become durable as far as this process knows.
    pub fn wait(self) -> Result<(), JournalFailed> {
        block_on(self)
    }
}

impl Future for Ticket {
    type Output = Result<(), JournalFailed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { progress, last, number, first: _ } = self.get_mut();
        match progress {
            None => Poll::Ready(Ok(())),
            Some(progress) => progress.poll(*last, number, context.waker()),
        }
    }
}

/// Resolves once the journal has failed, with the reason. Never, when it is closed.
#[derive(Debug)]
pub struct Failure {
    progress: Arc<Progress>,
    number: Option<u64>,
}

impl Failure {
    pub(super) const fn new(progress: Arc<Progress>) -> Self {
        Self { progress, number: None }
    }
}

/// No record has it: only a failure wakes who waits for it.
const NO_RECORD: Lsn = Lsn(u64::MAX);

impl Future for Failure {
    type Output = JournalFailed;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<JournalFailed> {
        let Self { progress, number } = self.get_mut();
        match progress.poll(NO_RECORD, number, context.waker()) {
            Poll::Ready(Err(JournalFailed::Closed) | Ok(())) | Poll::Pending => Poll::Pending,
            Poll::Ready(Err(failure @ (JournalFailed::Log(_) | JournalFailed::Panicked))) => Poll::Ready(failure),
        }
    }
}

impl Drop for Failure {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.progress.forget(number);
        }
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Parked(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut future).poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(progress: &Arc<Progress>, lsn: u64) -> Ticket {
        Ticket::new(Arc::clone(progress), Lsn(lsn), Lsn(lsn))
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
        progress.bell.answer();
        let (mut durable, mut waiting) = (ticket(&progress, 1), ticket(&progress, 2));
        progress.bell.doze();
        assert!(poll(&mut durable).is_ready() && !progress.is_awaited());
        assert!(progress.bell.sleeps.load(Ordering::Relaxed), "nobody waits: it may sleep on");
        assert!(poll(&mut waiting).is_pending() && progress.is_awaited());
        assert!(!progress.bell.sleeps.load(Ordering::Relaxed));
        let watch = crate::metrics::Stopwatch::start();
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

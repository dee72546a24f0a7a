//! The tasks that wait for the journal, in one list per thread, and how they are woken.
//!
//! Waking a task from another thread takes a system call. So a thread that drives many tasks has its own list and a
//! [`LocalWaker`]: the writer wakes the local waker once, and the local waker wakes the tasks on their own thread.
//! Tasks on other threads are woken by the writer directly.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use stockade_counter::sync::{Mutex, thread_local};
use stockade_counter::{fault, sound};
use stockade_types::ids::Lsn;

use super::{JournalFailed, Progress};

/// Identifies a waiter among all that ever waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaiterId {
    list: u64,
    nth: u64,
}

#[derive(Debug)]
struct Waiter {
    lsn: Lsn,
    nth: u64,
    waker: Waker,
}

/// The result of waiting.
pub(crate) type Reached = Result<(), JournalFailed>;

/// The outcome of registering a waiter.
#[derive(Debug)]
pub(crate) enum Entered {
    /// There is a result already.
    Reached(Reached),
    Waits,
    /// This list is closed.
    Closed,
}

#[derive(Debug)]
enum Delivery {
    /// By the writer.
    Direct,
    /// By the local waker, whose waker is known once it was polled.
    ByLocalWaker(Option<Waker>),
    /// By nobody: the local waker was dropped.
    Closed,
}

#[derive(Debug)]
struct List {
    /// In order of arrival, which is nearly the order of their LSNs. A vector, because nearly all of it is removed at
    /// once: filling and emptying a tree took as long as the append itself.
    all: Vec<Waiter>,
    numbered: u64,
    delivery: Delivery,
}

/// The waiters on one thread with a local waker, or on all threads without.
#[derive(Debug)]
pub(crate) struct Waiters {
    number: u64,
    list: Mutex<List>,
}

impl Waiters {
    /// The list for threads without a local waker.
    pub(crate) fn shared() -> Self {
        Self { number: 0, list: Mutex::new(List { all: Vec::new(), numbered: 0, delivery: Delivery::Direct }) }
    }

    /// The list of one thread. `number` is not 0 and is unique in this journal.
    fn local(number: u64) -> Self {
        Self { number, list: Mutex::new(List { all: Vec::new(), numbered: 0, delivery: Delivery::ByLocalWaker(None) }) }
    }

    /// Registers a waiter for `lsn`, unless `reached` returns a result while the list is locked.
    pub(crate) fn enter(
        &self,
        lsn: Lsn,
        number: &mut Option<WaiterId>,
        waker: &Waker,
        reached: impl FnOnce() -> Option<Reached>,
    ) -> Entered {
        let mut list = self.list.lock();
        if let Some(result) = sound!(reached(), no_look_under_the_lock, None) {
            return Entered::Reached(result);
        }
        if sound!(matches!(list.delivery, Delivery::Closed), closed_list_that_takes_waiters, false) {
            return Entered::Closed;
        }
        let known = number.filter(|known| known.list == self.number);
        if let Some(waiter) = known.and_then(|known| list.all.iter_mut().rfind(|waiter| waiter.nth == known.nth)) {
            waiter.waker.clone_from(waker);
            return Entered::Waits;
        }
        list.numbered = list.numbered.wrapping_add(1);
        let nth = list.numbered;
        *number = Some(WaiterId { list: self.number, nth });
        list.all.push(Waiter { lsn, nth, waker: waker.clone() });
        Entered::Waits
    }

    /// Everything up to `lsn` is durable: collects the wakers to call.
    pub(crate) fn notify(&self, lsn: Lsn, woken: &mut Vec<Waker>) {
        let mut list = self.list.lock();
        let List { all, delivery, numbered: _ } = &mut *list;
        match delivery {
            Delivery::Direct => take(all, lsn, woken),
            // A local waker that was never polled checks for itself when it is.
            Delivery::ByLocalWaker(local_waker) if all.iter().any(|waiter| waiter.lsn <= lsn) => {
                woken.extend(local_waker.clone());
            }
            Delivery::ByLocalWaker(_) | Delivery::Closed => {}
        }
    }

    /// Wakes all waiters, whatever they wait for.
    pub(crate) fn wake_all(&self) {
        let waiters = std::mem::take(&mut self.list.lock().all);
        for waiter in waiters {
            waiter.waker.wake();
        }
    }

    pub(crate) fn forget(&self, number: WaiterId) {
        if number.list == self.number {
            self.list.lock().all.retain(|waiter| waiter.nth != number.nth);
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.list.lock().all.len()
    }
}

fn take(all: &mut Vec<Waiter>, lsn: Lsn, woken: &mut Vec<Waker>) {
    woken.extend(all.extract_if(.., |waiter| waiter.lsn <= lsn).map(|waiter| waiter.waker));
}

/// The lists of all threads with local wakers.
#[derive(Debug, Default)]
pub(crate) struct LocalLists {
    open: Vec<Arc<Waiters>>,
    opened: u64,
}

impl LocalLists {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Waiters>> {
        self.open.iter()
    }

    fn open(&mut self) -> Arc<Waiters> {
        self.opened = self.opened.saturating_add(1);
        let waiters = Arc::new(Waiters::local(self.opened));
        self.open.push(Arc::clone(&waiters));
        waiters
    }

    fn close(&mut self, waiters: &Arc<Waiters>) {
        self.open.retain(|other| !Arc::ptr_eq(other, waiters));
    }
}

/// This thread's list.
struct Local {
    progress: Arc<Progress>,
    waiters: Arc<Waiters>,
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// Calls `f` with this thread's list of waiters for `progress`, if it has one.
pub(crate) fn with_local<R>(progress: &Progress, f: impl FnOnce(&Waiters) -> R) -> Option<R> {
    let with = |slot: &RefCell<Option<Local>>| {
        let local = slot.borrow();
        let waiters = local.as_ref().filter(|local| std::ptr::eq(Arc::as_ptr(&local.progress), progress))?;
        Some(f(&waiters.waiters))
    };
    // It fails only while the thread is ending.
    LOCAL.try_with(with).ok().flatten()
}

/// Wakes the waiters on its thread. A future that never resolves: it is dropped when its thread drives no more tasks.
#[derive(Debug)]
#[must_use = "tasks that wait on this thread are not woken unless this is polled on it"]
pub struct LocalWaker {
    progress: Arc<Progress>,
    waiters: Arc<Waiters>,
    woken: Vec<Waker>,
}

impl LocalWaker {
    /// A local waker for this thread, which must poll it.
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        let waiters = progress.local_lists.lock().open();
        let local = Local { progress: Arc::clone(&progress), waiters: Arc::clone(&waiters) };
        let _before = LOCAL.with(|slot| slot.replace(Some(local)));
        Self { progress, waiters, woken: Vec::new() }
    }
}

impl Future for LocalWaker {
    type Output = std::convert::Infallible;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { progress, waiters, woken } = self.get_mut();
        fault!(local_waker_stored_after_the_look, take(&mut waiters.list.lock().all, progress.durable(), woken));
        fault!(local_waker_that_looks_before_the_lock, {
            let durable = progress.durable();
            let mut list = waiters.list.lock();
            list.delivery = Delivery::ByLocalWaker(Some(context.waker().clone()));
            take(&mut list.all, durable, woken);
            drop(list);
            woken.drain(..).for_each(Waker::wake);
            return Poll::Pending;
        });
        {
            let mut list = waiters.list.lock();
            list.delivery = Delivery::ByLocalWaker(Some(context.waker().clone()));
            // Under the lock: who raises the mark from now on finds the waker.
            sound!(take(&mut list.all, progress.durable(), woken), local_waker_stored_after_the_look);
        }
        woken.drain(..).for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for LocalWaker {
    fn drop(&mut self) {
        self.progress.local_lists.lock().close(&self.waiters);
        let left = {
            let mut list = self.waiters.list.lock();
            list.delivery = Delivery::Closed;
            std::mem::take(&mut list.all)
        };
        // They find the list closed and register with the list for threads without a local waker.
        fault!(dropped_local_waker_that_tells_nobody, return);
        for waiter in left {
            waiter.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::super::NO_RECORD;
    use super::super::ticket::Ticket;
    use super::*;

    #[derive(Default)]
    struct Rings(AtomicUsize);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Rings {
        fn so_far(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn poll<F: Future + Unpin>(future: &mut F, rings: &Arc<Rings>) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::clone(rings))))
    }

    fn ticket(progress: &Arc<Progress>, lsn: u64) -> Ticket {
        Ticket::new(Arc::clone(progress), Lsn(lsn))
    }

    #[test]
    fn the_writer_wakes_the_local_waker_once_and_the_local_waker_wakes_those_whose_records_are_durable() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let mut local_waker = LocalWaker::new(Arc::clone(&progress));
        let [to_local_waker, to_early, to_late] = [(); 3].map(|()| Arc::new(Rings::default()));
        assert!(poll(&mut local_waker, &to_local_waker).is_pending());
        let (mut early, mut late) = (ticket(&progress, 1), ticket(&progress, 2));
        assert!(poll(&mut early, &to_early).is_pending() && poll(&mut late, &to_late).is_pending());
        progress.advance(Lsn(1), &mut Vec::new());
        assert_eq!((to_local_waker.so_far(), to_early.so_far()), (1, 0));
        assert!(poll(&mut local_waker, &to_local_waker).is_pending());
        assert_eq!((to_early.so_far(), to_late.so_far()), (1, 0));
        assert!(poll(&mut early, &to_early).is_ready());
        progress.advance(Lsn(1), &mut Vec::new());
        assert_eq!(to_local_waker.so_far(), 1, "nobody here waits for it");
    }

    #[test]
    fn what_was_durable_before_the_local_waker_was_first_driven_is_told_when_it_is() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let mut local_waker = LocalWaker::new(Arc::clone(&progress));
        let [to_local_waker, to_waiter] = [(); 2].map(|()| Arc::new(Rings::default()));
        assert!(poll(&mut ticket(&progress, 1), &to_waiter).is_pending());
        progress.advance(Lsn(1), &mut Vec::new());
        assert!(poll(&mut local_waker, &to_local_waker).is_pending());
        assert_eq!((to_local_waker.so_far(), to_waiter.so_far()), (0, 1));
    }

    #[test]
    fn without_its_local_waker_a_thread_is_told_by_the_writer() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let local_waker = LocalWaker::new(Arc::clone(&progress));
        let rings = Arc::new(Rings::default());
        let mut waiting = ticket(&progress, 1);
        assert!(poll(&mut waiting, &rings).is_pending());
        drop(local_waker);
        assert_eq!(rings.so_far(), 1, "to wait elsewhere");
        assert!(poll(&mut waiting, &rings).is_pending());
        progress.advance(Lsn(1), &mut Vec::new());
        assert_eq!(rings.so_far(), 2);
        assert_eq!(progress.waiting(), 0);
    }

    #[test]
    fn who_has_waited_on_another_thread_takes_nobodys_place_on_this_one() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let [to_local_waker, to_moved, to_local] = [(); 3].map(|()| Arc::new(Rings::default()));
        let mut moved = ticket(&progress, 1);
        assert!(poll(&mut moved, &to_moved).is_pending());
        let mut local_waker = LocalWaker::new(Arc::clone(&progress));
        assert!(poll(&mut local_waker, &to_local_waker).is_pending());
        assert!(poll(&mut ticket(&progress, 1), &to_local).is_pending());
        assert!(poll(&mut moved, &to_moved).is_pending());
        progress.advance(Lsn(1), &mut Vec::new());
        assert!(poll(&mut local_waker, &to_local_waker).is_pending());
        assert_eq!(to_local.so_far(), 1);
        assert!(to_moved.so_far() > 0);
    }

    #[test]
    fn a_failure_is_told_to_all_lists_at_once() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let _local_waker = LocalWaker::new(Arc::clone(&progress));
        let rings = Arc::new(Rings::default());
        let mut waiting = ticket(&progress, 1);
        assert!(poll(&mut waiting, &rings).is_pending());
        progress.fail(JournalFailed::Panicked);
        assert_eq!(rings.so_far(), 1);
        assert!(matches!(poll(&mut waiting, &rings), Poll::Ready(Err(JournalFailed::Panicked))));
    }

    #[test]
    fn another_journal_has_nothing_to_do_with_this_threads_local_waker() {
        let _local_waker = LocalWaker::new(Arc::new(Progress::from(Lsn(0))));
        let other = Arc::new(Progress::from(Lsn(0)));
        let rings = Arc::new(Rings::default());
        let mut waiting = ticket(&other, 1);
        assert!(poll(&mut waiting, &rings).is_pending());
        other.advance(Lsn(1), &mut Vec::new());
        assert_eq!(rings.so_far(), 1);
        assert!(poll(&mut waiting, &rings).is_ready());
    }

    #[test]
    fn nobody_waits_for_no_record() {
        let progress = Arc::new(Progress::from(Lsn(0)));
        let rings = Arc::new(Rings::default());
        let waits = progress.poll(NO_RECORD, &mut None, &Waker::from(rings));
        assert!(waits.is_pending() && progress.parker.wanted() == Lsn(0));
    }
}

//! The engine of the current term, for what outlives a term: endpoints, their workers, pages.
//!
//! What belongs to one term alone, its background threads and the report of its journal's failure, is made and dropped
//! with the term's engine and needs no handle.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crossbeam_utils::sync::{ShardedLock, ShardedLockReadGuard};
use parking_lot::Mutex;
use stockade_journal::LocalWaker;

use crate::Engine;

/// Holds the engine of the current term; empty before the first term and between two.
#[derive(Debug, Default)]
pub struct EngineHandle {
    /// Sharded: a reader writes to nothing that readers on other cores read.
    current: ShardedLock<Option<Arc<Engine>>>,
    /// Woken by each swap: one for each thread that has a local waker.
    waiting: Mutex<Vec<Waker>>,
}

impl EngineHandle {
    /// A handle that holds this engine.
    #[must_use]
    pub fn of(engine: Arc<Engine>) -> Arc<Self> {
        let handle = Self::default();
        let _none = handle.swap(Some(engine));
        Arc::new(handle)
    }

    /// Calls `f` with the engine of the current term, for what is decided at once. Unlike [`EngineHandle::current`] it
    /// changes no reference count that threads share. The term can't end meanwhile.
    pub fn with<R>(&self, f: impl FnOnce(&Arc<Engine>) -> R) -> Option<R> {
        self.read().as_ref().map(f)
    }

    /// The engine of the current term, for one decision or one reading. The term may end meanwhile: then the engine's
    /// journal accepts nothing more.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Engine>> {
        self.read().clone()
    }

    /// Makes this the engine of the current term and returns the one before. The caller closes the old engine's
    /// journal, and should keep the engine until nobody else has it: dropping it takes long, too long for a thread that
    /// serves.
    pub fn swap(&self, engine: Option<Arc<Engine>>) -> Option<Arc<Engine>> {
        let before = std::mem::replace(&mut *self.current.write().unwrap_or_else(PoisonError::into_inner), engine);
        let waiting = self.waiting.lock().clone();
        waiting.into_iter().for_each(Waker::wake);
        before
    }

    /// For a thread that drives many tasks: as [`Journal::local_waker`](stockade_journal::Journal::local_waker), but it
    /// follows each term to its journal.
    pub fn local_waker(self: Arc<Self>) -> TermWaker {
        TermWaker { handle: self, waker: None, term: None }
    }

    fn read(&self) -> ShardedLockReadGuard<'_, Option<Arc<Engine>>> {
        // A panic ends the process by its hook, so poisoning can be ignored.
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces `before` by `waker` among those that a swap wakes.
    fn exchange(&self, before: Option<&Waker>, waker: Option<&Waker>) {
        let mut waiting = self.waiting.lock();
        let place = before.and_then(|before| waiting.iter().position(|other| other.will_wake(before)));
        if let Some(place) = place {
            waiting.swap_remove(place);
        }
        waiting.extend(waker.cloned());
    }
}

/// Wakes the tasks of its thread that wait for the journal of the current term. It never completes; it is dropped when
/// its thread drives no more tasks.
#[derive(Debug)]
#[must_use = "tasks that wait on this thread are not woken unless this is polled on it"]
pub struct TermWaker {
    handle: Arc<EngineHandle>,
    /// Woken by each swap.
    waker: Option<Waker>,
    /// The engine that was current at the last poll, and the local waker of its journal.
    term: Option<(Weak<Engine>, LocalWaker)>,
}

impl Future for TermWaker {
    type Output = Infallible;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Infallible> {
        let Self { handle, waker, term } = self.get_mut();
        // The waker is registered before the comparison: a swap in between wakes it.
        if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            handle.exchange(waker.as_ref(), Some(context.waker()));
            *waker = Some(context.waker().clone());
        }
        let same = |current: &Option<Arc<Engine>>| match (current, &*term) {
            (Some(current), Some((known, _))) => std::ptr::eq(Arc::as_ptr(current), known.as_ptr()),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same(&handle.read()) {
            *term = handle.current().map(|engine| {
                let local_waker = engine.journal().local_waker();
                (Arc::downgrade(&engine), local_waker)
            });
        }
        match term {
            Some((_, local_waker)) => Pin::new(local_waker).poll(context),
            None => Poll::Pending,
        }
    }
}

impl Drop for TermWaker {
    fn drop(&mut self) {
        self.handle.exchange(self.waker.as_ref(), None);
    }
}

/// An engine that writes nothing to a disk.
#[cfg(test)]
pub(crate) fn ephemeral_engine() -> Arc<Engine> {
    let key = stockade_types::digest::DigestKey::from_bytes([1; 16]);
    Arc::new(Engine::ephemeral(key, crate::Bounds::default()).expect("starts"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use stockade_types::record::{Record, Restart};
    use stockade_types::time::Timestamp;

    use super::*;

    #[derive(Default)]
    struct Rings(AtomicUsize);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn append(engine: &Engine) -> stockade_journal::Ticket {
        let record = Record::Restart(Restart { stopped_at: Timestamp(1), grace_until: Timestamp(2), at: None });
        let permit = engine.journal().permit().expect("room");
        engine.journal().ticket(engine.journal().append(permit, &[record], Timestamp(1)).expect("appended").lsn())
    }

    #[test]
    fn a_thread_s_local_waker_goes_over_to_the_journal_of_the_next_term() {
        let [first, second] = [(); 2].map(|()| ephemeral_engine());
        let handle = EngineHandle::of(Arc::clone(&first));
        let rings = Arc::new(Rings::default());
        let (waker, to_waiter) = (Waker::from(Arc::clone(&rings)), Arc::new(Rings::default()));
        let mut context = Context::from_waker(&waker);
        let mut local_waker = Arc::clone(&handle).local_waker();
        assert!(Pin::new(&mut local_waker).poll(&mut context).is_pending());
        let before = handle.swap(Some(Arc::clone(&second)));
        assert!(before.is_some_and(|before| Arc::ptr_eq(&before, &first)));
        assert_eq!(rings.0.load(Ordering::Relaxed), 1, "a swap wakes the local waker");
        assert!(handle.current().is_some_and(|current| Arc::ptr_eq(&current, &second)));
        assert!(Pin::new(&mut local_waker).poll(&mut context).is_pending());
        // Waiters of this thread are woken by the local waker, when it is polled.
        let mut ticket = append(&second);
        let waiter = Waker::from(Arc::clone(&to_waiter));
        let waits = Pin::new(&mut ticket).poll(&mut Context::from_waker(&waiter)).is_pending();
        while second.journal().durable() < ticket.lsn() {
            std::thread::yield_now();
        }
        assert!(Pin::new(&mut local_waker).poll(&mut context).is_pending());
        assert_eq!(to_waiter.0.load(Ordering::Relaxed), usize::from(waits));
        assert!(Pin::new(&mut ticket).poll(&mut context).is_ready());
        assert!(handle.swap(None).is_some());
        assert!(Pin::new(&mut local_waker).poll(&mut context).is_pending() && handle.current().is_none());
        assert_eq!(Arc::strong_count(&first) + Arc::strong_count(&second), 2, "a local waker keeps no engine");
        drop(local_waker);
        let so_far = rings.0.load(Ordering::Relaxed);
        let _none = handle.swap(Some(first));
        assert_eq!(rings.0.load(Ordering::Relaxed), so_far, "nobody is left to be woken");
    }
}

//! Scenarios of the journal's hand-off: who waits, and a writer that publishes or fails.
//!
//! The source beside this module is the one that ships (`src/journal/progress.rs`, `waiters.rs`), or a mutant of it. Wakers
//! count by plain atomics: what they do is not what is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Plain};
use std::task::{Poll, Wake, Waker};

use super::progress::{JournalFailed, Progress};
use crate::ids::Lsn;
use crate::run::{at, joined};
use crate::sync::{AtomicU64, Ordering};

#[derive(Debug, Default)]
struct Rings(AtomicUsize);

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Plain::Relaxed);
    }
}

/// Waits for the record as a task does: asked again only when it was woken. Gives what came of it by the end.
fn waited(progress: &Progress, writer: impl FnOnce()) -> Result<(), JournalFailed> {
    let rings = Arc::new(Rings::default());
    let waker = Waker::from(rings.clone());
    let mut number = None;
    let first = progress.poll(Lsn(1), &mut number, &waker);
    writer();
    match first {
        Poll::Ready(result) => result,
        Poll::Pending => {
            assert!(rings.0.load(Plain::Relaxed) > 0, "a waiter is forgotten");
            match progress.poll(Lsn(1), &mut number, &waker) {
                Poll::Ready(result) => result,
                Poll::Pending => Err(JournalFailed::Panicked),
            }
        }
    }
}

/// One waits while the writer makes its record durable: it is told, and what was written before is seen.
pub fn a_waiter_is_never_forgotten() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let written = Arc::new(AtomicU64::new(0));
    let (writing, bytes) = (progress.clone(), written.clone());
    let writer = at(1, move || {
        bytes.store(1, Ordering::Relaxed);
        writing.advance(Lsn(1), &mut Vec::new());
    });
    let result = waited(&progress, || joined(writer));
    assert!(result.is_ok(), "woken for nothing: {result:?}");
    assert_eq!(written.load(Ordering::Relaxed), 1);
}

/// Whoever sees the mark sees what was done before it was raised: durable never runs ahead.
pub fn durable_never_runs_ahead_of_what_was_written() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let written = Arc::new(AtomicU64::new(0));
    let (writing, bytes) = (progress.clone(), written.clone());
    let writer = at(1, move || {
        bytes.store(1, Ordering::Relaxed);
        writing.advance(Lsn(1), &mut Vec::new());
    });
    let durable = progress.durable();
    let seen = written.load(Ordering::Relaxed);
    joined(writer);
    assert!(durable < Lsn(1) || seen == 1, "durable before it was written");
}

/// One waits while the writer fails: it is told, and hears that nothing more comes.
pub fn a_failed_writer_wakes_all() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let writing = progress.clone();
    let writer = at(1, move || writing.fail(JournalFailed::Closed));
    let result = waited(&progress, || joined(writer));
    assert!(matches!(result, Err(JournalFailed::Closed)), "woken for nothing: {result:?}");
}

/// The writer makes a record durable and fails with the next: who waited for the first hears that it is durable.
pub fn what_was_durable_before_a_failure_is_durable() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let writing = progress.clone();
    let writer = at(1, move || {
        writing.advance(Lsn(1), &mut Vec::new());
        writing.fail(JournalFailed::Closed);
    });
    let result = waited(&progress, || joined(writer));
    assert!(result.is_ok(), "a durable record is told as lost: {result:?}");
}

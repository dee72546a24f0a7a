//! One waiter, and a writer that publishes or fails.

use std::sync::Arc;

use stockade_counter::model::{at, joined};
use stockade_counter::sync::{AtomicU64, Ordering};
use stockade_types::ids::Lsn;

use super::book::Book;
use super::{FIRST, ONE, Task, ticket};
use crate::commit::journal::JournalMetrics;
use crate::commit::shared::Shared;
use crate::commit::writer::{Step, Writer};
use crate::log::Start;
use crate::progress::{JournalFailed, Progress};

/// A ticket waits while the writer makes its record durable: it resolves, and what was written before is visible.
pub fn a_waiter_is_never_forgotten() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let written = Arc::new(AtomicU64::new(0));
    let (writing, bytes) = (progress.clone(), written.clone());
    let writer = at(1, move || {
        bytes.store(1, Ordering::Relaxed);
        writing.advance(FIRST, &mut Vec::new());
    });
    let result = ticket(&progress, FIRST).wait();
    assert!(result.is_ok(), "reported as lost: {result:?}");
    assert_eq!(written.load(Ordering::Relaxed), 1, "reported before it was written");
    joined(writer);
}

/// A thread that reads the watermark sees what was done before it was raised, in the log and at its tip: durable is
/// never ahead of the log.
pub fn durable_never_runs_ahead_of_the_log() {
    let book = Arc::new(Book::up_to(u64::MAX));
    let shared = Arc::new(Shared::new(book.clone(), Start::FIRST, Arc::new(JournalMetrics::default())));
    let appended = shared.push(shared.permit_pool.enter(9).expect("open"), ONE).expect("open");
    let mut written = Task::new(ticket(&shared.progress, appended.lsn()));
    assert!(written.turn(), "waited for, so that the writer has a batch");
    let (reading, log) = (shared.clone(), book);
    let reader = at(0, move || (reading.progress.durable(), log.written(), reading.tip.lock().0));
    let mut writer = Writer::new(shared, Start::FIRST);
    assert_eq!(writer.step(), Step::Wrote);
    let (durable, given, tip) = joined(reader);
    assert!(durable <= given, "durable before the log was given it");
    assert!(durable <= tip, "durable past the tip");
    assert!(written.turn() && matches!(written.output, Some(Ok(()))), "written, and not reported");
}

/// A ticket waits while the writer fails: it resolves with the reason.
pub fn a_failed_writer_wakes_who_waits() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let writing = progress.clone();
    let writer = at(1, move || writing.fail(JournalFailed::Closed));
    let result = ticket(&progress, FIRST).wait();
    assert!(matches!(result, Err(JournalFailed::Closed)), "reported as durable");
    joined(writer);
}

/// The writer makes a record durable and fails with the next: a ticket for the first one resolves with success.
pub fn what_was_durable_before_a_failure_is_durable() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let writing = progress.clone();
    let writer = at(1, move || {
        writing.advance(FIRST, &mut Vec::new());
        writing.fail(JournalFailed::Closed);
    });
    let result = ticket(&progress, FIRST).wait();
    assert!(result.is_ok(), "reported as lost: {result:?}");
    joined(writer);
}

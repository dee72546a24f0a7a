//! A thread with a waker task (`LocalWaker`), and a writer that publishes or fails.

use std::sync::Arc;

use stockade_counter::model::{at, joined};
use stockade_types::ids::Lsn;

use super::{FIRST, SECOND, Task, all_durable, drive, ticket};
use crate::progress::waiters::LocalWaker;
use crate::progress::{JournalFailed, Progress};

/// A ticket waits on a thread with a local waker, which is first polled while the writer publishes.
pub fn a_local_waker_forgets_nobody() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let mut local_waker = Task::new(LocalWaker::new(progress.clone()));
    let writing = progress.clone();
    let writer = at(1, move || writing.advance(FIRST, &mut Vec::new()));
    let results = drive(Some(&mut local_waker), &mut [Task::new(ticket(&progress, FIRST))]);
    assert!(all_durable(&results), "reported as lost: {results:?}");
    joined(writer);
}

/// Two tickets wait there, and the writer publishes their records one after the other: both resolve.
pub fn a_local_waker_wakes_all_whose_records_are_durable() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let mut local_waker = Task::new(LocalWaker::new(progress.clone()));
    assert!(local_waker.turn(), "driven");
    let mut tickets = [FIRST, SECOND].map(|lsn| Task::new(ticket(&progress, lsn)));
    let writing = progress.clone();
    let writer = at(1, move || {
        writing.advance(FIRST, &mut Vec::new());
        writing.advance(SECOND, &mut Vec::new());
    });
    let results = drive(Some(&mut local_waker), &mut tickets);
    assert!(all_durable(&results), "reported as lost: {results:?}");
    joined(writer);
}

/// The local waker is dropped while the writer publishes: tickets that waited with it are woken directly, and later
/// ones too.
pub fn a_dropped_local_waker_leaves_nobody_behind() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let mut local_waker = Task::new(LocalWaker::new(progress.clone()));
    let mut before = Task::new(ticket(&progress, FIRST));
    assert!(before.turn() && local_waker.turn(), "driven");
    let writing = progress.clone();
    let writer = at(1, move || writing.advance(FIRST, &mut Vec::new()));
    drop(local_waker);
    let results = drive(None, &mut [before, Task::new(ticket(&progress, FIRST))]);
    assert!(all_durable(&results), "reported as lost: {results:?}");
    joined(writer);
}

/// The writer fails while one ticket waits with a local waker that is no longer polled, and one without: both resolve.
pub fn a_failure_wakes_all_lists() {
    let progress = Arc::new(Progress::from(Lsn(0)));
    let (writing, stray) = (progress.clone(), progress.clone());
    let writer = at(1, move || writing.fail(JournalFailed::Closed));
    let stray = at(0, move || ticket(&stray, FIRST).wait().is_err());
    let _local_waker = Task::new(LocalWaker::new(progress.clone()));
    let results = drive(None, &mut [Task::new(ticket(&progress, FIRST))]);
    assert!(matches!(results.as_slice(), [Some(Err(JournalFailed::Closed))]), "reported as durable: {results:?}");
    assert!(joined(stray), "reported as durable");
    joined(writer);
}

//! The gate, and a close at the same time as an append.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64 as Plain, Ordering};
use std::time::Duration;

use stockade_counter::model::{at, joined};
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;

use super::book::Book;
use super::{FIRST, ONE, ticket};
use crate::commit::journal::JournalMetrics;
use crate::commit::permits::{PermitPool, Refused};
use crate::commit::shared::Shared;
use crate::commit::writer::Writer;
use crate::log::Start;

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AppendOutcome {
    Journaled,
    /// Journaled or not: only recovery shows it.
    Unknown,
    Refused(Refused),
    /// Admitted, and rejected later.
    TurnedAway(Refused),
}

fn append_and_wait(shared: &Shared) -> AppendOutcome {
    // Two permits, one of which is used.
    let mut permits = match shared.permit_pool.enter_many(2, 9) {
        Ok(permits) => permits,
        Err(refused) => return AppendOutcome::Refused(refused),
    };
    let permit = permits.next().expect("room for one at least");
    drop(permits);
    match shared.push(permit, ONE) {
        Ok(appended) => ticket(&shared.progress, appended.lsn())
            .wait()
            .map_or(AppendOutcome::Unknown, |()| AppendOutcome::Journaled),
        Err(refused) => AppendOutcome::TurnedAway(refused),
    }
}

/// An append, a close and the writer at the same time. Returns the result of the append, and the log.
fn close_meets_append(log: Book, patience: Duration) -> (AppendOutcome, Arc<Book>) {
    let book = Arc::new(log);
    let shared = Arc::new(Shared::new(book.clone(), Start::FIRST, Arc::new(JournalMetrics::default())));
    let (appending, closing) = (shared.clone(), shared.clone());
    let append = at(0, move || append_and_wait(&appending));
    let close = at(1, move || closing.close(Timestamp(1), patience));
    Writer::new(shared.clone(), Start::FIRST).run();
    let outcome = joined(append);
    joined(close);
    let failed = shared.permit_pool.has_failed();
    assert!(shared.permit_pool.inside() == 0 || failed, "permits lost");
    assert!(failed || book.ended() == book.written().plus(1), "the log has another end than its last record");
    (outcome, book)
}

/// An admitted record is journaled, and a close waits for it; one that is not admitted is refused.
pub fn what_is_admitted_is_journaled() {
    let (outcome, book) = close_meets_append(Book::up_to(u64::MAX), Duration::MAX);
    match outcome {
        AppendOutcome::Journaled => assert_eq!(book.written(), FIRST, "reported as journaled"),
        AppendOutcome::Refused(refused) => {
            assert_eq!((refused, book.written()), (Refused::Closed, Lsn(0)), "refused, and journaled");
        }
        AppendOutcome::TurnedAway(_) | AppendOutcome::Unknown => panic!("admitted, and lost: {outcome:?}"),
    }
}

/// A close that does not wait for permits: a late append gets an error, and nothing is lost silently.
pub fn an_impatient_close_loses_nothing_in_silence() {
    let (outcome, book) = close_meets_append(Book::up_to(u64::MAX), Duration::ZERO);
    match outcome {
        AppendOutcome::Journaled => assert_eq!(book.written(), FIRST, "reported as journaled"),
        AppendOutcome::Refused(refused) | AppendOutcome::TurnedAway(refused) => {
            assert_eq!((refused, book.written()), (Refused::Closed, Lsn(0)), "refused, and journaled");
        }
        AppendOutcome::Unknown => panic!("admitted, and lost: {outcome:?}"),
    }
}

/// The log fails: nobody gets a success, nobody waits forever, and a rejected append gets the reason.
pub fn a_log_that_refuses_is_told_to_all() {
    let (outcome, book) = close_meets_append(Book::up_to(0), Duration::MAX);
    assert_eq!(book.written(), Lsn(0), "written after all");
    assert!(
        matches!(outcome, AppendOutcome::Unknown | AppendOutcome::Refused(Refused::Closed)),
        "reported as {outcome:?}"
    );
}

/// Two threads want the only permit: they never both have it, and it is returned.
pub fn permits_return() {
    let (permit_pool, inside) = (Arc::new(PermitPool::default()), Arc::new(Plain::new(0)));
    let enter = |permit_pool: &PermitPool, inside: &Plain| {
        let Ok(permit) = permit_pool.enter(1) else { return };
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "more inside than there may be");
        // The checker may switch threads when one reads the gate.
        assert!(permit_pool.inside() > 0, "permits lost");
        inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    };
    let (other_gate, other_inside) = (permit_pool.clone(), inside.clone());
    let other = at(0, move || enter(&other_gate, &other_inside));
    enter(&permit_pool, &inside);
    joined(other);
    assert_eq!(permit_pool.inside(), 0, "permits lost");
}

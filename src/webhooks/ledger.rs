//! What is known of a webhook's deliveries: how far they are, and the last attempts. Shared by its worker and by those
//! who ask.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use stockade_feed::Position;
use stockade_types::time::{Millis, Timestamp};
use stockade_types::webhook::{Progress, Webhook};

use super::outcome::Outcome;

/// Attempts that are remembered.
pub const ATTEMPTS_MAX: usize = 50;
/// A position that has moved by this many records is kept, also if none of them had an event for the webhook: a start
/// reads on from there.
const KEPT_AFTER: u64 = 100_000;
/// A webhook is disabled once nothing has succeeded for this long.
pub const GIVEN_UP_ON_AFTER: Millis = Millis::from_secs(5 * 24 * 60 * 60);

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// The first event's id.
    pub event_id: String,
    /// How many events it had.
    pub events: usize,
    /// The HTTP status; 0 without an answer.
    pub status: u16,
    /// What went wrong; empty if it was taken.
    pub error: String,
    /// How long it took.
    pub took: Duration,
}

/// A webhook's deliveries, as they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Everything up to here was delivered or given up.
    pub delivered_to: Position,
    /// When a delivery succeeded last.
    pub last_success_at: Option<Timestamp>,
    /// Since when none has succeeded, if the last one failed.
    pub failing_since: Option<Timestamp>,
    /// What the last failure was; empty if the last delivery succeeded.
    pub last_error: String,
    /// How many events were given up.
    pub given_up: u64,
    /// How many events wait, at least.
    pub behind: u64,
    /// The last attempts, newest first.
    pub recent: VecDeque<Attempt>,
}

#[derive(Debug)]
struct Inner {
    shown: Shown,
    era: u64,
    /// The position that the journal has.
    kept: Position,
    /// Something has changed that the journal is to keep.
    is_dirty: bool,
}

/// The deliveries of one webhook.
#[derive(Debug)]
pub struct Ledger {
    created_at: Timestamp,
    inner: Mutex<Inner>,
}

impl Shown {
    /// What the journal has of a webhook's deliveries. Progress of another era counts, but not its position.
    #[must_use]
    pub fn of(webhook: &Webhook, progress: Option<&Progress>) -> Self {
        let start = Position::of_place(webhook.start);
        let plain = Self {
            delivered_to: start,
            last_success_at: None,
            failing_since: None,
            last_error: String::new(),
            given_up: 0,
            behind: 0,
            recent: VecDeque::new(),
        };
        let Some(progress) = progress else { return plain };
        let Progress { delivered_to, era, last_success_at, failing_since, given_up, last_error } = progress;
        Self {
            delivered_to: if *era == webhook.era { Position::of_place(*delivered_to) } else { start },
            last_success_at: *last_success_at,
            failing_since: *failing_since,
            given_up: *given_up,
            last_error: last_error.clone(),
            ..plain
        }
    }
}

impl Ledger {
    /// Goes on from the journal's progress with the webhook that was created at this instant.
    #[must_use]
    pub fn new(created_at: Timestamp, webhook: &Webhook, progress: Option<&Progress>) -> Self {
        let shown = Shown::of(webhook, progress);
        let inner = Inner { kept: shown.delivered_to, shown, era: webhook.era, is_dirty: false };
        Self { created_at, inner: Mutex::new(inner) }
    }

    /// When its webhook was created: it is not that of another one with the same id.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// As it is now.
    #[must_use]
    pub fn shown(&self) -> Shown {
        self.inner.lock().shown.clone()
    }

    /// Whether the last delivery has failed.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.inner.lock().shown.failing_since.is_some()
    }

    /// How many events wait, at least.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.inner.lock().shown.behind
    }

    /// Everything up to here was delivered or given up.
    #[must_use]
    pub fn delivered_to(&self) -> Position {
        self.inner.lock().shown.delivered_to
    }

    /// Begins anew at a position: a new era.
    pub fn restart(&self, start: Position, era: u64) {
        let mut inner = self.inner.lock();
        if inner.era != era {
            inner.era = era;
            inner.shown.delivered_to = start;
        }
    }

    /// Enters an attempt. Returns whether the webhook is to be disabled, since nothing has succeeded for too long.
    pub fn attempted(&self, attempt: Attempt, outcome: Outcome, now: Timestamp) -> bool {
        let mut inner = self.inner.lock();
        let shown = &mut inner.shown;
        let before = shown.failing_since;
        shown.last_error.clone_from(&attempt.error);
        if outcome == Outcome::Delivered {
            (shown.last_success_at, shown.failing_since) = (Some(now), None);
        } else {
            shown.failing_since = Some(before.unwrap_or(now));
        }
        shown.recent.truncate(ATTEMPTS_MAX.saturating_sub(1));
        shown.recent.push_front(attempt);
        let failing_since = shown.failing_since;
        inner.is_dirty |= failing_since.is_some() != before.is_some();
        failing_since.is_some_and(|since| since.until(now) >= GIVEN_UP_ON_AFTER)
    }

    /// Enters a test: it is shown, and its success counts as one.
    pub fn tested(&self, attempt: Attempt, outcome: Outcome, now: Timestamp) {
        let mut inner = self.inner.lock();
        if outcome == Outcome::Delivered {
            inner.shown.last_success_at = Some(now);
            inner.is_dirty = true;
        }
        inner.shown.recent.truncate(ATTEMPTS_MAX.saturating_sub(1));
        inner.shown.recent.push_front(attempt);
    }

    /// A webhook that is enabled or begins anew has not failed so far.
    pub fn forgive(&self) {
        let mut inner = self.inner.lock();
        inner.is_dirty |= inner.shown.failing_since.take().is_some();
    }

    /// Enters how far deliveries are, and that `behind` events wait. `ended` were delivered or given up just now,
    /// `given_up` of them given up.
    pub fn moved(&self, delivered_to: Position, behind: u64, (ended, given_up): (usize, usize)) {
        let mut inner = self.inner.lock();
        inner.shown.delivered_to = delivered_to;
        inner.shown.behind = behind;
        let more = u64::try_from(given_up).unwrap_or(u64::MAX);
        inner.shown.given_up = inner.shown.given_up.saturating_add(more);
        if given_up > 0 && behind == 0 {
            // Nothing is left that fails: a failure much later is the first one again.
            inner.shown.failing_since = None;
        }
        let records = delivered_to.lsn().0.saturating_sub(inner.kept.lsn().0);
        inner.is_dirty |= ended > 0 || records >= KEPT_AFTER;
    }

    /// Enters what went wrong other than in an attempt.
    pub fn went_wrong(&self, what: String) {
        self.inner.lock().shown.last_error = what;
    }

    /// What the journal is to keep, if it has changed since the last call.
    pub fn take_changed(&self) -> Option<Progress> {
        let mut inner = self.inner.lock();
        if !std::mem::take(&mut inner.is_dirty) {
            return None;
        }
        inner.kept = inner.shown.delivered_to;
        let Shown { delivered_to, last_success_at, failing_since, last_error, given_up, .. } = &inner.shown;
        Some(Progress {
            delivered_to: delivered_to.place(),
            era: inner.era,
            last_success_at: *last_success_at,
            failing_since: *failing_since,
            given_up: *given_up,
            last_error: last_error.clone(),
        })
    }

    /// The same, at the end: also if only the position has moved.
    pub fn take_last(&self) -> Option<Progress> {
        {
            let mut inner = self.inner.lock();
            inner.is_dirty |= inner.shown.delivered_to != inner.kept;
        }
        self.take_changed()
    }

    /// What was taken could not be kept: it is to be taken again.
    pub fn keep_again(&self) {
        self.inner.lock().is_dirty = true;
    }
}

#[cfg(test)]
mod tests {
    use stockade_types::ids::Lsn;
    use stockade_types::webhook::EventPatterns;

    use super::super::post::Answer;
    use super::*;

    fn webhook(start: u64, era: u64) -> Webhook {
        Webhook {
            url: String::new(),
            filter: EventPatterns::default(),
            is_enabled: true,
            disabled_because: String::new(),
            description: String::new(),
            with_customers: false,
            with_stock: false,
            give_up_after: Millis(1),
            max_batch: 1,
            secret: Vec::new(),
            old_secret: None,
            start: Position::behind(Lsn(start)).place(),
            era,
            since: Timestamp(0),
        }
    }

    fn attempt(answer: Answer) -> Attempt {
        let Answer { outcome: _, status, error, took } = answer;
        Attempt { at: Timestamp(0), event_id: "e".into(), events: 1, status, error, took }
    }

    fn tried(ledger: &Ledger, outcome: Outcome, now: u64) -> bool {
        let error = if outcome == Outcome::Delivered { "" } else { "no" }.to_owned();
        let answer = Answer { outcome, status: 0, error, took: Duration::ZERO };
        ledger.attempted(attempt(answer), outcome, Timestamp(now))
    }

    #[test]
    fn a_webhook_is_disabled_after_five_days_without_a_success() {
        let ledger = Ledger::new(Timestamp(0), &webhook(0, 0), None);
        let day = 24 * 60 * 60 * 1_000;
        assert!(!tried(&ledger, Outcome::Rejected, 0) && !tried(&ledger, Outcome::TimedOut, 5 * day - 1));
        assert_eq!(ledger.shown().failing_since, Some(Timestamp(0)));
        assert!(!tried(&ledger, Outcome::Delivered, 5 * day));
        assert_eq!((ledger.shown().failing_since, ledger.shown().last_error.as_str()), (None, ""));
        assert!(!tried(&ledger, Outcome::Rejected, 6 * day) && tried(&ledger, Outcome::Rejected, 11 * day));
    }

    #[test]
    fn a_webhook_with_nothing_left_to_deliver_does_not_fail_any_more() {
        let ledger = Ledger::new(Timestamp(0), &webhook(0, 0), None);
        let day = 24 * 60 * 60 * 1_000;
        assert!(!tried(&ledger, Outcome::Unreachable, 0));
        ledger.moved(Position::behind(Lsn(1)), 1, (1, 1));
        assert_eq!(ledger.shown().failing_since, Some(Timestamp(0)), "another event waits");
        ledger.moved(Position::behind(Lsn(2)), 0, (1, 1));
        assert_eq!(ledger.take_changed().map(|progress| progress.failing_since), Some(None));
        assert!(!tried(&ledger, Outcome::Unreachable, 9 * day), "one failure days later does not disable it");
        assert_eq!(ledger.shown().failing_since, Some(Timestamp(9 * day)));
    }

    #[test]
    fn the_journal_keeps_what_was_delivered_and_when_failures_began_and_nothing_else() {
        let ledger = Ledger::new(Timestamp(0), &webhook(0, 0), None);
        ledger.moved(Position::behind(Lsn(7)), 0, (0, 0));
        assert_eq!(ledger.take_changed(), None, "no event was delivered");
        ledger.moved(Position::behind(Lsn(KEPT_AFTER)), 0, (0, 0));
        assert!(ledger.take_changed().is_some(), "a start need not read all that again");
        ledger.moved(Position::behind(Lsn(KEPT_AFTER + 7)), 0, (0, 0));
        assert!(ledger.take_changed().is_none() && ledger.take_last().is_some() && ledger.take_last().is_none());
        tried(&ledger, Outcome::Rejected, 1);
        assert_eq!(ledger.take_changed().and_then(|progress| progress.failing_since), Some(Timestamp(1)));
        tried(&ledger, Outcome::Rejected, 2);
        assert_eq!(ledger.take_changed(), None, "it fails as before");
        ledger.moved(Position::behind(Lsn(9)), 0, (2, 1));
        let kept = ledger.take_changed().expect("two events");
        assert_eq!((kept.delivered_to, kept.given_up), (Position::behind(Lsn(9)).place(), 1));
        let again = Ledger::new(Timestamp(0), &webhook(1, 0), Some(&kept));
        assert_eq!(again.delivered_to(), Position::behind(Lsn(9)));
        let anew = Ledger::new(Timestamp(0), &webhook(1, 1), Some(&kept));
        assert_eq!((anew.delivered_to(), anew.shown().given_up), (Position::behind(Lsn(1)), 1));
    }

    #[test]
    fn the_last_attempts_are_remembered_newest_first() {
        let ledger = Ledger::new(Timestamp(0), &webhook(0, 0), None);
        for now in 0..100 {
            tried(&ledger, Outcome::Delivered, now);
        }
        assert_eq!(ledger.shown().recent.len(), ATTEMPTS_MAX);
        assert_eq!(ledger.shown().last_success_at, Some(Timestamp(99)));
    }
}

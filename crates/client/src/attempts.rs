//! One call from its first attempt to its answer or its deadline.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};

use super::Error;
use super::retry::Policy;

/// How long a call may take, and until when that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    span: Duration,
    /// `None` for one beyond what the machine can count.
    at: Option<Instant>,
}

impl Deadline {
    /// So long from now.
    pub(super) fn after(span: Duration) -> Self {
        Self { span, at: Instant::now().checked_add(span) }
    }

    /// What is left of it.
    pub(super) fn left(self) -> Duration {
        self.at.map_or(self.span, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits for something until the deadline.
    ///
    /// # Errors
    /// When it has passed.
    pub(super) async fn within<T>(self, future: impl Future<Output = T>) -> Result<T, Late> {
        match self.at {
            Some(at) => tokio::time::timeout_at(at, future).await.map_err(|_elapsed| Late),
            None => Ok(future.await),
        }
    }
}

/// The deadline has passed.
#[derive(Debug)]
pub(super) struct Late;

/// The attempts of one call.
#[derive(Debug)]
pub(super) struct Attempts<'p> {
    policy: &'p Policy,
    deadline: Deadline,
    made: u32,
    /// Whether the attempt under way has all the time that is left, and not an attempt's own.
    is_last: bool,
    last: Option<Status>,
}

impl<'p> Attempts<'p> {
    /// The first.
    pub(super) fn begin(policy: &'p Policy, deadline: Duration) -> Self {
        policy.earn();
        Self { policy, deadline: Deadline::after(deadline), made: 1, is_last: false, last: None }
    }

    /// Until when.
    pub(super) const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// How long the next attempt may take, of so much that any may.
    pub(super) fn span(&mut self, most: Duration) -> Duration {
        let left = self.deadline.left();
        self.is_last = left <= most;
        left.min(most)
    }

    /// Waits for this attempt's answer until the call's deadline.
    ///
    /// # Errors
    /// When it has passed.
    pub(super) async fn within<T>(&self, attempt: impl Future<Output = T>) -> Result<T, Error> {
        self.deadline.within(attempt).await.map_err(|Late| self.late())
    }

    fn late(&self) -> Error {
        Error::Deadline { deadline: self.deadline.span, last: self.last.clone() }
    }

    /// After an attempt that ended so, waits until it is time for the next.
    ///
    /// # Errors
    /// Why there is none: the status is final, or came too late, too often, or to too many.
    pub(super) async fn another(&mut self, status: Status) -> Result<(), Error> {
        let left = self.deadline.left();
        if self.is_last && status.code() == Code::DeadlineExceeded {
            // The same deadline, told by whoever saw it pass first.
            return Err(self.late());
        }
        if left.is_zero() {
            self.last = Some(status);
            return Err(self.late());
        }
        let delay =
            self.policy.delay(&status, self.made).filter(|delay| *delay < left && self.made < self.policy.attempts());
        match delay {
            Some(delay) if self.policy.spend() => {
                self.last = Some(status);
                self.made = self.made.saturating_add(1);
                tokio::time::sleep(delay).await;
                Ok(())
            }
            Some(_) | None => Err(Error::of(status, self.made)),
        }
    }
}

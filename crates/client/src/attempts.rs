//! One call from its first attempt to its answer or its deadline.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};

use super::Error;
use super::retry::Policy;

/// The time that a call may take, and its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    span: Duration,
    /// `None` if it is beyond what the machine can represent.
    at: Option<Instant>,
}

impl Deadline {
    /// This span from now.
    pub(super) fn after(span: Duration) -> Self {
        Self { span, at: Instant::now().checked_add(span) }
    }

    /// What is left.
    pub(super) fn left(self) -> Duration {
        self.at.map_or(self.span, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Waits for a future until the deadline.
    ///
    /// # Errors
    /// If the deadline has passed.
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
    /// The current attempt may take all the time that is left, which is less than an attempt's own timeout.
    is_last: bool,
    last: Option<Status>,
}

impl<'p> Attempts<'p> {
    /// The first attempt.
    pub(super) fn begin(policy: &'p Policy, deadline: Duration) -> Self {
        policy.earn();
        Self { policy, deadline: Deadline::after(deadline), made: 1, is_last: false, last: None }
    }

    /// Until when.
    pub(super) const fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// How long the next attempt may take: what is left, `most` at most.
    pub(super) fn span(&mut self, most: Duration) -> Duration {
        let left = self.deadline.left();
        self.is_last = left <= most;
        left.min(most)
    }

    /// Waits for this attempt's answer until the call's deadline.
    ///
    /// # Errors
    /// If the deadline has passed.
    pub(super) async fn within<T>(&self, attempt: impl Future<Output = T>) -> Result<T, Error> {
        self.deadline.within(attempt).await.map_err(|Late| self.late())
    }

    fn late(&self) -> Error {
        Error::Deadline { deadline: self.deadline.span, last: self.last.clone() }
    }

    /// After an attempt that ended with `status`, waits until the next attempt may be made.
    ///
    /// # Errors
    /// If there is no next attempt: the status is final, or the deadline, the attempts or the retry budget are used
    /// up.
    pub(super) async fn another(&mut self, status: Status) -> Result<(), Error> {
        let left = self.deadline.left();
        if self.is_last && status.code() == Code::DeadlineExceeded {
            // It is the call's deadline, whichever side reports it first.
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

//! Runs one stream after another. If a stream breaks, the unanswered operations are sent again on the next one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use stockade_proto as pb;
use tokio::sync::mpsc;
use tonic::Status;

use super::session::{Sent, Session};
use super::{Job, MESSAGE_BYTES_MAX, Unanswered};
use crate::pool::ConnectionPool;
use crate::retry::Policy;
use crate::{Batching, Error, Options};

/// The limits of a driver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Most operations in a message.
    operations: usize,
    /// Most messages in flight.
    pub(super) messages: usize,
    view: pb::HoldView,
    /// How long a stream may be silent while answers are outstanding.
    pub(super) silence: Duration,
}

impl Limits {
    /// From options that are within their bounds.
    pub(super) fn of(options: &Options) -> Self {
        let Batching { operations, messages, queue: _, streams: _, view } = options.batching;
        Self { operations, messages, view, silence: options.attempt_timeout }
    }
}

/// Sends the operations of one queue.
pub(super) struct Driver {
    pub(super) limits: Limits,
    pub(super) pool: Arc<ConnectionPool>,
    policy: Arc<Policy>,
    jobs: mpsc::Receiver<Job>,
    /// Operations that were taken from the queue and are not in flight; those that are sent again come first.
    waiting: VecDeque<Job>,
    /// Streams that broke since the last answer.
    failures: u32,
    sequence: u64,
}

impl Driver {
    pub(super) fn new(
        limits: Limits,
        pool: Arc<ConnectionPool>,
        policy: Arc<Policy>,
        jobs: mpsc::Receiver<Job>,
    ) -> Self {
        Self { limits, pool, policy, jobs, waiting: VecDeque::new(), failures: 0, sequence: 0 }
    }

    /// Runs until no caller can make an operation any more. A stream is opened only when an operation waits.
    pub(super) async fn run(mut self) {
        while self.is_needed().await {
            let mut in_flight = VecDeque::new();
            let Some(status) = Session::run(&mut self, &mut in_flight).await else { return };
            let unanswered = in_flight.into_iter().flat_map(|sent: Sent| sent.jobs);
            let behind = std::mem::take(&mut self.waiting);
            self.waiting = unanswered.chain(behind).filter(Job::is_wanted).collect();
            self.recover(status).await;
        }
    }

    async fn is_needed(&mut self) -> bool {
        loop {
            self.waiting.retain(Job::is_wanted);
            if !self.waiting.is_empty() {
                return true;
            }
            if !self.gather().await {
                return false;
            }
        }
    }

    /// Takes queued operations, one message's worth at most; waits if there is none. False if the queue is closed.
    /// Dropping the future loses nothing.
    pub(super) async fn gather(&mut self) -> bool {
        let mut gathered = Vec::new();
        let count = self.jobs.recv_many(&mut gathered, self.limits.operations).await;
        self.waiting.extend(gathered);
        count > 0
    }

    /// The next message of waiting operations; `None` if none waits.
    pub(super) fn message(&mut self) -> Option<(pb::BatchStreamRequest, Sent)> {
        let (mut jobs, mut bytes) = (Vec::new(), 0_usize);
        while let Some(mut job) = self.waiting.pop_front() {
            let with = bytes.saturating_add(job.bytes);
            if jobs.len() == self.limits.operations || with > MESSAGE_BYTES_MAX {
                self.waiting.push_front(job);
                break;
            }
            if job.is_wanted() {
                job.sent = job.sent.saturating_add(1);
                bytes = with;
                jobs.push(job);
            }
        }
        if jobs.is_empty() {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let operations = jobs.iter().map(|job| pb::Operation::clone(&job.operation)).collect();
        let message = pb::BatchStreamRequest { sequence: self.sequence, operations, view: self.limits.view.into() };
        Some((message, Sent { sequence: self.sequence, jobs }))
    }

    /// An answer was received: the server is well.
    pub(super) fn note_success(&mut self) {
        self.failures = 0;
    }

    /// Puts these operations before all others.
    pub(super) fn again(&mut self, jobs: Vec<Job>) {
        for job in jobs.into_iter().rev() {
            self.waiting.push_front(job);
        }
    }

    /// After a stream broke: answers the operations whose time or attempts are used up, and waits until the others
    /// may be sent on another stream. One retry is spent, however many operations are sent again.
    async fn recover(&mut self, status: Status) {
        if self.waiting.is_empty() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        tracing::debug!(%status, unanswered = self.waiting.len(), "a stream of operations broke");
        let attempts = self.policy.attempts();
        let Some(delay) = self.policy.delay(&status, self.failures) else {
            return self.give_up(|job| job.sent > 0, |job| Unanswered::of(&status, job));
        };
        let is_over = |job: &Job| job.sent >= attempts || (job.sent > 0 && job.deadline.left() <= delay);
        self.give_up(is_over, |job| Unanswered::of(&status, job));
        if self.waiting.is_empty() {
            return;
        }
        let longest = self.policy.longest_delay();
        if delay > longest {
            // Only operations that were sent have to wait this long; each waits within its own caller's deadline.
            self.give_up(|job| job.sent > 0, |_| Unanswered::Later(status.clone()));
        } else if self.policy.spend() {
            return tokio::time::sleep(delay).await;
        } else {
            self.give_up(|job| job.sent > 0, |job| Unanswered::of(&status, job));
        }
        // An operation that was never sent still has its first attempt, but not at once: the server is in trouble.
        if !self.waiting.is_empty() {
            tokio::time::sleep(delay.min(longest)).await;
        }
    }

    fn give_up(&mut self, is_over: impl Fn(&Job) -> bool, why: impl Fn(&Job) -> Unanswered) {
        let (over, on): (VecDeque<Job>, _) = self.waiting.drain(..).partition(is_over);
        self.waiting = on;
        for job in over {
            let why = why(&job);
            job.tell(Err(why));
        }
    }
}

impl Unanswered {
    /// For the status that ended the operation's last stream.
    fn of(status: &Status, job: &Job) -> Self {
        Self::Final(Error::of(status.clone(), job.sent))
    }
}

//! The only module that waits: for doubt to pass, and for decisions to be durable.

use std::sync::Arc;
use std::time::Duration;

use stockade_engine::Engine;
use stockade_engine::answer::{Fault, Outcome};
use stockade_engine::attempt::{Answer, Decided, Ticket};
use stockade_engine::command::Operation;
use stockade_engine::context::Context;
use stockade_engine::lifecycle::term::EngineHandle;
use stockade_types::ids::Lsn;
use stockade_types::metrics::{Gauge, Stopwatch};
use stockade_types::time::{Clock, Timestamp};
use tokio::sync::Semaphore;

use crate::metrics::edge::{EdgeMetrics, Ending};
use crate::reports::Reports;

/// How long a request waits for doubt to pass. After that it fails and may be sent again.
const IN_DOUBT_TIMEOUT: Duration = Duration::from_millis(10);

/// The fault between two terms.
const NO_ENGINE: Fault = Fault::Overloaded("the server's engine is being replaced");

/// Most lists that are gathered at once. Other lists wait, with only their request in memory.
const LISTS_AT_ONCE: usize = 4;

/// What the services share.
pub struct Edge {
    engines: Arc<EngineHandle>,
    clock: Arc<dyn Clock>,
    metrics: Arc<EdgeMetrics>,
    lists: Arc<Semaphore>,
}

/// A verb of the engine that returns an outcome.
pub(super) type Verb<C> = fn(&Engine, &C, Context<'_>) -> Answer<Outcome>;

impl Edge {
    /// Between callers and the engine of the current term.
    #[must_use]
    pub fn new(engines: Arc<EngineHandle>, clock: Arc<dyn Clock>, metrics: Arc<EdgeMetrics>) -> Self {
        Self { engines, clock, metrics, lists: Arc::new(Semaphore::new(LISTS_AT_ONCE)) }
    }

    /// Reports of this engine's drops.
    pub(super) fn reports(&self) -> Arc<Reports> {
        Reports::new(Arc::clone(&self.engines), Arc::clone(&self.clock))
    }

    /// The engine of the current term. Its decisions wait for its own journal.
    ///
    /// # Errors
    /// `Overloaded` between two terms, when there is no engine.
    pub(super) fn engine(&self) -> Result<Arc<Engine>, Fault> {
        self.engines.current().ok_or(NO_ENGINE)
    }

    /// Decides a command and waits until the answer may be sent.
    ///
    /// # Errors
    /// The verb's faults, `JournalFailed`, and `Overloaded` between two terms.
    pub async fn decide<C>(&self, command: &C, verb: Verb<C>) -> Result<(Outcome, Timestamp), Fault> {
        // Nearly every call is decided at its first attempt, without a shared reference count.
        let first = self.engines.with(|engine| {
            let now = self.clock.now();
            let answer = verb(engine, command, Context::anonymous(now));
            if is_in_doubt(&answer) { Err(Arc::clone(engine)) } else { Ok((Pending::of(engine, answer), now)) }
        });
        let (pending, now) = match first.ok_or(NO_ENGINE)? {
            Ok(decided) => decided,
            Err(engine) => {
                tokio::task::yield_now().await;
                let (answer, now) = self.decide_from(&engine, self.clock.now(), command, verb).await;
                (Pending::of(&engine, answer), now)
            }
        };
        Ok((pending.settle().await?, now))
    }

    /// Decides without waiting for the disk: the answer must not be sent before its record is durable. The first
    /// attempt uses the time `read`, which was read after the request had arrived and which several operations may
    /// share. Each later attempt reads the clock again.
    pub async fn decide_from<C>(
        &self,
        engine: &Engine,
        read: Timestamp,
        command: &C,
        verb: Verb<C>,
    ) -> (Answer<Outcome>, Timestamp) {
        let mut first = Some(read);
        attempted(|| {
            let now = first.take().unwrap_or_else(|| self.clock.now());
            (verb(engine, command, Context::anonymous(now)), now)
        })
        .await
    }

    /// The current engine time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Asks the engine and waits until the answer may be sent.
    ///
    /// # Errors
    /// The question's faults, `JournalFailed`, and `Overloaded` between two terms.
    pub async fn ask<T>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Answer<T>,
    ) -> Result<(T, Timestamp), Fault> {
        let (pending, now) = self.peek(question)?;
        Ok((pending.settle().await?, now))
    }

    /// As [`Edge::ask`], without waiting.
    ///
    /// # Errors
    /// `Overloaded` between two terms.
    pub fn peek<T>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Answer<T>,
    ) -> Result<(Pending<T>, Timestamp), Fault> {
        let now = self.clock.now();
        let pending = self.engines.with(|engine| Pending::of(engine, question(engine, Context::anonymous(now))));
        Ok((pending.ok_or(NO_ENGINE)?, now))
    }

    /// As [`Edge::ask`], for long work: on a blocking thread.
    ///
    /// # Errors
    /// As [`Edge::ask`].
    pub async fn ask_at_length<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Answer<T> + Send + 'static,
    ) -> Result<(T, Timestamp), Fault> {
        let (engine, now) = (self.engine()?, self.clock.now());
        let ask = move || Pending::of(&engine, question(&engine, Context::anonymous(now)));
        // A panic would have ended the process through its hook.
        let pending = tokio::task::spawn_blocking(ask).await.map_err(|_panic| Fault::JournalFailed)?;
        Ok((pending.settle().await?, now))
    }

    /// As [`Edge::ask_at_length`], for pages of lists: only a few are gathered at once.
    ///
    /// # Errors
    /// As [`Edge::ask`].
    pub async fn list<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Answer<T> + Send + 'static,
    ) -> Result<(T, Timestamp), Fault> {
        // The semaphore is never closed.
        let turn = Arc::new(Arc::clone(&self.lists).acquire_owned().await);
        // Held until the page may be sent, since it waits for the disk; and until it is gathered, even if the caller
        // has given up.
        let gathering = Arc::clone(&turn);
        let gathered = move |engine: &Engine, context: Context<'_>| {
            let gathered = question(engine, context);
            drop(gathering);
            gathered
        };
        let listed = self.ask_at_length(gathered).await;
        drop(turn);
        listed
    }

    /// The last record that was appended; `None` between two terms.
    pub fn appended(&self) -> Option<Lsn> {
        self.engines.with(|engine| engine.journal().appended())
    }

    /// Open streams of watches and of events, and pages of events that wait.
    pub fn watchers(&self) -> &Gauge {
        &self.metrics.watchers
    }

    /// Counts an operation by its outcome.
    pub fn count(&self, operation: Operation, ending: Ending) {
        self.metrics.operation(operation, ending);
    }

    /// Counts several operations by their outcome.
    pub fn count_many(&self, operation: Operation, ending: Ending, many: u64) {
        self.metrics.operations_more(operation, ending, many);
    }
}

/// A decision, value or fault, that waits for the journal of the engine that made it. It holds no reference to the
/// engine.
#[must_use = "nothing of it may be sent before it is settled"]
pub struct Pending<T> {
    answer: Result<T, Fault>,
    ticket: Ticket,
}

impl<T> Pending<T> {
    /// An answer of this engine.
    pub fn of(engine: &Engine, answer: Answer<T>) -> Self {
        let (answer, durable_after) = match answer {
            Ok(Decided { value, durable_after }) => (Ok(value), durable_after),
            Err(Decided { value, durable_after }) => (Err(value), durable_after),
        };
        Self { answer, ticket: engine.journal().ticket(durable_after) }
    }

    /// A value that depends on no record.
    pub const fn at_once(value: T) -> Self {
        Self { answer: Ok(value), ticket: Ticket::ready() }
    }

    /// The value, if there is one, before it may be sent.
    pub fn unsettled(&self) -> Option<&T> {
        self.answer.as_ref().ok()
    }

    /// The decision, once it may be sent. All waiting for the disk happens here.
    ///
    /// # Errors
    /// The fault, or `JournalFailed`.
    pub async fn settle(self) -> Result<T, Fault> {
        self.ticket.await.map_err(|_failed| Fault::JournalFailed)?;
        self.answer
    }
}

const fn is_in_doubt<T>(answer: &Answer<T>) -> bool {
    matches!(answer, Err(Decided { value: Fault::InDoubt, .. }))
}

/// Attempts until nothing is in doubt, or the timeout has passed. Other tasks run between two attempts.
async fn attempted<T>(mut attempt: impl FnMut() -> (Answer<T>, Timestamp)) -> (Answer<T>, Timestamp) {
    let mut waiting: Option<Stopwatch> = None;
    loop {
        let attempted = attempt();
        if !is_in_doubt(&attempted.0) || waiting.get_or_insert_with(Stopwatch::start).elapsed() >= IN_DOUBT_TIMEOUT {
            return attempted;
        }
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn doubt_is_asked_again_and_the_decision_has_its_own_instant() {
        let tries = AtomicU64::new(0);
        let attempt = || {
            let now = tries.fetch_add(1, Ordering::Relaxed);
            (if now < 3 { Err(Fault::InDoubt.into()) } else { Ok(Decided::at_once("yes")) }, Timestamp(now))
        };
        assert_eq!(attempted(attempt).await, (Ok(Decided::at_once("yes")), Timestamp(3)));
    }

    #[tokio::test]
    async fn doubt_that_does_not_pass_is_told_and_never_a_refusal() {
        let watch = Stopwatch::start();
        let (answer, _): (Answer<()>, _) = attempted(|| (Err(Fault::InDoubt.into()), Timestamp(0))).await;
        assert_eq!(answer, Err(Fault::InDoubt.into()));
        assert!(watch.elapsed() >= IN_DOUBT_TIMEOUT);
    }

    #[tokio::test]
    async fn a_fault_is_not_asked_again() {
        let tries = AtomicU64::new(0);
        let attempt = || (Err(Fault::JournalFailed.into()), Timestamp(tries.fetch_add(1, Ordering::Relaxed)));
        let answered: (Answer<()>, _) = attempted(attempt).await;
        assert_eq!(answered, (Err(Fault::JournalFailed.into()), Timestamp(0)));
    }
}

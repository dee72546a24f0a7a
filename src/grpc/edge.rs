//! The one place that waits: for doubt to pass, and for what was decided to be durable.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::engine::answer::{Answer, Fault, Outcome, Step, Ticket};
use crate::engine::command::Reserve;
use crate::engine::context::Context;
use crate::feed::Feed;
use crate::ids::Lsn;
use crate::metrics::edge::{EdgeMetrics, Ending, Operation};
use crate::metrics::{Gauge, Stopwatch};
use crate::time::{Clock, Timestamp};

/// How long a request waits for doubt to pass before the caller is told to come again.
const PATIENCE: Duration = Duration::from_millis(10);

/// Lists that are gathered at the same time: others wait for their turn with nothing in memory but their request.
const LISTS_AT_ONCE: usize = 4;

/// What the services share.
pub struct Edge {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    metrics: Arc<EdgeMetrics>,
    lists: Arc<Semaphore>,
}

/// A verb of the engine that answers with an outcome.
pub type Verb<C> = fn(&Engine, &C, Context<'_>) -> Result<Step<Answer>, Fault>;

impl Edge {
    /// Between callers and this engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, clock: Arc<dyn Clock>, metrics: Arc<EdgeMetrics>) -> Self {
        Self { engine, clock, metrics, lists: Arc::new(Semaphore::new(LISTS_AT_ONCE)) }
    }

    /// Decides and waits until the answer may be sent.
    ///
    /// # Errors
    /// Those of the verb, `Overloaded` where doubt outlasts patience, and `JournalFailed`.
    pub async fn decide<C>(&self, command: &C, verb: Verb<C>) -> Result<(Outcome, Timestamp), Fault> {
        let (Answer { outcome, rests_on }, now) = match self.decide_ahead(command, verb).await {
            Ok(decided) => decided,
            Err(fault) => return Err(self.settled(fault).await),
        };
        self.durable(rests_on).await?;
        Ok((outcome, now))
    }

    /// Decides, without waiting for the disk: neither the answer nor the fault may be told before what it rests on is
    /// durable. `now` is read anew for each attempt: a decision is only as good as its instant.
    ///
    /// # Errors
    /// Those of the verb, and `Overloaded` where doubt outlasts patience.
    pub async fn decide_ahead<C>(&self, command: &C, verb: Verb<C>) -> Result<(Answer, Timestamp), Fault> {
        self.decide_from(self.clock.now(), command, verb).await
    }

    /// As [`Edge::decide_ahead`], with an instant for the first attempt that was read after the request had come: for
    /// many that came together and are decided one right after another.
    ///
    /// # Errors
    /// As [`Edge::decide_ahead`].
    pub async fn decide_from<C>(
        &self,
        read: Timestamp,
        command: &C,
        verb: Verb<C>,
    ) -> Result<(Answer, Timestamp), Fault> {
        let mut first = Some(read);
        let attempt = || {
            let now = first.take().unwrap_or_else(|| self.clock.now());
            verb(&self.engine, command, Context::anonymous(now)).map(|step| (step, now))
        };
        decided(attempt).await
    }

    /// Decides reserves that follow one another in one drop at once, as far as that goes, and tells each.
    ///
    /// # Errors
    /// As [`Engine::reserve_run`].
    pub fn decide_run(
        &self,
        commands: &[&Reserve],
        now: Timestamp,
        told: impl FnMut(&Outcome, Lsn),
    ) -> Result<(), Fault> {
        self.engine.reserve_run(commands, Context::anonymous(now), told)
    }

    /// Waits until everything up to this record is durable.
    ///
    /// # Errors
    /// `JournalFailed`.
    pub async fn durable(&self, upto: Lsn) -> Result<(), Fault> {
        self.engine.journal().ticket(upto).await.map_err(|_failed| Fault::JournalFailed)
    }

    /// This instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Asks for something that is decided at once, and waits until it may be shown.
    ///
    /// # Errors
    /// Those of the question, and `JournalFailed`.
    pub async fn ask<T, E, W: Future<Output = Result<(), E>>>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Result<(T, W), Fault>,
    ) -> Result<(T, Timestamp), Fault> {
        let (answer, ticket, now) = match self.look(question) {
            Ok(answered) => answered,
            Err(fault) => return Err(self.settled(fault).await),
        };
        ticket.await.map_err(|_failed| Fault::JournalFailed)?;
        Ok((answer, now))
    }

    /// Asks for something that is decided at once, without waiting: neither answer nor fault may be told before what it
    /// rests on is durable.
    ///
    /// # Errors
    /// Those of the question.
    pub fn look<T, W>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Result<(T, W), Fault>,
    ) -> Result<(T, W, Timestamp), Fault> {
        let now = self.clock.now();
        question(&self.engine, Context::anonymous(now)).map(|(answer, ticket)| (answer, ticket, now))
    }

    /// As [`Edge::ask`], for what may take long: on a thread where that holds nobody up.
    ///
    /// # Errors
    /// As [`Edge::ask`].
    pub async fn ask_at_length<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Result<(T, Ticket), Fault> + Send + 'static,
    ) -> Result<(T, Timestamp), Fault> {
        let (engine, now) = (Arc::clone(&self.engine), self.clock.now());
        let answered = tokio::task::spawn_blocking(move || question(&engine, Context::anonymous(now))).await;
        // A panic in there has ended the process through its hook.
        let (answer, ticket) = answered.unwrap_or(Err(Fault::JournalFailed))?;
        ticket.await.map_err(|_failed| Fault::JournalFailed)?;
        Ok((answer, now))
    }

    /// As [`Edge::ask_at_length`], for pages of lists: few are gathered at the same time.
    ///
    /// # Errors
    /// As [`Edge::ask`].
    pub async fn list<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine, Context<'_>) -> Result<(T, Ticket), Fault> + Send + 'static,
    ) -> Result<(T, Timestamp), Fault> {
        // It is never closed, so there is always a turn.
        let turn = Arc::new(Arc::clone(&self.lists).acquire_owned().await);
        // Until it may be shown, for a page waits for the disk; and until it is gathered, also where the caller has gone.
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

    /// A fault, once the record that it rests on is durable.
    async fn settled(&self, fault: Fault) -> Fault {
        match fault.rests_on() {
            Some(lsn) => self.engine.journal().ticket(lsn).await.map_or(Fault::JournalFailed, |()| fault),
            None => fault,
        }
    }

    /// The events of the engine's journal; none where nothing is kept.
    pub fn feed(&self) -> Option<Feed> {
        let engine = Arc::clone(&self.engine);
        self.engine.history().map(|history| Feed::new(history, move |number| engine.definition(number)))
    }

    /// The record up to which all is durable now.
    pub fn durable_now(&self) -> Lsn {
        self.engine.journal().durable()
    }

    /// Who watches a drop now.
    pub fn watchers(&self) -> &Gauge {
        &self.metrics.watchers
    }

    /// Counts how an operation ended.
    pub fn count(&self, operation: Operation, ending: Ending) {
        self.metrics.operation(operation, ending);
    }

    /// Counts how so many operations ended.
    pub fn count_many(&self, operation: Operation, ending: Ending, many: u64) {
        self.metrics.operations_more(operation, ending, many);
    }
}

/// Attempts until there is a decision, for as long as patience lasts. Others go first between two attempts.
async fn decided<T>(mut attempt: impl FnMut() -> Result<(Step<T>, Timestamp), Fault>) -> Result<(T, Timestamp), Fault> {
    let mut waiting: Option<Stopwatch> = None;
    loop {
        match attempt()? {
            (Step::Done(answer), now) => return Ok((answer, now)),
            (Step::InDoubt, _) => {
                if waiting.get_or_insert_with(Stopwatch::start).elapsed() >= PATIENCE {
                    return Err(Fault::Overloaded("units were in doubt for too long"));
                }
                tokio::task::yield_now().await;
            }
        }
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
            Ok((if now < 3 { Step::InDoubt } else { Step::Done("yes") }, Timestamp(now)))
        };
        assert_eq!(decided(attempt).await, Ok(("yes", Timestamp(3))));
    }

    #[tokio::test]
    async fn doubt_that_does_not_pass_is_an_overload_and_never_a_refusal() {
        let watch = Stopwatch::start();
        let result: Result<((), Timestamp), Fault> = decided(|| Ok((Step::InDoubt, Timestamp(0)))).await;
        assert!(matches!(result, Err(Fault::Overloaded(_))), "{result:?}");
        assert!(watch.elapsed() >= PATIENCE);
    }

    #[tokio::test]
    async fn a_fault_is_not_asked_again() {
        let result: Result<((), Timestamp), Fault> = decided(|| Err(Fault::JournalFailed)).await;
        assert_eq!(result, Err(Fault::JournalFailed));
    }
}

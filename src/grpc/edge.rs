//! The one place that waits: for doubt to pass, and for what was decided to be durable.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::engine::answer::{Answer, Fault, Outcome, Step};
use crate::journal::Ticket;
use crate::metrics::Stopwatch;
use crate::metrics::edge::{EdgeMetrics, Ending, Operation};
use crate::time::{Clock, Timestamp};

/// How long a request waits for doubt to pass before the caller is told to come again.
const PATIENCE: Duration = Duration::from_millis(10);

/// What the services share.
pub struct Edge {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    metrics: Arc<EdgeMetrics>,
}

/// A verb of the engine that answers with an outcome.
pub type Verb<C> = fn(&Engine, &C, Timestamp) -> Result<Step<Answer>, Fault>;

impl Edge {
    /// Between callers and this engine.
    #[must_use]
    pub fn new(engine: Arc<Engine>, clock: Arc<dyn Clock>, metrics: Arc<EdgeMetrics>) -> Self {
        Self { engine, clock, metrics }
    }

    /// Decides and waits until the answer may be sent. `now` is read anew for each attempt: a decision is only as
    /// good as its instant.
    ///
    /// # Errors
    /// Those of the verb, `Overloaded` where doubt outlasts patience, and `JournalFailed`.
    pub async fn decide<C>(&self, command: &C, verb: Verb<C>) -> Result<(Outcome, Timestamp), Fault> {
        let mut waiting: Option<Stopwatch> = None;
        loop {
            let now = self.clock.now();
            match verb(&self.engine, command, now)? {
                Step::Done(Answer { outcome, ticket }) => {
                    ticket.await.map_err(|_failed| Fault::JournalFailed)?;
                    return Ok((outcome, now));
                }
                Step::InDoubt => {
                    let since = waiting.get_or_insert_with(Stopwatch::start);
                    if since.elapsed() >= PATIENCE {
                        return Err(Fault::Overloaded("units were in doubt for too long"));
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Asks for something that is decided at once, and waits until it may be shown.
    ///
    /// # Errors
    /// Those of the question, and `JournalFailed`.
    pub async fn ask<T>(
        &self,
        question: impl FnOnce(&Engine, Timestamp) -> Result<(T, Ticket), Fault>,
    ) -> Result<(T, Timestamp), Fault> {
        let now = self.clock.now();
        let (answer, ticket) = question(&self.engine, now)?;
        ticket.await.map_err(|_failed| Fault::JournalFailed)?;
        Ok((answer, now))
    }

    /// Counts how an operation ended.
    pub fn count(&self, operation: Operation, ending: Ending) {
        self.metrics.operation(operation, ending);
    }
}

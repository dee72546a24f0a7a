//! The call that records what other systems know of orders and of demand.

use std::sync::Arc;

use stockade_engine::Engine;
use stockade_engine::attempt::Decided;
use stockade_engine::context::Context;
use stockade_proto as pb;
use stockade_types::record::Origin;
use tokio::sync::Semaphore;
use tonic::Status;

use super::convert;
use super::edge::Edge;
use super::status::{self, of_fault};

/// Most lists of facts that are recorded at once; others wait. One at a time holds the engine's table, and they must not
/// take the cores from those who serve customers.
const LISTS_AT_ONCE: usize = 2;

/// The calls about facts.
pub(super) struct FactCalls {
    edge: Arc<Edge>,
    turns: Arc<Semaphore>,
}

impl FactCalls {
    /// Over this edge.
    pub(super) fn new(edge: Arc<Edge>) -> Self {
        Self { edge, turns: Arc::new(Semaphore::new(LISTS_AT_ONCE)) }
    }

    /// Records facts, on a thread for long work. Once begun it goes on even if the caller has given up.
    pub(super) async fn record(
        &self,
        request: pb::RecordFactsRequest,
        origin: Origin,
    ) -> Result<pb::RecordFactsResponse, Status> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_closed| status::stopping())?;
        let record = move |engine: &Engine, context: Context<'_>| {
            let _turn = turn;
            let (reported, faults) = match convert::record_facts(&request) {
                Ok(converted) => converted,
                Err(rejection) => return Ok(Decided::at_once(Err(rejection))),
            };
            let recorded = engine.record_facts(&reported, context.by(&origin))?;
            Ok(recorded.map(|recorded| Ok(convert::recorded_facts(recorded, faults))))
        };
        let (answer, _now) = self.edge.ask_at_length(record).await.map_err(of_fault)?;
        Ok(answer?)
    }
}

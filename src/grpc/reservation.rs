//! The calls of `ReservationService`, but for `Explain`, which reads the journal.

use std::sync::Arc;

use stockade_engine::Engine;
use stockade_engine::answer::Outcome;
use stockade_engine::command::Operation;
use stockade_engine::context::Context;
use stockade_proto as pb;
use stockade_types::time::Timestamp;
use tonic::Status;

use super::batch;
use super::convert;
use super::decode::Decoded;
use super::edge::{Edge, Verb};
use super::status::of_fault;
use super::stream::{Answers, Incoming, Streams};
use crate::budget::Charge;
use crate::metrics::edge::Ending;

/// The calls about holds.
pub(super) struct Reservations {
    edge: Arc<Edge>,
    streams: Streams,
}

impl Reservations {
    /// Over this edge; `streams` are its streams.
    pub(super) const fn new(edge: Arc<Edge>, streams: Streams) -> Self {
        Self { edge, streams }
    }

    /// Runs one operation from command to durable outcome, and counts it.
    async fn run<C>(
        &self,
        operation: Operation,
        command: Result<C, convert::Rejection>,
        verb: Verb<C>,
    ) -> Result<(Outcome, Timestamp), Status> {
        let mut counted = CountedCall { edge: &self.edge, operation, ending: Ending::Error };
        let (outcome, now) = self.edge.decide(&command?, verb).await.map_err(of_fault)?;
        counted.ending = match &outcome {
            Outcome::Hold(_) => Ending::Ok,
            Outcome::Refused(_) => Ending::Refused,
        };
        Ok((outcome, now))
    }
}

/// Counts an operation when it ends, also if its caller has given up.
struct CountedCall<'a> {
    edge: &'a Edge,
    operation: Operation,
    ending: Ending,
}

impl Drop for CountedCall<'_> {
    fn drop(&mut self) {
        self.edge.count(self.operation, self.ending);
    }
}

impl Reservations {
    pub(super) async fn reserve(&self, request: pb::ReserveRequest) -> Result<pb::ReserveResponse, Status> {
        use pb::reserve_response::Outcome as Shown;
        let command = convert::reserve(&request);
        let (outcome, now) = self.run(Operation::Reserve, command, Engine::reserve).await?;
        let short_lines = convert::short_lines(&outcome);
        let outcome = match outcome {
            Outcome::Hold(view) => Shown::Hold(convert::hold(&view)),
            Outcome::Refused(refusal) => Shown::Refusal(convert::refusal(&refusal)),
        };
        let server_time = Some(convert::timestamp(now));
        Ok(pb::ReserveResponse { outcome: Some(outcome), short_lines, server_time })
    }

    pub(super) async fn extend(&self, request: pb::ExtendRequest) -> Result<pb::ExtendResponse, Status> {
        use pb::extend_response::Outcome as Shown;
        let command = convert::extend(&request);
        let (outcome, now) = self.run(Operation::Extend, command, Engine::extend).await?;
        let outcome = match outcome {
            Outcome::Hold(view) => Shown::Hold(convert::hold(&view)),
            Outcome::Refused(refusal) => Shown::Refusal(convert::refusal(&refusal)),
        };
        let server_time = Some(convert::timestamp(now));
        Ok(pb::ExtendResponse { outcome: Some(outcome), server_time })
    }

    pub(super) async fn claim(&self, request: pb::ClaimRequest) -> Result<pb::ClaimResponse, Status> {
        use pb::claim_response::Outcome as Shown;
        let command = convert::claim(&request);
        let (outcome, now) = self.run(Operation::Claim, command, Engine::claim).await?;
        let (outcome, mode) = match outcome {
            Outcome::Hold(view) => (Shown::Hold(convert::hold(&view)), convert::claim_mode(&view)),
            Outcome::Refused(refusal) => (Shown::Refusal(convert::refusal(&refusal)), pb::ClaimMode::Unspecified),
        };
        let server_time = Some(convert::timestamp(now));
        Ok(pb::ClaimResponse { outcome: Some(outcome), mode: mode.into(), server_time })
    }

    pub(super) async fn release(&self, request: pb::ReleaseRequest) -> Result<pb::ReleaseResponse, Status> {
        use pb::release_response::Outcome as Shown;
        let command = convert::release(&request);
        let (outcome, now) = self.run(Operation::Release, command, Engine::release).await?;
        let outcome = match outcome {
            Outcome::Hold(view) => Shown::Hold(convert::hold(&view)),
            Outcome::Refused(refusal) => Shown::Refusal(convert::refusal(&refusal)),
        };
        let server_time = Some(convert::timestamp(now));
        Ok(pb::ReleaseResponse { outcome: Some(outcome), server_time })
    }

    pub(super) async fn get_hold(&self, request: pb::GetHoldRequest) -> Result<pb::GetHoldResponse, Status> {
        let (hold, drop) = convert::get_hold(&request)?;
        let (view, now) =
            self.edge.ask(|engine, context| engine.get_hold(hold, drop.as_ref(), context)).await.map_err(of_fault)?;
        let (hold, server_time) = (Some(convert::hold(&view)), Some(convert::timestamp(now)));
        Ok(pb::GetHoldResponse { hold, server_time, token: String::new() })
    }

    pub(super) async fn return_units(
        &self,
        request: pb::ReturnUnitsRequest,
    ) -> Result<pb::ReturnUnitsResponse, Status> {
        use pb::return_units_response::Outcome as Shown;
        let command = convert::return_units(&request);
        let (outcome, now) = self.run(Operation::Return, command, Engine::return_units).await?;
        let outcome = match outcome {
            Outcome::Hold(view) => Shown::Hold(convert::hold(&view)),
            Outcome::Refused(refusal) => Shown::Refusal(convert::refusal(&refusal)),
        };
        let server_time = Some(convert::timestamp(now));
        Ok(pb::ReturnUnitsResponse { outcome: Some(outcome), server_time })
    }

    pub(super) async fn list_holds(&self, request: pb::ListHoldsRequest) -> Result<pb::ListHoldsResponse, Status> {
        let (filter, place, size) = convert::list_holds(&request)?;
        let list = move |engine: &Engine, context: Context<'_>| {
            let mut page = convert::hold_page(size);
            let listed = engine.list_holds(&filter, place, &mut page, context)?;
            Ok(listed.map(|next| (page.into_shown(), next)))
        };
        let ((holds, next), now) = self.edge.list(list).await.map_err(of_fault)?;
        let (next_page_token, server_time) = (convert::hold_token(next), Some(convert::timestamp(now)));
        Ok(pb::ListHoldsResponse { holds, next_page_token, server_time })
    }

    /// Decides operations in order. The request's charge moves to the answer.
    ///
    /// # Errors
    /// If the message is faulty as a whole, or nothing can be decided any more.
    pub(super) async fn batch(
        &self,
        request: Decoded<pb::BatchRequest>,
    ) -> Result<(pb::BatchResponse, Charge), Status> {
        let Decoded { message: pb::BatchRequest { operations, view }, charge } = request;
        let view = convert::batch(operations.len(), view)?;
        let (results, now) =
            batch::decide(&self.edge, &operations, view).await.map_err(of_fault)?.durable().await.map_err(of_fault)?;
        Ok((pb::BatchResponse { results, server_time: Some(convert::timestamp(now)) }, charge))
    }

    /// Decides a stream of batches, answered in their order.
    pub(super) fn batch_stream(&self, messages: Incoming) -> Answers {
        self.streams.answers(&self.edge, messages)
    }
}

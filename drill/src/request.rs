//! One call of a customer that changes a hold, and its answer: the hold, or a refusal.

use stockade_client::Client;
use stockade_proto as pb;
use tonic::Status;

use crate::wire::instant;

/// A verb of the reservation service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Units set aside.
    Reserve,
    /// A deadline moved, or a payment begun.
    Extend,
    /// A sale.
    Claim,
    /// Units given back.
    Release,
    /// Units given back after the sale.
    Return,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reserve, Self::Extend, Self::Claim, Self::Release, Self::Return];

    /// Its label in the metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Extend => "extend",
            Self::Claim => "claim",
            Self::Release => "release",
            Self::Return => "return",
        }
    }
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// For units.
    Reserve(pb::ReserveRequest),
    /// For more time, or into payment.
    Extend(pb::ExtendRequest),
    /// For the sale.
    Claim(pb::ClaimRequest),
    /// To give units back.
    Release(pb::ReleaseRequest),
    /// To give units back after the sale.
    Return(pb::ReturnUnitsRequest),
}

/// The decision on a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The hold as it is now.
    Hold(pb::Hold),
    /// A business refusal.
    Refusal(pb::Refusal),
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The decision.
    pub outcome: Outcome,
    /// The server's time of it, in milliseconds since the epoch.
    pub server_time: u64,
}

/// Sends one kind of request, and reads its answer: each verb has its own types, all of the same form.
macro_rules! sent {
    ($client:ident.$call:ident($request:expr), $answer:ident) => {{
        // Boxed: the transport's future is large.
        let answer = Box::pin($client.$call($request.clone())).await?;
        let outcome = match answer.outcome {
            Some(pb::$answer::Outcome::Hold(hold)) => Outcome::Hold(hold),
            Some(pb::$answer::Outcome::Refusal(refusal)) => Outcome::Refusal(refusal),
            None => return Err(Status::internal("an answer without an outcome")),
        };
        Ok(Answer { outcome, server_time: instant(answer.server_time) })
    }};
}

impl Request {
    /// Its verb.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Reserve(_) => Verb::Reserve,
            Self::Extend(_) => Verb::Extend,
            Self::Claim(_) => Verb::Claim,
            Self::Release(_) => Verb::Release,
            Self::Return(_) => Verb::Return,
        }
    }

    /// Sends it once.
    ///
    /// # Errors
    /// A status: then it is unknown whether the call took effect.
    pub async fn send(&self, client: &Client) -> Result<Answer, Status> {
        match self {
            Self::Reserve(request) => sent!(client.reserve(request), reserve_response),
            Self::Extend(request) => sent!(client.extend(request), extend_response),
            Self::Claim(request) => sent!(client.claim(request), claim_response),
            Self::Release(request) => sent!(client.release(request), release_response),
            Self::Return(request) => sent!(client.return_units(request), return_units_response),
        }
    }
}

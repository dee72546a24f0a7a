//! The work that is compared, and its callers in messages: the same ones for Stockade and for the bare handler.

use load_test_peers::{CUSTOMERS, HOT, customer};
use prost::Message as _;
use stockade_drill::Failure;
use stockade_drill::drive::Caller;
use stockade_drill::wire::{self, hold_id};
use stockade_proto as pb;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, EncodeBuf, Encoder, Streaming};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_prost::{ProstCodec, ProstDecoder};

use crate::reserves::{CONNECTIONS, all_granted, operation};
use crate::stubs;

/// The drop of every comparison.
pub const DROP: &str = "compare";
/// A sold-out SKU.
pub const GONE: &str = "SHEATH";
/// Operations in a message of a stream.
pub const BATCH: u32 = 1_000;
/// Messages in flight on a stream.
const MESSAGES_IN_FLIGHT: usize = 4;
/// Messages that a stream encodes once and sends again and again with new ids: together about all customers.
const MESSAGES: u32 = 12;

/// A work to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A durable reserve in a unary call.
    Reserve,
    /// Durable reserves, many in a message of a stream.
    Batch,
    /// A refusal of a sold-out SKU in a unary call.
    Refusal,
}

/// A request of one unit for a customer.
#[must_use]
pub fn reserve(hold_id: String, sku: &str, number: u32) -> pb::ReserveRequest {
    wire::reserve(hold_id, DROP, customer(number), vec![wire::line(sku, 1)])
}

/// A message that is encoded once. Only the ids of its holds change, so that the load costs little CPU time.
struct Template {
    bytes: Vec<u8>,
    /// Where the ids are in the bytes.
    ids: Vec<usize>,
}

/// Encoded in place of an id.
const PLACEHOLDER: &str = "00000000-0000-4000-8000-00000000000f";

impl Template {
    fn new(first: u32) -> Self {
        let reserve_of = |place: u32| {
            let number = first.saturating_add(place).checked_rem(CUSTOMERS).unwrap_or(0);
            operation(pb::operation::Operation::Reserve(reserve(PLACEHOLDER.to_owned(), HOT, number)))
        };
        let operations = (0..BATCH).map(reserve_of).collect();
        let message = pb::BatchStreamRequest { sequence: 1, operations, view: pb::HoldView::Brief.into() };
        let bytes = message.encode_to_vec();
        let windows = bytes.windows(PLACEHOLDER.len()).enumerate();
        let ids = windows.filter(|(_, text)| *text == PLACEHOLDER.as_bytes()).map(|(place, _)| place).collect();
        Self { bytes, ids }
    }

    /// The message with new ids.
    fn filled(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for place in &self.ids {
            if let Some(text) = bytes.get_mut(*place..).and_then(|rest| rest.get_mut(..PLACEHOLDER.len())) {
                hold_id(random).hyphenated().encode_lower(text);
            }
        }
        bytes
    }
}

/// A stream of messages.
pub struct Batch {
    messages: mpsc::Sender<Vec<u8>>,
    answers: Streaming<pb::BatchStreamResponse>,
    templates: Vec<Template>,
    next: usize,
    random: fastrand::Rng,
    in_flight: usize,
}

impl Batch {
    /// A stream on each connection.
    ///
    /// # Errors
    /// When a stream is refused.
    pub async fn callers(endpoint: &str) -> Result<Vec<Self>, Failure> {
        let mut callers = Vec::with_capacity(CONNECTIONS);
        let mut first = 0_u32;
        for _ in 0..CONNECTIONS {
            callers.push(Self::open(endpoint, first).await?);
            first = first.saturating_add(BATCH.saturating_mul(MESSAGES));
        }
        Ok(callers)
    }

    async fn open(endpoint: &str, first: u32) -> Result<Self, Failure> {
        let (messages, queue) = mpsc::channel(MESSAGES_IN_FLIGHT);
        let mut client = tonic::client::Grpc::new(stubs::connect(endpoint).await?);
        let unreached = |error: tonic::transport::Error| Failure::Work(error.to_string());
        client.ready().await.map_err(unreached)?;
        let path = PathAndQuery::from_static("/stockade.v1.ReservationService/BatchStream");
        let templates =
            (0..MESSAGES).map(|message| Template::new(first.saturating_add(message.saturating_mul(BATCH)))).collect();
        let opened = client.streaming(Request::new(ReceiverStream::new(queue)), path, Bytes).await;
        let answers = opened.map_err(Failure::status("opening a stream"))?.into_inner();
        Ok(Self { messages, answers, templates, next: 0, random: fastrand::Rng::new(), in_flight: 0 })
    }

    async fn send(&mut self) -> Result<(), String> {
        let turn = self.next.checked_rem(self.templates.len()).unwrap_or(0);
        self.next = self.next.wrapping_add(1);
        let message = self.templates.get(turn).ok_or("no messages")?.filled(&mut self.random);
        self.in_flight = self.in_flight.saturating_add(1);
        self.messages.send(message).await.map_err(|_closed| "the stream has ended".to_owned())
    }
}

impl Caller for Batch {
    async fn call(&mut self) -> Result<u64, String> {
        while self.in_flight < MESSAGES_IN_FLIGHT {
            self.send().await?;
        }
        let answer = self.answers.message().await.map_err(|status| status.to_string())?;
        self.in_flight = self.in_flight.saturating_sub(1);
        let results = answer.ok_or("the stream has ended")?.results;
        all_granted(&results, usize::try_from(BATCH).unwrap_or(0))?;
        Ok(u64::from(BATCH))
    }
}

/// Sends messages that are already encoded; decodes answers by the contract.
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = pb::BatchStreamResponse;
    type Encoder = Self;
    type Decoder = ProstDecoder<pb::BatchStreamResponse>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<pb::BatchStreamResponse, pb::BatchStreamResponse>::default().decoder()
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use prost::bytes::BufMut as _;
        buffer.put_slice(&message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_the_same_but_for_its_ids() {
        let template = Template::new(CUSTOMERS - 1);
        let mut random = fastrand::Rng::with_seed(1);
        let decode = |bytes: Vec<u8>| pb::BatchStreamRequest::decode(bytes.as_slice()).expect("a message");
        let (one, two) = (decode(template.filled(&mut random)), decode(template.filled(&mut random)));
        assert_eq!(one.operations.len(), 1_000);
        let request = |message: &pb::BatchStreamRequest, place: usize| match &message.operations[place].operation {
            Some(pb::operation::Operation::Reserve(request)) => request.clone(),
            other => unreachable!("{other:?}"),
        };
        let (first, second) = (request(&one, 1), request(&two, 1));
        assert_ne!(first.hold_id, second.hold_id);
        assert!(uuid::Uuid::parse_str(&first.hold_id).is_ok());
        assert_eq!(first, pb::ReserveRequest { hold_id: first.hold_id.clone(), ..second });
        assert_eq!(first.customer.expect("a customer").id, "cust-0000000", "customers start over");
    }
}

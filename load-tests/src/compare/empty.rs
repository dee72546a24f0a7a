//! The bare handler: tonic, the contract's messages, a fixed answer taken from a Stockade server, and no work. Each
//! request is decoded and each answer encoded; nothing is decided, kept or written.
//!
//! It runs in a process of its own, as Stockade does, over tonic's own server, with windows large enough for thousands
//! of calls.

use std::net::Ipv4Addr;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use prost::Message as _;
use stockade::grpc::REQUEST_BYTES_MAX;
use stockade_drill::Failure;
use stockade_proto as pb;
use stockade_proto::reservation_service_server::{ReservationService, ReservationServiceServer};
use tokio::net::TcpListener;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Response, Status, Streaming};

/// Maximum calls in flight on a connection.
const STREAMS_MAX: u32 = 20_000;
/// Flow-control window of a connection in bytes: enough for as many small requests.
const CONNECTION_WINDOW: u32 = 2 * 256 * STREAMS_MAX;

/// The fixed answers.
#[derive(Debug, Clone, Default)]
struct Empty {
    /// To each unary call.
    answer: pb::ReserveResponse,
    /// To each operation of a stream.
    result: pb::Result,
}

/// Serves on a free port until the process is ended. `tell` writes the address to standard output.
///
/// # Errors
/// When the answers are not valid messages, or no port is free.
pub async fn serve(answer: &str, result: &str, tell: impl FnOnce(String)) -> Result<(), Failure> {
    let faulty = |error: prost::DecodeError| Failure::Usage(format!("an answer is no message: {error}"));
    let empty = Empty {
        answer: pb::ReserveResponse::decode(unhex(answer)?.as_slice()).map_err(faulty)?,
        result: pb::Result::decode(unhex(result)?.as_slice()).map_err(faulty)?,
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    tell(format!("serving {}", listener.local_addr()?));
    let service = ReservationServiceServer::new(empty).max_decoding_message_size(REQUEST_BYTES_MAX);
    let mut transport = Server::builder()
        .max_concurrent_streams(Some(STREAMS_MAX))
        .initial_connection_window_size(Some(CONNECTION_WINDOW));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let served = transport.add_service(service).serve_with_incoming(incoming).await;
    served.map_err(|error| Failure::Work(format!("the empty handler can't serve: {error}")))
}

/// Bytes in hexadecimal, as an argument of a command line.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a string never fails.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Result<Vec<u8>, Failure> {
    let faulty = || Failure::Usage(format!("{text:?} is not hexadecimal"));
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(|pair| byte(pair).ok_or_else(faulty)).collect()
}

fn nothing<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("the empty handler answers reserves only"))
}

#[tonic::async_trait]
impl ReservationService for Empty {
    async fn reserve(&self, _request: Request<pb::ReserveRequest>) -> Result<Response<pb::ReserveResponse>, Status> {
        Ok(Response::new(self.answer.clone()))
    }

    async fn extend(&self, _request: Request<pb::ExtendRequest>) -> Result<Response<pb::ExtendResponse>, Status> {
        nothing()
    }

    async fn claim(&self, _request: Request<pb::ClaimRequest>) -> Result<Response<pb::ClaimResponse>, Status> {
        nothing()
    }

    async fn release(&self, _request: Request<pb::ReleaseRequest>) -> Result<Response<pb::ReleaseResponse>, Status> {
        nothing()
    }

    async fn return_units(
        &self,
        _request: Request<pb::ReturnUnitsRequest>,
    ) -> Result<Response<pb::ReturnUnitsResponse>, Status> {
        nothing()
    }

    async fn get_hold(&self, _request: Request<pb::GetHoldRequest>) -> Result<Response<pb::GetHoldResponse>, Status> {
        nothing()
    }

    async fn list_holds(
        &self,
        _request: Request<pb::ListHoldsRequest>,
    ) -> Result<Response<pb::ListHoldsResponse>, Status> {
        nothing()
    }

    async fn batch(&self, _request: Request<pb::BatchRequest>) -> Result<Response<pb::BatchResponse>, Status> {
        nothing()
    }

    async fn explain(&self, _request: Request<pb::ExplainRequest>) -> Result<Response<pb::ExplainResponse>, Status> {
        nothing()
    }

    type BatchStreamStream = BoxStream<'static, Result<pb::BatchStreamResponse, Status>>;

    async fn batch_stream(
        &self,
        request: Request<Streaming<pb::BatchStreamRequest>>,
    ) -> Result<Response<Self::BatchStreamStream>, Status> {
        let result = self.result.clone();
        let server_time = self.answer.server_time;
        let answers = request.into_inner().map(move |message| {
            let message = message?;
            let results = message.operations.iter().map(|_operation| result.clone()).collect();
            Ok(pb::BatchStreamResponse { sequence: message.sequence, results, server_time })
        });
        Ok(Response::new(answers.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_as_text() {
        let bytes = [0, 1, 0x7f, 0xff];
        assert_eq!(hex(&bytes), "00017fff");
        assert_eq!(unhex("00017fff").expect("bytes"), bytes);
        assert!(unhex("0g").is_err() && unhex("ü").is_err());
    }
}

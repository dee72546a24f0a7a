//! The server over real sockets, compared with a handler that does nothing.
//!
//! Both answer the same requests with answers of the same size, on the same runtime, one after the other in pairs. Load
//! and server share the machine. The median of the pairs' ratios is printed, so that other load on the machine affects
//! both sides.
//!
//! - `unary`: durable `Reserve`, one hot SKU, a limit, 8 connections with 16 calls in flight each.
//! - `batches`: `BatchStream` of 1,000 durable reserves a message, brief view, 8 streams with 4 messages in flight
//!   each.
//!
//! A number as an argument sets the number of pairs.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]
#![expect(clippy::print_stdout, reason = "the ratio is what this program is for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use stockade::config::{Config, Given};
use stockade::server;
use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use stockade_proto::reservation_service_client::ReservationServiceClient;
use stockade_proto::reservation_service_server::{ReservationService, ReservationServiceServer};
use stockade_types::metrics::Stopwatch;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

const CONNECTIONS: usize = 8;
const CALLS_IN_FLIGHT: usize = 16;
const MESSAGES_IN_FLIGHT: usize = 4;
const MESSAGE: usize = 1_000;
const CUSTOMERS: u64 = 100_000;
/// Default number of pairs, and the duration of each side.
const PAIRS: usize = 5;
const SIDE: Duration = Duration::from_secs(2);

const fn at(millis: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: millis / 1_000, nanos: 123_000_000 }
}

fn reserve(number: u64) -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: uuid::Uuid::new_v4().to_string(),
        drop_id: "knives".to_owned(),
        lines: vec![pb::Line { sku: "KNIFE/20cm".to_owned(), quantity: 1, pool: String::new() }],
        customer: Some(pb::Customer { id: format!("cust-{:07}", number % CUSTOMERS), ..pb::Customer::default() }),
        ..pb::ReserveRequest::default()
    }
}

/// The answer of the handler that does nothing: as long as a server's.
fn hold(request: &pb::ReserveRequest) -> pb::Hold {
    let line = pb::HoldLine {
        sku: "KNIFE/20cm".to_owned(),
        pool: "general".to_owned(),
        quantity: 1,
        ..pb::HoldLine::default()
    };
    pb::Hold {
        id: request.hold_id.clone(),
        drop_id: request.drop_id.clone(),
        state: 1,
        lines: vec![line],
        customer_id: request.customer.as_ref().map(|customer| customer.id.clone()).unwrap_or_default(),
        created_at: Some(at(1_800_000_000_000)),
        expires_at: Some(at(1_800_000_300_000)),
        revision: 1_000_000,
        ..pb::Hold::default()
    }
}

struct Empty;

macro_rules! unasked {
    ($($call:ident: $request:ident -> $response:ident;)*) => {
        $(fn $call<'s, 'a>(&'s self, _: Request<pb::$request>) -> BoxFuture<'a, Result<Response<pb::$response>, Status>>
        where
            's: 'a,
            Self: 'a,
        {
            Box::pin(async { Err(Status::unimplemented("")) })
        })*
    };
}

#[tonic::async_trait]
impl ReservationService for Empty {
    async fn reserve(&self, request: Request<pb::ReserveRequest>) -> Result<Response<pb::ReserveResponse>, Status> {
        let outcome = Some(pb::reserve_response::Outcome::Hold(hold(request.get_ref())));
        let server_time = Some(at(1_800_000_000_000));
        Ok(Response::new(pb::ReserveResponse { outcome, short_lines: Vec::new(), server_time }))
    }

    unasked! {
        extend: ExtendRequest -> ExtendResponse;
        claim: ClaimRequest -> ClaimResponse;
        release: ReleaseRequest -> ReleaseResponse;
        get_hold: GetHoldRequest -> GetHoldResponse;
        return_units: ReturnUnitsRequest -> ReturnUnitsResponse;
        list_holds: ListHoldsRequest -> ListHoldsResponse;
        batch: BatchRequest -> BatchResponse;
        explain: ExplainRequest -> ExplainResponse;
    }

    type BatchStreamStream = BoxStream<'static, Result<pb::BatchStreamResponse, Status>>;

    async fn batch_stream(
        &self,
        request: Request<Streaming<pb::BatchStreamRequest>>,
    ) -> Result<Response<Self::BatchStreamStream>, Status> {
        let answers = request.into_inner().map(|message| {
            let pb::BatchStreamRequest { sequence, operations, view: _ } = message?;
            let hold = pb::Hold {
                state: 1,
                expires_at: Some(at(1_800_000_300_000)),
                revision: 1_000_000,
                ..pb::Hold::default()
            };
            let result = pb::Result { result: Some(pb::result::Result::Hold(hold)), ..pb::Result::default() };
            let results = operations.iter().map(|_| result.clone()).collect();
            Ok(pb::BatchStreamResponse { sequence, results, server_time: Some(at(1_800_000_000_000)) })
        });
        Ok(Response::new(answers.boxed()))
    }
}

async fn empty() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = listener.local_addr().expect("bound");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = ReservationServiceServer::new(Empty);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    format!("http://{address}")
}

async fn real(data: &std::path::Path) -> String {
    let flag = |setting, text: &str| Given::flag(setting, text.to_owned());
    let data = data.to_str().expect("text");
    let flags = vec![flag("grpc", "127.0.0.1:0"), flag("http", "127.0.0.1:0"), flag("data", data)];
    let config = Config::from_flags(flags).expect("a good configuration");
    let listeners = server::bind(&config).expect("addresses");
    let address = listeners.grpc.local_addr().expect("bound");
    tokio::spawn(async { server::run(config, listeners, std::future::pending()).await.expect("serves") });
    let endpoint = format!("http://{address}");
    let mut drops = DropServiceClient::new(connect(&endpoint).await);
    let limit = pb::Limit {
        id: "each".to_owned(),
        scope: pb::LimitScope::Drop.into(),
        max_units: Some(1_000_000),
        ..pb::Limit::default()
    };
    let item = pb::Item { sku: "KNIFE/20cm".to_owned(), quantity: 1_000_000_000, ..pb::Item::default() };
    let drop = pb::Drop { id: "knives".to_owned(), items: vec![item], limits: vec![limit], ..pb::Drop::default() };
    drops.create_drop(pb::CreateDropRequest { drop: Some(drop), validate_only: false }).await.expect("a drop");
    endpoint
}

async fn connect(endpoint: &str) -> Channel {
    Channel::from_shared(endpoint.to_owned()).expect("an endpoint").connect().await.expect("a connection")
}

/// The number of operations, and whether to stop. A unary call counts when it is sent, a batch when it is answered.
#[derive(Default)]
struct Load {
    answered: AtomicU64,
    over: AtomicBool,
}

async fn call(channel: Channel, load: Arc<Load>) {
    let mut client = ReservationServiceClient::new(channel);
    while !load.over.load(Ordering::Relaxed) {
        let number = load.answered.fetch_add(1, Ordering::Relaxed);
        let answer = client.reserve(reserve(number)).await.expect("an answer").into_inner();
        assert!(matches!(answer.outcome, Some(pb::reserve_response::Outcome::Hold(_))), "{answer:?}");
    }
}

async fn stream(channel: Channel, load: Arc<Load>) {
    let mut client = ReservationServiceClient::new(channel).max_decoding_message_size(64 * 1024 * 1024);
    let (sender, messages) = tokio::sync::mpsc::channel(MESSAGES_IN_FLIGHT);
    let message = |sequence| {
        let operation = |number| pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve(number))) };
        let operations = (0..MESSAGE).zip(sequence * 1_000..).map(|(_, number)| operation(number)).collect();
        pb::BatchStreamRequest { sequence, operations, view: pb::HoldView::Brief.into() }
    };
    for sequence in (0..).take(MESSAGES_IN_FLIGHT) {
        sender.send(message(sequence)).await.expect("room");
    }
    let mut answers = client.batch_stream(ReceiverStream::new(messages)).await.expect("a stream").into_inner();
    while !load.over.load(Ordering::Relaxed) {
        let answer = answers.message().await.expect("an answer").expect("goes on");
        assert!(answer.results.iter().all(|result| matches!(result.result, Some(pb::result::Result::Hold(_)))));
        load.answered.fetch_add(u64::try_from(answer.results.len()).expect("few"), Ordering::Relaxed);
        sender.send(message(answer.sequence + 4)).await.expect("room");
    }
}

/// Operations a second.
fn rate(runtime: &Runtime, endpoint: &str, streams: bool) -> f64 {
    runtime.block_on(async {
        let load = Arc::new(Load::default());
        let mut tasks = Vec::new();
        for _ in 0..CONNECTIONS {
            let channel = connect(endpoint).await;
            if streams {
                tasks.push(tokio::spawn(stream(channel, Arc::clone(&load))));
            } else {
                tasks.extend((0..CALLS_IN_FLIGHT).map(|_| tokio::spawn(call(channel.clone(), Arc::clone(&load)))));
            }
        }
        tokio::time::sleep(SIDE / 8).await;
        let (watch, before) = (Stopwatch::start(), load.answered.load(Ordering::Relaxed));
        tokio::time::sleep(SIDE).await;
        let answered = load.answered.load(Ordering::Relaxed) - before;
        let taken = watch.elapsed();
        load.over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.expect("ends");
        }
        f64::from(u32::try_from(answered).expect("few")) / taken.as_secs_f64()
    })
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() {
    let pairs = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(PAIRS);
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (serving, loading) = (runtime(), runtime());
    let (empty, real) = serving.block_on(async { (empty().await, real(folder.path()).await) });
    for (name, streams) in [("unary", false), ("batches", true)] {
        let (mut rates, mut ratios) = ((Vec::new(), Vec::new()), Vec::new());
        for _ in 0..pairs {
            let (bare, durable) = (rate(&loading, &empty, streams), rate(&loading, &real, streams));
            rates.0.push(bare);
            rates.1.push(durable);
            ratios.push(durable / bare);
        }
        let (bare, durable, ratio) = (median(rates.0), median(rates.1), median(ratios));
        println!("{name}: {durable:.0} of {bare:.0} operations a second, ratio {ratio:.2} (median of {pairs} pairs)");
    }
    std::process::exit(0); // Both runtimes serve forever.
}

//! A fake server that behaves as a test says, and records the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use parking_lot::Mutex;
use stockade_proto as pb;
use stockade_proto::drop_service_server::{DropService, DropServiceServer};
use stockade_proto::operation::Operation;
use stockade_proto::reservation_service_server::{ReservationService, ReservationServiceServer};
use stockade_proto::result::Result as Came;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

type Answering<T> = BoxFuture<'static, Result<T, Status>>;
type OnGet = dyn Fn(usize) -> Answering<pb::GetHoldResponse> + Send + Sync;
type OnMessage = dyn Fn(Message) -> Answering<Vec<pb::Result>> + Send + Sync;
type OnWatch = dyn Fn(usize) -> Vec<Result<pb::WatchDropResponse, Status>> + Send + Sync;

/// A message that arrived on one of the streams.
#[derive(Debug, Clone)]
pub struct Message {
    /// The stream, from 0.
    pub stream: usize,
    /// Its place in its stream, from 0.
    pub place: usize,
    /// Its place among the messages of all streams, from 0.
    pub nth: usize,
    pub operations: Vec<pb::Operation>,
    pub view: pb::HoldView,
}

impl Message {
    /// Grants each operation of the message.
    pub fn grant(&self) -> Vec<pb::Result> {
        self.operations.iter().map(|operation| result(Came::Hold(hold(operation)))).collect()
    }
}

/// The hold of an operation.
pub fn hold(operation: &pb::Operation) -> pb::Hold {
    let (id, customer_id) = match operation.operation.as_ref().expect("an operation") {
        Operation::Reserve(asked) => (&asked.hold_id, asked.customer.clone().unwrap_or_default().id),
        Operation::Extend(asked) => (&asked.hold_id, asked.customer_id.clone()),
        Operation::Claim(asked) => (&asked.hold_id, asked.customer_id.clone()),
        Operation::Release(asked) => (&asked.hold_id, asked.customer_id.clone()),
        Operation::ReturnUnits(asked) => (&asked.hold_id, String::new()),
    };
    pb::Hold { id: id.clone(), customer_id, ..Default::default() }
}

pub fn result(came: Came) -> pb::Result {
    pb::Result { result: Some(came), ..Default::default() }
}

/// The fake's behaviour, and the requests that it got.
#[derive(Clone)]
pub struct Fake {
    on_get: Arc<OnGet>,
    on_message: Arc<OnMessage>,
    on_watch: Arc<OnWatch>,
    pub gets: Arc<AtomicUsize>,
    pub streams: Arc<AtomicUsize>,
    /// Streams that have ended.
    pub ended: Arc<AtomicUsize>,
    pub watches: Arc<AtomicUsize>,
    pub messages: Arc<Mutex<Vec<Message>>>,
    pub headers: Arc<Mutex<Vec<MetadataMap>>>,
}

/// A running fake. Dropping it stops it.
pub struct Running {
    pub endpoint: String,
    serving: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Fake {
    /// A fake that grants everything.
    pub fn new() -> Self {
        Self {
            on_get: Arc::new(|_| Box::pin(async { Ok(pb::GetHoldResponse::default()) })),
            on_message: Arc::new(|message| Box::pin(async move { Ok(message.grant()) })),
            on_watch: Arc::new(|_| Vec::new()),
            gets: Arc::default(),
            streams: Arc::default(),
            ended: Arc::default(),
            watches: Arc::default(),
            messages: Arc::default(),
            headers: Arc::default(),
        }
    }

    /// Sets the answer to the n-th `GetHold`.
    pub fn on_get<F>(mut self, answer: impl Fn(usize) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<pb::GetHoldResponse, Status>> + Send + 'static,
    {
        self.on_get = Arc::new(move |nth| Box::pin(answer(nth)));
        self
    }

    /// Sets the answer to a message of operations.
    pub fn on_message<F>(mut self, answer: impl Fn(Message) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<pb::Result>, Status>> + Send + 'static,
    {
        self.on_message = Arc::new(move |message| Box::pin(answer(message)));
        self
    }

    /// Sets the answer to the n-th `WatchDrop`.
    pub fn on_watch(
        mut self,
        answer: impl Fn(usize) -> Vec<Result<pb::WatchDropResponse, Status>> + Send + Sync + 'static,
    ) -> Self {
        self.on_watch = Arc::new(answer);
        self
    }

    /// Serves on a free port.
    pub fn serve(&self) -> Running {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let endpoint = format!("http://{}", incoming.local_addr().expect("an address"));
        let server = Server::builder()
            .add_service(ReservationServiceServer::new(self.clone()))
            .add_service(DropServiceServer::new(self.clone()))
            .serve_with_incoming(incoming);
        Running { endpoint, serving: tokio::spawn(async move { server.await.expect("a server") }) }
    }

    /// Number of operations of each message.
    pub fn sizes(&self) -> Vec<usize> {
        self.messages.lock().iter().map(|message| message.operations.len()).collect()
    }

    /// The holds of all operations that arrived, in order.
    pub fn asked_for(&self) -> Vec<String> {
        self.messages.lock().iter().flat_map(|message| &message.operations).map(|asked| hold(asked).id).collect()
    }
}

fn count(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::Relaxed)
}

/// Messages in flight, each with its sequence number and its future answer.
type InFlight = mpsc::Receiver<(u64, JoinHandle<Result<Vec<pb::Result>, Status>>)>;

/// Sends answers in order; a status ends the stream.
async fn next_answer(answers: Option<InFlight>) -> Option<(Result<pb::BatchStreamResponse, Status>, Option<InFlight>)> {
    let mut answers = answers?;
    let (sequence, answer) = answers.recv().await?;
    match answer.await.expect("no panic") {
        Ok(results) => Some((Ok(pb::BatchStreamResponse { sequence, results, server_time: None }), Some(answers))),
        Err(status) => Some((Err(status), None)),
    }
}

macro_rules! unasked {
    ($($call:ident: $request:ident -> $response:ident;)*) => {
        $(
            fn $call<'s, 'a>(
                &'s self,
                _: Request<pb::$request>,
            ) -> BoxFuture<'a, Result<Response<pb::$response>, Status>>
            where
                's: 'a,
                Self: 'a,
            {
                Box::pin(async { Err(Status::unimplemented("nobody asks the fake for this")) })
            }
        )*
    };
}

#[tonic::async_trait]
impl ReservationService for Fake {
    type BatchStreamStream = BoxStream<'static, Result<pb::BatchStreamResponse, Status>>;

    async fn get_hold(&self, request: Request<pb::GetHoldRequest>) -> Result<Response<pb::GetHoldResponse>, Status> {
        self.headers.lock().push(request.metadata().clone());
        (self.on_get)(count(&self.gets)).await.map(Response::new)
    }

    async fn batch_stream(
        &self,
        request: Request<Streaming<pb::BatchStreamRequest>>,
    ) -> Result<Response<Self::BatchStreamStream>, Status> {
        self.headers.lock().push(request.metadata().clone());
        let (fake, stream) = (self.clone(), count(&self.streams));
        // As a real server does: messages are read while earlier ones wait for their answers.
        let (in_flight, answers) = mpsc::channel(64);
        tokio::spawn(async move {
            let mut messages = request.into_inner();
            let mut places = 0..;
            while let Ok(Some(message)) = messages.message().await {
                let view = message.view();
                let pb::BatchStreamRequest { sequence, operations, view: _ } = message;
                let nth = fake.messages.lock().len();
                let place = places.next().expect("no end");
                let message = Message { stream, place, nth, operations, view };
                fake.messages.lock().push(message.clone());
                let answer = tokio::spawn((fake.on_message)(message));
                if in_flight.send((sequence, answer)).await.is_err() {
                    break;
                }
            }
            count(&fake.ended);
        });
        Ok(Response::new(stream::unfold(Some(answers), next_answer).boxed()))
    }

    unasked! {
        reserve: ReserveRequest -> ReserveResponse;
        extend: ExtendRequest -> ExtendResponse;
        claim: ClaimRequest -> ClaimResponse;
        release: ReleaseRequest -> ReleaseResponse;
        return_units: ReturnUnitsRequest -> ReturnUnitsResponse;
        list_holds: ListHoldsRequest -> ListHoldsResponse;
        batch: BatchRequest -> BatchResponse;
        explain: ExplainRequest -> ExplainResponse;
    }
}

#[tonic::async_trait]
impl DropService for Fake {
    type WatchDropStream = BoxStream<'static, Result<pb::WatchDropResponse, Status>>;

    async fn watch_drop(&self, _: Request<pb::WatchDropRequest>) -> Result<Response<Self::WatchDropStream>, Status> {
        Ok(Response::new(stream::iter((self.on_watch)(count(&self.watches))).boxed()))
    }

    unasked! {
        create_drop: CreateDropRequest -> CreateDropResponse;
        update_drop: UpdateDropRequest -> UpdateDropResponse;
        get_drop: GetDropRequest -> GetDropResponse;
        list_drops: ListDropsRequest -> ListDropsResponse;
        pause_drop: PauseDropRequest -> PauseDropResponse;
        resume_drop: ResumeDropRequest -> ResumeDropResponse;
        close_drop: CloseDropRequest -> CloseDropResponse;
        adjust_stock: AdjustStockRequest -> AdjustStockResponse;
        fire_flow: FireFlowRequest -> FireFlowResponse;
        reconcile_stock: ReconcileStockRequest -> ReconcileStockResponse;
    }
}

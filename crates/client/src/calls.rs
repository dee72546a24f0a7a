//! The upper layer: every call of the contract, with a deadline and with retries.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stockade_proto as pb;
use stockade_proto::operation::Operation;
use tonic::Status;

use super::attempts::Attempts;
use super::batch::{Answered, Batcher, Unanswered};
use super::error::status_of;
use super::outcome::Decided;
use super::pool::ConnectionPool;
use super::retry::Policy;
use super::{Changed, Claimed, Client, ConnectError, Error, Options, Outcome, Reserved};

/// A client for services, with several connections, deadlines, retries and shared messages. Clones share all of it.
///
/// A call's future may be dropped at any time. Whether the call took effect is then unknown: an unwanted hold expires
/// by itself, or is released by its id.
#[derive(Clone)]
pub struct Stockade {
    shared: Arc<Shared>,
    deadline: Duration,
}

pub(super) struct Shared {
    pool: Arc<ConnectionPool>,
    pub(super) policy: Arc<Policy>,
    pub(super) attempt_timeout: Duration,
    batcher: Batcher,
}

impl fmt::Debug for Stockade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { pool, policy, attempt_timeout: _, batcher: _ } = &*self.shared;
        let Self { shared: _, deadline } = self;
        f.debug_struct("Stockade").field("pool", pool).field("policy", policy).field("deadline", deadline).finish()
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $call:ident: $request:ident -> $response:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// If there is no answer.
            pub async fn $call(&self, request: pb::$request) -> Result<pb::$response, Error> {
                self.call(|client| {
                    let request = request.clone();
                    async move { client.$call(request).await }
                })
                .await
            }
        )*
    };
}

macro_rules! operations {
    ($($(#[$doc:meta])* $call:ident: $operation:ident($request:ident) -> $outcome:ident by $constructor:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// Sent in a message that is shared with other callers.
            ///
            /// # Errors
            /// If it was not decided. A refusal is no error.
            pub async fn $call(&self, request: pb::$request) -> Result<Outcome<$outcome>, Error> {
                self.operate(Operation::$operation(request)).await.map(Decided::$constructor)
            }
        )*
    };
}

impl Stockade {
    /// Connects to endpoints such as `http://127.0.0.1:7411`, of one server or of several that replace each other.
    /// Endpoints that do not answer are connected later, if at least one answers now.
    ///
    /// # Errors
    /// If an endpoint is malformed, or none answers.
    pub async fn connect<E: Into<String>>(
        endpoints: impl IntoIterator<Item = E>,
        options: Options,
    ) -> Result<Self, ConnectError> {
        let endpoints: Vec<String> = endpoints.into_iter().map(Into::into).collect();
        let options = options.bounded();
        let clients = ConnectionPool::connect(&endpoints, options.connections).await?;
        Ok(Self::over(clients, &options))
    }

    /// As [`Stockade::connect`], but connects at the first call: for a service that may start before its server.
    ///
    /// # Errors
    /// If an endpoint is malformed.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn connect_lazy<E: Into<String>>(
        endpoints: impl IntoIterator<Item = E>,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let endpoints: Vec<String> = endpoints.into_iter().map(Into::into).collect();
        let options = options.clone().bounded();
        let clients = ConnectionPool::connect_lazy(&endpoints, options.connections)?;
        Ok(Self::over(clients, &options))
    }

    fn over(clients: Vec<Client>, options: &Options) -> Self {
        let clients = clients.into_iter().map(|client| client.with_headers(options.headers.clone()));
        let pool = Arc::new(ConnectionPool::new(clients));
        let policy = Arc::new(Policy::new(options.retry.clone()));
        let batcher = Batcher::new(options, &pool, &policy);
        let shared = Shared { pool, policy, attempt_timeout: options.attempt_timeout, batcher };
        Self { shared: Arc::new(shared), deadline: options.deadline }
    }

    /// The same client with another deadline for calls, all attempts included.
    ///
    /// The deadline is sent with the call, and this side enforces it too. After it has passed, the call may still
    /// take effect.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), deadline }
    }

    /// One of the connections, for calls without retries.
    #[must_use]
    pub fn plain(&self) -> Option<Client> {
        self.shared.pool.pick().map(|lease| lease.client())
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Sends a call until it is answered, fails finally, or has no time or attempts left.
    async fn call<T, F>(&self, send: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut attempts = Attempts::begin(&self.shared.policy, self.deadline);
        loop {
            let span = attempts.span(self.shared.attempt_timeout);
            // Boxed: the transport's future is large, and most callers keep several calls.
            let attempt = Box::pin(self.shared.attempt(span, &send));
            match attempts.within(attempt).await? {
                Ok(answer) => return Ok(answer),
                Err(status) => attempts.another(status).await?,
            }
        }
    }

    /// Has an operation decided in a shared message, and again if the server says that it could not decide it.
    async fn operate(&self, operation: Operation) -> Result<Decided, Error> {
        let operation = Arc::new(pb::Operation { operation: Some(operation) });
        let mut attempts = Attempts::begin(&self.shared.policy, self.deadline);
        loop {
            let deciding = self.shared.batcher.decide(Arc::clone(&operation), attempts.deadline());
            let undecided = match attempts.within(deciding).await? {
                Ok(Answered { result, server_time }) => match Decided::of(result, server_time) {
                    Ok(decided) => return Ok(decided),
                    Err(Some(error)) => status_of(error),
                    Err(None) => return Err(Error::Malformed("a result without an outcome")),
                },
                Err(Unanswered::Later(status)) => status,
                Err(Unanswered::Final(error)) => return Err(error),
            };
            attempts.another(undecided).await?;
        }
    }

    operations! {
        /// Reserves units.
        reserve: Reserve(ReserveRequest) -> Reserved by reserved;
        /// Moves a hold's deadline, or moves the hold into or out of payment.
        extend: Extend(ExtendRequest) -> Changed by changed;
        /// Turns a hold into a sale.
        claim: Claim(ClaimRequest) -> Claimed by claimed;
        /// Gives units back before the sale.
        release: Release(ReleaseRequest) -> Changed by changed;
        /// Gives units back after the sale.
        return_units: ReturnUnits(ReturnUnitsRequest) -> Changed by changed;
    }

    calls! {
        /// Shows a hold.
        get_hold: GetHoldRequest -> GetHoldResponse;
        /// One page of a list of holds; [`Stockade::holds`] reads all of them.
        list_holds: ListHoldsRequest -> ListHoldsResponse;
        /// Why a hold is as it is, or why a customer was refused.
        explain: ExplainRequest -> ExplainResponse;
        /// Many operations in one message, each with its own result.
        batch: BatchRequest -> BatchResponse;
        /// Creates a drop.
        create_drop: CreateDropRequest -> CreateDropResponse;
        /// Changes a drop's definition.
        update_drop: UpdateDropRequest -> UpdateDropResponse;
        /// Shows a drop with its stock.
        get_drop: GetDropRequest -> GetDropResponse;
        /// One page of a list of drops; [`Stockade::drops`] reads all of them.
        list_drops: ListDropsRequest -> ListDropsResponse;
        /// Changes the stock of an item, once for each id.
        adjust_stock: AdjustStockRequest -> AdjustStockResponse;
        /// Compares the stock of an item with what a system of record has on hand, and sets it right, once for each id.
        reconcile_stock: ReconcileStockRequest -> ReconcileStockResponse;
        /// Fires a pool's flow by hand.
        fire_flow: FireFlowRequest -> FireFlowResponse;
        /// Stops new reserves for now.
        pause_drop: PauseDropRequest -> PauseDropResponse;
        /// Ends a pause.
        resume_drop: ResumeDropRequest -> ResumeDropResponse;
        /// Ends a sale permanently.
        close_drop: CloseDropRequest -> CloseDropResponse;
        /// Creates a series: drops that come again.
        create_series: CreateSeriesRequest -> CreateSeriesResponse;
        /// Changes a series, and what is to come of it.
        update_series: UpdateSeriesRequest -> UpdateSeriesResponse;
        /// Shows a series.
        get_series: GetSeriesRequest -> GetSeriesResponse;
        /// Lists series, page by page.
        list_series: ListSeriesRequest -> ListSeriesResponse;
        /// The next occurrences of a series, also of one that is not created yet.
        preview_series: PreviewSeriesRequest -> PreviewSeriesResponse;
        /// Records what other systems know of orders and of demand, each fact once by its id.
        record_facts: RecordFactsRequest -> RecordFactsResponse;
        /// What came of a drop; while it runs, so far.
        get_drop_report: GetDropReportRequest -> GetDropReportResponse;
        /// Lists recorded reports, the latest opening first, page by page.
        list_drop_reports: ListDropReportsRequest -> ListDropReportsResponse;
        /// Creates a webhook.
        create_webhook: CreateWebhookRequest -> CreateWebhookResponse;
        /// Changes a webhook.
        update_webhook: UpdateWebhookRequest -> UpdateWebhookResponse;
        /// Shows a webhook with its last attempts.
        get_webhook: GetWebhookRequest -> GetWebhookResponse;
        /// Lists webhooks, page by page.
        list_webhooks: ListWebhooksRequest -> ListWebhooksResponse;
        /// Deletes a webhook.
        delete_webhook: DeleteWebhookRequest -> DeleteWebhookResponse;
        /// Sends a test event to a webhook.
        test_webhook: TestWebhookRequest -> TestWebhookResponse;
    }
}

impl Shared {
    /// Sends a call once, on the connection with the fewest calls in flight.
    pub(super) async fn attempt<T, F>(&self, span: Duration, send: impl Fn(Client) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let lease = self.pool.pick().ok_or_else(|| Status::unavailable("there is no connection"))?;
        let answered = send(lease.client().with_timeout(span)).await;
        lease.report(answered.as_ref().err());
        answered
    }
}

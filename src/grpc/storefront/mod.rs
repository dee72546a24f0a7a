//! The calls of `StorefrontService`: what anyone may see of a drop. Answers are the same for everybody and are made
//! from what was read from the engine at most a few times a second, so that readers cost a sale nothing.

mod catalog;
mod pace;
mod status;
mod statuses;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use prost::Message as _;
use stockade_engine::answer::Fault;
use stockade_proto as pb;
use stockade_types::ids::DropId;
use stockade_types::time::Timestamp;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::Status;

pub use catalog::Listing;
pub(crate) use pace::Pace;
pub use status::{PublicStatus, Snapshot};
pub use statuses::Latest;

use super::convert::{self, StatusPlace, StatusQuery};
use super::edge::Edge;
use super::seats::{Seat, Seats};
use super::status::{self as statuses_of_calls, of_fault};
use super::stream::Streams;
use crate::http2::Peer;
use catalog::Catalog;
use statuses::Statuses;

/// A watcher gets the status again after this time without a change, within the 15 s of the contract.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Most bytes of a page's messages.
const PAGE_BYTES: usize = 1024 * 1024;

/// What a watcher is shown: a status, and the time at which it is sent.
pub(super) type Updates = BoxStream<'static, Result<(Snapshot, Timestamp), Status>>;

/// A page of statuses.
#[derive(Debug, Default)]
pub struct StatusPage {
    /// By their opening.
    pub drops: Vec<Arc<PublicStatus>>,
    /// Where the next page begins, if there is one.
    pub next: Option<StatusPlace>,
}

/// Statuses for the public.
#[derive(Clone)]
pub struct Storefront {
    edge: Arc<Edge>,
    streams: Streams,
    statuses: Arc<Statuses>,
    catalog: Arc<Catalog>,
}

impl Storefront {
    /// Over this edge; reads run on the current runtime, and watches end with `streams`.
    #[must_use]
    pub(super) fn new(edge: &Arc<Edge>, streams: &Streams) -> Self {
        let catalog = Catalog::new(Arc::clone(edge));
        let statuses = Statuses::new(Arc::clone(edge), streams.clone(), Arc::clone(&catalog));
        Self { edge: Arc::clone(edge), streams: streams.clone(), statuses, catalog }
    }

    /// The current engine time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.edge.now()
    }

    /// A receiver to wait for the end of the server.
    #[must_use]
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.streams.ending()
    }

    /// The status of a drop.
    ///
    /// # Errors
    /// `NoDrop`; `Overloaded` if it can't be read now; `Exhausted` if too many drops are asked for; `JournalFailed`.
    pub async fn status(&self, drop: &DropId) -> Result<Snapshot, Fault> {
        self.statuses.get(drop).await
    }

    /// The status of a drop, as it changes.
    ///
    /// # Errors
    /// As [`Storefront::status`].
    pub async fn watch(&self, drop: &DropId) -> Result<watch::Receiver<Latest>, Fault> {
        self.statuses.watch(drop).await
    }

    /// All drops.
    ///
    /// # Errors
    /// `Overloaded` if they can't be read now, and `JournalFailed`.
    pub async fn listing(&self) -> Result<Arc<Listing>, Fault> {
        self.catalog.listing().await
    }

    /// A page of the drops that match.
    ///
    /// # Errors
    /// As [`Storefront::listing`].
    pub async fn page(&self, query: &StatusQuery) -> Result<StatusPage, Fault> {
        Ok(self.listing().await?.page(query))
    }
}

impl Listing {
    /// A page of the drops that match, as of the listing's time.
    #[must_use]
    pub fn page(&self, query: &StatusQuery) -> StatusPage {
        let mut page = StatusPage::default();
        let mut bytes = 0_usize;
        for drop in self.matching(query, self.at) {
            bytes = bytes.saturating_add(drop.message.encoded_len());
            if page.drops.len() >= query.size || (bytes > PAGE_BYTES && !page.drops.is_empty()) {
                page.next = page.drops.last().map(|last| last.place());
                break;
            }
            page.drops.push(Arc::clone(drop));
        }
        page
    }
}

/// The calls.
pub(super) struct StorefrontService {
    storefront: Storefront,
    seats: Arc<Seats>,
}

impl StorefrontService {
    /// Watchers take places of `seats`.
    pub(super) const fn new(storefront: Storefront, seats: Arc<Seats>) -> Self {
        Self { storefront, seats }
    }

    pub(super) async fn get_drop_status(
        &self,
        request: pb::GetDropStatusRequest,
    ) -> Result<pb::GetDropStatusResponse, Status> {
        let id = convert::drop_id(&request.drop_id)?;
        let Snapshot { status, .. } = self.storefront.status(&id).await.map_err(of_fault)?;
        let now = self.storefront.now();
        Ok(pb::GetDropStatusResponse {
            poll_after: Some(convert::poll_after(status.state, status.opens_at, now)),
            status: Some(status.message.clone()),
            server_time: Some(convert::timestamp(now)),
        })
    }

    pub(super) async fn list_drop_statuses(
        &self,
        request: pb::ListDropStatusesRequest,
    ) -> Result<pb::ListDropStatusesResponse, Status> {
        let query = convert::list_statuses(&request)?;
        let StatusPage { drops, next } = self.storefront.page(&query).await.map_err(of_fault)?;
        let statuses = drops.iter().map(|drop| drop.message.clone()).collect();
        Ok(pb::ListDropStatusesResponse { statuses, next_page_token: convert::status_token(next.as_ref()) })
    }

    /// A drop's statuses, at once and as they change, until the caller is gone or the server stops.
    ///
    /// # Errors
    /// If there is no such drop, or the bound on watchers is reached.
    pub(super) async fn watch_drop_status(
        &self,
        request: pb::WatchDropStatusRequest,
        peer: &Arc<Peer>,
    ) -> Result<Updates, Status> {
        let id = convert::drop_id(&request.drop_id)?;
        let seat = self.seats.take(peer).map_err(of_fault)?;
        let mut changes = self.storefront.watch(&id).await.map_err(of_fault)?;
        changes.mark_changed();
        let watcher = StatusWatcher { storefront: self.storefront.clone(), changes, _seat: seat };
        Ok(stream::unfold(Some(watcher), StatusWatcher::next).boxed())
    }
}

/// A watcher of a drop's status.
struct StatusWatcher {
    storefront: Storefront,
    changes: watch::Receiver<Latest>,
    _seat: Seat,
}

impl StatusWatcher {
    /// The next status, and the watcher for the one after it; `None` after an end.
    async fn next(watcher: Option<Self>) -> Option<(Result<(Snapshot, Timestamp), Status>, Option<Self>)> {
        let mut watcher = watcher?;
        let mut ending = watcher.storefront.ending();
        let latest = tokio::select! {
            biased;
            // Also if the sender is gone.
            _ended = ending.wait_for(|ended| *ended) => None,
            // The same again after the heartbeat's time.
            _changed = timeout(HEARTBEAT, watcher.changes.changed()) => watcher.changes.borrow_and_update().clone(),
        };
        let Some(snapshot) = latest else { return Some((Err(statuses_of_calls::stopping()), None)) };
        let now = watcher.storefront.now();
        Some((Ok((snapshot, now)), Some(watcher)))
    }
}

/// As a message.
pub(super) fn watched((snapshot, now): &(Snapshot, Timestamp)) -> pb::WatchDropStatusResponse {
    let status = Some(snapshot.status.message.clone());
    pb::WatchDropStatusResponse { status, server_time: Some(convert::timestamp(*now)) }
}

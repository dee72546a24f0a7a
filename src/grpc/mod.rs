//! The gRPC endpoint: requests become commands, the engine decides them, and answers are sent once they are durable.
//!
//! This module decides nothing about stock. It reads the clock once for each attempt, waits where the engine never
//! waits, and maps each fault to a status. A refusal is an answer, not a fault.

use std::sync::Arc;

use stockade_proto::DESCRIPTORS;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use crate::metrics::edge::EdgeMetrics;
use crate::reports::Reports;
use crate::webhooks::Webhooks;

mod batch;
pub mod connect;
pub mod convert;
mod decode;
mod drops;
mod edge;
mod events;
mod facts;
mod health;
mod insight;
pub mod intake;
mod observe;
mod others;
mod reply;
mod reservation;
mod rpc;
mod seats;
mod series;
mod services;
mod status;
mod stream;
mod watch;
mod storefront;
mod webhooks;

pub use edge::Edge;
pub use health::Health;
pub use seats::WATCHERS_MAX;
pub use services::Services;
pub use status::{starting, stopping};
pub(crate) use storefront::Pace;
pub use storefront::{Latest, Listing, PublicStatus, Snapshot, StatusPage, Storefront};
pub use stream::Streams;

use decode::Decode;
use drops::DropsService;
use events::Events;
use facts::FactCalls;
use insight::InsightCalls;
use others::Others;
use reservation::Reservations;
use seats::Seats;
use series::SeriesCalls;
use storefront::StorefrontService;
use webhooks::WebhookCalls;

/// The path and the request's full name of each call that is served. All other calls of the contract are answered
/// with `UNIMPLEMENTED`.
pub fn served() -> impl Iterator<Item = (&'static str, &'static str)> {
    rpc::CALLS.iter().map(|call| (call.path, call.request))
}

/// Most bytes of a request. A longer one is answered with `OUT_OF_RANGE` and the limit.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The contract's descriptors can't be used: the build is broken.
#[derive(Debug, thiserror::Error)]
pub enum BrokenContract {
    /// For reflection.
    #[error("the contract's descriptors are broken")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// For decoding.
    #[error("the contract's requests can't be decoded within bounds")]
    Shape(#[from] intake::BrokenShape),
    /// For JSON.
    #[error("the contract's messages can't be translated")]
    Codec(#[from] connect::BrokenCodec),
}

/// The services of a server, with what steers them and what others show of them.
pub struct Opened {
    /// Answers calls.
    pub services: Arc<Services>,
    /// Says whether they are served.
    pub health: Health,
    /// Ends their streams.
    pub streams: Streams,
    /// What the public may see.
    pub storefront: Storefront,
    /// Computes reports of drops.
    pub reports: Arc<Reports>,
}

/// All services: reservations, drops, series, events, facts, webhooks if events are kept, the storefront, health and
/// reflection. Health starts as not serving, and streams are open.
///
/// # Errors
/// If the contract's descriptors can't be used.
pub async fn services(
    edge: Edge,
    metrics: Arc<EdgeMetrics>,
    webhooks: Option<Arc<Webhooks>>,
) -> Result<Opened, BrokenContract> {
    let reports = edge.reports();
    let (edge, streams, health) = (Arc::new(edge), Streams::new(), Health::new().await);
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    let reflection = || reflection().register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let others = Routes::new(HealthServer::new(HealthService::from_health_reporter(health.reporter())))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    let seats = Arc::new(Seats::new(Arc::clone(&edge)));
    let storefront = Storefront::new(&edge, &streams);
    let services = Services {
        reservations: Reservations::new(Arc::clone(&edge), streams.clone()),
        drops: DropsService::new(Arc::clone(&edge), streams.clone(), Arc::clone(&seats)),
        series: SeriesCalls::new(Arc::clone(&edge)),
        events: Events::new(Arc::clone(&edge), streams.clone(), Arc::clone(&seats)),
        facts: FactCalls::new(Arc::clone(&edge)),
        storefront: StorefrontService::new(storefront.clone(), seats),
        webhooks: WebhookCalls::new(Arc::clone(&edge), webhooks),
        insight: InsightCalls::new(Arc::clone(&reports)),
        others: Others::new(others),
        decode: Arc::new(Decode::new()?),
        codecs: connect::codecs()?,
        streams: streams.clone(),
        metrics,
    };
    Ok(Opened { services: Arc::new(services), health, streams, storefront, reports })
}

//! The gRPC door: requests become commands, the engine decides, answers go out once they are durable.
//!
//! This room decides nothing about stock. It reads the clock once an attempt, waits where the engine never does, and
//! gives every fault its status. A refusal is an answer here, as everywhere.

use std::sync::Arc;

use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use crate::metrics::edge::EdgeMetrics;
use crate::proto::DESCRIPTORS;
use crate::proto::drop_service_server::DropServiceServer;
use crate::proto::reservation_service_server::ReservationServiceServer;

mod batch;
pub mod convert;
mod drops;
mod edge;
mod health;
mod observe;
mod reservation;
mod status;
mod stream;
mod watch;

pub use edge::Edge;
pub use health::Health;
pub use stream::Streams;
pub use watch::MAX_WATCHERS;

use drops::Drops;
use observe::Observed;
use reservation::Reservations;

/// Most bytes of a request: what is longer is answered with `OUT_OF_RANGE`, naming the limit.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// The descriptors of the contract do not parse: a fault of the build.
#[derive(Debug, thiserror::Error)]
#[error("the contract's descriptors are broken")]
pub struct BrokenContract(#[source] tonic_reflection::server::Error);

/// All services: reservations, drops, health and reflection, ready to be served. Health starts as not serving, streams
/// as going on.
///
/// # Errors
/// When the descriptors of the contract do not parse.
pub async fn routes(edge: Edge, metrics: Arc<EdgeMetrics>) -> Result<(Routes, Health, Streams), BrokenContract> {
    let (edge, streams) = (Arc::new(edge), Streams::new());
    let reservations = ReservationServiceServer::new(Reservations::new(Arc::clone(&edge), streams.clone()));
    let drops = DropServiceServer::new(Drops::new(edge, streams.clone()));
    let health = Health::new().await;
    let reflection =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    let reflection = || reflection().register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let routes =
        Routes::new(Observed::new(reservations.max_decoding_message_size(MAX_REQUEST_BYTES), Arc::clone(&metrics)))
            .add_service(Observed::new(drops.max_decoding_message_size(MAX_REQUEST_BYTES), metrics))
            .add_service(HealthServer::new(HealthService::from_health_reporter(health.reporter())))
            .add_service(reflection().build_v1().map_err(BrokenContract)?)
            .add_service(reflection().build_v1alpha().map_err(BrokenContract)?);
    Ok((routes, health, streams))
}

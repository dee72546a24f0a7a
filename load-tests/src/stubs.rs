//! Generated stubs without anything around them, for the callers whose cost is measured: no deadline and no retry.

use std::time::Duration;

use stockade_drill::Failure;
use stockade_proto::reservation_service_client::ReservationServiceClient;
use tonic::transport::{Channel, Endpoint};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A stub of the reservation service. Clones share the connection.
pub type Checkout = ReservationServiceClient<Channel>;

/// One connection.
///
/// # Errors
/// When nobody answers.
pub async fn connect(endpoint: &str) -> Result<Channel, Failure> {
    let unreached =
        |source: tonic::transport::Error| Failure::Unreached { endpoint: endpoint.to_owned(), source: source.into() };
    let address = Endpoint::from_shared(endpoint.to_owned()).map_err(unreached)?;
    address.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect().await.map_err(unreached)
}

/// This many stubs, each with a connection of its own.
///
/// # Errors
/// When nobody answers.
pub async fn checkouts(endpoint: &str, connections: usize) -> Result<Vec<Checkout>, Failure> {
    let mut stubs = Vec::with_capacity(connections);
    for _ in 0..connections {
        stubs.push(Checkout::new(connect(endpoint).await?));
    }
    Ok(stubs)
}

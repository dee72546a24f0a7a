//! What every load here sends to a server: connections, ids, and the requests for one drop.

use std::time::Duration;

use prost_types::Duration as Span;
use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use stockade_proto::reservation_service_client::ReservationServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is accepted: a page of a thousand holds with many lines each.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// A client of the reservation service. Clones share the connection.
pub type Checkout = ReservationServiceClient<Channel>;
/// A client of the drop service.
pub type Operators = DropServiceClient<Channel>;

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

/// This many clients of the reservation service, each with a connection of its own.
///
/// # Errors
/// When nobody answers.
pub async fn checkouts(endpoint: &str, connections: usize) -> Result<Vec<Checkout>, Failure> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(checkout(connect(endpoint).await?));
    }
    Ok(clients)
}

/// A client of the reservation service on this connection.
#[must_use]
pub fn checkout(channel: Channel) -> Checkout {
    Checkout::new(channel).max_decoding_message_size(LARGEST_ANSWER)
}

/// A hold's id, as a v4 UUID.
#[must_use]
pub fn hold_id(random: &mut fastrand::Rng) -> uuid::Uuid {
    uuid::Builder::from_random_bytes(random.u128(..).to_le_bytes()).into_uuid()
}

/// A span on the wire.
#[must_use]
pub fn span(span: Duration) -> Span {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    Span { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0) }
}

/// An instant of the wire in milliseconds since the epoch; 0 if absent.
#[must_use]
pub fn instant(at: Option<prost_types::Timestamp>) -> u64 {
    let at = at.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(at.seconds).unwrap_or(0), u64::try_from(at.nanos).unwrap_or(0));
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

/// One line of a cart.
#[must_use]
pub fn line(sku: &str, quantity: u32) -> pb::Line {
    pb::Line { sku: sku.to_owned(), quantity, pool: String::new() }
}

/// A customer with an id and nothing else.
#[must_use]
pub fn customer(id: String) -> pb::Customer {
    pb::Customer { id, ..pb::Customer::default() }
}

/// A limit for each customer over the whole drop.
#[must_use]
pub fn limit(max_units: u32) -> pb::Limit {
    let scope = pb::LimitScope::Drop.into();
    pb::Limit { id: "per-customer".to_owned(), scope, max_units: Some(max_units), ..pb::Limit::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_the_seed_decides_them() {
        let id = |seed| hold_id(&mut fastrand::Rng::with_seed(seed));
        assert_eq!(id(1).get_version_num(), 4);
        assert_eq!((id(1), id(1) == id(2)), (id(1), false));
    }

    #[test]
    fn instants_and_spans_keep_their_milliseconds() {
        assert_eq!(span(Duration::from_millis(1_234)), Span { seconds: 1, nanos: 234_000_000 });
        assert_eq!(instant(Some(prost_types::Timestamp { seconds: 2, nanos: 5_999_999 })), 2_005);
        assert_eq!(instant(None), 0);
    }
}

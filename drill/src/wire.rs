//! Connections, ids, and the requests that everybody here sends.

use std::time::Duration;

use prost_types::Duration as Span;
use stockade_client::Client;
use stockade_proto as pb;
use tonic::{Code, Status};

use crate::Failure;

/// How often a customer's call is sent after `UNAVAILABLE`.
pub(crate) const RETRIES_MAX: u32 = 40;
/// The same for an operator's call, which nobody waits for.
const OPERATOR_RETRIES_MAX: u32 = 100;
/// How long a caller waits before that.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);

/// One connection.
///
/// # Errors
/// When nobody answers.
pub async fn connect(endpoint: &str) -> Result<Client, Failure> {
    // Boxed, as all futures of the transport here: they are large.
    Ok(Box::pin(Client::connect(endpoint)).await?)
}

/// This many connections.
///
/// # Errors
/// When nobody answers.
pub async fn clients(endpoint: &str, connections: usize) -> Result<Vec<Client>, Failure> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(connect(endpoint).await?);
    }
    Ok(clients)
}

/// Sends an operator's call again while the server is unavailable, as any caller should.
///
/// # Errors
/// Any other status, or the last one.
pub async fn patiently<T, F: Future<Output = Result<T, Status>>>(call: impl Fn() -> F) -> Result<T, Status> {
    for _ in 0..OPERATOR_RETRIES_MAX {
        match Box::pin(call()).await {
            Err(status) if status.code() == Code::Unavailable => tokio::time::sleep(PAUSE).await,
            answered => return answered,
        }
    }
    Box::pin(call()).await
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

/// A request for a hold.
#[must_use]
pub fn reserve(hold_id: String, drop: &str, customer_id: String, lines: Vec<pb::Line>) -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id,
        drop_id: drop.to_owned(),
        lines,
        customer: Some(customer(customer_id)),
        ..pb::ReserveRequest::default()
    }
}

/// A limit for each customer over the whole drop.
#[must_use]
pub fn limit(max_units: u32) -> pb::Limit {
    let scope = pb::LimitScope::Drop.into();
    pb::Limit { id: "per-customer".to_owned(), scope, max_units: Some(max_units), ..pb::Limit::default() }
}

/// A drop of these items that is open at once, with a limit for each customer if there is one.
#[must_use]
pub fn drop<'s>(id: &str, items: impl IntoIterator<Item = (&'s str, u64)>, limited: Option<u32>) -> pb::Drop {
    let item = |(sku, quantity): (&str, u64)| pb::Item { sku: sku.to_owned(), quantity, ..pb::Item::default() };
    pb::Drop {
        id: id.to_owned(),
        items: items.into_iter().map(item).collect(),
        limits: limited.map(limit).into_iter().collect(),
        ..pb::Drop::default()
    }
}

/// Creates a drop.
///
/// # Errors
/// When the server refuses it.
pub async fn create(client: &Client, drop: pb::Drop) -> Result<(), Failure> {
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
    Box::pin(client.create_drop(request)).await.map_err(Failure::status("creating a drop"))?;
    Ok(())
}

/// A drop as the server shows it, and the server's time.
///
/// # Errors
/// When the server does not show it.
pub async fn show(client: &Client, drop: &str) -> Result<(pb::Drop, u64), Failure> {
    let request = pb::GetDropRequest { drop_id: drop.to_owned() };
    let answer = patiently(|| client.get_drop(request.clone())).await.map_err(Failure::status("showing a drop"))?;
    Ok((answer.drop.unwrap_or_default(), instant(answer.server_time)))
}

/// The stock of an item in a drop that the server shows; empty if it has no such item.
#[must_use]
pub fn stock(drop: &pb::Drop, sku: &str) -> pb::Stock {
    drop.items.iter().find(|item| item.sku == sku).and_then(|item| item.stock).unwrap_or_default()
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

    #[tokio::test]
    async fn only_what_is_unavailable_is_sent_again() {
        let calls = std::cell::Cell::new(0_u32);
        let answered = patiently(|| {
            calls.set(calls.get() + 1);
            std::future::ready(if calls.get() < 3 { Err(Status::unavailable("busy")) } else { Ok(calls.get()) })
        });
        assert_eq!(answered.await.expect("an answer"), 3);
        let refused = patiently(|| std::future::ready(Err::<(), _>(Status::not_found("no such drop")))).await;
        assert_eq!(refused.expect_err("a status").code(), Code::NotFound);
    }
}

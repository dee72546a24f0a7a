//! The start and the end of each measurement: a server with its drops, and the check that its stock agrees with what
//! was acknowledged.

use std::time::Duration;

use stockade_proto as pb;

use super::cycle::SKU;
use crate::failure::Failure;
use crate::server::{Recipe, Server};
use crate::wire::{self, Operators};

/// Units of each drop: more than any run can take.
const STOCK: u64 = 1_000_000_000;
/// A limit for each customer that is counted but never reached.
const LIMIT: u32 = 1_000_000;
/// How long holds live: longer than any measurement.
const TTL: Duration = Duration::from_hours(6);
/// A snapshot interval that no run reaches, in time or bytes.
const NO_SNAPSHOT: &str = "24h,1TiB";

/// The flags of a server that takes snapshots this often; if none, only at its end.
#[must_use]
pub fn flags(snapshot_every: Option<&str>) -> Vec<String> {
    vec!["--snapshot-every".to_owned(), snapshot_every.unwrap_or(NO_SNAPSHOT).to_owned()]
}

/// A server on an empty folder, with these drops of one item each.
///
/// # Errors
/// When it does not start, or refuses a drop.
pub async fn server(recipe: &Recipe, drops: &[String]) -> Result<Server, Failure> {
    let server = recipe.start(&flags(None))?;
    let mut operators = Operators::new(wire::connect(&server.endpoint).await?);
    for id in drops {
        let drop = pb::Drop {
            id: id.clone(),
            items: vec![pb::Item { sku: SKU.to_owned(), quantity: STOCK, ..pb::Item::default() }],
            limits: vec![wire::limit(LIMIT)],
            hold_ttl: Some(wire::span(TTL)),
            max_hold_life: Some(wire::span(TTL)),
            ..pb::Drop::default()
        };
        let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
        operators.create_drop(request).await.map_err(Failure::status("creating a drop"))?;
    }
    Ok(server)
}

/// Checks that the drops together show as many units held as were acknowledged, and no conservation error.
///
/// # Errors
/// When they do not.
pub async fn audit(server: &Server, drops: &[String], acknowledged: u64) -> Result<(), Failure> {
    let mut operators = Operators::new(wire::connect(&server.endpoint).await?);
    let mut shown = 0_u64;
    for id in drops {
        let request = pb::GetDropRequest { drop_id: id.clone() };
        let answer = operators.get_drop(request).await.map_err(Failure::status("reading a drop"))?;
        for item in answer.into_inner().drop.map(|drop| drop.items).unwrap_or_default() {
            let stock = item.stock.unwrap_or_default();
            shown = shown.saturating_add(stock.held);
            if stock.received != stock.free.saturating_add(stock.held) {
                return Err(Failure::Work(format!("the books of {id} do not add up: {stock:?}")));
            }
        }
    }
    if shown == acknowledged {
        return Ok(());
    }
    Err(Failure::Work(format!("the server shows {shown} units held, {acknowledged} were acknowledged")))
}

/// A value that every server has that was started here; its absence is a bug.
///
/// # Errors
/// When there is none.
pub fn own<T>(value: Option<T>) -> Result<T, Failure> {
    value.ok_or(Failure::Bug("a server that was started here has a process and a folder"))
}

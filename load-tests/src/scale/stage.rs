//! The start and the end of each measurement: a server with its drops, and the check that its stock agrees with what
//! was acknowledged.

use std::time::Duration;

use load_test_peers::{LIMIT, STOCK};
use stockade_drill::{Failure, wire};
use stockade_proto as pb;

use crate::reserves::SKU;
use crate::server::{Recipe, Server, snapshots_every};

/// How long holds live: longer than any measurement.
const TTL: Duration = Duration::from_hours(6);

/// A server on an empty folder, with these drops of one item each.
///
/// # Errors
/// When it does not start, or refuses a drop.
pub async fn server(recipe: &Recipe, drops: &[String]) -> Result<Server, Failure> {
    let server = recipe.start(&snapshots_every(None))?;
    let client = server.client().await?;
    for id in drops {
        let ttl = Some(wire::span(TTL));
        let drop = pb::Drop { hold_ttl: ttl, max_hold_life: ttl, ..wire::drop(id, [(SKU, STOCK)], Some(LIMIT)) };
        wire::create(&client, drop).await?;
    }
    Ok(server)
}

/// Checks that the drops together show as many units held as were acknowledged, and no conservation error.
///
/// # Errors
/// When they do not.
pub async fn audit(server: &Server, drops: &[String], acknowledged: u64) -> Result<(), Failure> {
    let client = server.client().await?;
    let mut shown = 0_u64;
    for id in drops {
        let stock = wire::stock(&wire::show(&client, id).await?.0, SKU);
        shown = shown.saturating_add(stock.held);
        if stock.received != stock.free.saturating_add(stock.held) {
            return Err(Failure::Work(format!("the books of {id} do not add up: {stock:?}")));
        }
    }
    if shown == acknowledged {
        return Ok(());
    }
    Err(Failure::Work(format!("the server shows {shown} units held, {acknowledged} were acknowledged")))
}

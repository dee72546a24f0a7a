//! Reads what the server shows after a load: holds page by page, stock, metrics.

use std::collections::HashMap;
use std::time::Duration;

use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use uuid::Uuid;

use super::{Evidence, Listed, Shown};
use crate::failure::Failure;
use crate::numbers::micros;
use crate::scenario::{Goods, Sale, Scenario};
use crate::server::Server;
use crate::wire::{self, Checkout, Operators};

/// Holds on a page.
const PAGE: i32 = 1_000;
/// The stock is not read when a deadline is nearer than this, in milliseconds.
const MOTION: u64 = 200;
/// How often it is read again. If holds expire all the time, the last reading counts.
const LOOKS: u32 = 20;

/// Reads all of it. `before` is the metrics page from right before the load.
///
/// # Errors
/// When a request fails.
pub async fn fetch(
    server: &Server,
    scenario: &Scenario,
    names: &[String],
    before: Option<String>,
) -> Result<Evidence, Failure> {
    let channel = wire::connect(&server.endpoint).await?;
    let (checkout, mut operators) = (wire::checkout(channel.clone()), Operators::new(channel));
    let mut drops = Vec::with_capacity(names.len());
    for (sale, name) in scenario.drops.iter().zip(names) {
        let mut shown = holds(checkout.clone(), name, &sale.items).await?;
        for _ in 0..LOOKS {
            let request = pb::GetDropRequest { drop_id: name.clone() };
            let answer = operators.get_drop(request).await.map_err(Failure::status("showing a drop"))?.into_inner();
            shown.as_of = wire::instant(answer.server_time);
            shown.stocks = stocks(sale, &answer.drop.unwrap_or_default());
            if !is_in_motion(&shown) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(MOTION.saturating_mul(2))).await;
        }
        drops.push(shown);
    }
    let metrics = before.zip(server.metrics().await?);
    Ok(Evidence { names: names.to_vec(), drops, metrics, alone: server.is_own() })
}

/// Whether a hold expires about now: the stock may show it either way.
fn is_in_motion(shown: &Shown) -> bool {
    let live = |listed: &&Listed| [pb::HoldState::Held, pb::HoldState::Paying].contains(&listed.state);
    shown.holds.values().filter(live).any(|listed| listed.expires_at.abs_diff(shown.as_of) < MOTION)
}

/// The stock of each item, in the scenario's order; an empty one for an item that is not shown, which the books report.
fn stocks(sale: &Sale, drop: &pb::Drop) -> Vec<pb::Stock> {
    let shown = |goods: &Goods| drop.items.iter().find(|item| item.sku == goods.sku).and_then(|item| item.stock);
    sale.items.iter().map(|goods| shown(goods).unwrap_or_default()).collect()
}

async fn holds(mut checkout: Checkout, drop: &str, goods: &[Goods]) -> Result<Shown, Failure> {
    let mut shown = Shown { holds: HashMap::new(), ..Shown::default() };
    let mut token = String::new();
    loop {
        let request = pb::ListHoldsRequest {
            drop_id: drop.to_owned(),
            page_size: PAGE,
            page_token: token,
            ..pb::ListHoldsRequest::default()
        };
        let watch = Stopwatch::start();
        let page = checkout.list_holds(request).await.map_err(Failure::status("listing holds"))?.into_inner();
        let as_of = wire::instant(page.server_time);
        let until = as_of.saturating_add(micros(watch.elapsed()) / 1000).saturating_add(1);
        for hold in page.holds {
            let faulty = |_bad| Failure::Work(format!("{:?} is listed as a hold: no UUID", hold.id));
            let id = Uuid::parse_str(&hold.id).map_err(faulty)?;
            if shown.holds.insert(id, listed(&hold, goods, (as_of, until))).is_some() {
                shown.twice.push(id);
            }
        }
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(shown);
        }
    }
}

fn listed(hold: &pb::Hold, goods: &[Goods], (as_of, until): (u64, u64)) -> Listed {
    let mut lines: Vec<(u16, u32)> = Vec::with_capacity(hold.lines.len());
    for line in &hold.lines {
        // A SKU that the drop does not have: no item, so it matches no request.
        let item = goods.iter().position(|goods| goods.sku == line.sku).and_then(|item| u16::try_from(item).ok());
        let item = item.unwrap_or(u16::MAX);
        match lines.iter_mut().find(|(known, _)| *known == item) {
            Some((_, units)) => *units = units.saturating_add(line.quantity),
            None => lines.push((item, line.quantity)),
        }
    }
    Listed {
        state: hold.state(),
        customer: hold.customer_id.clone(),
        lines,
        order: hold.order_ref.clone(),
        expires_at: wire::instant(hold.expires_at),
        revision: hold.revision,
        as_of,
        until,
    }
}

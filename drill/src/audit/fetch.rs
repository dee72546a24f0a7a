//! Reads what the server shows after a load: holds page by page, and stock.

use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use uuid::Uuid;

use super::{Listed, Shown};
use crate::Failure;
use crate::ledger::{Sale, as_made};
use crate::numbers::micros;
use crate::wire::{self, patiently};

/// Holds on a page.
const PAGE: i32 = 1_000;
/// The stock is not read when a deadline is nearer than this, in milliseconds.
const MOTION: u64 = 200;
/// How often it is read again. If holds expire all the time, the last reading counts.
const LOOKS: u32 = 20;

/// Reads every drop.
///
/// # Errors
/// When a request fails.
pub async fn fetch(client: &Client, sales: &[Sale]) -> Result<Vec<Shown>, Failure> {
    let mut drops = Vec::with_capacity(sales.len());
    for sale in sales {
        let mut shown = holds(client, sale).await?;
        for _ in 0..LOOKS {
            let (drop, as_of) = wire::show(client, &sale.id).await?;
            shown.stock(sale, &drop, as_of);
            if !is_in_motion(&shown) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(MOTION.saturating_mul(2))).await;
        }
        drops.push(shown);
    }
    Ok(drops)
}

/// The same from a drop and holds that were read otherwise: at this time of the server.
///
/// # Errors
/// When a hold's id is no UUID.
pub fn shown<'h>(
    sale: &Sale,
    (drop, as_of): (&pb::Drop, u64),
    holds: impl IntoIterator<Item = &'h pb::Hold>,
) -> Result<Shown, Failure> {
    let mut shown = Shown::default();
    for hold in holds {
        shown.hold(sale, hold, (as_of, as_of))?;
    }
    shown.stock(sale, drop, as_of);
    Ok(shown)
}

/// Whether a hold expires about now: the stock may show it either way.
fn is_in_motion(shown: &Shown) -> bool {
    let live = |listed: &&Listed| [pb::HoldState::Held, pb::HoldState::Paying].contains(&listed.state);
    shown.holds.values().filter(live).any(|listed| listed.expires_at.abs_diff(shown.as_of) < MOTION)
}

async fn holds(client: &Client, sale: &Sale) -> Result<Shown, Failure> {
    let mut shown = Shown::default();
    let mut page_token = String::new();
    loop {
        let (drop_id, page_size) = (sale.id.clone(), PAGE);
        let request = pb::ListHoldsRequest { drop_id, page_size, page_token, ..pb::ListHoldsRequest::default() };
        let watch = Stopwatch::start();
        let page = patiently(|| client.list_holds(request.clone())).await.map_err(Failure::status("listing holds"))?;
        let as_of = wire::instant(page.server_time);
        let until = as_of.saturating_add(micros(watch.elapsed()) / 1000).saturating_add(1);
        for hold in &page.holds {
            shown.hold(sale, hold, (as_of, until))?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(shown);
        }
    }
}

impl Shown {
    /// Takes the stock of each item; an empty one for an item that is not shown, which the books report.
    fn stock(&mut self, sale: &Sale, drop: &pb::Drop, as_of: u64) {
        self.as_of = as_of;
        if sale.rules.is_some() {
            self.drop = drop.clone();
        }
        self.stocks = sale.items.iter().map(|goods| wire::stock(drop, &goods.sku)).collect();
    }

    fn hold(&mut self, sale: &Sale, hold: &pb::Hold, span: (u64, u64)) -> Result<(), Failure> {
        let faulty = |_bad| Failure::Work(format!("{:?} is listed as a hold: no UUID", hold.id));
        let id = Uuid::parse_str(&hold.id).map_err(faulty)?;
        if self.holds.insert(id, listed(hold, sale, span)).is_some() {
            self.twice.push(id);
        }
        Ok(())
    }
}

fn listed(hold: &pb::Hold, sale: &Sale, (as_of, until): (u64, u64)) -> Listed {
    let mut lines: Vec<(u16, u32)> = Vec::with_capacity(hold.lines.len());
    for line in &hold.lines {
        // A SKU that the drop does not have: no item, so it matches no request.
        let item = sale.item(&line.sku).unwrap_or(u16::MAX);
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
        created_at: wire::instant(hold.created_at),
        served: sale.rules.iter().flat_map(|_| hold.lines.iter().map(as_made)).collect(),
        as_of,
        until,
    }
}

//! One call over the wire: sent, timed, and recorded with its answer.

use std::time::Duration;

use stockade_client::Client;
use stockade_drill::request::{Outcome, Request};
use stockade_drill::wire::{self, instant};
use stockade_proto as pb;
use tonic::{Code, Status};

use super::event::{Answer, Call, Figures, Seen, Served, Shown, Verb, Why};
use super::floor::{DROP, Floor, Goal};
use super::market::tiers;

/// The SKU of an item.
#[must_use]
pub fn sku(item: u8) -> String {
    format!("item-{item}")
}

/// The customer's id on the wire.
fn customer(number: u32) -> String {
    format!("customer-{number}")
}

/// The hold's order on the wire. Its last character tells orders of a hold apart.
fn order(hold: &str, order: u8) -> String {
    format!("{hold}/{order}")
}

/// Sends a call and records it. None if the run ended before.
pub async fn ask(
    floor: &Floor,
    (client, patience): (u16, Duration),
    (goal, verb): (&Goal, Verb),
    last: bool,
) -> Option<Answer> {
    let (term, connection) = floor.reach(client).await?;
    let sent = floor.moment();
    let answered = tokio::time::timeout(patience, send(&connection, goal, verb)).await;
    let back = floor.moment();
    let answered = answered.unwrap_or_else(|_late| Err(Status::deadline_exceeded("no answer in time")));
    let (answer, now) = answered.unwrap_or_else(|status| (failed(&status, verb), None));
    let Goal { id: hold, customer, lines } = goal.clone();
    let kept = answer.clone();
    floor.keep(Call { client, term, verb, hold, customer, lines, sent, back, now, answer: kept, last });
    Some(answer)
}

/// The answer that a status stands for.
fn failed(status: &Status, verb: Verb) -> Answer {
    let what = || format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::NotFound if !matches!(verb, Verb::Reserve { .. } | Verb::Adjust | Verb::GetDrop) => Answer::Absent,
        // Decided or not: the connection was lost, which the client tells as `UNAVAILABLE` whatever the transport says,
        // or the deadline passed, or the server is busy.
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => {
            Answer::Unknown(what())
        }
        Code::Ok
        | Code::NotFound
        | Code::InvalidArgument
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unknown
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => Answer::Odd(what()),
    }
}

type Told = (Answer, Option<u64>);

async fn send(client: &Client, goal: &Goal, verb: Verb) -> Result<Told, Status> {
    let (hold_id, drop_id) = (goal.id.clone(), DROP.to_owned());
    let millis = |span| Some(wire::span(Duration::from_millis(span)));
    let request = match verb {
        Verb::Reserve { ttl } => {
            let lines = goal.lines.iter().map(|(item, units)| wire::line(&sku(*item), *units)).collect();
            let request = wire::reserve(hold_id, DROP, customer(goal.customer), lines);
            let customer = request.customer.map(|customer| pb::Customer { tiers: tiers(goal.customer), ..customer });
            Request::Reserve(pb::ReserveRequest { ttl: millis(ttl), customer, ..request })
        }
        Verb::Extend { ttl, pay } => {
            let stage = if pay { pb::HoldStage::Paying } else { pb::HoldStage::Unspecified }.into();
            let ttl = if pay { None } else { millis(ttl) };
            Request::Extend(pb::ExtendRequest { hold_id, drop_id, ttl, stage, ..Default::default() })
        }
        Verb::Claim { order: number } => {
            let order_ref = order(&goal.id, number);
            Request::Claim(pb::ClaimRequest { hold_id, drop_id, order_ref, ..Default::default() })
        }
        Verb::Release => Request::Release(pb::ReleaseRequest { hold_id, drop_id, ..Default::default() }),
        Verb::GetHold => {
            let request = pb::GetHoldRequest { hold_id, drop_id, ..Default::default() };
            let pb::GetHoldResponse { hold, server_time, token: _ } = client.get_hold(request).await?;
            return Ok((shown(goal, &hold.unwrap_or_default()), Some(instant(server_time))));
        }
        Verb::Adjust | Verb::GetDrop => return operate(client, goal, verb).await,
    };
    let answer = request.send(client).await?;
    let reported = match &answer.outcome {
        Outcome::Hold(hold) => shown(goal, hold),
        Outcome::Refusal(refusal) => refused(refusal),
    };
    Ok((reported, Some(answer.server_time)))
}

async fn operate(client: &Client, goal: &Goal, verb: Verb) -> Result<Told, Status> {
    if verb == Verb::GetDrop {
        let request = pb::GetDropRequest { drop_id: DROP.to_owned() };
        let pb::GetDropResponse { drop, server_time } = client.get_drop(request).await?;
        let items = drop.unwrap_or_default().items;
        let answer = match items.iter().find(|item| !adds_up(item)) {
            Some(item) => Answer::Odd(format!("the pools of {} do not add up: {item:?}", item.sku)),
            None => Answer::Stock(items.iter().map(figures).collect()),
        };
        return Ok((answer, Some(instant(server_time))));
    }
    let (item, units) = goal.lines.first().copied().unwrap_or_default();
    let request = pb::AdjustStockRequest {
        drop_id: DROP.to_owned(),
        sku: sku(item),
        adjustment_id: goal.id.clone(),
        change: Some(pb::adjust_stock_request::Change::Delta(i64::from(units))),
        ..Default::default()
    };
    client.adjust_stock(request).await?;
    Ok((Answer::Adjusted, None))
}

/// Whether all that a pool received is accounted for, and the item's stock is the sum of its pools'.
fn adds_up(item: &pb::Item) -> bool {
    let parts = |stock: &pb::Stock| [stock.free, stock.held, stock.paying, stock.claimed, stock.withdrawn];
    let sum = |stock: &pb::Stock| parts(stock).into_iter().fold(0, u64::saturating_add);
    let own = item.stock.unwrap_or_default();
    let pools: Vec<pb::Stock> = item.pools.iter().map(|pool| pool.stock.unwrap_or_default()).collect();
    let add = |all: [u64; 5], pool: &pb::Stock| {
        let mut sums = all;
        sums.iter_mut().zip(parts(pool)).for_each(|(sum, units)| *sum = sum.saturating_add(units));
        sums
    };
    let summed = pools.iter().fold([0; 5], add);
    own.received == sum(&own)
        && pools.iter().all(|pool| pool.received == sum(pool))
        && (pools.is_empty() || summed == parts(&own))
}

fn figures(item: &pb::Item) -> Figures {
    let stock = item.stock.unwrap_or_default();
    let units = |units| u32::try_from(units).unwrap_or(u32::MAX);
    Figures {
        received: units(stock.received),
        free: units(stock.free),
        held: units(stock.held),
        paying: units(stock.paying),
        claimed: units(stock.claimed),
    }
}

fn refused(refusal: &pb::Refusal) -> Answer {
    let Some(why) = Why::of(refusal.reason()) else { return Answer::Odd(format!("{refusal:?}")) };
    let short = refusal.lines.iter().filter(|line| line.reason() == refusal.reason());
    let items: Option<Vec<u8>> = short.map(|line| line.sku.strip_prefix("item-")?.parse().ok()).collect();
    match items {
        Some(items) => Answer::Refused(why, items),
        // A limit need not name an item; a sold-out item must be one of the drop's.
        None if why != Why::SoldOut => Answer::Refused(why, Vec::new()),
        None => Answer::Odd(format!("{refusal:?}")),
    }
}

fn shown(goal: &Goal, hold: &pb::Hold) -> Answer {
    let odd = || Answer::Odd(format!("{hold:?}"));
    let number = hold.customer_id.strip_prefix("customer-").and_then(|number| number.parse().ok());
    let (Some(state), Some(customer)) = (Shown::of(hold.state()), number) else { return odd() };
    let served: Option<Vec<(Served, u32)>> = hold.lines.iter().map(served).collect();
    let Some(served) = served.filter(|_| hold.id == goal.id && hold.drop_id == DROP) else { return odd() };
    let mut lines: Vec<(u8, u32)> = Vec::new();
    for (Served { item, .. }, units) in &served {
        // Units of one item may come from several pools.
        match lines.iter_mut().find(|(known, _)| known == item) {
            Some((_, sum)) => *sum = sum.saturating_add(*units),
            None => lines.push((*item, *units)),
        }
    }
    let ours = |number: &u8| hold.order_ref == order(&goal.id, *number);
    Answer::Hold(Seen {
        state,
        created: instant(hold.created_at),
        due: instant(hold.expires_at),
        revision: hold.revision,
        order: (0..=9_u8).find(ours),
        lines,
        customer,
        served: served.into_iter().map(|(served, _)| served).collect(),
    })
}

/// What a line got, and the units that it has now.
fn served(line: &pb::HoldLine) -> Option<(Served, u32)> {
    let pb::HoldLine { sku, pool, quantity, released, returned, terms_id, unit_price, window } = line;
    let served = Served {
        item: sku.strip_prefix("item-")?.parse().ok()?,
        units: quantity.saturating_add(*released).saturating_add(*returned),
        pool: pool.clone(),
        window: window.clone(),
        terms: terms_id.clone(),
        price: unit_price.as_ref().map_or(0, |price| price.minor_units),
    };
    Some((served, *quantity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sold_out(sku: &str) -> pb::Refusal {
        let reason = pb::RefusalReason::SoldOut.into();
        let line = pb::RefusedLine { sku: sku.to_owned(), reason, ..Default::default() };
        pb::Refusal { reason, lines: vec![line], ..Default::default() }
    }

    #[test]
    fn who_is_sold_out_is_an_item_that_there_is() {
        assert_eq!(refused(&sold_out("item-2")), Answer::Refused(Why::SoldOut, vec![2]));
        assert!(matches!(refused(&sold_out("another")), Answer::Odd(_)));
    }

    #[test]
    fn an_item_adds_up_pool_by_pool() {
        let stock = |free, held| Some(pb::Stock { received: 4, free, held, ..Default::default() });
        let pool = |free, held| pb::Pool { stock: stock(free, held), ..Default::default() };
        let all = Some(pb::Stock { received: 8, free: 5, held: 3, ..Default::default() });
        let item = |pools: Vec<pb::Pool>| pb::Item { stock: all, pools, ..Default::default() };
        assert!(adds_up(&item(vec![pool(3, 1), pool(2, 2)])));
        assert!(!adds_up(&item(vec![pool(3, 1), pool(3, 2)])), "a pool has a unit more than it received");
        assert!(!adds_up(&item(vec![pool(3, 1), pool(1, 3)])), "another sum than the item's");
    }

    #[test]
    fn a_fault_that_the_server_tells_is_an_answer_and_a_lost_connection_is_none() {
        let verb = Verb::Release;
        assert!(matches!(failed(&Status::internal("a fault"), verb), Answer::Odd(_)));
        assert!(matches!(failed(&Status::unknown("a fault"), verb), Answer::Odd(_)));
        assert!(failed(&Status::unavailable("busy"), verb).is_unknown());
    }
}

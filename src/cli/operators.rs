//! `stockade drop list`, `drop adjust`, `drop reconcile` and `hold list`.

use stockade_client::Client;
use stockade_proto as pb;
use stockade_proto::adjust_stock_request::Change;

use super::args::{AdjustOptions, ListDropsOptions, ListHoldsOptions, ReconcileOptions};
use super::drop_file::proto_span;
use super::failure::Failure;
use super::output::{Output, table};
use super::show::{instant, short};
use super::{Finding, drops, json};

/// Entries requested for one page.
const PAGE: i32 = 1_000;

/// Lists all drops, ordered by opening time.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn list_drops(options: &ListDropsOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let state =
        options.state.as_deref().map_or(Ok(0), |word| number("DROP_STATE_", word, pb::DropState::from_str_name))?;
    let mut all = pb::ListDropsResponse::default();
    loop {
        let request = pb::ListDropsRequest {
            shop: options.shop.clone(),
            zone: options.zone.clone(),
            state,
            page_size: PAGE,
            page_token: std::mem::take(&mut all.next_page_token),
            ..pb::ListDropsRequest::default()
        };
        let page = client.list_drops(request).await?;
        all.drops.extend(page.drops);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    if options.remote.json {
        output.json(&json::text("ListDropsResponse", &all)?);
        return Ok(Finding::Well);
    }
    let mut rows = table(&["drop", "state", "opens", "closes", "free", "held", "paying", "claimed"]);
    for drop in &all.drops {
        let sum = |part: fn(&pb::Stock) -> u64| -> String {
            drop.items.iter().filter_map(|item| item.stock.as_ref()).map(part).sum::<u64>().to_string()
        };
        rows.add_row([
            drop.id.clone(),
            short(drop.state().as_str_name(), "DROP_STATE_").to_owned(),
            instant(drop.opens_at.as_ref()),
            instant(drop.closes_at.as_ref()),
            sum(|stock| stock.free),
            sum(|stock| stock.held),
            sum(|stock| stock.paying),
            sum(|stock| stock.claimed),
        ]);
    }
    output.table(rows);
    Ok(Finding::Well)
}

/// Changes the stock of an item.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn adjust(options: &AdjustOptions, output: &mut Output) -> Result<Finding, Failure> {
    let change = match (options.delta, options.set, options.expected) {
        (Some(delta), None, None) => Change::Delta(delta),
        (None, Some(units), Some(expected)) => Change::SetReceived(pb::SetReceived { expected, units }),
        _ => return Err(Failure::Usage("use either --delta, or --set together with --expected".to_owned())),
    };
    let id = id_of(options.id.as_ref());
    let request = pb::AdjustStockRequest {
        drop_id: options.drop.clone(),
        sku: options.sku.clone(),
        pool: String::new(),
        adjustment_id: id.clone(),
        change: Some(change),
    };
    let answered = Client::connect(&options.remote.endpoint).await?.adjust_stock(request).await;
    let answer = once(answered, (&options.id, &id), output)?;
    drops::print(output, &options.remote, "AdjustStockResponse", &answer, answer.drop.as_ref())
}

/// Compares the stock of an item with what a system of record has on hand, and sets the difference right.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn reconcile(options: &ReconcileOptions, output: &mut Output) -> Result<Finding, Failure> {
    let ReconcileOptions { drop, sku, pool, as_of, on_hand, dry_run, id: given, remote } = options;
    let id = id_of(given.as_ref());
    let request = pb::ReconcileStockRequest {
        drop_id: drop.clone(),
        sku: sku.clone(),
        pool: pool.clone(),
        reconciliation_id: id.clone(),
        as_of: as_of.clone(),
        on_hand: *on_hand,
        dry_run: *dry_run,
    };
    let answered = Client::connect(&remote.endpoint).await?.reconcile_stock(request).await;
    let answer = once(answered, (given, &id), output)?;
    if !remote.json {
        let pb::ReconcileStockResponse { drift, applied, shortage, drop: _ } = &answer;
        let mut facts = table(&[]);
        facts.add_row(["drift", &drift.to_string()]);
        facts.add_row(["applied", &applied.to_string()]);
        facts.add_row(["shortage", &shortage.to_string()]);
        output.table(facts);
        output.line("");
    }
    drops::print(output, remote, "ReconcileStockResponse", &answer, answer.drop.as_ref())
}

/// The id of a change that is made once.
fn id_of(given: Option<&String>) -> String {
    given.cloned().unwrap_or_else(|| uuid::Uuid::now_v7().to_string())
}

/// The answer to a change with an id. If it may have been made, and the id is new, says how to send it again.
fn once<T>(
    answered: Result<T, tonic::Status>,
    (given, id): (&Option<String>, &str),
    output: &mut Output,
) -> Result<T, Failure> {
    if let Err(status) = &answered
        && given.is_none()
        && status.code() == tonic::Code::Unavailable
    {
        output.complain(&format!("to retry safely: --id {id}"));
    }
    answered.map_err(Failure::from)
}

/// Lists holds, at most as many as requested.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn list_holds(options: &ListHoldsOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let state =
        options.state.as_deref().map_or(Ok(0), |word| number("HOLD_STATE_", word, pb::HoldState::from_str_name))?;
    let mut all = pb::ListHoldsResponse::default();
    loop {
        let left = options.most.saturating_sub(all.holds.len());
        let request = pb::ListHoldsRequest {
            drop_id: options.drop.clone(),
            customer_id: options.customer.clone(),
            order_ref: options.order.clone(),
            sku: options.sku.clone(),
            shop: options.shop.clone(),
            state,
            older_than: options.older_than.map(proto_span),
            page_size: i32::try_from(left).unwrap_or(PAGE).min(PAGE),
            page_token: std::mem::take(&mut all.next_page_token),
        };
        let page = client.list_holds(request).await?;
        all.holds.extend(page.holds);
        (all.next_page_token, all.server_time) = (page.next_page_token, page.server_time);
        if all.next_page_token.is_empty() || all.holds.len() >= options.most {
            break;
        }
    }
    if options.remote.json {
        output.json(&json::text("ListHoldsResponse", &all)?);
        return Ok(Finding::Well);
    }
    let mut rows = table(&["hold", "state", "customer", "goods", "expires", "order"]);
    for hold in &all.holds {
        let goods: Vec<String> = hold.lines.iter().map(|line| format!("{}={}", line.sku, line.quantity)).collect();
        rows.add_row([
            hold.id.clone(),
            short(hold.state().as_str_name(), "HOLD_STATE_").to_owned(),
            hold.customer_id.clone(),
            goods.join(" "),
            instant(hold.expires_at.as_ref()),
            hold.order_ref.clone(),
        ]);
    }
    output.table(rows);
    if !all.next_page_token.is_empty() {
        output.line(&format!("more holds match: these are the first {}; see --most", all.holds.len()));
    }
    Ok(Finding::Well)
}

/// The number of an enum value by its short name, in any case.
fn number<E: Into<i32>>(prefix: &str, word: &str, find: impl Fn(&str) -> Option<E>) -> Result<i32, Failure> {
    let name = format!("{prefix}{}", word.to_uppercase());
    find(&name).map(Into::into).ok_or_else(|| Failure::Usage(format!("{word:?} is not a state")))
}

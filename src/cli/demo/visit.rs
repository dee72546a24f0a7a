//! One customer's visit, from the request to the end of the hold.

use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use tonic::{Code, Status};

use super::crowd::{Crowd, DemoPhase};
use super::customer::{DROP, Fate, Plan};
use super::ledger::{Entry, Ledger};

/// How often a call is sent again after `UNAVAILABLE`.
const RETRIES_MAX: u32 = 40;
/// How long a customer waits before that.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs one customer's plan.
pub(super) async fn visit(crowd: &Crowd, client: &Client, ledger: &mut Ledger, number: u32, plan: Plan) {
    let request = plan.request(number);
    if plan.double_click {
        let twin = plan.request(number);
        let (first, second) = tokio::join!(ask(client, &request), ask(client, &twin));
        settle(crowd, client, ledger, (number, plan), first).await;
        settle(crowd, client, ledger, (number, plan), second).await;
        return;
    }
    let answered = ask(client, &request).await;
    if plan.asks_again
        && let Ok((pb::reserve_response::Outcome::Hold(hold), _)) = &answered
    {
        let again = ask(client, &request).await;
        let same = matches!(&again, Ok((pb::reserve_response::Outcome::Hold(same), _)) if same.lines == hold.lines);
        if !same {
            ledger.trouble(format!("hold {} was answered differently the second time: {again:?}", hold.id));
        }
    }
    settle(crowd, client, ledger, (number, plan), answered).await;
}

type Answered = Result<(pb::reserve_response::Outcome, Duration), Status>;

async fn ask(client: &Client, request: &pb::ReserveRequest) -> Answered {
    let watch = Stopwatch::start();
    let answer = patiently(|| client.reserve(request.clone())).await?;
    let outcome = answer.outcome.ok_or_else(|| Status::internal("an answer without an outcome"))?;
    Ok((outcome, watch.elapsed()))
}

/// Sends a call again while the server is unavailable, as any client should.
///
/// # Errors
/// Any other status, or the last one.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Status>>>(question: impl Fn() -> F) -> Result<T, Status> {
    let mut tries = 0;
    loop {
        match question().await {
            Err(status) if status.code() == Code::Unavailable && tries < RETRIES_MAX => {
                tries = tries.saturating_add(1);
                tokio::time::sleep(PAUSE).await;
            }
            decided => return decided,
        }
    }
}

async fn settle(crowd: &Crowd, client: &Client, ledger: &mut Ledger, (number, plan): (u32, Plan), answered: Answered) {
    use pb::reserve_response::Outcome;
    crowd.asked.increment();
    ledger.asked = ledger.asked.saturating_add(1);
    match answered {
        Err(status) => ledger.trouble(format!("customer {number} got no answer: {status}")),
        Ok((Outcome::Refusal(refusal), took)) => {
            crowd.refused.increment();
            ledger.record(took);
            let name = refusal.reason().as_str_name();
            let count = ledger.refused.entry(name.strip_prefix("REFUSAL_REASON_").unwrap_or(name)).or_default();
            *count = count.saturating_add(1);
            let sold_out = refusal.reason() == pb::RefusalReason::SoldOut;
            if crowd.phase == DemoPhase::Rush && sold_out && refusal.retry_after.is_some() && !plan.double_click {
                ledger.again.push(number);
            }
        }
        Ok((Outcome::Hold(hold), took)) => {
            crowd.held.increment();
            ledger.record(took);
            if !is_whole(&hold, &plan) {
                ledger.trouble(format!("hold {} does not have what was requested: {:?}", hold.id, hold.lines));
            }
            if let Err(why) = finish(client, &hold, plan.fate).await {
                ledger.trouble(format!("hold {} could not end as {:?}: {why}", hold.id, plan.fate));
            }
            let pb::Hold { id, lines, expires_at, .. } = hold;
            let expires_at = expires_at.unwrap_or_default();
            ledger.entries.push(Entry { hold: id, customer: number, lines, expires_at, fate: plan.fate });
        }
    }
}

/// Whether a hold has the whole cart: all lines or none.
fn is_whole(hold: &pb::Hold, plan: &Plan) -> bool {
    plan.cart.into_iter().all(|(sku, wanted)| {
        let got = hold.lines.iter().filter(|line| line.sku == sku).map(|line| line.quantity);
        got.fold(0, u32::saturating_add) == wanted
    })
}

/// Pays, releases, or walks away.
async fn finish(client: &Client, hold: &pb::Hold, fate: Fate) -> Result<(), Status> {
    if fate.goes_to_payment() {
        to_payment(client, hold).await?;
    }
    match fate {
        Fate::WalkedAway | Fate::Kept | Fate::AtTheTill => Ok(()),
        Fate::Claimed | Fate::Paid => claim(client, hold).await,
        Fate::Released | Fate::GaveUp => release(client, hold, fate == Fate::GaveUp).await,
    }
}

async fn to_payment(client: &Client, hold: &pb::Hold) -> Result<(), Status> {
    let request = pb::ExtendRequest {
        hold_id: hold.id.clone(),
        stage: pb::HoldStage::Paying.into(),
        ..pb::ExtendRequest::default()
    };
    match patiently(|| client.extend(request.clone())).await?.outcome {
        Some(pb::extend_response::Outcome::Hold(now)) if now.state() == pb::HoldState::Paying => Ok(()),
        other => Err(unexpected(&other)),
    }
}

async fn claim(client: &Client, hold: &pb::Hold) -> Result<(), Status> {
    let (hold_id, order_ref) = (hold.id.clone(), format!("order-{}", hold.id));
    let request = pb::ClaimRequest { hold_id, order_ref, ..pb::ClaimRequest::default() };
    match patiently(|| client.claim(request.clone())).await?.outcome {
        Some(pb::claim_response::Outcome::Hold(now)) if now.state() == pb::HoldState::Claimed => Ok(()),
        other => Err(unexpected(&other)),
    }
}

async fn release(client: &Client, hold: &pb::Hold, abandon_payment: bool) -> Result<(), Status> {
    let (hold_id, drop_id) = (hold.id.clone(), DROP.to_owned());
    let request = pb::ReleaseRequest { hold_id, drop_id, abandon_payment, ..pb::ReleaseRequest::default() };
    match patiently(|| client.release(request.clone())).await?.outcome {
        Some(pb::release_response::Outcome::Hold(now)) if now.state() == pb::HoldState::Released => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// None of this is ever refused for a customer's own live hold.
fn unexpected(answer: &impl std::fmt::Debug) -> Status {
    Status::internal(format!("answered with {answer:?}"))
}

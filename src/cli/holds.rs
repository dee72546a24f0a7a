//! `stockade reserve`, `extend`, `claim`, `release`, `return` and `hold show`.

use prost::Message;
use stockade_client::Client;
use stockade_proto as pb;
use tonic::{Code, Status};

use super::args::{
    ClaimOptions, ExtendOptions, HoldTarget, ReleaseOptions, Remote, ReserveOptions, ReturnOptions, ShowHoldOptions,
    StageWord,
};
use super::drop_file::proto_span;
use super::failure::Failure;
use super::output::Output;
use super::{Finding, json, show};

/// What an answer has to show: a hold, as given, or a refusal.
macro_rules! outcome {
    ($answer:ident: $module:ident) => {
        outcome!($answer: $module, hold => HoldAnswer::Hold(hold))
    };
    ($answer:ident: $module:ident, $hold:ident => $shown:expr) => {
        $answer.outcome.clone().map(|outcome| match outcome {
            pb::$module::Outcome::Hold($hold) => $shown,
            pb::$module::Outcome::Refusal(refusal) => HoldAnswer::Refusal(refusal),
        })
    };
}

/// Reserves units.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn reserve(options: &ReserveOptions, output: &mut Output) -> Result<Finding, Failure> {
    let hold_id = options.hold_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let request = pb::ReserveRequest {
        hold_id: hold_id.clone(),
        drop_id: options.drop.clone(),
        lines: options.pools.lines(&options.lines)?,
        customer: Some(options.buyer.customer()),
        ttl: options.ttl.map(proto_span),
        r#override: options.buyer.stepping_over(),
        supersedes: options.supersedes.clone(),
        allow_partial: options.allow_partial,
        ..pb::ReserveRequest::default()
    };
    let client = Client::connect(&options.remote.endpoint).await?;
    let answered = client.reserve(request).await;
    if options.hold_id.is_none() && answered.as_ref().is_err_and(is_unknown) {
        // The units may be reserved or not: sending the same id again is safe and shows it.
        output.complain(&format!("to retry safely: --hold-id {hold_id}"));
    }
    let answer = answered?;
    let shown = outcome!(answer: reserve_response, hold => match answer.short_lines.clone() {
        lines if lines.is_empty() => HoldAnswer::Hold(hold),
        lines => HoldAnswer::Short(hold, lines),
    });
    print(output, &options.remote, "ReserveResponse", &answer, shown)
}

/// Whether it is unknown after this status if the call took effect.
fn is_unknown(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
    )
}

const fn stage(word: Option<StageWord>) -> pb::HoldStage {
    match word {
        None => pb::HoldStage::Unspecified,
        Some(StageWord::Held) => pb::HoldStage::Held,
        Some(StageWord::Paying) => pb::HoldStage::Paying,
    }
}

/// Moves a hold's deadline, or moves the hold into or out of payment.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn extend(options: &ExtendOptions, output: &mut Output) -> Result<Finding, Failure> {
    let HoldTarget { hold, drop, customer } = &options.target;
    let request = pb::ExtendRequest {
        hold_id: hold.clone(),
        drop_id: drop.clone(),
        customer_id: customer.clone(),
        ttl: options.ttl.map(proto_span),
        stage: stage(options.stage).into(),
    };
    let answer = Client::connect(&options.remote.endpoint).await?.extend(request).await?;
    print(output, &options.remote, "ExtendResponse", &answer, outcome!(answer: extend_response))
}

/// Turns a hold into a sale.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn claim(options: &ClaimOptions, output: &mut Output) -> Result<Finding, Failure> {
    let HoldTarget { hold, drop, customer } = &options.target;
    let expired = if options.late { pb::ExpiredPolicy::TakeFreeStock } else { pb::ExpiredPolicy::Refuse };
    let request = pb::ClaimRequest {
        hold_id: hold.clone(),
        drop_id: drop.clone(),
        customer_id: customer.clone(),
        order_ref: options.order.clone(),
        expired_policy: expired.into(),
        lines: options.pools.lines(&options.lines)?,
    };
    let answer = Client::connect(&options.remote.endpoint).await?.claim(request).await?;
    let late = answer.mode() == pb::ClaimMode::LateFromFreeStock;
    let shown = outcome!(answer: claim_response, hold => if late { HoldAnswer::LateSale(hold) } else { HoldAnswer::Hold(hold) });
    print(output, &options.remote, "ClaimResponse", &answer, shown)
}

/// Gives units back before the sale.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn release(options: &ReleaseOptions, output: &mut Output) -> Result<Finding, Failure> {
    let HoldTarget { hold, drop, customer } = &options.target;
    let request = pb::ReleaseRequest {
        hold_id: hold.clone(),
        drop_id: drop.clone(),
        customer_id: customer.clone(),
        keep: options.pools.lines(&options.keep)?,
        abandon_payment: options.abandon_payment,
    };
    let answer = Client::connect(&options.remote.endpoint).await?.release(request).await?;
    print(output, &options.remote, "ReleaseResponse", &answer, outcome!(answer: release_response))
}

/// Gives units back after the sale.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn give_back(options: &ReturnOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::ReturnUnitsRequest {
        hold_id: options.hold.clone(),
        drop_id: options.drop.clone(),
        returned: options.pools.lines(&options.returned)?,
        restock: options.restock,
    };
    let answer = Client::connect(&options.remote.endpoint).await?.return_units(request).await?;
    print(output, &options.remote, "ReturnUnitsResponse", &answer, outcome!(answer: return_units_response))
}

/// Shows a hold.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn show(options: &ShowHoldOptions, output: &mut Output) -> Result<Finding, Failure> {
    let (hold_id, drop_id) = (options.hold.clone(), options.drop.clone());
    let request = pb::GetHoldRequest { hold_id, drop_id, ..pb::GetHoldRequest::default() };
    let answer = Client::connect(&options.remote.endpoint).await?.get_hold(request).await?;
    let shown = answer.hold.clone().map(HoldAnswer::Hold);
    print(output, &options.remote, "GetHoldResponse", &answer, shown)
}

enum HoldAnswer {
    Hold(pb::Hold),
    /// A hold that was claimed after its deadline.
    LateSale(pb::Hold),
    /// A hold that got fewer units than requested, with these lines.
    Short(pb::Hold, Vec<pb::RefusedLine>),
    Refusal(pb::Refusal),
}

/// Prints an answer. A refusal is an answer too, with exit code 1.
fn print(
    output: &mut Output,
    remote: &Remote,
    name: &str,
    answer: &impl Message,
    shown: Option<HoldAnswer>,
) -> Result<Finding, Failure> {
    let shown = shown.ok_or(Failure::Bug("the server answered with nothing"))?;
    if remote.json {
        output.json(&json::text(name, answer)?);
    }
    let finding = match &shown {
        HoldAnswer::Hold(_) | HoldAnswer::LateSale(_) | HoldAnswer::Short(..) => Finding::Well,
        HoldAnswer::Refusal(_) => Finding::Amiss,
    };
    if remote.json {
        return Ok(finding);
    }
    match &shown {
        HoldAnswer::Hold(hold) => show::hold(output, hold),
        HoldAnswer::LateSale(hold) => {
            output.line("claimed late, from free stock");
            show::hold(output, hold);
        }
        HoldAnswer::Short(hold, lines) => {
            show::hold(output, hold);
            output.line("");
            show::short_lines(output, lines);
        }
        HoldAnswer::Refusal(refusal) => show::refusal(output, refusal),
    }
    Ok(finding)
}

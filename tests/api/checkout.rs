//! A checkout in a few lines. docs/calling.md must show exactly this code, and that of the other languages.

use stockade_client::Client;
use stockade_proto as pb;
use tonic::Status;

use crate::common::{create, hold_id, knife_drop, line, reserve, start};

// docs/calling.md: begin
/// Buys what is wanted. Gives the hold, sold or given back, or a refusal.
async fn buy(
    client: &Client,
    wanted: pb::ReserveRequest,
    order_ref: &str,
    pay: impl AsyncFnOnce() -> bool,
) -> Result<Result<pb::Hold, pb::Refusal>, Status> {
    use pb::{claim_response, extend_response, reserve_response};
    let hold_id = wanted.hold_id.clone();
    if let Some(reserve_response::Outcome::Refusal(refusal)) = client.reserve(wanted).await?.outcome {
        return Ok(Err(refusal)); // tell the shopper why, and when it is worth coming again
    }
    let stage = pb::HoldStage::Paying.into();
    let to_the_till = pb::ExtendRequest { hold_id: hold_id.clone(), stage, ..Default::default() };
    if let Some(extend_response::Outcome::Refusal(refusal)) = client.extend(to_the_till).await?.outcome {
        return Ok(Err(refusal)); // too late: nothing was paid yet
    }
    if !pay().await {
        let give_up = pb::ReleaseRequest { hold_id, abandon_payment: true, ..Default::default() };
        return match client.release(give_up).await?.outcome {
            Some(pb::release_response::Outcome::Refusal(refusal)) => Ok(Err(refusal)),
            Some(pb::release_response::Outcome::Hold(hold)) => Ok(Ok(hold)),
            None => Err(Status::internal("an answer without an outcome")),
        };
    }
    // The money is here: claim also from what is free, should the deadline have passed meanwhile.
    let expired_policy = pb::ExpiredPolicy::TakeFreeStock.into();
    let claim = pb::ClaimRequest { hold_id, order_ref: order_ref.to_owned(), expired_policy, ..Default::default() };
    match client.claim(claim).await?.outcome {
        Some(claim_response::Outcome::Hold(sold)) => Ok(Ok(sold)),
        Some(claim_response::Outcome::Refusal(refusal)) => Ok(Err(refusal)), // pay it back
        None => Err(Status::internal("an answer without an outcome")),
    }
}
// docs/calling.md: end

#[tokio::test]
async fn the_checkout_of_the_guide_sells_gives_back_and_tells_why_not() {
    let server = start(&[]).await;
    let client = server.client().await;
    create(&client, knife_drop("knife")).await;
    let wanted = |n, units| reserve(n, "knife", "ada", vec![line("KNIFE", units)]);
    let sold = buy(&client, wanted(1, 1), "A-1", async || true).await.expect("an answer").expect("a hold");
    assert_eq!((sold.id.as_str(), sold.state()), (hold_id(1).as_str(), pb::HoldState::Claimed));
    let given_back = buy(&client, wanted(2, 1), "A-2", async || false).await.expect("an answer").expect("a hold");
    assert_eq!(given_back.state(), pb::HoldState::Released);
    let refusal =
        buy(&client, wanted(3, 2), "A-3", async || true).await.expect("an answer").expect_err("over the limit");
    assert_eq!(refusal.reason(), pb::RefusalReason::LimitReached);
}

/// The lines between the marks in a source file.
fn shown(source: &str) -> String {
    let ends = |line: &&str| line.ends_with("docs/calling.md: end");
    assert!(source.lines().any(|line| ends(&line)), "an end");
    let marked = source.lines().skip_while(|line| !line.ends_with("docs/calling.md: begin")).skip(1);
    marked.take_while(|line| !ends(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_guide_shows_what_is_run() {
    let guide = include_str!("../../docs/calling.md");
    let sources = [
        ("python", include_str!("../python/checkout.py")),
        ("typescript", include_str!("../typescript/checkout.ts")),
        ("rust", include_str!("checkout.rs")),
    ];
    for (language, source) in sources {
        let block = format!("```{language}\n{}\n```\n", shown(source));
        assert!(guide.contains(&block), "docs/calling.md must have\n{block}");
    }
}

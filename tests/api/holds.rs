//! A hold's life over a real socket: reserved, extended, sold, released; and every refusal.

use stockade_client::Client;
use stockade_proto as pb;

use crate::common::{create, held, hold_id, knife_drop, line, refused, reserve, start};
use crate::shop::{Outcome as _, claim, closed, drop_of, knife_shop as shop, paused, release, resumed, secs, stocks};

async fn stock(client: &Client) -> Vec<pb::Stock> {
    stocks(&drop_of(client, "knife").await)
}

fn quantities(hold: &pb::Hold) -> Vec<(&str, u32)> {
    hold.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect()
}

#[tokio::test]
async fn a_hold_is_shown_whole() {
    let (_server, client) = shop().await;
    let request = reserve(1, "knife", "ada", vec![line("SHEATH", 1), line("KNIFE", 1)]);
    let hold = held(&client, request.clone()).await;
    assert_eq!((hold.id.as_str(), hold.drop_id.as_str(), hold.customer_id.as_str()), (&*hold_id(1), "knife", "ada"));
    assert_eq!(quantities(&hold), [("KNIFE", 1), ("SHEATH", 1)]);
    assert!(hold.lines.iter().all(|line| line.pool == "general"));
    assert_eq!(hold.state(), pb::HoldState::Held);
    let lives = hold.expires_at.expect("a deadline").seconds - hold.created_at.expect("a start").seconds;
    assert_eq!(lives, 300);
    assert_eq!(held(&client, request).await, hold, "sent again: the same answer");
    let shown = client
        .get_hold(pb::GetHoldRequest { hold_id: hold_id(1), drop_id: "knife".into(), ..Default::default() })
        .await;
    assert_eq!(shown.expect("a hold").hold, Some(hold));
    let stock = stock(&client).await;
    assert_eq!(stock.iter().map(|s| (s.received, s.free, s.held)).collect::<Vec<_>>(), [(10, 9, 1), (3, 2, 1)]);
}

#[tokio::test]
async fn a_cart_is_served_whole_or_not_at_all() {
    let (_server, client) = shop().await;
    for n in 1..=3 {
        held(&client, reserve(n, "knife", &format!("c{n}"), vec![line("SHEATH", 1)])).await;
    }
    let no = refused(&client, reserve(9, "knife", "ada", vec![line("KNIFE", 1), line("SHEATH", 1)])).await;
    assert_eq!((no.reason(), no.sku.as_str()), (pb::RefusalReason::SoldOut, "SHEATH"));
    assert!(no.retry_after.is_some() && no.may_come_back, "units are held by others and may come back");
    assert!(!no.message.is_empty());
    let lines: Vec<_> = no.lines.iter().map(|l| (l.sku.as_str(), l.reason(), l.requested, l.available)).collect();
    assert_eq!(lines, [("SHEATH", pb::RefusalReason::SoldOut, 1, 0)]);
    assert_eq!(stock(&client).await[0].free, 10, "no knife was taken");
}

#[tokio::test]
async fn a_limit_is_told_with_what_is_used() {
    let (_server, client) = shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let no = refused(&client, reserve(2, "knife", "ada", vec![line("KNIFE", 2)])).await;
    assert_eq!(no.reason(), pb::RefusalReason::LimitReached);
    let limit = no.limit.expect("the limit");
    assert_eq!((limit.id.as_str(), limit.scope(), limit.max, limit.used), ("two-each", pb::LimitScope::Drop, 2, 1));
    assert_eq!(limit.identity_kind, "customer");
}

#[tokio::test]
async fn a_hold_is_kept_longer_but_never_shorter() {
    let (_server, client) = shop().await;
    let hold = held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let extend = |seconds| pb::ExtendRequest { hold_id: hold_id(1), ttl: Some(secs(seconds)), ..Default::default() };
    let moved = async |seconds| client.extend(extend(seconds)).await.expect("an answer").hold().expires_at;
    assert_eq!(moved(1).await, hold.expires_at);
    let longest = moved(86_400).await.expect("a deadline").seconds - hold.created_at.expect("a start").seconds;
    assert_eq!(longest, 600, "the ceiling is twice the drop's hold_ttl");
}

#[tokio::test]
async fn a_sale_is_answered_alike_for_the_same_order_only() {
    let (_server, client) = shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let first = client.claim(claim(1, "A1")).await.expect("an answer");
    assert_eq!(first.mode(), pb::ClaimMode::OnTime);
    let sold = first.hold();
    assert_eq!((sold.state(), sold.order_ref.as_str()), (pb::HoldState::Claimed, "A1"));
    assert!(sold.claimed_at.is_some());
    assert_eq!(client.claim(claim(1, "A1")).await.expect("an answer").hold(), sold);
    let no = client.claim(claim(1, "A2")).await.expect("an answer").refusal();
    assert_eq!(no.reason(), pb::RefusalReason::OrderMismatch);
    assert_eq!(no.hold.map(|hold| hold.order_ref), Some("A1".to_owned()));
    assert_eq!(stock(&client).await[0].claimed, 2);
}

#[tokio::test]
async fn what_is_given_back_is_for_sale_again() {
    let (_server, client) = shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let given_back = async |keep| client.release(release(1, keep)).await.expect("an answer").hold();
    let part = given_back(vec![line("KNIFE", 1)]).await;
    assert_eq!((part.state(), quantities(&part)), (pb::HoldState::Held, vec![("KNIFE", 1)]));
    assert_eq!(stock(&client).await[0].free, 9);
    let whole = given_back(Vec::new()).await;
    assert_eq!((whole.state(), whole.lines[0].released), (pb::HoldState::Released, 2));
    assert_eq!(stock(&client).await[0].free, 10);
    let no = client.claim(claim(1, "o")).await.expect("an answer").refusal();
    assert_eq!(no.reason(), pb::RefusalReason::HoldReleased);
}

#[tokio::test]
async fn an_operator_steers_a_drop() {
    let (_server, client) = shop().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let paused = paused(&client, "knife").await;
    assert_eq!(paused.state(), pb::DropState::Paused);
    let ask = |n| reserve(n, "knife", "bob", vec![line("KNIFE", 1)]);
    assert_eq!(refused(&client, ask(2)).await.reason(), pb::RefusalReason::Paused);
    let resumed = resumed(&client, "knife").await;
    assert_eq!(resumed.state(), pb::DropState::Open);
    held(&client, ask(2)).await;
    let closed = closed(&client, "knife").await;
    assert_eq!(closed.state(), pb::DropState::Closed);
    assert_eq!((paused.revision, resumed.revision), (closed.revision, closed.revision), "the definition is the same");
    assert_eq!(refused(&client, ask(3)).await.reason(), pb::RefusalReason::Closed);
    // Live holds are still sold.
    assert_eq!(client.claim(claim(1, "o")).await.expect("an answer").hold().state(), pb::HoldState::Claimed);
}

#[tokio::test]
async fn a_drop_is_created_once_and_checked_without_being_created() {
    let server = start(&[]).await;
    let client = server.client().await;
    let request = |validate_only| pb::CreateDropRequest { drop: Some(knife_drop("knife")), validate_only };
    let checked = client.create_drop(request(true)).await.expect("good").drop.expect("a drop");
    assert_eq!(checked.items.len(), 2);
    let missing = client.get_drop(pb::GetDropRequest { drop_id: "knife".into() }).await.expect_err("only checked");
    assert_eq!(missing.code(), tonic::Code::NotFound);
    let first = create(&client, knife_drop("knife")).await;
    let second = create(&client, knife_drop("knife")).await;
    assert_eq!((first.revision, first.opens_at), (second.revision, second.opens_at));
    assert_eq!((first.shop.as_str(), first.state()), ("default", pb::DropState::Open));
}

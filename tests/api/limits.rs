//! Limits over a real socket: what answers say of them, what counts for a customer, and overrides by staff.

use stockade_client::Client;
use stockade_proto as pb;

use crate::cli::{code, drop_file, out, stockade};
use crate::common::{create, held, item, knife_drop, line, refused, reserve, start};
use crate::shop::{drop_of, limit, secs};

/// Two drops of a series.
async fn series(client: &Client, limits: &[pb::Limit]) {
    for id in ["one", "two"] {
        let (items, limits) = (vec![item("KNIFE", 100), item("PAN", 100)], limits.to_vec());
        create(client, pb::Drop { id: id.into(), series: "winter".into(), items, limits, ..Default::default() }).await;
    }
}

fn with_card(request: pb::ReserveRequest, card: &str) -> pb::ReserveRequest {
    let identities = vec![pb::Identity { kind: "card".into(), value: card.into() }];
    let customer = request.customer.map(|customer| pb::Customer { identities, ..customer });
    pb::ReserveRequest { customer, ..request }
}

#[tokio::test]
async fn limits_are_shown_as_they_were_asked_for_and_drops_are_listed_by_series() {
    let server = start(&[]).await;
    let client = server.client().await;
    let full = pb::Limit {
        skus: vec!["KNIFE".into()],
        identity_kind: "card".into(),
        max_units: Some(2),
        max_units_by_tier: [("gold".to_owned(), 4)].into(),
        max_live_units: Some(3),
        max_live_holds: Some(2),
        rolling: Some(secs(3_600)),
        cooldown: Some(secs(5)),
        ..limit("cards", pb::LimitScope::Series)
    };
    series(&client, std::slice::from_ref(&full)).await;
    create(&client, knife_drop("other")).await;
    let shown = drop_of(&client, "one").await;
    assert_eq!((shown.series.as_str(), shown.limits), ("winter", vec![full]));
    let list = pb::ListDropsRequest { series: "winter".into(), ..Default::default() };
    let listed = client.list_drops(list).await.expect("a list").drops;
    assert_eq!(listed.iter().map(|drop| drop.id.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    let list = pb::ListDropsRequest { series: "summer".into(), ..Default::default() };
    assert!(client.list_drops(list).await.expect("a list").drops.is_empty());
}

#[tokio::test]
async fn a_card_is_one_subject_for_all_customers_and_drops_of_a_series() {
    let server = start(&[]).await;
    let client = server.client().await;
    let rule = pb::Limit { identity_kind: "card".into(), max_units: Some(2), ..limit("cards", pb::LimitScope::Series) };
    series(&client, &[rule]).await;
    held(&client, with_card(reserve(1, "one", "ada", vec![line("KNIFE", 1)]), "4242")).await;
    held(&client, with_card(reserve(2, "two", "bob", vec![line("PAN", 1)]), "4242")).await;
    let no = refused(&client, with_card(reserve(3, "one", "cleo", vec![line("PAN", 1)]), "4242")).await;
    assert_eq!(no.reason(), pb::RefusalReason::LimitReached);
    let hit = no.limit.expect("the limit");
    assert_eq!((hit.id.as_str(), hit.scope(), hit.max, hit.used), ("cards", pb::LimitScope::Series, 2, 2));
    assert_eq!(hit.identity_kind, "card");
    held(&client, with_card(reserve(3, "one", "cleo", vec![line("PAN", 1)]), "5555")).await;
    held(&client, reserve(4, "one", "ada", vec![line("PAN", 50)])).await;
}

#[tokio::test]
async fn cooldowns_and_live_holds_refuse_with_a_time_and_staff_steps_over_them() {
    let server = start(&[]).await;
    let client = server.client().await;
    let wait = pb::Limit { cooldown: Some(secs(3_600)), ..limit("wait", pb::LimitScope::Item) };
    let live = pb::Limit { max_live_holds: Some(1), ..limit("live", pb::LimitScope::Drop) };
    series(&client, &[live, wait]).await;
    held(&client, reserve(1, "one", "ada", vec![line("KNIFE", 1)])).await;
    let no = refused(&client, reserve(2, "one", "ada", vec![line("KNIFE", 2)])).await;
    assert_eq!(no.reason(), pb::RefusalReason::Cooldown);
    let lines: Vec<_> = no.lines.iter().map(|l| (l.sku.as_str(), l.reason(), l.requested, l.available)).collect();
    assert_eq!(lines, [("KNIFE", pb::RefusalReason::Cooldown, 2, 0)]);
    let hit = no.limit.expect("the limit");
    assert_eq!((hit.id.as_str(), hit.max, hit.used), ("wait", 0, 0));
    assert!(no.retry_after.is_some_and(|after| (3_500..=3_600).contains(&after.seconds)));
    let no = refused(&client, reserve(2, "one", "ada", vec![line("PAN", 1)])).await;
    assert_eq!(no.reason(), pb::RefusalReason::TooManyHolds);
    assert!(no.retry_after.is_some_and(|after| (200..=300).contains(&after.seconds)));
    let over = pb::Override { limits: true, windows: false, reason: "the buyer called".into() };
    let request = pb::ReserveRequest { r#override: Some(over), ..reserve(2, "one", "ada", vec![line("KNIFE", 2)]) };
    let hold = held(&client, request).await;
    assert!(!format!("{hold:?}").contains("called"), "the reason is staff's");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_knows_limits() {
    let server = start(&[]).await;
    let run = |words: &[&str]| stockade(&server.endpoint, words);
    let text = "kind: Drop\nid: knife\nseries: winter\nitems: [{sku: K, quantity: 30}]\nlimits:\n  \
        - {id: cards, scope: series, identity_kind: card, max_units: 1, max_units_by_tier: {gold: 2}, rolling: 30 days}\n  \
        - {id: pace, scope: drop, skus: [K], max_live_holds: 2, cooldown: 1h}\n";
    let (_folder, file) = drop_file(text);
    let timeline = out(&run(&["drop", "apply", &file, "--dry-run"]));
    assert!(
        timeline.contains("cards: at most 1 unit within 30days, gold: at most 2 units within 30days"),
        "{timeline}"
    );
    assert!(timeline.contains("1h between two reserves for each customer of K in this drop"), "{timeline}");
    assert_eq!(code(&run(&["drop", "apply", &file])), 0);
    let shown = out(&run(&["drop", "show", "knife"]));
    assert!(shown.contains("winter") && shown.contains("at most 2 live holds"), "{shown}");
    let reserve = |customer: &str, more: &[&str]| {
        run(&[&["reserve", "knife", "--sku", "K", "--customer", customer, "--identity", "card=4242"], more].concat())
    };
    assert_eq!(code(&reserve("ada", &[])), 0);
    let no = out(&reserve("bob", &[]));
    assert!(no.contains("limit cards: 1 of 1 used for this card") && no.contains("asking again in "), "{no}");
    assert_eq!(code(&reserve("bob", &["--tier", "gold"])), 0);
    let no = out(&reserve("bob", &["--tier", "gold"]));
    assert!(no.contains("COOLDOWN") && no.contains("limit pace: a cooldown\n"), "{no}");
    assert_eq!(code(&reserve("bob", &["--override-limits", "the buyer called"])), 0);
    assert_eq!(code(&run(&["reserve", "knife", "--sku", "K", "--customer", "c", "--identity", "card"])), 64);
}

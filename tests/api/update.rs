//! Changes of a drop over a real socket: which fields may change when, how errors name them, and repeated requests.

use stockade_client::Client;
use stockade_proto as pb;
use tonic::{Code, Status};

use crate::common::{Server, create, held, item, knife_drop, line, reserve, start};
use crate::shop::{closed, drop_of, knife_shop, limit, secs};

fn after(server_time: Option<prost_types::Timestamp>, seconds: i64) -> Option<prost_types::Timestamp> {
    server_time.map(|at| prost_types::Timestamp { seconds: at.seconds + seconds, nanos: 0 })
}

async fn server_time(client: &Client) -> Option<prost_types::Timestamp> {
    client.get_drop(pb::GetDropRequest { drop_id: "knife".into() }).await.expect("a drop").server_time
}

fn request(drop: &pb::Drop, mask: &[&str], revision: u64) -> pb::UpdateDropRequest {
    let paths = mask.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let update_mask = (!paths.is_empty()).then_some(prost_types::FieldMask { paths });
    pb::UpdateDropRequest { drop: Some(drop.clone()), update_mask, revision, validate_only: false }
}

async fn updated(client: &Client, drop: &pb::Drop, mask: &[&str], revision: u64) -> Result<pb::Drop, Status> {
    let answer = client.update_drop(request(drop, mask, revision)).await?;
    Ok(answer.drop.expect("a drop"))
}

async fn knife() -> (Server, Client, pb::Drop) {
    let (server, client) = knife_shop().await;
    let drop = drop_of(&client, "knife").await;
    (server, client, drop)
}

/// The faulty fields; the message names them too.
fn faulty(status: &Status) -> Vec<String> {
    let fields = crate::shop::faulty(status);
    assert!(fields.iter().all(|field| status.message().contains(field.as_str())), "{status}");
    fields
}

#[tokio::test]
async fn a_drop_that_was_read_can_be_written_back_with_changes_and_sent_again() {
    let (_server, client, drop) = knife().await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    assert_eq!(updated(&client, &drop, &[], drop.revision).await.expect("nothing changes").revision, drop.revision);
    let mut wanted = drop.clone();
    wanted.title = "Winter knives".into();
    wanted.labels.insert("season".into(), "winter".into());
    (wanted.hold_ttl, wanted.max_hold_life, wanted.payment_ttl) = (Some(secs(60)), Some(secs(90)), Some(secs(30)));
    wanted.items.push(item("STONE", 7));
    wanted.limits.clear();
    let changed = updated(&client, &wanted, &[], drop.revision).await.expect("a change");
    assert!(changed.revision > drop.revision);
    assert_eq!((&changed.title, &changed.labels), (&wanted.title, &wanted.labels));
    assert_eq!((changed.hold_ttl, changed.items.len(), changed.limits.len()), (Some(secs(60)), 3, 0));
    assert_eq!(changed.items[2].stock.expect("stock").free, 7);
    assert_eq!(changed.items[0].stock.expect("stock").held, 2, "what was held is held");
    assert_eq!(drop_of(&client, "knife").await, changed);
    assert_eq!(updated(&client, &wanted, &[], drop.revision).await.expect("sent again"), changed);
    let hold = held(&client, reserve(2, "knife", "ada", vec![line("STONE", 3), line("KNIFE", 3)])).await;
    let lives = hold.expires_at.expect("a deadline").seconds - hold.created_at.expect("a time").seconds;
    assert_eq!(lives, 60, "the new definition counts");
    assert_eq!(create(&client, knife_drop("knife")).await.revision, changed.revision, "created again: the same drop");
    wanted.title = "Other knives".into();
    let stale = updated(&client, &wanted, &[], drop.revision).await.expect_err("another change of that revision");
    assert_eq!(stale.code(), Code::Aborted);
    assert!(stale.message().contains(&format!("revision {}", changed.revision)), "{stale}");
    let future = updated(&client, &wanted, &[], changed.revision + 9).await.expect_err("no such revision");
    assert_eq!(future.code(), Code::Aborted);
}

#[tokio::test]
async fn a_mask_takes_its_fields_and_no_others() {
    let (_server, client, drop) = knife().await;
    let says = pb::Drop { id: "knife".into(), title: "Knives".into(), shop: "ignored".into(), ..Default::default() };
    let changed = updated(&client, &says, &["title", "closes_at"], drop.revision).await.expect("a change");
    let wanted = pb::Drop { title: "Knives".into(), revision: changed.revision, as_of_lsn: changed.as_of_lsn, ..drop };
    assert_eq!(changed, wanted);
    let says = pb::Drop { labels: [("a".into(), "b".into())].into(), ..says };
    let labelled = updated(&client, &says, &["labels"], changed.revision).await.expect("a change");
    assert_eq!((labelled.labels.len(), labelled.title.as_str()), (1, "Knives"));
    let twice = updated(&client, &says, &["labels"], changed.revision).await.expect("sent again");
    assert_eq!(twice, labelled);
    let other = updated(&client, &says, &["title", "labels"], changed.revision).await.expect_err("another mask");
    assert_eq!(other.code(), Code::Aborted);
    let none = pb::Drop { id: "knife".into(), ..Default::default() };
    let emptied = updated(&client, &none, &["labels"], labelled.revision).await.expect("a change");
    assert!(emptied.labels.is_empty(), "named and left out: gone");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_change_is_named() {
    let (_server, client, drop) = knife().await;
    let none = client.update_drop(pb::UpdateDropRequest::default()).await.expect_err("nothing said");
    assert_eq!(faulty(&none), ["revision", "drop"]);
    let mask = ["colour", "id", "revision", "items.sku", "state", "title", "as_of_lsn"];
    let status = updated(&client, &drop, &mask, 0).await.expect_err("a bad mask");
    let paths = [0, 1, 2, 3, 4, 6].map(|n| format!("update_mask.paths[{n}]"));
    assert_eq!(faulty(&status), [&paths[..], &["revision".to_owned()]].concat());
    let mut bad = drop.clone();
    bad.title = "x".repeat(201);
    bad.hold_ttl = Some(secs(0));
    bad.payment_ttl = Some(secs(90_000));
    bad.items.push(item("KNIFE", 2));
    let fields = ["drop.title", "drop.hold_ttl", "drop.payment_ttl", "drop.items[2].sku"];
    for mask in [&[][..], &["title", "hold_ttl", "payment_ttl", "items"]] {
        let mut named = faulty(&updated(&client, &bad, mask, drop.revision).await.expect_err("bad values"));
        named.sort();
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        assert_eq!(named, fields);
    }
    // Only fields in the mask are checked.
    updated(&client, &pb::Drop { labels: bad.labels.clone(), ..bad.clone() }, &["labels"], drop.revision)
        .await
        .expect("what is not named is not looked at");
    let short = pb::Drop { max_hold_life: Some(secs(10)), ..drop.clone() };
    assert_eq!(
        faulty(&updated(&client, &short, &["max_hold_life"], drop.revision).await.expect_err("under the ttl")),
        ["drop.max_hold_life"]
    );
    let unknown = pb::Drop { id: "spoon".into(), ..drop.clone() };
    assert_eq!(updated(&client, &unknown, &[], 1).await.expect_err("unknown").code(), Code::NotFound);
    let unbuilt = pb::Drop { waitlist: Some(pb::Waitlist::default()), ..drop.clone() };
    for (mask, named) in [(&[][..], "drop.waitlist"), (&["waiting_room"], "drop.waiting_room")] {
        let status = updated(&client, &unbuilt, mask, drop.revision).await.expect_err("unbuilt");
        assert_eq!((status.code(), status.message()), (Code::Unimplemented, &*format!("not built yet: {named}")));
    }
    assert_eq!(drop_of(&client, "knife").await, drop, "and nothing has changed");
}

#[tokio::test]
async fn what_the_state_forbids_is_refused_by_name() {
    let (_server, client, drop) = knife().await;
    let now = server_time(&client).await;
    let mut wanted = drop.clone();
    (wanted.shop, wanted.opens_at) = ("other".into(), after(now, 60));
    wanted.items.swap(0, 1);
    let status = updated(&client, &wanted, &[], drop.revision).await.expect_err("never");
    assert_eq!(status.code(), Code::FailedPrecondition);
    for field in ["OPEN", "drop.shop", "drop.opens_at", "drop.items[0].sku", "drop.items[1].sku"] {
        assert!(status.message().contains(field), "{field} in {status}");
    }
    let mut wanted = drop.clone();
    wanted.items[1].quantity = 4;
    wanted.items[1].pools.clear();
    wanted.items.remove(0);
    let status = updated(&client, &wanted, &["items"], drop.revision).await.expect_err("never");
    assert!(status.message().contains("drop.items"), "{status}");
    let mut wanted = drop.clone();
    wanted.items[1].quantity = 4;
    wanted.items[1].pools.clear();
    let status = updated(&client, &wanted, &[], drop.revision).await.expect_err("stock");
    let reported = "drop knife is OPEN: drop.items[1].quantity can't be changed; stock changes by AdjustStock";
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, reported));
    let past = pb::Drop { closes_at: now, ..drop.clone() };
    let status = updated(&client, &past, &["closes_at"], drop.revision).await.expect_err("over");
    assert_eq!(faulty(&status), ["drop.closes_at"]);
    let later = pb::Drop { closes_at: after(now, 600), ..drop.clone() };
    let changed = updated(&client, &later, &["closes_at"], drop.revision).await.expect("a change");
    closed(&client, "knife").await;
    let again = updated(&client, &later, &["closes_at"], drop.revision).await.expect("sent again after the end");
    assert_eq!((again.revision, again.state()), (changed.revision, pb::DropState::Closed));
    let status = updated(&client, &drop, &["closes_at"], changed.revision).await.expect_err("it is closed");
    assert!(status.message().contains("CLOSED: drop.closes_at"), "{status}");
    let titled = pb::Drop { title: "over".into(), ..drop };
    assert_eq!(updated(&client, &titled, &["title"], changed.revision).await.expect("a name").title, "over");
}

#[tokio::test]
async fn only_trying_tells_what_would_be_and_changes_nothing() {
    let (_server, client, drop) = knife().await;
    let mut wanted = pb::Drop { title: "tried".into(), ..drop.clone() };
    wanted.items.push(item("STONE", 7));
    let tried = pb::UpdateDropRequest { validate_only: true, ..request(&wanted, &[], drop.revision) };
    let shown = client.update_drop(tried.clone()).await.expect("it could be").drop.expect("a drop");
    assert_eq!((shown.title.as_str(), shown.revision), ("tried", drop.revision));
    assert_eq!(shown.items[2].stock.expect("stock").free, 7);
    assert_eq!(drop_of(&client, "knife").await, drop);
    let stale = pb::UpdateDropRequest { revision: drop.revision + 1, ..tried };
    assert_eq!(client.update_drop(stale).await.expect_err("stale").code(), Code::Aborted);
}

#[tokio::test]
async fn an_opening_may_move_until_it_has_come() {
    let (_server, client, _) = knife().await;
    let now = server_time(&client).await;
    let timed = pb::Drop { id: "timed".into(), opens_at: after(now, 3_600), ..knife_drop("timed") };
    let drop = create(&client, timed).await;
    assert_eq!(drop.state(), pb::DropState::Scheduled);
    let sooner = pb::Drop { opens_at: after(now, 1_800), ..drop.clone() };
    let moved = updated(&client, &sooner, &["opens_at"], drop.revision).await.expect("a change");
    assert_eq!((moved.opens_at, moved.state()), (sooner.opens_at, pb::DropState::Scheduled));
    let at_once = pb::Drop { opens_at: None, ..drop.clone() };
    let opened = updated(&client, &at_once, &["opens_at"], moved.revision).await.expect("left out: now");
    assert_eq!(opened.state(), pb::DropState::Open);
    assert_eq!(updated(&client, &at_once, &["opens_at"], moved.revision).await.expect("sent again"), opened);
    held(&client, reserve(1, "timed", "ada", vec![line("KNIFE", 1)])).await;
}

#[tokio::test]
async fn a_change_of_one_field_leaves_all_others_as_they_were() {
    let server = start(&[]).await;
    let client = server.client().await;
    let full = pb::Limit {
        skus: vec!["KNIFE".into()],
        identity_kind: "card".into(),
        max_units: Some(2),
        max_units_by_tier: [("gold".to_owned(), 4)].into(),
        max_live_units: Some(3),
        max_live_holds: Some(1),
        rolling: Some(secs(90)),
        cooldown: Some(prost_types::Duration { seconds: 0, nanos: 5_000_000 }),
        ..limit("full", pb::LimitScope::Series)
    };
    let plain = pb::Limit { max_units: Some(0), ..limit("plain", pb::LimitScope::Item) };
    let drop = pb::Drop {
        id: "knife".into(),
        series: "winter".into(),
        items: vec![item("KNIFE", 10), item("SHEATH", 3)],
        limits: vec![full, plain],
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ..Default::default()
    };
    create(&client, drop).await;
    let before = drop_of(&client, "knife").await;
    let wanted = pb::Drop { id: "knife".into(), title: "Renamed".into(), ..Default::default() };
    let after = updated(&client, &wanted, &["title"], before.revision).await.expect("renamed");
    let (revision, as_of_lsn) = (after.revision, after.as_of_lsn);
    assert_eq!(after, pb::Drop { title: "Renamed".into(), revision, as_of_lsn, ..before });
    assert!(revision > before.revision);
}

#[tokio::test]
async fn whose_drop_it_is_stays_where_it_is_not_said_and_is_never_changed() {
    let server = start(&[]).await;
    let client = server.client().await;
    let series = pb::LimitScope::Series.into();
    let limit = pb::Limit { id: "each".into(), scope: series, max_units: Some(2), ..Default::default() };
    let own = pb::Drop { shop: "forge".into(), series: "winter".into(), limits: vec![limit], ..knife_drop("knife") };
    let drop = create(&client, own).await;
    let unsaid = pb::Drop { shop: String::new(), series: String::new(), title: "Knives".into(), ..drop.clone() };
    let changed = updated(&client, &unsaid, &[], drop.revision).await.expect("a change");
    assert_eq!((changed.shop.as_str(), changed.series.as_str(), changed.title.as_str()), ("forge", "winter", "Knives"));
    assert_eq!(updated(&client, &unsaid, &[], drop.revision).await.expect("sent again"), changed);
    let other = pb::Drop { shop: "mill".into(), series: "summer".into(), ..changed.clone() };
    let status = updated(&client, &other, &[], changed.revision).await.expect_err("never");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("drop.shop, drop.series"), "{status}");
}

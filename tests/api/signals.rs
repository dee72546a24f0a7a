//! Signals, and what is made known of a drop's stock, over a real socket and in real time.

#![expect(clippy::unnecessary_wraps, reason = "what is made here stands in optional fields")]

use std::time::Duration;

use stockade_proto as pb;
use tonic::Code;

use crate::cli::{next_json, printing};
use crate::common::{create, held, item, line, reserve};
use crate::events::{Reading, Shop, everything, kinds, open, read_all};
use crate::shop::{faulty, plain_drop, release, secs};

/// A moment so long after the opening, or before it.
const fn after(seconds: i64) -> Option<pb::Trigger> {
    let when = pb::moment::When::AfterOpen(prost_types::Duration { seconds, nanos: 0 });
    Some(pb::Trigger { on: Some(pb::trigger::On::Moment(pb::Moment { when: Some(when) })) })
}

fn free_at_most(most: u64, sku: &str) -> Option<pb::Trigger> {
    let level = Some(pb::stock_level::Level::FreeAtMost(most));
    let stock = pb::StockLevel { sku: sku.into(), pool: String::new(), level };
    Some(pb::Trigger { on: Some(pb::trigger::On::Stock(stock)) })
}

fn signal(id: &str, on: Option<pb::Trigger>) -> pb::Signal {
    pb::Signal { id: id.into(), on, ..pb::Signal::default() }
}

fn band(id: &str, min_free_basis_points: u32) -> pb::Band {
    pb::Band { id: id.into(), min_free_basis_points }
}

fn bowls() -> pb::Drop {
    let last = pb::Signal {
        audience: Some(pb::Audience { tiers: vec!["member".into()], zones: Vec::new() }),
        channels: vec!["push".into(), "badge".into()],
        labels: [("text".to_owned(), "the last one".to_owned())].into(),
        ..signal("last", free_at_most(1, "BOWL"))
    };
    let bands = vec![band("plenty", 5_000), band("few", 1), band("gone", 0)];
    pb::Drop {
        items: vec![item("BOWL", 4), item("CUP", 4)],
        signals: vec![signal("now", after(0)), last, signal("before", after(-3_600))],
        scarcity: Some(pb::Scarcity { bands, min_interval: Some(secs(1)) }),
        ..plain_drop("bowls", "BOWL", 4)
    }
}

/// The events of these types, until there are `count` of them.
async fn until(reading: &mut Reading, types: &str, count: usize) -> Vec<pb::Event> {
    let mut found = Vec::new();
    while found.len() < count {
        let events = reading.message().await.expect("a message").events;
        found.extend(events.into_iter().filter(|event| event.r#type.starts_with(types)));
    }
    found
}

fn bands(event: &pb::Event) -> Vec<&str> {
    event.drop.as_ref().expect("a drop").items.iter().map(|item| item.band.as_str()).collect()
}

async fn shop() -> Shop {
    open(tempfile::tempdir().expect("a folder")).await
}

#[tokio::test]
async fn a_signal_is_an_event_with_all_that_it_hands_on() {
    let shop = shop().await;
    let mut reading = Reading::from_now(&shop.stub).await;
    create(&shop.client, bowls()).await;
    let events = until(&mut reading, "stockade.signal.", 2).await;
    let names: Vec<_> = events.iter().map(|event| (event.r#type.as_str(), event.name.as_str())).collect();
    assert_eq!(names, [("stockade.signal.missed", "before"), ("stockade.signal.fired", "now")]);
    assert!(events.iter().all(|event| event.scheduled_for.is_some()), "{events:?}");
    held(&shop.client, reserve(1, "bowls", "ada", vec![line("BOWL", 3)])).await;
    let [event] = &until(&mut reading, "stockade.signal.", 1).await[..] else { panic!("one") };
    assert_eq!((event.name.as_str(), event.sku.as_str(), event.scheduled_for), ("last", "BOWL", None));
    assert_eq!(event.channels, ["push", "badge"]);
    assert_eq!(event.audience.as_ref().map(|audience| audience.tiers.clone()), Some(vec!["member".to_owned()]));
    assert_eq!(event.labels.get("text").map(String::as_str), Some("the last one"));
    assert_eq!(event.stock.map(|stock| (stock.received, stock.free, stock.held)), Some((4, 1, 3)));
    assert_eq!(event.drop.as_ref().map(pb::DropStatus::state), Some(pb::DropState::Open));

    let filter = |names: &[&str], channels: &[&str]| pb::EventFilter {
        types: vec!["*".into()],
        names: names.iter().map(ToString::to_string).collect(),
        channels: channels.iter().map(ToString::to_string).collect(),
        ..pb::EventFilter::default()
    };
    let read = async |filter| {
        let asked = pb::ReadEventsRequest { filter: Some(filter), with_stock: false, ..everything() };
        read_all(&shop.stub, asked).await
    };
    let by_channel = read(filter(&[], &["badge"])).await;
    assert_eq!((kinds(&by_channel), &by_channel[0].id), (vec!["stockade.signal.fired"], &event.id));
    assert_eq!(by_channel[0].stock, None, "figures are for who asks for them");
    assert_eq!(
        kinds(&read(filter(&["now", "before"], &[])).await),
        ["stockade.signal.missed", "stockade.signal.fired"]
    );
    assert!(read(filter(&["none"], &[])).await.is_empty() && read(filter(&[], &["sms"])).await.is_empty());
}

#[tokio::test]
async fn sold_out_and_back_come_for_an_item_and_for_all_goods_and_bands_change() {
    let shop = shop().await;
    create(&shop.client, bowls()).await;
    let mut reading = Reading::from_now(&shop.stub).await;
    held(&shop.client, reserve(1, "bowls", "ada", vec![line("BOWL", 3)])).await;
    let few = until(&mut reading, "stockade.drop.", 1).await;
    assert_eq!((kinds(&few), few[0].sku.as_str()), (vec!["stockade.drop.band_changed"], "BOWL"));
    assert_eq!(bands(&few[0]), ["few", "plenty"]);
    held(&shop.client, reserve(2, "bowls", "bob", vec![line("BOWL", 1)])).await;
    held(&shop.client, reserve(3, "bowls", "cid", vec![line("CUP", 4)])).await;
    let mut gone = until(&mut reading, "stockade.drop.", 5).await;
    gone.sort_by(|one, other| (&one.r#type, &one.sku).cmp(&(&other.r#type, &other.sku)));
    let shown: Vec<_> =
        gone.iter().map(|event| (event.r#type.rsplit('.').next().expect("a word"), &*event.sku)).collect();
    let sold_out = [("sold_out", ""), ("sold_out", "BOWL"), ("sold_out", "CUP")];
    assert_eq!(shown, [&[("band_changed", "BOWL"), ("band_changed", "CUP")][..], &sold_out].concat());
    assert_eq!(gone[2].stock.map(|stock| (stock.received, stock.free)), Some((8, 0)), "all goods together");
    assert_eq!(gone[3].stock.map(|stock| (stock.received, stock.free)), Some((4, 0)));
    shop.client.release(release(2, vec![])).await.expect("released");
    let back = until(&mut reading, "stockade.drop.", 3).await;
    let shown: Vec<_> =
        back.iter().map(|event| (event.r#type.rsplit('.').next().expect("a word"), &*event.sku)).collect();
    assert_eq!(shown[..2], [("back_in_stock", ""), ("back_in_stock", "BOWL")]);
    assert_eq!((shown[2], bands(&back[2])), (("band_changed", "BOWL"), vec!["few", "gone"]));
    let all = read_all(&shop.stub, everything()).await;
    let ids: std::collections::HashSet<_> = all.iter().map(|event| &event.id).collect();
    assert_eq!(ids.len(), all.len(), "no id twice");
    let of_stock = all
        .iter()
        .filter(|event| ["sold_out", "back_in_stock", "band_changed"].iter().any(|what| event.r#type.ends_with(what)));
    let mut records: Vec<_> = of_stock.map(|event| (event.lsn, event.time.expect("a time"))).collect();
    records.dedup();
    let millis = |at: prost_types::Timestamp| at.seconds * 1_000 + i64::from(at.nanos) / 1_000_000;
    for pair in records.windows(2) {
        assert!(millis(pair[1].1) - millis(pair[0].1) >= 1_000, "at most one a second: {records:?}");
    }
}

#[tokio::test]
async fn what_was_made_known_outlives_a_restart_and_is_not_said_again() {
    let shop = shop().await;
    create(&shop.client, bowls()).await;
    held(&shop.client, reserve(1, "bowls", "ada", vec![line("BOWL", 4)])).await;
    let mut reading = Reading::from_now(&shop.stub).await;
    until(&mut reading, "stockade.drop.sold_out", 1).await;
    let before = read_all(&shop.stub, everything()).await;
    let Shop { server, client, stub, folder } = shop;
    drop((reading, client, stub));
    server.stop().await.expect("no panic").expect("it ends well");
    let shop = open(folder).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let after = read_all(&shop.stub, everything()).await;
    assert_eq!(after[..before.len()], before);
    let news: Vec<_> = kinds(&after[before.len()..]);
    assert!(!news.iter().any(|kind| kind.contains("sold_out") || kind.contains("signal")), "{news:?}");
    shop.client.release(release(1, vec![])).await.expect("released");
    let mut reading = Reading::from_now(&shop.stub).await;
    let back = until(&mut reading, "stockade.drop.back_in_stock", 1).await;
    assert_eq!(back[0].sku, "BOWL");
}

#[tokio::test]
async fn every_faulty_field_of_signals_and_bands_is_named() {
    let shop = shop().await;
    let long = "x".repeat(65);
    let at_moment = pb::Signal { repeat_after: Some(secs(60)), ..signal("one", after(0)) };
    let faults = pb::Signal {
        channels: vec!["push".into(), "push".into(), long],
        valid_for: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
        labels: [("a".to_owned(), "\u{1}".to_owned())].into(),
        ..signal("one", free_at_most(0, "SPOON"))
    };
    let scarcity = pb::Scarcity {
        bands: vec![band("plenty", 20_000), band("few", 5_000), band("few", 6_000), band("gone", 1)],
        min_interval: Some(secs(7_200)),
    };
    let drop = pb::Drop {
        signals: vec![at_moment, faults, signal("", None)],
        scarcity: Some(scarcity),
        ..plain_drop("bowls", "BOWL", 4)
    };
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: true };
    let status = shop.client.create_drop(request).await.expect_err("faulty");
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut named = faulty(&status);
    named.sort_unstable();
    let wanted = [
        "drop.scarcity.bands[0].min_free_basis_points",
        "drop.scarcity.bands[2].id",
        "drop.scarcity.bands[2].min_free_basis_points",
        "drop.scarcity.bands[3].min_free_basis_points",
        "drop.scarcity.min_interval",
        "drop.signals[0].repeat_after",
        "drop.signals[1].channels[1]",
        "drop.signals[1].channels[2]",
        "drop.signals[1].id",
        "drop.signals[1].labels[a]",
        "drop.signals[1].on.stock.sku",
        "drop.signals[1].valid_for",
        "drop.signals[2].id",
        "drop.signals[2].on",
    ];
    assert_eq!(named, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tail_prints_signals_and_what_is_sold_out() {
    let shop = shop().await;
    create(&shop.client, bowls()).await;
    held(&shop.client, reserve(1, "bowls", "ada", vec![line("BOWL", 4)])).await;
    let words = ["events", "tail", "--from-oldest", "--type", "signal.*", "--type", "drop.sold_out"];
    let (mut tail, mut lines) = printing(&shop.server.endpoint, &words);
    let mut line = || lines.next().expect("no end").expect("a line");
    assert!(line().ends_with(" signal.missed bowls before SCHEDULED"));
    assert!(line().ends_with(" signal.fired bowls now OPEN"));
    let last = line();
    assert!(last.contains(" signal.fired bowls BOWL last OPEN ") && last.contains(" over=push,badge "), "{last}");
    assert!(last.ends_with(" text=the last one"), "{last}");
    assert!(line().ends_with(" drop.sold_out bowls BOWL OPEN"));
    tail.kill().expect("ended");
    tail.wait().expect("an end");
    let by_channel =
        ["events", "tail", "--from-oldest", "--types", "signal.fired,hold.*", "--channel", "badge", "--json"];
    let (mut tail, mut lines) = printing(&shop.server.endpoint, &by_channel);
    let event = next_json(&mut lines);
    assert_eq!((&event["type"], &event["name"]), (&"stockade.signal.fired".into(), &"last".into()));
    tail.kill().expect("ended");
    tail.wait().expect("an end");
}

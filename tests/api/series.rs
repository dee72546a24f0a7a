//! Series over the wire and on the command line.

use stockade_proto as pb;
use stockade_types::time::{Millis, Timestamp};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::cli::{code, err, out, stockade};
use crate::common::item;
use crate::rules::{OPENING, Shop};

fn weekly() -> pb::Series {
    pb::Series {
        id: "weekly".into(),
        time_zone: "Europe/Berlin".into(),
        starts_at: "2026-12-04T18:00:00".into(),
        rules: vec!["RRULE:FREQ=WEEKLY;BYDAY=FR".into()],
        closes: Some(pb::Moment {
            when: Some(pb::moment::When::AfterOpen(prost_types::Duration { seconds: 7_200, nanos: 0 })),
        }),
        template: Some(pb::Drop { items: vec![item("KNIFE", 10)], ..pb::Drop::default() }),
        ..pb::Series::default()
    }
}

/// A shop a day before the first Friday.
async fn shop() -> Shop {
    Shop::at(Timestamp(OPENING.0 - 24 * 3_600_000)).await
}

fn lines(occurrences: &[pb::Occurrence]) -> Vec<String> {
    let line = |of: &pb::Occurrence| format!("{} {} {:?}", of.local_time, of.drop_id, of.state());
    occurrences.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_is_created_previewed_changed_and_read() {
    let shop = shop().await;
    let client = &shop.client;
    let preview =
        pb::PreviewSeriesRequest { of: Some(pb::preview_series_request::Of::Series(weekly())), count: 1, from: None };
    let planned = Box::pin(client.preview_series(preview)).await.expect("a preview").occurrences;
    assert_eq!(lines(&planned), ["2026-12-04T18:00:00[Europe/Berlin] weekly-20261204T1800 Planned"]);

    let create = pb::CreateSeriesRequest { series: Some(weekly()), validate_only: false };
    let made = Box::pin(client.create_series(create.clone())).await.expect("created").series.expect("a series");
    assert_eq!((made.shop.as_str(), made.create_ahead_days, made.state()), ("default", 14, pb::SeriesState::Active));
    let again = Box::pin(client.create_series(create)).await.expect("the same again").series.expect("a series");
    assert_eq!(again, made);
    let sent_back = pb::CreateSeriesRequest { series: Some(made.clone()), validate_only: false };
    assert_eq!(Box::pin(client.create_series(sent_back)).await.expect("as it was read").series, Some(made.clone()));
    let other =
        pb::CreateSeriesRequest { series: Some(pb::Series { title: "x".into(), ..weekly() }), validate_only: false };
    assert_eq!(Box::pin(client.create_series(other)).await.expect_err("another").code(), Code::AlreadyExists);
    let drop = client.get_drop(pb::GetDropRequest { drop_id: "weekly-20261204T1800".into() }).await.expect("made").drop;
    let drop = drop.expect("a drop");
    assert_eq!((drop.series.as_str(), drop.time_zone.as_str()), ("weekly", "Europe/Berlin"));

    let moved = pb::Series { starts_at: "2026-12-04T19:00:00".into(), ..made.clone() };
    let update = pb::UpdateSeriesRequest { series: Some(moved), revision: made.revision, ..Default::default() };
    let answer = Box::pin(client.update_series(update.clone())).await.expect("changed");
    assert_eq!(
        lines(&answer.changed),
        [
            "2026-12-04T19:00:00[Europe/Berlin] weekly-20261204T1800 Created",
            "2026-12-11T19:00:00[Europe/Berlin] weekly-20261211T1800 Created",
        ]
    );
    assert_eq!(Box::pin(client.update_series(update)).await.expect("the same again"), answer);
    let stale = pb::UpdateSeriesRequest { series: Some(weekly()), revision: made.revision, ..Default::default() };
    assert_eq!(Box::pin(client.update_series(stale)).await.expect_err("stale").code(), Code::Aborted);
    let get = pb::GetSeriesRequest { series_id: "weekly".into() };
    assert_eq!(client.get_series(get).await.expect("there").series, answer.series);
    let none = pb::GetSeriesRequest { series_id: "monthly".into() };
    assert_eq!(client.get_series(none).await.expect_err("none").code(), Code::NotFound);

    for id in ["a", "b"] {
        let series = Some(pb::Series { id: id.into(), shop: "other".into(), ..weekly() });
        Box::pin(client.create_series(pb::CreateSeriesRequest { series, validate_only: false }))
            .await
            .expect("created");
    }
    let mut found = Vec::new();
    let mut request = pb::ListSeriesRequest { shop: String::new(), page_size: 2, page_token: String::new() };
    loop {
        let page = client.list_series(request.clone()).await.expect("a page");
        found.extend(page.series.into_iter().map(|series| series.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(found, ["a", "b", "weekly"]);
    let of_shop = pb::ListSeriesRequest { shop: "other".into(), ..pb::ListSeriesRequest::default() };
    assert_eq!(client.list_series(of_shop).await.expect("a page").series.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faulty_fields_are_named_at_once() {
    let shop = shop().await;
    let at = pb::moment::When::At(prost_types::Timestamp { seconds: 1, nanos: 0 });
    let window =
        pb::Window { id: "w".into(), starts: Some(pb::Moment { when: Some(at.clone()) }), ..pb::Window::default() };
    let template = pb::Drop {
        id: "x".into(),
        time_zone: "UTC".into(),
        items: vec![item("KNIFE", 10)],
        windows: vec![window],
        hold_ttl: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..pb::Drop::default()
    };
    let faulty = pb::Series {
        id: "x".repeat(41),
        time_zone: "Europe/Nowhere".into(),
        starts_at: "2026-12-04".into(),
        rules: vec!["RRULE:FREQ=HOURLY".into(), "RRULE:FREQ=DAILY".into(), "EXRULE:FREQ=DAILY".into()],
        closes: Some(pb::Moment { when: Some(at) }),
        template: Some(template),
        create_ahead_days: 91,
        guards: vec![pb::Guard { kind: 2, action: 1, max: 0 }],
        ..pb::Series::default()
    };
    let create = pb::CreateSeriesRequest { series: Some(faulty), validate_only: true };
    let status = Box::pin(shop.client.create_series(create)).await.expect_err("faulty");
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_details_bad_request().expect("fields");
    let mut fields: Vec<&str> = details.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    fields.sort_unstable();
    let wanted = [
        "series.closes.at",
        "series.create_ahead_days",
        "series.guards[0].max",
        "series.id",
        "series.rules[0]",
        "series.rules[2]",
        "series.starts_at",
        "series.template.hold_ttl",
        "series.template.id",
        "series.template.time_zone",
        "series.template.windows[0].starts.at",
        "series.time_zone",
    ];
    assert_eq!(fields, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_applies_previews_pauses_and_ends() {
    let shop = shop().await;
    let run = |words: &[&str]| {
        let output = stockade(&shop.endpoint, words);
        (code(&output), out(&output) + &err(&output))
    };
    let file = format!("{}/examples/weekly.yaml", env!("CARGO_MANIFEST_DIR"));
    let (code, shown) = run(&["series", "preview", "--file", &file, "--count", "3"]);
    assert_eq!(code, 0, "{shown}");
    for wanted in ["2026-12-04T18:00:00[Europe/Berlin]", "friday-knives-20261209T1800", "PLANNED"] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    let tried = run(&["series", "apply", &file, "--dry-run"]);
    assert_eq!(tried, (0, "series friday-knives could be created, revision 0\n".to_owned()));
    assert_eq!(run(&["series", "apply", &file]), (0, "series friday-knives created, revision 1\n".to_owned()));
    assert_eq!(run(&["series", "apply", &file]), (0, "series friday-knives unchanged, revision 1\n".to_owned()));
    assert!(run(&["drop", "show", "friday-knives-20261204T1800"]).1.contains("Knives of 2026-12-04"));
    assert!(run(&["series", "list"]).1.contains("ACTIVE"));
    let (_, said) = run(&["series", "pause", "friday-knives"]);
    assert!(said.starts_with("series friday-knives changed; revision 1 became "), "{said}");
    assert!(run(&["series", "show", "friday-knives"]).1.contains("PAUSED"));
    // A week over; no drop is made of what passes.
    shop.pass(Millis(16 * 24 * 3_600_000)).await;
    let (_, resumed) = run(&["series", "apply", &file, "--resume"]);
    assert!(resumed.contains("changed"), "{resumed}");
    let (_, ended) = run(&["series", "end", "friday-knives"]);
    assert!(ended.contains("changed"), "{ended}");
    assert!(run(&["series", "show", "friday-knives", "--json"]).1.contains("SERIES_STATE_ENDED"));
}

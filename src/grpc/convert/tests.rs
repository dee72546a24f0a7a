//! Bad input, field by field: each fault is named, and none passes.

use std::collections::HashMap;
use std::sync::Arc;

use prost_types::{Duration, Timestamp as Instant};
use stockade_engine::answer::{DropState, DropView, Stock};
use stockade_engine::command::{CreateDrop, ExpiredPolicy, Reserve, Stage, WantedUnits};
use stockade_proto as pb;
use stockade_types::definition::Scope;
use stockade_types::ids::{IdentityKind, Lsn, PoolId, Sku, TierId, ZoneId};
use stockade_types::record::Marks;
use stockade_types::time::{Millis, Timestamp};

use super::*;

const HOLD: &str = "018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d";

fn line(sku: &str, quantity: u32) -> pb::Line {
    pb::Line { sku: sku.into(), quantity, pool: String::new() }
}

fn customer(id: &str) -> pb::Customer {
    pb::Customer { id: id.into(), ..pb::Customer::default() }
}

fn good_reserve() -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: HOLD.into(),
        drop_id: "knife".into(),
        lines: vec![line("KNIFE/20cm", 1)],
        customer: Some(customer("c1")),
        ..pb::ReserveRequest::default()
    }
}

fn reserved(change: impl FnOnce(&mut pb::ReserveRequest)) -> Result<Reserve, Rejection> {
    let mut request = good_reserve();
    change(&mut request);
    reserve(&request)
}

fn good_drop() -> pb::Drop {
    let item = |sku: &str| pb::Item { sku: sku.into(), quantity: 300, ..pb::Item::default() };
    pb::Drop { id: "knife".into(), items: vec![item("A"), item("B")], ..pb::Drop::default() }
}

fn defined(change: impl FnOnce(&mut pb::Drop)) -> Result<CreateDrop, Rejection> {
    let mut drop = good_drop();
    change(&mut drop);
    create_drop(&pb::CreateDropRequest { drop: Some(drop), validate_only: false })
}

fn faulty<T: std::fmt::Debug>(result: Result<T, Rejection>) -> Vec<String> {
    match result {
        Err(Rejection::Invalid(violations)) => violations.into_iter().map(|violation| violation.field).collect(),
        other => panic!("not refused as faulty: {other:?}"),
    }
}

fn unbuilt<T: std::fmt::Debug>(result: Result<T, Rejection>) -> Vec<String> {
    match result {
        Err(Rejection::Unbuilt(fields)) => fields,
        other => panic!("not refused as unbuilt: {other:?}"),
    }
}

const fn secs(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

fn wanted(sku: &str, units: u32, place: usize) -> WantedUnits {
    WantedUnits { sku: sku.parse().expect("a sku"), pool: None, units, place }
}

#[test]
fn lines_of_one_sku_are_summed_and_sorted_and_keep_their_first_place() {
    let command = reserved(|r| r.lines = vec![line("B", 1), line("A", 2), line("B", 3)]).expect("good");
    assert_eq!(command.lines, [wanted("A", 2, 1), wanted("B", 4, 0)]);
}

#[test]
fn a_bad_reserve_names_every_field_at_once() {
    let request =
        pb::ReserveRequest { lines: vec![line("", 0), line("ok", 1_000_001)], ..pb::ReserveRequest::default() };
    let fields = faulty(reserve(&request));
    assert_eq!(fields, ["hold_id", "drop_id", "lines[0].sku", "lines[0].quantity", "lines[1].quantity", "customer.id"]);
}

#[test]
fn each_field_of_a_reserve_is_checked() {
    type Change = fn(&mut pb::ReserveRequest);
    let table: [(&str, Change); 12] = [
        ("hold_id", |r| r.hold_id = "not-a-uuid".into()),
        ("drop_id", |r| r.drop_id = "a b".into()),
        ("lines", |r| r.lines.clear()),
        ("lines", |r| r.lines = vec![line("A", 1); 33]),
        ("lines[0].sku", |r| r.lines[0].sku = "x".repeat(129)),
        ("customer.id", |r| r.customer = Some(customer("tab\there"))),
        ("supersedes", |r| r.supersedes = "not-a-uuid".into()),
        ("supersedes", |r| r.supersedes = HOLD.to_uppercase()),
        ("ttl", |r| r.ttl = Some(secs(0))),
        ("ttl", |r| r.ttl = Some(secs(-5))),
        ("ttl", |r| r.ttl = Some(Duration { seconds: 1, nanos: -1 })),
        ("ttl", |r| r.ttl = Some(Duration { seconds: 1, nanos: 1_000_000_000 })),
    ];
    for (field, change) in table {
        assert_eq!(faulty(reserved(change)), [field]);
    }
}

#[test]
fn a_wish_is_rounded_but_never_to_nothing_and_never_too_long() {
    let ttl = |ttl: Option<Duration>| reserved(|r| r.ttl = ttl).expect("good").ttl;
    assert_eq!(ttl(None), None);
    assert_eq!(ttl(Some(Duration { seconds: 0, nanos: 1 })), Some(Millis(1)));
    assert_eq!(ttl(Some(Duration { seconds: 1, nanos: 999_999_999 })), Some(Millis(1_999)));
    assert_eq!(ttl(Some(secs(i64::MAX))), Some(Millis(u64::MAX)));
}

#[test]
fn a_reserve_says_what_it_supersedes_and_whether_less_will_do() {
    let old = "018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c00";
    let command = reserved(|r| (r.supersedes, r.allow_partial) = (old.into(), true)).expect("good");
    assert_eq!((command.supersedes.map(|id| id.to_string()).as_deref(), command.allow_partial), (Some(old), true));
    let command = reserved(|_| ()).expect("good");
    assert_eq!((command.supersedes, command.allow_partial), (None, false));
}

#[test]
fn what_a_reserve_cannot_do_yet_is_named() {
    let result = reserved(|r| {
        r.admission_token = "t".into();
        r.superseded_customer_id = "guest".into();
    });
    assert_eq!(unbuilt(result), ["admission_token", "superseded_customer_id"]);
}

#[test]
fn lines_are_summed_by_sku_and_pool_and_those_that_name_one_come_first() {
    let of = |sku: &str, pool: &str, quantity| pb::Line { pool: pool.into(), ..line(sku, quantity) };
    let lines = vec![of("B", "", 1), of("A", "", 2), of("A", "z", 3), of("A", "m", 4), of("A", "", 5), of("A", "m", 6)];
    let command = reserved(|r| r.lines = lines).expect("good");
    let shown: Vec<_> = command
        .lines
        .iter()
        .map(|line| (line.sku.as_str(), line.pool.as_ref().map(PoolId::as_str), line.units, line.place))
        .collect();
    let wanted = [("A", Some("m"), 10, 3), ("A", Some("z"), 3, 2), ("A", None, 7, 1), ("B", None, 1, 0)];
    assert_eq!(shown, wanted);
    assert_eq!(faulty(reserved(|r| r.lines[0].pool = "a b".into())), ["lines[0].pool"]);
}

#[test]
fn staff_may_pass_over_limits_windows_or_both_for_one_reason() {
    let over = |limits, windows| {
        let given = pb::Override { limits, windows, reason: "the buyer called".into() };
        let command = reserved(|r| r.r#override = Some(given)).expect("good");
        (command.over_limits.is_some(), command.over_windows.is_some())
    };
    assert_eq!([over(true, false), over(false, true), over(true, true)], [(true, false), (false, true), (true, true)]);
    let zones = vec!["mitte".into(), "kreuzberg".into(), "mitte".into()];
    let command = reserved(|r| r.customer = Some(pb::Customer { zones, ..customer("c") })).expect("good");
    assert_eq!(command.zones.iter().map(ZoneId::as_str).collect::<Vec<_>>(), ["kreuzberg", "mitte"]);
}

fn identity(kind: &str, value: &str) -> pb::Identity {
    pb::Identity { kind: kind.into(), value: value.into() }
}

#[test]
fn tiers_and_identities_are_sorted_and_each_is_there_once() {
    let identities = vec![identity("device", "d"), identity("card", "2"), identity("card", "1"), identity("card", "2")];
    let tiers = vec!["silver".into(), "gold".into(), "silver".into()];
    let buyer = pb::Customer { tiers, identities, ..customer("c") };
    let reason = pb::Override { limits: true, windows: false, reason: "the buyer called".into() };
    let command = reserved(|r| (r.customer, r.r#override) = (Some(buyer), Some(reason))).expect("good");
    let tiers: Vec<_> = command.tiers.iter().map(TierId::as_str).collect();
    assert_eq!(tiers, ["gold", "silver"]);
    let reported: Vec<_> = command.identities.iter().map(|(kind, value)| (kind.as_str(), value.as_str())).collect();
    assert_eq!(reported, [("card", "1"), ("card", "2"), ("device", "d")]);
    assert_eq!(command.over_limits.as_deref(), Some("the buyer called"));
}

#[test]
fn each_part_of_a_customer_and_an_override_is_checked() {
    let buyer = |change: fn(&mut pb::Customer)| {
        let mut buyer = customer("c");
        change(&mut buyer);
        reserved(|r| r.customer = Some(buyer))
    };
    assert!(buyer(|c| c.identities = (0..16).map(|n| identity("card", &n.to_string())).collect()).is_ok());
    assert!(buyer(|c| c.identities = vec![identity("card", &"x".repeat(128))]).is_ok());
    assert_eq!(faulty(buyer(|c| c.tiers = vec!["t".into(); 17])), ["customer.tiers"]);
    assert_eq!(faulty(buyer(|c| c.zones = vec!["z".into(); 17])), ["customer.zones"]);
    assert_eq!(faulty(buyer(|c| c.zones = vec!["a b".into()])), ["customer.zones[0]"]);
    assert_eq!(faulty(buyer(|c| c.tiers = vec!["t".into(), "a b".into()])), ["customer.tiers[1]"]);
    assert_eq!(faulty(buyer(|c| c.identities = vec![identity("card", "1"); 17])), ["customer.identities"]);
    let bad = [identity("ca rd", "1"), identity("customer", "1"), identity("card", ""), identity("card", "a\tb")];
    for (bad, field) in bad.into_iter().zip(["kind", "kind", "value", "value"]) {
        let result = reserved(|r| r.customer = Some(pb::Customer { identities: vec![bad], ..customer("c") }));
        assert_eq!(faulty(result), [format!("customer.identities[0].{field}")]);
    }
    let over = |limits, reason: &str| {
        reserved(|r| r.r#override = Some(pb::Override { limits, windows: false, reason: reason.into() }))
    };
    assert!(over(true, &"x".repeat(200)).is_ok());
    assert_eq!(faulty(over(false, "why")), ["override"]);
    for reason in ["", &"x".repeat(201), "a\nb"] {
        assert_eq!(faulty(over(true, reason)), ["override.reason"]);
    }
}

#[test]
fn faulty_comes_before_unbuilt() {
    assert_eq!(faulty(reserved(|r| (r.admission_token, r.drop_id) = ("t".into(), String::new()))), ["drop_id"]);
    assert_eq!(faulty(defined(|d| (d.waitlist, d.id) = (Some(pb::Waitlist::default()), String::new()))), ["drop.id"]);
}

#[test]
fn verbs_on_a_hold_check_their_target() {
    let bad = pb::ExtendRequest {
        hold_id: "x".into(),
        drop_id: "/".into(),
        customer_id: "\n".into(),
        ttl: Some(secs(-1)),
        stage: 9,
    };
    assert_eq!(faulty(extend(&bad)), ["hold_id", "drop_id", "customer_id", "ttl", "stage"]);
    let bad = pb::ClaimRequest { expired_policy: 9, ..pb::ClaimRequest::default() };
    assert_eq!(faulty(claim(&bad)), ["hold_id", "order_ref", "expired_policy"]);
    let bad = pb::ReleaseRequest { hold_id: HOLD.into(), keep: vec![line("A", 0)], ..pb::ReleaseRequest::default() };
    assert_eq!(faulty(release(&bad)), ["keep[0].quantity"]);
    let bad = pb::GetHoldRequest { hold_id: String::new(), drop_id: "?".into(), ..Default::default() };
    assert_eq!(faulty(get_hold(&bad)), ["hold_id", "drop_id"]);
    assert_eq!(faulty(drop_id("")), ["drop_id"]);
}

#[test]
fn stages_policies_lines_and_returns_are_taken_as_said() {
    let hold_id = HOLD.to_owned();
    for (wire, stage) in [(pb::HoldStage::Held, Stage::Held), (pb::HoldStage::Paying, Stage::Paying)] {
        let request =
            pb::ExtendRequest { hold_id: hold_id.clone(), stage: wire.into(), ..pb::ExtendRequest::default() };
        assert_eq!(extend(&request).expect("good").stage, Some(stage));
    }
    let request = pb::ClaimRequest {
        hold_id: hold_id.clone(),
        order_ref: "o".into(),
        expired_policy: pb::ExpiredPolicy::TakeFreeStock.into(),
        lines: vec![line("A", 1)],
        ..pb::ClaimRequest::default()
    };
    let command = claim(&request).expect("good");
    assert_eq!((command.expired, command.lines), (ExpiredPolicy::TakeFreeStock, vec![wanted("A", 1, 0)]));
    let request =
        pb::ReleaseRequest { hold_id: hold_id.clone(), abandon_payment: true, ..pb::ReleaseRequest::default() };
    assert!(release(&request).expect("good").abandon_payment);
    let request = pb::ReturnUnitsRequest { hold_id, returned: vec![line("A", 2)], restock: true, drop_id: "d".into() };
    let command = return_units(&request).expect("good");
    assert_eq!((command.returned, command.restock), (vec![wanted("A", 2, 0)], true));
}

#[test]
fn a_plain_drop_gets_its_defaults() {
    let definition = defined(|d| d.items[1].quantity = 0).expect("good").definition;
    assert_eq!(definition.shop.as_str(), "default");
    assert_eq!((definition.terms.hold_ttl, definition.terms.max_hold_life), (Millis(300_000), Millis(600_000)));
    assert_eq!((definition.schedule.opens_at, definition.schedule.closes_at), (None, None));
    let pools: Vec<_> = definition.items.iter().flat_map(|i| &i.pools).map(|p| (p.id.as_str(), p.units)).collect();
    assert_eq!(pools, [("general", 300), ("general", 0)]);
}

#[test]
fn output_only_fields_are_ignored() {
    let definition = defined(|d| {
        (d.state, d.revision, d.as_of_lsn) = (99, 7, 8);
        (d.tightenings, d.occurrence) = (vec![pb::Tightening::default()], "today".into());
        d.items[0].stock = Some(pb::Stock { free: 5, ..pb::Stock::default() });
    });
    assert!(definition.is_ok(), "{definition:?}");
}

#[test]
fn each_field_of_a_drop_is_checked() {
    type Change = fn(&mut pb::Drop);
    let at = |seconds| Some(Instant { seconds, nanos: 0 });
    let table: [(&str, Change); 24] = [
        ("drop.id", |d| d.id = "x".repeat(65)),
        ("drop.title", |d| d.title = "x".repeat(201)),
        ("drop.title", |d| d.title = "Knife\u{1b}]0;mine\u{7}".into()),
        ("drop.title", |d| d.title = "Knife\u{9b}2J".into()),
        ("drop.title", |d| d.title = "Knife\u{202e}efink".into()),
        ("drop.labels[k]", |d| d.labels = HashMap::from([("k".into(), "v\u{1b}[2J".into())])),
        ("drop.labels[k\\u{1b}]", |d| d.labels = HashMap::from([("k\u{1b}".into(), "v".into())])),
        ("drop.shop", |d| d.shop = "a/b".into()),
        ("drop.labels", |d| d.labels = (0..17).map(|n| (n.to_string(), String::new())).collect()),
        ("drop.labels[]", |d| d.labels = HashMap::from([(String::new(), "v".into())])),
        ("drop.labels[k]", |d| d.labels = HashMap::from([("k".into(), "v".repeat(257))])),
        ("drop.hold_ttl", |d| d.hold_ttl = Some(Duration { seconds: 0, nanos: 999_000_000 })),
        ("drop.hold_ttl", |d| d.hold_ttl = Some(secs(86_401))),
        ("drop.max_hold_life", |d| (d.hold_ttl, d.max_hold_life) = (Some(secs(60)), Some(secs(59)))),
        ("drop.max_hold_life", |d| d.max_hold_life = Some(secs(7 * 86_400 + 1))),
        ("drop.max_hold_life", |d| d.max_hold_life = Some(secs(-1))),
        ("drop.items", |d| d.items.clear()),
        ("drop.items", |d| d.items = vec![pb::Item::default(); 257]),
        ("drop.items[1].sku", |d| d.items[1].sku = "A".into()),
        ("drop.items[0].quantity", |d| d.items[0].quantity = 1_000_000_000_001),
        ("drop.items[0].kind", |d| d.items[0].kind = 3),
        ("drop.opens_at", |d| d.opens_at = Some(Instant { seconds: -1, nanos: 0 })),
        ("drop.closes_at", |d| d.closes_at = Some(Instant { seconds: 253_402_300_800, nanos: 0 })),
        ("drop.closes_at", |d| d.closes_at = Some(Instant { seconds: 5, nanos: 1_000_000_000 })),
    ];
    for (field, change) in table {
        assert_eq!(faulty(defined(change)), [field]);
    }
    assert_eq!(faulty(defined(|d| (d.opens_at, d.closes_at) = (at(9), at(9)))), ["drop.closes_at"]);
    assert_eq!(faulty(create_drop(&pb::CreateDropRequest::default())), ["drop"]);
}

#[test]
fn a_duplicate_says_of_what() {
    let Err(Rejection::Invalid(violations)) = defined(|d| d.items[1].sku = "A".into()) else { panic!("not faulty") };
    assert_eq!(violations[0].description, "duplicates items[0].sku");
}

#[test]
fn each_field_of_a_limit_is_checked() {
    let good = || pb::Limit { id: "l".into(), scope: 2, max_units: Some(2), ..pb::Limit::default() };
    let limits = |limits: Vec<pb::Limit>| defined(|d| d.limits = limits);
    assert!(limits(vec![pb::Limit { identity_kind: "customer".into(), max_units: Some(0), ..good() }]).is_ok());
    assert_eq!(faulty(limits(vec![good(); 65])), ["drop.limits"]);
    assert_eq!(faulty(limits(vec![good(), good()])), ["drop.limits[1].id"]);
    let bare = pb::Limit::default();
    assert_eq!(faulty(limits(vec![bare])), ["drop.limits[0].id", "drop.limits[0].scope", "drop.limits[0].max_units"]);
    assert_eq!(faulty(limits(vec![pb::Limit { scope: 9, ..good() }])), ["drop.limits[0].scope"]);
}

#[test]
fn each_further_part_of_a_limit_is_checked() {
    type Change = fn(&mut pb::Limit);
    let good = || pb::Limit { id: "l".into(), scope: 2, max_units: Some(2), ..pb::Limit::default() };
    let limit = |change: Change| {
        let mut limit = good();
        change(&mut limit);
        defined(|d| d.limits = vec![limit])
    };
    let days = |days: i64| Some(secs(days * 86_400));
    let table: [(&str, Change); 13] = [
        ("scope", |l| l.scope = pb::LimitScope::Series.into()),
        ("skus", |l| l.skus = (0..257).map(|n| format!("A{n}")).collect()),
        ("skus[1]", |l| l.skus = vec!["A".into(), String::new()]),
        ("skus[1]", |l| l.skus = vec!["B".into(), "B".into()]),
        ("skus[0]", |l| l.skus = vec!["ELSEWHERE".into()]),
        ("identity_kind", |l| l.identity_kind = "a b".into()),
        ("max_units_by_tier", |l| l.max_units_by_tier = (0..65).map(|n| (n.to_string(), 1)).collect()),
        ("max_units_by_tier[a b]", |l| l.max_units_by_tier = HashMap::from([("a b".into(), 1)])),
        ("rolling", |l| l.rolling = Some(secs(366 * 86_400 + 1))),
        ("rolling", |l| l.rolling = Some(secs(0))),
        ("rolling", |l| (l.rolling, l.max_units, l.max_live_units) = (Some(secs(1)), None, Some(1))),
        ("cooldown", |l| l.cooldown = Some(secs(86_401))),
        ("cooldown", |l| l.cooldown = Some(secs(-1))),
    ];
    for (field, change) in table {
        assert_eq!(faulty(limit(change)), [format!("drop.limits[0].{field}")]);
    }
    assert!(limit(|l| (l.scope, l.skus) = (pb::LimitScope::Shop.into(), vec!["ELSEWHERE".into()])).is_ok());
    let only: [Change; 4] = [
        |l| l.max_units_by_tier = HashMap::from([("gold".into(), 0)]),
        |l| l.max_live_units = Some(0),
        |l| l.max_live_holds = Some(0),
        |l| l.cooldown = Some(Duration { seconds: 0, nanos: 1 }),
    ];
    for change in only {
        let mut limit = pb::Limit { max_units: None, ..good() };
        change(&mut limit);
        assert!(defined(|d| d.limits = vec![limit]).is_ok());
    }
    let full = pb::Limit {
        scope: pb::LimitScope::Series.into(),
        skus: vec!["Z".into(), "A".into()],
        identity_kind: "card".into(),
        rolling: days(366),
        cooldown: days(1),
        max_live_units: Some(1),
        max_live_holds: Some(1),
        max_units_by_tier: HashMap::from([("gold".into(), 1)]),
        ..good()
    };
    let definition = defined(|d| (d.series, d.limits) = ("winter".into(), vec![full])).expect("good").definition;
    assert_eq!(definition.series.as_ref().map(ToString::to_string).as_deref(), Some("winter"));
    let limit = &definition.limits[0];
    let skus: Vec<_> = limit.skus.iter().map(Sku::as_str).collect();
    assert_eq!((limit.scope, skus), (Scope::Series, vec!["A", "Z"]));
    assert_eq!(limit.identity_kind.as_ref().map(IdentityKind::as_str), Some("card"));
    assert_eq!((limit.rolling, limit.cooldown), (Some(Millis(366 * 86_400_000)), Some(Millis(86_400_000))));
    assert_eq!((limit.max_units, limit.max_live_units, limit.max_live_holds), (Some(2), Some(1), Some(1)));
    assert_eq!(limit.max_units_by_tier.values().collect::<Vec<_>>(), [&1]);
    assert_eq!(faulty(defined(|d| d.series = "a b".into())), ["drop.series"]);
}

#[test]
fn what_reads_cannot_do_yet_is_named() {
    let get = pb::GetHoldRequest { hold_id: HOLD.into(), with_token: true, ..pb::GetHoldRequest::default() };
    assert_eq!(unbuilt(get_hold(&get)), ["with_token"]);
    let drops = pb::ListDropsRequest { state: pb::DropState::Draft.into(), ..pb::ListDropsRequest::default() };
    assert_eq!(unbuilt(list_drops(&drops)), ["state"]);
}

#[test]
fn what_lists_are_asked_for_is_checked() {
    let never = Some(Instant { seconds: -1, nanos: 0 });
    let drops = pb::ListDropsRequest {
        opens_from: never,
        opens_until: never,
        zone: "a b".into(),
        ..pb::ListDropsRequest::default()
    };
    assert_eq!(faulty(list_drops(&drops)), ["opens_from", "opens_until", "zone"]);
    let holds = pb::ListHoldsRequest { drop_id: "d".into(), shop: "a b".into(), ..pb::ListHoldsRequest::default() };
    assert_eq!(faulty(list_holds(&holds)), ["shop"]);
}

#[test]
fn what_a_drop_cannot_do_yet_is_named() {
    let result = defined(|d| {
        (d.waiting_room, d.waitlist) = (Some(pb::WaitingRoom::default()), Some(pb::Waitlist::default()));
    });
    let drop = ["waiting_room", "waitlist"].map(|field| format!("drop.{field}"));
    assert_eq!(unbuilt(result), drop);
}

#[test]
fn times_are_shown_to_the_millisecond_and_end_with_the_year_9999() {
    assert_eq!(timestamp(Timestamp(1_500)), Instant { seconds: 1, nanos: 500_000_000 });
    assert_eq!(timestamp(Timestamp::NEVER), Instant { seconds: 253_402_300_799, nanos: 999_000_000 });
}

#[test]
fn a_drop_takes_at_most_so_many_bytes_whether_it_is_new_or_was_read() {
    // Each limit with its SKUs takes about 12 KiB.
    let fat = |many: usize, title: usize| {
        move |d: &mut pb::Drop| {
            let names: Vec<String> = (0..90).map(|n| format!("{n:0>128}")).collect();
            d.items =
                names.iter().map(|sku| pb::Item { sku: sku.clone(), quantity: 1, ..pb::Item::default() }).collect();
            d.title = "t".repeat(title);
            d.limits = (0..many)
                .map(|n| pb::Limit {
                    id: format!("l{n}"),
                    scope: pb::LimitScope::Drop.into(),
                    max_units: Some(1),
                    skus: names.clone(),
                    ..pb::Limit::default()
                })
                .collect();
        }
    };
    let definition = defined(fat(7, 0)).expect("it fits").definition;
    assert_eq!(faulty(defined(fat(8, 0))), ["drop"]);
    let view = DropView {
        opens_at: Timestamp(1),
        closed_at: None,
        announced: stockade_engine::answer::Announced { changes: 0, at: Timestamp(0) },
        state: DropState::Open,
        revision: Lsn(1),
        as_of: Lsn(1),
        stock: vec![vec![Stock { received: u64::MAX, free: u64::MAX, ..Stock::default() }]; 90],
        marks: Marks::default(),
        definition: Arc::new(definition),
    };
    let read = drop_view(&view);
    let own = prost::Message::encoded_len(&read);
    assert!(own > 96 * 1024, "what is output only takes it beyond: {own}");
    assert!(
        create_drop(&pb::CreateDropRequest { drop: Some(read), validate_only: false }).is_ok(),
        "and is not counted"
    );
}

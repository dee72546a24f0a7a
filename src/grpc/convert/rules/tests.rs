//! Rules of a drop: bad input, field by field, and what a good one is read back as.

#![expect(clippy::unnecessary_wraps, reason = "what is made here stands in optional fields")]

use std::sync::Arc;

use stockade_engine::answer::{DropState, DropView, Stock};
use stockade_proto as pb;
use stockade_types::definition::{Definition, PoolSize};
use stockade_types::ids::Lsn;
use stockade_types::record::Marks;
use stockade_types::time::{Millis, Timestamp};

use super::super::{Rejection, create_drop, drop_view};

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

fn moment(when: pb::moment::When) -> Option<pb::Moment> {
    Some(pb::Moment { when: Some(when) })
}

fn after(span: i64) -> Option<pb::Moment> {
    moment(pb::moment::When::AfterOpen(seconds(span)))
}

fn local(days_after_open: i32, time: &str) -> Option<pb::Moment> {
    moment(pb::moment::When::Local(pb::LocalTime { days_after_open, time: time.into() }))
}

fn level(sku: &str, pool: &str, level: pb::stock_level::Level) -> Option<pb::Trigger> {
    let stock = pb::StockLevel { sku: sku.into(), pool: pool.into(), level: Some(level) };
    Some(pb::Trigger { on: Some(pb::trigger::On::Stock(stock)) })
}

fn at(moment: Option<pb::Moment>) -> Option<pb::Trigger> {
    moment.map(|moment| pb::Trigger { on: Some(pb::trigger::On::Moment(moment)) })
}

fn sold(points: u32) -> Option<pb::Trigger> {
    level("", "", pb::stock_level::Level::SoldBasisPoints(points))
}

fn euros(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money { currency_code: "EUR".into(), minor_units })
}

fn tiers(tiers: &[&str]) -> Option<pb::Audience> {
    Some(pb::Audience { tiers: tiers.iter().map(ToString::to_string).collect(), zones: Vec::new() })
}

fn share(id: &str, points: u32) -> pb::Pool {
    pb::Pool { id: id.into(), size: Some(pb::pool::Size::ShareBasisPoints(points)), ..pb::Pool::default() }
}

fn units(id: &str, units: u64) -> pb::Pool {
    pb::Pool { id: id.into(), size: Some(pb::pool::Size::Units(units)), ..pb::Pool::default() }
}

fn rest(id: &str) -> pb::Pool {
    pb::Pool { id: id.into(), ..pb::Pool::default() }
}

fn slot(sku: &str) -> pb::Item {
    let of = pb::Slot { place: "Hall".into(), starts: after(600), ends: after(1_200), ..pb::Slot::default() };
    pb::Item { sku: sku.into(), quantity: 9, kind: pb::ItemKind::Slot.into(), slot: Some(of), ..pb::Item::default() }
}

/// A rule with each kind of cost, and one by card.
fn conduct() -> Vec<pb::ConductRule> {
    let all = pb::ConductRule {
        id: "left-behind".into(),
        counts: pb::Conduct::UnclaimedHolds.into(),
        at_least: 2,
        within: Some(seconds(86_400)),
        audience: tiers(&["member"]),
        hold_ttl: Some(seconds(60)),
        max_live_units: Some(1),
        max_units: Some(0),
        cooldown: Some(seconds(30)),
        ..pb::ConductRule::default()
    };
    let by_card = pb::ConductRule {
        id: "sent-back".into(),
        identity_kind: "card".into(),
        counts: pb::Conduct::Returns.into(),
        at_least: 1_000,
        within: Some(seconds(400 * 86_400)),
        max_units: Some(1),
        ..pb::ConductRule::default()
    };
    vec![all, by_card]
}

/// A drop with one rule of each kind.
fn full() -> pb::Drop {
    let members = pb::Pool {
        audience: tiers(&["gold", "member"]),
        flows: vec![
            pb::Flow { to: "public".into(), when: at(after(600)), fired_at: None },
            pb::Flow { to: "public".into(), when: sold(9_000), fired_at: None },
            pb::Flow { to: "counter".into(), when: None, fired_at: None },
        ],
        ..share("members", 1_250)
    };
    let counter = pb::Pool { place: "Counter".into(), ..units("counter", 5) };
    let knife = pb::Item {
        sku: "KNIFE".into(),
        quantity: 101,
        pools: vec![members, rest("public"), counter],
        price_floor: euros(900),
        unit_cost: euros(450),
        ..pb::Item::default()
    };
    let early = pb::Terms {
        id: "early".into(),
        audience: tiers(&["member"]),
        skus: vec!["KNIFE".into()],
        starts: after(0),
        ends: local(1, "18:00:30"),
        price: euros(1_000),
        steps: vec![pb::PriceStep {
            when: level("KNIFE", "public", pb::stock_level::Level::FreeAtMost(5)),
            price: euros(1_200),
            fired_at: None,
        }],
        pools: vec!["public".into()],
    };
    let window = pb::Window {
        id: "all".into(),
        skus: vec!["KNIFE".into(), "SLOT".into()],
        starts: after(60),
        ends: moment(pb::moment::When::BeforeClose(seconds(60))),
        hold_ttl: Some(seconds(600)),
        pools: vec!["general".into(), "public".into()],
        ..pb::Window::default()
    };
    let when = level("", "", pb::stock_level::Level::TakenBasisPoints(5_000));
    let tranche = pb::Tranche { id: "second".into(), sku: "KNIFE".into(), units: 5, when, ..pb::Tranche::default() };
    pb::Drop {
        id: "d".into(),
        opens_at: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
        closes_at: Some(prost_types::Timestamp { seconds: 1_800_090_000, nanos: 0 }),
        items: vec![knife, slot("SLOT")],
        windows: vec![window],
        terms: vec![early],
        slot_required: true,
        time_zone: "Europe/Berlin".into(),
        location: "Hall 3".into(),
        tranches: vec![tranche],
        conduct: conduct(),
        zones: vec!["kreuzberg".into(), "mitte".into()],
        ..pb::Drop::default()
    }
}

fn defined(drop: pb::Drop) -> Result<Definition, Rejection> {
    create_drop(&pb::CreateDropRequest { drop: Some(drop), validate_only: false }).map(|command| command.definition)
}

fn faulty(change: impl FnOnce(&mut pb::Drop)) -> Vec<String> {
    let mut drop = full();
    change(&mut drop);
    match defined(drop) {
        Err(Rejection::Invalid(faults)) => faults.into_iter().map(|fault| fault.field).collect(),
        other => panic!("not refused as faulty: {other:?}"),
    }
}

#[test]
fn a_drop_with_rules_is_read_back_as_it_was_defined() {
    let definition = defined(full()).expect("good");
    let sizes: Vec<_> = definition.items[0].pools.iter().map(|pool| (pool.size, pool.units)).collect();
    assert_eq!(sizes, [(PoolSize::Share(1_250), 12), (PoolSize::Rest, 84), (PoolSize::Units, 5)]);
    assert_eq!(definition.terms.max_hold_life, Millis::from_secs(1_200), "twice the longest");
    let stock = definition.items.iter().map(|item| vec![Stock::default(); item.pools.len()]).collect();
    let view = DropView {
        opens_at: Timestamp(1_800_000_000_000),
        closed_at: None,
        announced: stockade_engine::answer::Announced { changes: 0, at: Timestamp(0) },
        state: DropState::Scheduled,
        revision: Lsn(1),
        as_of: Lsn(1),
        stock,
        marks: Marks::default(),
        definition: Arc::new(definition.clone()),
    };
    let shown = drop_view(&view);
    assert_eq!(shown.items[1].pools, [pb::Pool { stock: Some(pb::Stock::default()), ..units("general", 9) }]);
    let mut plain = shown.clone();
    for item in &mut plain.items {
        item.stock = None;
        item.pools.iter_mut().for_each(|pool| pool.stock = None);
        if let Some(slot) = &mut item.slot {
            (slot.resolved_starts_at, slot.resolved_ends_at) = (None, None);
        }
    }
    plain.items[1].pools.clear();
    plain.windows.iter_mut().for_each(|window| (window.starts_at, window.ends_at) = (None, None));
    let mut wanted = full();
    wanted.items[0].kind = pb::ItemKind::Goods.into();
    let (shop, hold_ttl, payment_ttl) = ("default".to_owned(), Some(seconds(300)), Some(seconds(900)));
    let max_hold_life = Some(seconds(1_200));
    let output_only = (plain.state, plain.revision, plain.as_of_lsn);
    let wanted = pb::Drop { shop, hold_ttl, payment_ttl, max_hold_life, ..wanted };
    let wanted = pb::Drop { state: output_only.0, revision: output_only.1, as_of_lsn: output_only.2, ..wanted };
    assert_eq!(plain, wanted);
    assert_eq!(defined(shown).expect("what is output only is ignored"), definition);
}

#[test]
fn an_item_of_one_general_pool_is_the_same_whether_it_names_it_or_not() {
    let plain = |change: fn(&mut pb::Item)| {
        let mut item = pb::Item { sku: "A".into(), quantity: 3, ..pb::Item::default() };
        change(&mut item);
        defined(pb::Drop { id: "d".into(), items: vec![item], ..pb::Drop::default() }).expect("good")
    };
    let unnamed = plain(|_| ());
    assert_eq!(plain(|item| item.pools = vec![rest("general")]), unnamed);
    assert_eq!(plain(|item| item.pools = vec![units("general", 3)]), unnamed);
    assert!(!unnamed.has_rules());
    let other = plain(|item| item.pools = vec![units("all", 3)]);
    assert_eq!((other.items[0].pools[0].size, other.items[0].units()), (PoolSize::Units, 3));
}

/// A change of a drop.
type Change = fn(&mut pb::Drop);

#[test]
fn each_part_of_an_item_is_checked() {
    let table: [(&str, Change); 33] = [
        ("items[0].pools", |d| d.items[0].pools[2] = units("counter", 90)),
        ("items[0].pools", |d| d.items[0].pools[1] = units("public", 83)),
        ("items[0].pools", |d| d.items[0].pools.extend((0..30).map(|n| units(&n.to_string(), 0)))),
        ("items[0].pools[2]", |d| d.items[0].pools[2] = rest("counter")),
        ("items[0].pools[2].id", |d| d.items[0].pools[2].id = "a b".into()),
        ("items[0].pools[2].id", |d| d.items[0].pools[2].id = "members".into()),
        ("items[0].pools[0].share_basis_points", |d| d.items[0].pools[0].size = share("", 0).size),
        ("items[0].pools[0].share_basis_points", |d| d.items[0].pools[0].size = share("", 10_001).size),
        ("items[0].pools[0].audience.tiers", |d| d.items[0].pools[0].audience = tiers(&["t"; 17])),
        ("items[0].pools[0].audience.tiers[0]", |d| d.items[0].pools[0].audience = tiers(&["a b"])),
        ("items[0].pools[2].place", |d| d.items[0].pools[2].place = "x".repeat(201)),
        ("items[0].pools[2].place", |d| d.items[0].pools[2].place = "a\u{1b}".into()),
        ("items[0].pools[0].flows", |d| d.items[0].pools[0].flows = vec![pb::Flow::default(); 9]),
        ("items[0].pools[0].flows[2].to", |d| d.items[0].pools[0].flows[2].to = "nowhere".into()),
        ("items[0].pools[0].flows[2].to", |d| d.items[0].pools[0].flows[2].to = "members".into()),
        ("items[0].pools[0].flows[2].to", |d| d.items[0].pools[0].flows[2].to = String::new()),
        ("items[0].pools[0].flows[0].when", |d| d.items[0].pools[0].flows[0].when = Some(pb::Trigger::default())),
        ("items[0].pools[0].flows[0].when.moment", |d| {
            d.items[0].pools[0].flows[0].when = at(Some(pb::Moment::default()));
        }),
        ("items[0].pools[0].flows[1].when.stock.sold_basis_points", |d| d.items[0].pools[0].flows[1].when = sold(0)),
        ("items[0].pools[0].flows[1].when.stock.sold_basis_points", |d| {
            d.items[0].pools[0].flows[1].when = sold(10_001);
        }),
        ("items[0].pools[0].flows[1].when.stock.sku", |d| {
            d.items[0].pools[0].flows[1].when = level("SPOON", "", pb::stock_level::Level::FreeAtMost(0));
        }),
        ("items[0].pools[0].flows[1].when.stock.pool", |d| {
            d.items[0].pools[0].flows[1].when = level("", "general", pb::stock_level::Level::FreeAtMost(0));
        }),
        ("items[0].pools[0].flows[1].when.stock", |d| {
            let on = Some(pb::trigger::On::Stock(pb::StockLevel::default()));
            d.items[0].pools[0].flows[1].when = Some(pb::Trigger { on });
        }),
        ("items[1].slot", |d| d.items[1].slot = None),
        ("items[1].slot", |d| d.items[1].kind = pb::ItemKind::Goods.into()),
        ("items[1].quantity", |d| d.items[1].quantity = 0),
        ("items[1].slot.starts", |d| d.items[1].slot.get_or_insert_default().starts = None),
        ("items[1].slot.ends", |d| d.items[1].slot.get_or_insert_default().ends = Some(pb::Moment::default())),
        ("items[1].slot.place", |d| d.items[1].slot.get_or_insert_default().place = "x".repeat(201)),
        ("items[0].price_floor.currency_code", |d| {
            d.items[0].price_floor = Some(pb::Money { currency_code: "eur".into(), minor_units: 1 });
        }),
        ("items[0].unit_cost.currency_code", |d| {
            d.items[0].unit_cost = Some(pb::Money { currency_code: "USD".into(), minor_units: 1 });
        }),
        ("items[0].unit_cost.minor_units", |d| d.items[0].unit_cost = euros(-1)),
        ("items[2].sku", |d| {
            let again = pb::Item { pools: Vec::new(), price_floor: None, ..d.items[0].clone() };
            d.items.push(again);
        }),
    ];
    for (field, change) in table {
        let found = faulty(change);
        // A pool that goes is missed by what names it, and a slot by the drop.
        assert!(found.contains(&format!("drop.{field}")), "{field}: {found:?}");
        assert!(found.len() <= 2, "{field}: {found:?}");
    }
    let many = |d: &mut pb::Drop| {
        let pools: Vec<_> = (0..32).map(|n| if n == 0 { rest("0") } else { units(&n.to_string(), 0) }).collect();
        let item = |n: usize| pb::Item { sku: n.to_string(), pools: pools.clone(), ..pb::Item::default() };
        d.items.extend((0..16).map(item));
    };
    assert_eq!(faulty(many), ["drop.items"]);
}

#[test]
fn each_part_of_a_rule_is_checked() {
    let table: [(&str, Change); 45] = [
        ("windows", |d| d.windows = vec![d.windows[0].clone(); 33]),
        ("windows[1].id", |d| d.windows.push(d.windows[0].clone())),
        ("windows[0].id", |d| d.windows[0].id = String::new()),
        ("windows[0].audience.zones", |d| {
            d.windows[0].audience = Some(pb::Audience { tiers: Vec::new(), zones: vec!["z".into(); 17] });
        }),
        ("windows[0].skus", |d| d.windows[0].skus = vec!["KNIFE".into(); 257]),
        ("windows[0].skus[0]", |d| d.windows[0].skus[0] = "SPOON".into()),
        ("windows[0].skus[1]", |d| d.windows[0].skus[1] = "KNIFE".into()),
        ("windows[0].pools", |d| d.windows[0].pools = vec!["public".into(); 65]),
        ("windows[0].pools[0]", |d| d.windows[0].pools[0] = "nowhere".into()),
        ("windows[0].pools[0]", |d| d.windows[0].skus = vec!["KNIFE".into()]),
        ("windows[0].starts", |d| d.windows[0].starts = Some(pb::Moment::default())),
        ("windows[0].starts.after_open", |d| d.windows[0].starts = after(-1)),
        ("windows[0].starts.after_open", |d| d.windows[0].starts = after(i64::MAX)),
        ("windows[0].ends.before_close", |d| {
            d.windows[0].ends = moment(pb::moment::When::BeforeClose(seconds(-1)));
        }),
        ("windows[0].starts.at", |d| {
            d.windows[0].starts = moment(pb::moment::When::At(prost_types::Timestamp { seconds: -1, nanos: 0 }));
        }),
        ("windows[0].starts.local.time", |d| d.windows[0].starts = local(0, "25:00")),
        ("windows[0].starts.local.time", |d| d.windows[0].starts = local(0, "18")),
        ("windows[0].starts.local.time", |d| d.windows[0].starts = local(0, "6:00")),
        ("windows[0].starts.local.time", |d| d.windows[0].starts = local(0, "18:00:60")),
        ("windows[0].starts.local.time", |d| d.windows[0].starts = local(0, "18:00:00:00")),
        ("windows[0].starts.local.days_after_open", |d| d.windows[0].starts = local(61, "18:00")),
        ("windows[0].starts.local.days_after_open", |d| d.windows[0].starts = local(-61, "18:00")),
        ("windows[0].ends.before_close", |d| d.closes_at = None),
        ("windows[0].hold_ttl", |d| d.windows[0].hold_ttl = Some(seconds(86_401))),
        ("windows[0].hold_ttl", |d| d.windows[0].hold_ttl = Some(seconds(0))),
        ("terms", |d| d.terms = vec![d.terms[0].clone(); 65]),
        ("terms[1].id", |d| d.terms.push(d.terms[0].clone())),
        ("terms[0].price", |d| d.terms[0].price = None),
        ("terms[0].price", |d| d.terms[0].price = euros(899)),
        ("terms[0].price.currency_code", |d| d.terms[0].price.get_or_insert_default().currency_code = "USD".into()),
        ("terms[0].pools[0]", |d| d.terms[0].pools[0] = "general".into()),
        ("terms[0].skus[0]", |d| d.terms[0].skus[0] = "SPOON".into()),
        ("terms[0].steps", |d| d.terms[0].steps = vec![d.terms[0].steps[0].clone(); 17]),
        ("terms[0].steps[0].when", |d| d.terms[0].steps[0].when = None),
        ("terms[0].steps[0].price", |d| d.terms[0].steps[0].price = euros(0)),
        ("tranches", |d| d.tranches = vec![d.tranches[0].clone(); 65]),
        ("tranches[1].id", |d| d.tranches.push(d.tranches[0].clone())),
        ("tranches[0].sku", |d| d.tranches[0].sku = "SPOON".into()),
        ("tranches[0].pool", |d| d.tranches[0].pool = "general".into()),
        ("tranches[0].units", |d| d.tranches[0].units = 0),
        ("tranches[0].units", |d| d.tranches[0].units = 1_000_000_000_000),
        ("tranches[0].when", |d| d.tranches[0].when = None),
        ("slot_required", |d| drop(d.items.remove(1))),
        ("location", |d| d.location = "x".repeat(201)),
        ("zones", |d| d.zones = vec!["z".into(); 17]),
    ];
    for (field, change) in table {
        let found = faulty(change);
        // Without its slot or with another SKU a drop has further faults.
        assert!(found.contains(&format!("drop.{field}")), "{field}: {found:?}");
        assert!(found.len() <= 4, "{field}: {found:?}");
    }
}

#[test]
fn each_part_of_a_rule_of_conduct_is_checked() {
    let table: [(&str, Change); 16] = [
        ("", |d| d.conduct = vec![d.conduct[0].clone(); 9]),
        ("[0].id", |d| d.conduct[0].id = "a b".into()),
        ("[1].id", |d| d.conduct[1].id = "left-behind".into()),
        ("[1].id", |d| {
            let (id, scope) = ("sent-back".into(), pb::LimitScope::Drop.into());
            d.limits.push(pb::Limit { id, scope, max_units: Some(2), ..pb::Limit::default() });
        }),
        ("[1].identity_kind", |d| d.conduct[1].identity_kind = "a b".into()),
        ("[0].counts", |d| d.conduct[0].counts = 0),
        ("[0].counts", |d| d.conduct[0].counts = 77),
        ("[0].at_least", |d| d.conduct[0].at_least = 0),
        ("[1].at_least", |d| d.conduct[1].at_least = 1_001),
        ("[0].within", |d| d.conduct[0].within = None),
        ("[0].within", |d| d.conduct[0].within = Some(seconds(59))),
        ("[0].within", |d| d.conduct[0].within = Some(seconds(86_401))),
        ("[1].within", |d| d.conduct[1].within = Some(seconds(400 * 86_400 + 1))),
        ("[0].hold_ttl", |d| d.conduct[0].hold_ttl = Some(seconds(86_401))),
        ("[0].cooldown", |d| d.conduct[0].cooldown = Some(seconds(86_401))),
        ("[1]", |d| d.conduct[1].max_units = None),
    ];
    for (field, change) in table {
        assert_eq!(faulty(change), [format!("drop.conduct{field}")]);
    }
    for by_facts in [pb::Conduct::Cancellations, pb::Conduct::Chargebacks] {
        let within = |days: i64| {
            move |d: &mut pb::Drop| {
                d.conduct[0].counts = by_facts.into();
                d.conduct[0].within = Some(seconds(days * 86_400));
            }
        };
        let mut longest = full();
        within(400)(&mut longest);
        assert!(defined(longest).is_ok());
        assert_eq!(faulty(within(401)), ["drop.conduct[0].within"]);
    }
}

#[test]
fn all_faults_are_named_at_once() {
    let found = faulty(|d| {
        d.windows[0].starts = after(-1);
        d.terms[0].price = euros(-5);
        d.tranches[0].sku = "SPOON".into();
        d.items[0].pools[0].size = share("", 0).size;
    });
    let all = [
        "drop.items[0].pools[0].share_basis_points",
        "drop.windows[0].starts.after_open",
        "drop.terms[0].price.minor_units",
        "drop.terms[0].price",
        "drop.tranches[0].sku",
    ];
    assert_eq!(found, all);
}

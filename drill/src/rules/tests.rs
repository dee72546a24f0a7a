//! Each rule allows what it is for, and nothing else: by what has fired, and by the instants that are shown.

#![expect(clippy::unnecessary_wraps, reason = "what is made here stands in optional fields")]

use prost_types::{Duration, Timestamp};

use super::*;

pub(crate) fn tier(tier: &str) -> Option<pb::Audience> {
    Some(pb::Audience { tiers: vec![tier.into()], zones: Vec::new() })
}

pub(crate) fn euros(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money { currency_code: "EUR".into(), minor_units })
}

pub(crate) fn after(seconds: i64) -> Option<pb::Moment> {
    Some(pb::Moment { when: Some(pb::moment::When::AfterOpen(Duration { seconds, nanos: 0 })) })
}

pub(crate) fn at_moment(seconds: i64) -> Option<pb::Trigger> {
    after(seconds).map(|moment| pb::Trigger { on: Some(pb::trigger::On::Moment(moment)) })
}

/// At a level of what is held, in payment or sold.
pub(crate) fn taken(points: u32) -> Option<pb::Trigger> {
    let level = Some(pb::stock_level::Level::TakenBasisPoints(points));
    Some(pb::Trigger { on: Some(pb::trigger::On::Stock(pb::StockLevel { level, ..Default::default() })) })
}

/// Ten knives, four of them for members until they are open to all: through a window for members and one for all, at a
/// price for members and one for all that steps up at a level, with two more to come.
pub(crate) fn members_first() -> pb::Drop {
    let flow = pb::Flow { to: "public".into(), when: taken(9_000), fired_at: None };
    let size = Some(pb::pool::Size::ShareBasisPoints(4_500));
    let members =
        pb::Pool { id: "members".into(), audience: tier("member"), size, flows: vec![flow], ..Default::default() };
    let public = pb::Pool { id: "public".into(), ..Default::default() };
    let step = pb::PriceStep { when: taken(5_000), price: euros(45), fired_at: None };
    pb::Drop {
        id: "d".into(),
        items: vec![pb::Item { sku: "KNIFE".into(), quantity: 10, pools: vec![members, public], ..Default::default() }],
        windows: vec![
            pb::Window { id: "members".into(), audience: tier("member"), ends: after(60), ..Default::default() },
            pb::Window { id: "all".into(), starts: after(10), ..Default::default() },
        ],
        terms: vec![
            pb::Terms { id: "members".into(), audience: tier("member"), price: euros(36), ..Default::default() },
            pb::Terms { id: "usual".into(), price: euros(40), steps: vec![step], ..Default::default() },
        ],
        tranches: vec![pb::Tranche {
            id: "second".into(),
            sku: "KNIFE".into(),
            units: 2,
            when: at_moment(20),
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn flowed() -> Mark {
    Mark::Flowed("KNIFE".into(), "members".into(), "public".into())
}

fn line(pool: &str, window: &str, terms: &str, price: i64) -> pb::HoldLine {
    let [sku, pool, window, terms_id] = ["KNIFE", pool, window, terms].map(String::from);
    pb::HoldLine { sku, pool, window, terms_id, unit_price: euros(price), ..Default::default() }
}

/// What is wrong with a line of a customer of these tiers, when these facts were there.
fn wrong(tiers: &[&str], marks: &[Mark], line: &pb::HoldLine) -> Option<Breach> {
    let drop = members_first();
    let tiers: Vec<String> = tiers.iter().map(ToString::to_string).collect();
    let fired = |mark: &Mark| if marks.contains(mark) { Fired::Yes } else { Fired::No };
    let visitor = Visitor { drop: &drop, tiers: &tiers, fired: &fired };
    visitor.served(line).err().map(|(breach, _)| breach)
}

#[test]
fn each_rule_is_for_whom_and_when_it_says() {
    let opened = || vec![Mark::Opened];
    let all_open = || vec![Mark::Opened, Mark::WindowOpened("all".into())];
    let and = |mut marks: Vec<Mark>, more: Mark| {
        marks.push(more);
        marks
    };
    let member = line("members", "members", "members", 36);
    let stranger = line("public", "all", "usual", 40);
    assert_eq!(wrong(&["member"], &opened(), &member), None);
    assert_eq!(wrong(&[], &all_open(), &stranger), None);
    // Windows: not open yet, over, another's, none, and one that is not defined.
    assert_eq!(wrong(&["member"], &[], &member), Some(Breach::Window));
    assert_eq!(wrong(&[], &opened(), &stranger), Some(Breach::Window));
    assert_eq!(wrong(&[], &and(all_open(), Mark::Closed), &stranger), Some(Breach::Window));
    let over = and(opened(), Mark::WindowClosed("members".into()));
    assert_eq!(wrong(&["member"], &over, &member), Some(Breach::Window));
    assert_eq!(wrong(&["guest"], &opened(), &line("public", "members", "usual", 40)), Some(Breach::Window));
    assert_eq!(wrong(&["member"], &opened(), &line("members", "", "members", 36)), Some(Breach::Window));
    assert_eq!(wrong(&["member"], &opened(), &line("members", "vip", "members", 36)), Some(Breach::Window));
    // Pools: a stranger has members' units only once they have flowed.
    let theirs = line("members", "all", "usual", 40);
    assert_eq!(wrong(&[], &all_open(), &theirs), Some(Breach::Pool));
    assert_eq!(wrong(&[], &and(all_open(), flowed()), &theirs), None);
    assert_eq!(wrong(&["member"], &opened(), &line("vault", "members", "members", 36)), Some(Breach::Pool));
    // Prices: by audience, and by the last step that has fired.
    assert_eq!(wrong(&["member"], &all_open(), &line("public", "all", "usual", 40)), Some(Breach::Price));
    assert_eq!(wrong(&[], &all_open(), &line("public", "all", "members", 36)), Some(Breach::Price));
    assert_eq!(wrong(&[], &all_open(), &line("public", "all", "usual", 45)), Some(Breach::Price));
    let stepped = and(all_open(), Mark::Stepped("usual".into(), 0));
    assert_eq!(wrong(&[], &stepped, &line("public", "all", "usual", 45)), None);
    assert_eq!(wrong(&[], &stepped, &stranger), Some(Breach::Price));
    assert_eq!(wrong(&[], &all_open(), &pb::HoldLine { unit_price: None, ..stranger }), Some(Breach::Price));
}

#[test]
fn instants_that_are_shown_are_exact_and_levels_have_a_margin() {
    let second = |seconds: i64| Some(Timestamp { seconds, nanos: 0 });
    let mut shown = members_first();
    shown.opens_at = second(100);
    shown.windows[0].starts_at = second(100);
    shown.windows[1].starts_at = second(110);
    shown.windows[0].ends_at = second(160);
    shown.items[0].pools[0].flows[0].fired_at = second(130);
    shown.tranches[0].fired_at = second(120);
    let at = |mark: &Mark, at: u64| by_time(&shown, at, 50)(mark);
    let all = Mark::WindowOpened("all".into());
    assert_eq!([109_999, 110_000].map(|instant| at(&all, instant)), [Fired::No, Fired::Yes]);
    let instants = [129_949, 129_950, 130_050, 130_051];
    assert_eq!(instants.map(|instant| at(&flowed(), instant)), [Fired::No, Fired::Perhaps, Fired::Perhaps, Fired::Yes]);
    let second = Mark::Tranche("second".into());
    assert_eq!([119_999, 120_000].map(|instant| at(&second, instant)), [Fired::No, Fired::Yes]);
    assert_eq!(at(&Mark::Stepped("usual".into(), 0), 200_000), Fired::No);
    assert_eq!([99_999, 100_000].map(|instant| at(&Mark::Opened, instant)), [Fired::No, Fired::Yes]);
}

#[test]
fn who_may_draw_and_reserve_is_known_or_not() {
    let drop = members_first();
    let ask = |tiers: &[String], fired: Fired| {
        let fired = |mark: &Mark| if *mark == Mark::Opened { Fired::Yes } else { fired };
        let visitor = Visitor { drop: &drop, tiers, fired: &fired };
        (visitor.pools("KNIFE"), visitor.may_reserve("KNIFE"))
    };
    let member = ["member".to_owned()];
    assert_eq!(ask(&member, Fired::No), (vec![0, 1], Fired::Yes));
    assert_eq!(ask(&[], Fired::No), (vec![1], Fired::No));
    assert_eq!(ask(&[], Fired::Perhaps), (vec![1], Fired::Perhaps));
    let flowed = |mark: &Mark| if matches!(mark, Mark::Flowed(..)) { Fired::Yes } else { Fired::No };
    assert_eq!(Visitor { drop: &drop, tiers: &[], fired: &flowed }.pools("KNIFE"), [0, 1]);
    assert_eq!((sizes(&drop.items[0]), rest(&drop.items[0])), (vec![4, 6], 1));
}

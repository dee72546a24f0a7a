//! The audit finds each kind of fault of windows, pools and prices that is planted, under the right count.

#![expect(clippy::unnecessary_wraps, reason = "what is made here stands in optional fields")]

use prost_types::Timestamp;
use stockade_proto as pb;
use stockade_proto::{HoldState, RefusalReason as Reason};

use super::*;
use crate::ledger::{At, Call, Goods, Said, Turned, Visit};
use crate::request::Verb;
use crate::rules::tests::{euros, members_first};

const MILLI: At = 1_000_000;
/// The server's time at the opening, which is the start of the load, in milliseconds.
const START: u64 = 1_000_000;
/// How long a hold lives through the window for members, and through the one for all, in milliseconds.
const TTLS: [u64; 2] = [600_000, 300_000];
const MEMBERS: u16 = 0;
const STRANGERS: u16 = 1;

fn at(millis: u64) -> Option<Timestamp> {
    let millis = START + millis;
    let nanos = i32::try_from(millis % 1_000 * 1_000_000).expect("below a second");
    Some(Timestamp { seconds: i64::try_from(millis / 1_000).expect("small"), nanos })
}

fn span(millis: u64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: i64::try_from(millis / 1_000).expect("small"), nanos: 0 })
}

/// Four of ten knives for members until they flow; the window for all opens after 10 s.
fn rules() -> pb::Drop {
    let mut drop = members_first();
    (drop.windows[0].hold_ttl, drop.hold_ttl) = (span(TTLS[0]), span(TTLS[1]));
    drop.tranches.clear();
    drop
}

/// The drop after the load: the price stepped after 20 s, the pool flowed after 30 s.
fn shown() -> pb::Drop {
    let mut drop = rules();
    drop.opens_at = at(0);
    (drop.windows[0].starts_at, drop.windows[0].ends_at) = (at(0), at(60_000));
    drop.windows[1].starts_at = at(10_000);
    drop.terms[1].steps[0].fired_at = at(20_000);
    drop.items[0].pools[0].flows[0].fired_at = at(30_000);
    let stock = |received, free, held| Some(pb::Stock { received, free, held, ..pb::Stock::default() });
    drop.items[0].pools[0].stock = stock(4, 0, 4);
    drop.items[0].pools[1].stock = stock(6, 1, 5);
    drop.items[0].stock = stock(10, 1, 9);
    drop
}

fn line(pool: &str, quantity: u32, (window, terms, price): (&str, &str, i64)) -> pb::HoldLine {
    let [sku, pool, window, terms_id] = ["KNIFE", pool, window, terms].map(String::from);
    pb::HoldLine { sku, pool, quantity, window, terms_id, unit_price: euros(price), ..Default::default() }
}

fn visit(number: u128, crowd: u16, second: u64, line: pb::HoldLine) -> Visit {
    let ttl = TTLS[usize::from(line.window == "all")];
    let server_time = START + second * 1_000;
    let (state, expires_at) = (HoldState::Held, server_time + ttl);
    let said = Said::Hold { state, expires_at, server_time, revision: 1, faithful: true };
    let sent = At::try_from(second * 1_000).expect("small") * MILLI;
    Visit {
        hold: Uuid::from_u128(number),
        drop: 0,
        crowd,
        customer: format!("c{number}"),
        turn: u64::try_from(number).expect("small"),
        lines: vec![(0, line.quantity)],
        names_ttl: false,
        served: vec![line],
        calls: vec![Call { verb: Verb::Reserve, sent, received: sent + MILLI, said }],
    }
}

fn refused(crowd: u16, second: u64, reason: Reason) -> Turned {
    let sent = At::try_from(second * 1_000).expect("small") * MILLI;
    Turned {
        drop: 0,
        crowd,
        item: 0,
        units: 1,
        all: 1,
        turn: 99,
        reason,
        may_come_back: true,
        server_time: START + second * 1_000,
        sent,
        received: sent + MILLI,
    }
}

fn listed(visit: &Visit) -> Listed {
    let Said::Hold { expires_at, server_time, .. } = visit.calls[0].said else { panic!("it has a hold") };
    Listed {
        state: HoldState::Held,
        customer: visit.customer.clone(),
        lines: visit.lines.clone(),
        order: String::new(),
        expires_at,
        revision: 1,
        created_at: server_time,
        served: visit.served.clone(),
        as_of: START + 60_000,
        until: START + 60_000,
    }
}

/// A load without faults: a member has three of the members' units, strangers five of the others at two prices and,
/// once it has flowed, one of the members'.
fn played() -> (Ledger, Evidence) {
    let visits = vec![
        visit(1, MEMBERS, 1, line("members", 3, ("members", "members", 36))),
        visit(2, STRANGERS, 11, line("public", 4, ("all", "usual", 40))),
        visit(3, STRANGERS, 25, line("public", 1, ("all", "usual", 45))),
        visit(4, STRANGERS, 40, line("members", 1, ("all", "usual", 45))),
    ];
    let turned = vec![refused(STRANGERS, 5, Reason::NotOpen)];
    let holds = visits.iter().map(|visit| (visit.hold, listed(visit))).collect();
    let drop = shown();
    let stocks = vec![drop.items[0].stock.expect("stock")];
    let shown = Shown { holds, twice: Vec::new(), stocks, drop, as_of: START + 60_000 };
    let tiers = vec![vec!["member".to_owned()], Vec::new()];
    let ledger = Ledger { visits, turned, tiers, ..Ledger::default() };
    (ledger, Evidence { drops: vec![shown], metrics: None, alone: true })
}

/// The counts above 0, after a fault was planted.
fn planted(plant: impl FnOnce(&mut Ledger, &mut Evidence)) -> Vec<(&'static str, u64)> {
    let (mut ledger, mut evidence) = played();
    plant(&mut ledger, &mut evidence);
    let items = vec![Goods { sku: "KNIFE".into(), units: 10 }];
    let sale = Sale { id: "d".into(), items, rules: Some(rules()), ..Sale::default() };
    let audit = judge(&[sale], &ledger, &evidence);
    assert_eq!(audit.is_clean(), audit.findings.is_empty(), "{audit:?}");
    audit.counts().into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Changes the line of a hold, as it was answered and as it is listed.
fn line_of(number: u128, change: fn(&mut pb::HoldLine)) -> impl FnOnce(&mut Ledger, &mut Evidence) {
    move |ledger, evidence| {
        let id = Uuid::from_u128(number);
        let visit = ledger.visits.iter_mut().find(|visit| visit.hold == id).expect("a visit");
        change(&mut visit.served[0]);
        change(&mut evidence.drops[0].holds.get_mut(&id).expect("listed").served[0]);
    }
}

fn pools(evidence: &mut Evidence) -> &mut Vec<pb::Pool> {
    &mut evidence.drops[0].drop.items[0].pools
}

#[test]
fn a_load_that_went_well_is_clean() {
    assert_eq!(planted(|_, _| {}), []);
}

#[test]
fn a_line_outside_its_window_is_found() {
    // Before it opens, after it is over, and through one for others.
    let before = planted(|ledger, evidence| {
        let id = ledger.visits[1].hold;
        ledger.visits[1].names_ttl = true;
        evidence.drops[0].holds.get_mut(&id).expect("listed").created_at = START + 9_999;
    });
    assert_eq!(before, [("outside windows", 1)]);
    let over = planted(|ledger, evidence| {
        let id = ledger.visits[0].hold;
        ledger.visits[0].names_ttl = true;
        evidence.drops[0].holds.get_mut(&id).expect("listed").created_at = START + 60_000;
    });
    assert_eq!(over, [("outside windows", 1)]);
    let others = planted(|ledger, evidence| {
        ledger.visits[2].names_ttl = true;
        line_of(3, |line| line.window = "members".into())(ledger, evidence);
    });
    assert_eq!(others, [("outside windows", 1)]);
}

#[test]
fn a_line_of_a_foreign_pool_or_at_another_price_is_found() {
    let unflowed = planted(|_, evidence| pools(evidence)[0].flows[0].fired_at = None);
    assert_eq!(unflowed, [("foreign pools", 1)]);
    let late = planted(|_, evidence| pools(evidence)[0].flows[0].fired_at = at(41_000));
    assert_eq!(late, [("foreign pools", 1)]);
    assert_eq!(planted(line_of(1, |line| line.unit_price = euros(40))), [("wrong prices", 1)]);
    assert_eq!(planted(line_of(2, |line| line.unit_price = euros(45))), [("wrong prices", 1)], "before the step");
    assert_eq!(planted(line_of(3, |line| line.unit_price = euros(40))), [("wrong prices", 1)], "after the step");
    assert_eq!(planted(line_of(2, |line| line.terms_id = "members".into())), [("wrong prices", 1)]);
    // Right at the step both prices are lawful.
    let step = |_: &mut Ledger, evidence: &mut Evidence| {
        evidence.drops[0].drop.terms[1].steps[0].fired_at = at(25_100);
    };
    assert_eq!(planted(step), []);
}

#[test]
fn a_hold_that_is_another_than_answered_or_lives_otherwise_is_found() {
    let moved = planted(|ledger, _| ledger.visits[1].served[0].pool = "members".into());
    assert_eq!(moved, [("lost acks", 1)]);
    let longer = planted(|ledger, evidence| {
        let Said::Hold { expires_at, .. } = &mut ledger.visits[1].calls[0].said else { panic!("it has a hold") };
        *expires_at += 1;
        let id = ledger.visits[1].hold;
        evidence.drops[0].holds.get_mut(&id).expect("listed").expires_at += 1;
    });
    assert_eq!(longer, [("wrong answers", 1)]);
}

#[test]
fn a_pool_that_is_oversold_is_found_although_its_item_is_not() {
    // The one unit that a stranger had of the public pool is of the members' instead.
    let over = planted(line_of(3, |line| line.pool = "members".into()));
    assert!(over.contains(&("oversold", 1)) && over.contains(&("foreign pools", 1)), "{over:?}");
}

#[test]
fn a_refusal_is_judged_by_the_pools_and_windows_of_its_customer() {
    let with = |crowd, second, reason| planted(move |ledger, _| ledger.turned.push(refused(crowd, second, reason)));
    let one = [("false refusals", 1)];
    // One unit of each pool is free: a stranger gets the members' only after the flow.
    let sold = |second| {
        planted(move |ledger, evidence| {
            line_of(3, |line| line.quantity = 2)(ledger, evidence);
            ledger.visits[2].lines = vec![(0, 2)];
            let hold = evidence.drops[0].holds.get_mut(&Uuid::from_u128(3)).expect("listed");
            hold.lines = vec![(0, 2)];
            pools(evidence)[1].stock = Some(pb::Stock { received: 6, held: 6, ..Default::default() });
            let all = Some(pb::Stock { received: 10, held: 10, ..Default::default() });
            (evidence.drops[0].drop.items[0].stock, evidence.drops[0].stocks) = (all, all.into_iter().collect());
            ledger.turned.push(refused(STRANGERS, second, Reason::SoldOut));
        })
    };
    assert_eq!((sold(28), sold(35)), (vec![], one.to_vec()), "before the flow, and after it");
    assert_eq!(with(STRANGERS, 28, Reason::SoldOut), one, "a public unit was free");
    assert_eq!(with(MEMBERS, 28, Reason::SoldOut), one);
    assert_eq!(with(STRANGERS, 15, Reason::NotOpen), one);
    assert_eq!(with(STRANGERS, 5, Reason::SoldOut), [("false refusals", 2)], "and before its window");
    assert_eq!(with(STRANGERS, 15, Reason::NotEligible), one);
    assert_eq!(with(MEMBERS, 15, Reason::Closed), one);
}

#[test]
fn books_that_do_not_add_up_by_pool_are_found() {
    // Each sum of the item is right.
    let shifted = planted(|_, evidence| {
        let stock = |received, free, held| Some(pb::Stock { received, free, held, ..Default::default() });
        pools(evidence)[0].stock = stock(5, 1, 4);
        pools(evidence)[1].stock = stock(5, 0, 5);
    });
    assert_eq!(shifted, [("disagreements", 2)]);
    let lost = planted(|_, evidence| pools(evidence)[0].stock.as_mut().expect("stock").held = 3);
    assert_eq!(lost, [("conservation error", 1), ("disagreements", 2)]);
    assert_eq!(planted(|_, evidence| pools(evidence)[0].stock = None), [("disagreements", 2)], "and another sum");
}

#[test]
fn rules_that_are_shown_otherwise_than_defined_are_found() {
    let window = planted(|_, evidence| evidence.drops[0].drop.windows[1].starts_at = at(9_000));
    assert_eq!(window, [("disagreements", 1)]);
    let ttl = planted(|_, evidence| evidence.drops[0].drop.windows[0].hold_ttl = span(1_000));
    assert_eq!(ttl, [("disagreements", 1)]);
    let price = planted(|_, evidence| evidence.drops[0].drop.terms[0].price = euros(35));
    assert_eq!(price, [("disagreements", 1)]);
}

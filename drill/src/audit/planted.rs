//! The audit finds each kind of wrong answer that is planted, under the right count.

use stockade_proto as pb;
use stockade_proto::HoldState;
use tonic::Code;

use super::*;
use crate::ledger::{At, Call, Goods, Restock, Said, Turned, Visit, order};
use crate::request::Verb;

const SECOND: At = 1_000_000_000;
/// The server's time at the start of the load, in milliseconds.
const START: u64 = 1_000_000;
/// How long a hold lives.
const TTL: u64 = 60_000;

fn sale() -> Sale {
    Sale {
        id: "d-1".into(),
        items: vec![Goods { sku: "A".into(), units: 3 }],
        limit: Some(2),
        item_limit: None,
        rules: None,
    }
}

fn said(state: HoldState, sent: At, revision: u64) -> Said {
    let server_time = START + u64::try_from(sent / 1_000_000).expect("after the start");
    Said::Hold { state, expires_at: server_time + TTL, server_time, revision, faithful: true }
}

fn call(verb: Verb, second: At, state: HoldState, revision: u64) -> Call {
    let sent = second * SECOND;
    Call { verb, sent, received: sent + 1_000_000, said: said(state, sent, revision) }
}

fn visit(number: u128, customer: &str, units: u32, calls: Vec<Call>) -> Visit {
    let turn = customer.bytes().map(u64::from).sum();
    let customer = customer.to_owned();
    let (names_ttl, served) = (false, Vec::new());
    Visit {
        hold: Uuid::from_u128(number),
        drop: 0,
        crowd: 0,
        customer,
        turn,
        lines: vec![(0, units)],
        names_ttl,
        served,
        calls,
    }
}

fn listed(visit: &Visit, state: HoldState) -> Listed {
    let dead = [HoldState::Released, HoldState::Expired].contains(&state);
    let (_, units) = visit.lines[0];
    Listed {
        state,
        customer: visit.customer.clone(),
        lines: vec![(0, if dead { 0 } else { units })],
        order: if state == HoldState::Claimed { order(visit.hold) } else { String::new() },
        expires_at: START + TTL,
        revision: 9,
        created_at: START,
        served: Vec::new(),
        as_of: START + 20_000,
        until: START + 20_010,
    }
}

/// A load without faults: one unit is held, one was claimed, one was released and then taken by another customer; a
/// fourth customer was refused as sold out.
fn played() -> (Ledger, Evidence) {
    let held = visit(1, "ann", 1, vec![call(Verb::Reserve, 0, HoldState::Held, 1)]);
    let claimed = visit(
        2,
        "bob",
        1,
        vec![call(Verb::Reserve, 0, HoldState::Held, 2), call(Verb::Claim, 1, HoldState::Claimed, 5)],
    );
    let released = visit(
        3,
        "cyd",
        1,
        vec![call(Verb::Reserve, 0, HoldState::Held, 3), call(Verb::Release, 4, HoldState::Released, 6)],
    );
    let taken = visit(4, "dan", 1, vec![call(Verb::Reserve, 6, HoldState::Held, 7)]);
    let turned = Turned {
        drop: 0,
        crowd: 0,
        item: 0,
        units: 1,
        all: 1,
        turn: 0,
        reason: pb::RefusalReason::SoldOut,
        may_come_back: false,
        server_time: START + 2_000,
        sent: 2 * SECOND,
        received: 3 * SECOND,
    };
    let states = [HoldState::Held, HoldState::Claimed, HoldState::Released, HoldState::Held];
    let visits = vec![held, claimed, released, taken];
    let holds = visits.iter().zip(states).map(|(visit, state)| (visit.hold, listed(visit, state))).collect();
    let stock = pb::Stock { received: 3, held: 2, claimed: 1, ..pb::Stock::default() };
    let shown =
        Shown { holds, twice: Vec::new(), stocks: vec![stock], drop: pb::Drop::default(), as_of: START + 21_000 };
    let page = "stockade_conservation_error_units 0\n\
        stockade_units{drop=\"d-1\",sku=\"A\",pool=\"general\",state=\"claimed\"} 1\n\
        stockade_operations_total{operation=\"reserve\",outcome=\"ok\"} 14\n\
        stockade_operations_total{operation=\"reserve\",outcome=\"refused\"} 1\n\
        stockade_operations_total{operation=\"claim\",outcome=\"ok\"} 1\n\
        stockade_operations_total{operation=\"release\",outcome=\"ok\"} 1\n\
        stockade_hold_transitions_total{to=\"claimed\"} 1\n\
        stockade_hold_transitions_total{to=\"released\"} 1\n\
        stockade_refusals_total{drop=\"d-1\",reason=\"sold_out\"} 1\n";
    let before = "stockade_operations_total{operation=\"reserve\",outcome=\"ok\"} 10\n";
    let ledger = Ledger { visits, turned: vec![turned], ..Ledger::default() };
    let evidence = Evidence { drops: vec![shown], metrics: Some((before.to_owned(), page.to_owned())), alone: true };
    (ledger, evidence)
}

/// The audit's result after a fault was planted.
fn planted(plant: impl FnOnce(&mut Ledger, &mut Evidence)) -> Audit {
    let (mut ledger, mut evidence) = played();
    plant(&mut ledger, &mut evidence);
    let audit = judge(&[sale()], &ledger, &evidence);
    assert_eq!(audit.is_clean(), audit.findings.is_empty(), "{audit:?}");
    audit
}

fn listed_mut(evidence: &mut Evidence, number: u128) -> &mut Listed {
    evidence.drops[0].holds.get_mut(&Uuid::from_u128(number)).expect("listed")
}

#[test]
fn a_load_that_went_well_is_clean() {
    let audit = planted(|_ledger, _evidence| {});
    assert!(audit.is_clean(), "{audit:?}");
    assert_eq!((audit.answers, audit.listed, audit.unanswered), (7, 4, 0));
}

#[test]
fn a_unit_given_to_two_at_one_time_is_oversold() {
    // Dan got the unit two seconds before Cyd released it.
    let audit = planted(|ledger, _| ledger.visits[3].calls[0] = call(Verb::Reserve, 2, HoldState::Held, 7));
    assert_eq!(audit.oversold, 1, "{audit:?}");
    let more = planted(|_, evidence| evidence.drops[0].stocks[0].received = 2);
    assert_eq!((more.oversold, more.conservation_error), (1, 1), "{more:?}");
}

#[test]
fn units_that_came_in_addition_are_no_oversell_from_then_on() {
    let restock = |sent| Restock { drop: 0, item: 0, units: 1, sent, received: Some(sent + 1) };
    let plant = |sent: At| {
        planted(move |ledger, evidence| {
            ledger.visits[3].calls[0] = call(Verb::Reserve, 2, HoldState::Held, 7);
            ledger.restocks.push(restock(sent));
            evidence.drops[0].stocks[0].received = 4;
            evidence.drops[0].stocks[0].free = 1;
        })
    };
    assert_eq!(plant(SECOND).oversold, 0);
    assert_eq!(plant(3 * SECOND).oversold, 1, "it came too late for that");
}

#[test]
fn a_customer_with_more_than_the_limit_is_found_by_answers_and_by_the_list() {
    let reported = planted(|ledger, evidence| {
        ledger.visits[0].lines = vec![(0, 3)];
        listed_mut(evidence, 1).lines = vec![(0, 3)];
    });
    assert!(reported.over_limit >= 1 && reported.oversold >= 1, "{reported:?}");
    let shown = planted(|ledger, evidence| {
        for number in [1, 4] {
            ledger.visits[number - 1].customer = "bob".to_owned();
            listed_mut(evidence, u128::try_from(number).expect("small")).customer = "bob".to_owned();
        }
    });
    assert_eq!(shown.over_limit, 2, "at one time, and at the end: {shown:?}");
}

#[test]
fn an_acknowledged_hold_that_is_gone_or_other_is_a_lost_ack() {
    let plants: [fn(&mut Evidence); 8] = [
        |evidence| {
            // Acknowledged as held, it is in payment.
            listed_mut(evidence, 1).state = HoldState::Paying;
            (evidence.drops[0].stocks[0].held, evidence.drops[0].stocks[0].paying) = (1, 1);
        },
        |evidence| drop(evidence.drops[0].holds.remove(&Uuid::from_u128(1))),
        |evidence| listed_mut(evidence, 1).state = HoldState::Released,
        |evidence| {
            let hold = listed_mut(evidence, 1);
            (hold.state, hold.lines) = (HoldState::Expired, vec![(0, 0)]);
        },
        |evidence| listed_mut(evidence, 2).state = HoldState::Held,
        |evidence| listed_mut(evidence, 2).order = "another".to_owned(),
        |evidence| listed_mut(evidence, 3).state = HoldState::Held,
        |evidence| listed_mut(evidence, 4).revision = 6,
    ];
    for (number, plant) in plants.into_iter().enumerate() {
        let audit = planted(|_, evidence| plant(evidence));
        assert_eq!(audit.lost_acks, 1, "{number}: {audit:?}");
    }
}

#[test]
fn a_hold_that_outlives_its_deadline_or_was_refused_too_early_is_a_lost_ack() {
    let late = planted(|_, evidence| listed_mut(evidence, 1).as_of = START + TTL + 1);
    assert_eq!(late.lost_acks, 1, "{late:?}");
    let early = planted(|ledger, evidence| {
        let refused = Said::Refused {
            reason: pb::RefusalReason::HoldExpired,
            item: None,
            may_come_back: false,
            server_time: START + TTL - 1,
        };
        ledger.visits[0].calls.push(Call { said: refused, ..call(Verb::Claim, 9, HoldState::Held, 1) });
        evidence.alone = false;
    });
    assert_eq!(early.lost_acks, 1, "{early:?}");
}

#[test]
fn a_claim_of_two_or_of_nobody_is_a_double_claim() {
    let twice = planted(|_, evidence| {
        let order = order(Uuid::from_u128(2));
        let hold = listed_mut(evidence, 4);
        (hold.state, hold.order) = (HoldState::Claimed, order);
    });
    assert_eq!(twice.double_claims, 2, "nobody claimed it, and the order has two: {twice:?}");
    let both = planted(|ledger, _| {
        let released = call(Verb::Release, 2, HoldState::Released, 6);
        ledger.visits[1].calls.push(released);
    });
    assert_eq!(both.double_claims, 1, "{both:?}");
}

#[test]
fn sold_out_while_units_were_free_is_a_false_refusal() {
    // Between Cyd's release and Dan's reserve one unit was free.
    let audit = planted(|ledger, _| {
        (ledger.turned[0].sent, ledger.turned[0].received) = (9 * SECOND / 2, 11 * SECOND / 2);
    });
    assert_eq!(audit.false_refusals, 1, "{audit:?}");
    let overlapping = planted(|ledger, _| ledger.turned[0].received = 11 * SECOND / 2);
    assert_eq!(overlapping.false_refusals, 0, "at its beginning all were taken");
}

#[test]
fn a_limit_of_each_item_is_checked_as_that_of_the_drop() {
    let (mut ledger, mut evidence) = played();
    let judged = |item_limit| judge(&[Sale { limit: None, item_limit, ..sale() }], &ledger, &evidence);
    assert!(judged(Some(1)).is_clean() && judged(None).is_clean());
    ledger.visits[3].customer = "ann".to_owned();
    ledger.visits[3].turn = ledger.visits[0].turn;
    listed_mut(&mut evidence, 4).customer = "ann".to_owned();
    let judge_with =
        |ledger: &Ledger, item_limit| judge(&[Sale { limit: None, item_limit, ..sale() }], ledger, &evidence);
    assert_eq!(judge_with(&ledger, Some(1)).over_limit, 2, "at one time, and by the list");
    assert_eq!(judge_with(&ledger, Some(2)).over_limit, 0);
    // Refused while she had one of the item and asked for one more.
    let ann = ledger.visits[0].turn;
    (ledger.turned[0].reason, ledger.turned[0].turn) = (pb::RefusalReason::LimitReached, ann);
    assert_eq!(judge_with(&ledger, Some(1)).false_refusals, 0);
    assert_eq!(judge_with(&ledger, Some(2)).false_refusals, 1);
}

#[test]
fn limit_reached_while_there_was_room_is_a_false_refusal() {
    let refused = |units| {
        planted(move |ledger, evidence| {
            let ann = ledger.visits[0].turn;
            let turned = &mut ledger.turned[0];
            (turned.reason, turned.turn, turned.all) = (pb::RefusalReason::LimitReached, ann, units);
            evidence.alone = false;
        })
    };
    assert_eq!(refused(1).false_refusals, 1, "she had one, and may have two");
    assert_eq!(refused(2).false_refusals, 0);
    let both = planted(|ledger, evidence| {
        let turned = &mut ledger.turned[0];
        (turned.reason, turned.turn) = (pb::RefusalReason::LimitReached, 9);
        evidence.alone = false;
    });
    assert_eq!(both.false_refusals, 1, "a customer who never had any");
}

#[test]
fn an_answer_that_is_not_what_was_asked_and_a_hold_that_nobody_asked_for_are_found() {
    let wrong = planted(|ledger, _| {
        if let Said::Hold { faithful, .. } = &mut ledger.visits[0].calls[0].said {
            *faithful = false;
        }
    });
    assert_eq!(wrong.wrong_answers, 1, "{wrong:?}");
    let phantom = planted(|ledger, _| drop(ledger.visits.remove(0)));
    assert_eq!(phantom.phantoms, 1, "{phantom:?}");
}

#[test]
fn books_that_do_not_add_up_are_found() {
    let lost = planted(|_, evidence| evidence.drops[0].stocks[0].held = 1);
    assert_eq!((lost.conservation_error, lost.disagreements), (1, 1), "{lost:?}");
    let own = planted(|_, evidence| {
        let (_, page) = evidence.metrics.as_mut().expect("metrics");
        *page = page.replace("error_units 0", "error_units 2");
    });
    assert_eq!(own.conservation_error, 2, "{own:?}");
    let counter = planted(|_, evidence| {
        let (_, page) = evidence.metrics.as_mut().expect("metrics");
        *page = page.replace("outcome=\"ok\"} 14", "outcome=\"ok\"} 15").replace("sold_out\"} 1", "sold_out\"} 0");
    });
    assert_eq!(counter.disagreements, 2, "{counter:?}");
    let states = ["to=\"claimed\"} 1", "to=\"released\"} 1", "conservation_error_units 0\n"];
    for series in states {
        let missing = planted(|_, evidence| {
            let (_, page) = evidence.metrics.as_mut().expect("metrics");
            *page = page.replace(series, "");
        });
        assert_eq!(missing.disagreements, 1, "{series}: {missing:?}");
    }
    let twice = planted(|_, evidence| evidence.drops[0].twice.push(Uuid::from_u128(1)));
    assert_eq!(twice.disagreements, 1, "{twice:?}");
    let missing = planted(|_, evidence| evidence.drops[0].stocks[0] = pb::Stock::default());
    assert!(!missing.is_clean(), "{missing:?}");
    let (_, mut evidence) = played();
    evidence.metrics = None;
    assert!(books(&[sale()], &evidence).is_clean(), "without what customers say");
    evidence.drops[0].stocks[0].claimed = 0;
    assert_eq!(books(&[sale()], &evidence).counts().iter().filter(|(_, count)| *count > 0).count(), 2);
}

#[test]
fn a_request_without_an_answer_is_no_finding_whatever_became_of_it() {
    let unknown = Said::Unknown { code: Code::Unavailable };
    for state in [HoldState::Held, HoldState::Claimed] {
        let audit = planted(|ledger, evidence| {
            ledger.visits[0].calls.push(Call { said: unknown, ..call(Verb::Claim, 2, state, 1) });
            let hold = listed_mut(evidence, 1);
            hold.state = state;
            if state == HoldState::Claimed {
                hold.order = order(Uuid::from_u128(1));
                (evidence.drops[0].stocks[0].held, evidence.drops[0].stocks[0].claimed) = (1, 2);
                let (_, page) = evidence.metrics.as_mut().expect("metrics");
                *page = page.replace("state=\"claimed\"} 1", "state=\"claimed\"} 2");
            }
        });
        assert!(audit.is_clean() && audit.unanswered == 1, "{audit:?}");
    }
}

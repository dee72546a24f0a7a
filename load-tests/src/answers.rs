//! Turns answers of the wire into the ledger's types: the hold that was asked for, or why not.

use stockade_proto as pb;
use tonic::{Code, Status};

use crate::floor::Floor;
use crate::ledger::{Said, Visit, order};
use crate::samples::Verb;
use crate::scenario::{Goods, Sale};
use crate::wire::instant;

/// The answer to any verb.
#[derive(Debug)]
pub struct Answer {
    verb: Verb,
    outcome: Option<Outcome>,
    server_time: u64,
}

#[derive(Debug)]
enum Outcome {
    Hold(pb::Hold),
    Refusal(pb::Refusal),
}

macro_rules! answers {
    ($($answer:ident, $outcome:ident, $verb:ident;)*) => {
        $(impl From<pb::$answer> for Answer {
            fn from(answer: pb::$answer) -> Self {
                let outcome = answer.outcome.map(|outcome| match outcome {
                    pb::$outcome::Outcome::Hold(hold) => Outcome::Hold(hold),
                    pb::$outcome::Outcome::Refusal(refusal) => Outcome::Refusal(refusal),
                });
                Self { verb: Verb::$verb, outcome, server_time: instant(answer.server_time) }
            }
        })*
    };
}

answers! {
    ReserveResponse, reserve_response, Reserve;
    ExtendResponse, extend_response, Extend;
    ClaimResponse, claim_response, Claim;
    ReleaseResponse, release_response, Release;
}

/// The outcome that an answer reports to the customer.
#[must_use]
pub fn told(answer: Result<Answer, Status>, visit: &Visit, floor: &Floor) -> Said {
    let Answer { verb, outcome, server_time } = match answer {
        Ok(answer) => answer,
        Err(status) => return Said::Unknown { code: status.code() },
    };
    let sale = floor.scenario.drops.get(usize::from(visit.drop));
    let goods = sale.map_or(&[][..], |sale: &Sale| &sale.items);
    match outcome {
        None => Said::Unknown { code: Code::Internal },
        Some(Outcome::Hold(hold)) => {
            let drop = floor.drops.get(usize::from(visit.drop)).map_or("", String::as_str);
            Said::Hold {
                state: hold.state(),
                expires_at: instant(hold.expires_at),
                server_time,
                revision: hold.revision,
                faithful: hold.drop_id == drop && is_faithful(verb, &hold, visit, goods),
            }
        }
        Some(Outcome::Refusal(refusal)) => {
            let line = refusal.lines.iter().find(|line| line.reason() == refusal.reason());
            let sku = line.map_or(refusal.sku.as_str(), |line| line.sku.as_str());
            let item = goods.iter().position(|goods| goods.sku == sku).and_then(|item| u16::try_from(item).ok());
            let (reason, may_come_back) = (refusal.reason(), refusal.retry_after.is_some());
            Said::Refused { reason, item, may_come_back, server_time }
        }
    }
}

/// Whether a hold is what this verb makes of the request.
fn is_faithful(verb: Verb, hold: &pb::Hold, visit: &Visit, goods: &[Goods]) -> bool {
    let state = match verb {
        // A reserve that is sent again returns the hold in its present state.
        Verb::Reserve | Verb::Extend => [pb::HoldState::Held, pb::HoldState::Paying].contains(&hold.state()),
        Verb::Claim => hold.state() == pb::HoldState::Claimed && hold.order_ref == order(visit.hold),
        Verb::Release => hold.state() == pb::HoldState::Released,
    };
    let released = verb == Verb::Release;
    let mut lines: Vec<(u16, u32)> = visit.lines.iter().map(|(item, _)| (*item, 0)).collect();
    for line in &hold.lines {
        let units = if released { line.released } else { line.quantity };
        let sku = |item: u16| goods.get(usize::from(item)).map(|goods| goods.sku.as_str());
        match lines.iter_mut().find(|(item, _)| sku(*item) == Some(&line.sku)) {
            Some((_, sum)) => *sum = sum.saturating_add(units),
            None => return false,
        }
    }
    state && hold.id == visit.hold.to_string() && hold.customer_id == visit.customer && lines == visit.lines
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn visit() -> Visit {
        let lines = vec![(0, 2), (1, 1)];
        Visit { hold: Uuid::nil(), drop: 0, crowd: 0, customer: "c".into(), turn: 0, lines, calls: Vec::new() }
    }

    fn hold(state: pb::HoldState) -> pb::Hold {
        let line = |sku: &str, quantity| pb::HoldLine { sku: sku.into(), quantity, ..pb::HoldLine::default() };
        pb::Hold {
            id: Uuid::nil().to_string(),
            customer_id: "c".into(),
            state: state.into(),
            // Two pools of one SKU.
            lines: vec![line("A", 1), line("A", 1), line("B", 1)],
            ..pb::Hold::default()
        }
    }

    #[test]
    fn a_hold_is_faithful_only_if_all_of_it_is_as_asked() {
        let goods = ["A", "B", "C"].map(|sku| Goods { sku: sku.into(), units: 1 });
        let faithful = |verb, hold: &pb::Hold| is_faithful(verb, hold, &visit(), &goods);
        let held = hold(pb::HoldState::Held);
        assert!(faithful(Verb::Reserve, &held) && !faithful(Verb::Claim, &held) && !faithful(Verb::Release, &held));
        let claimed = pb::Hold { order_ref: order(Uuid::nil()), ..hold(pb::HoldState::Claimed) };
        assert!(faithful(Verb::Claim, &claimed) && !faithful(Verb::Reserve, &claimed));
        let planted: [fn(&mut pb::Hold); 5] = [
            |hold| hold.customer_id = "d".into(),
            |hold| hold.id = "x".into(),
            |hold| hold.lines[0].quantity = 2,
            |hold| hold.lines[2].sku = "C".into(),
            |hold| drop(hold.lines.pop()),
        ];
        for plant in planted {
            let mut wrong = hold(pb::HoldState::Held);
            plant(&mut wrong);
            assert!(!faithful(Verb::Reserve, &wrong), "{wrong:?}");
        }
        let other = pb::Hold { order_ref: "another".into(), ..hold(pb::HoldState::Claimed) };
        assert!(!faithful(Verb::Claim, &other));
    }
}

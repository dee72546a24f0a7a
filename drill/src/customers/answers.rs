//! Reads an answer: the hold that was asked for, or why not, in the ledger's types.

use stockade_proto as pb;
use tonic::{Code, Status};

use super::Floor;
use crate::ledger::{Goods, Said, Visit, as_made, order};
use crate::request::{Answer, Outcome, Request};
use crate::wire::instant;

/// What an answer to this request says to the customer.
pub(super) fn said(answer: Result<Answer, Status>, request: &Request, visit: &Visit, floor: &Floor) -> Said {
    let Answer { outcome, server_time } = match answer {
        Ok(answer) => answer,
        Err(status) => return Said::Unknown { code: status.code() },
    };
    let Some(sale) = floor.sales.get(usize::from(visit.drop)) else { return Said::Unknown { code: Code::Internal } };
    match outcome {
        Outcome::Hold(hold) => Said::Hold {
            state: hold.state(),
            expires_at: instant(hold.expires_at),
            server_time,
            revision: hold.revision,
            faithful: hold.drop_id == sale.id && is_faithful(request, &hold, visit, &sale.items),
        },
        Outcome::Refusal(refusal) => {
            let line = refusal.lines.iter().find(|line| line.reason() == refusal.reason());
            let sku = line.map_or(refusal.sku.as_str(), |line| line.sku.as_str());
            let (reason, may_come_back) = (refusal.reason(), refusal.retry_after.is_some());
            Said::Refused { reason, item: sale.item(sku), may_come_back, server_time }
        }
    }
}

/// The lines of a hold as it was made, of a drop with rules.
pub(super) fn served(answer: Option<&Answer>, visit: &Visit, floor: &Floor) -> Vec<pb::HoldLine> {
    let has_rules = floor.sales.get(usize::from(visit.drop)).is_some_and(|sale| sale.rules.is_some());
    match answer {
        Some(Answer { outcome: Outcome::Hold(hold), .. }) if has_rules => hold.lines.iter().map(as_made).collect(),
        Some(_) | None => Vec::new(),
    }
}

/// Whether a hold is what this request makes of it.
fn is_faithful(request: &Request, hold: &pb::Hold, visit: &Visit, goods: &[Goods]) -> bool {
    let live = [pb::HoldState::Held, pb::HoldState::Paying].contains(&hold.state());
    let (state, released) = match request {
        // A reserve that is sent again returns the hold in its present state.
        Request::Reserve(_) => (live, false),
        Request::Extend(request) => match request.stage() {
            pb::HoldStage::Unspecified => (live, false),
            pb::HoldStage::Held => (hold.state() == pb::HoldState::Held, false),
            pb::HoldStage::Paying => (hold.state() == pb::HoldState::Paying, false),
        },
        Request::Claim(_) => (hold.state() == pb::HoldState::Claimed && hold.order_ref == order(visit.hold), false),
        Request::Release(_) => (hold.state() == pb::HoldState::Released, true),
        // Customers here return nothing.
        Request::Return(_) => (false, false),
    };
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
        let (names_ttl, served, calls) = (false, Vec::new(), Vec::new());
        Visit { hold: Uuid::nil(), drop: 0, crowd: 0, customer: "c".into(), turn: 0, lines, names_ttl, served, calls }
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
        let (reserve, claim) =
            (Request::Reserve(pb::ReserveRequest::default()), Request::Claim(pb::ClaimRequest::default()));
        let extend = |stage: pb::HoldStage| {
            Request::Extend(pb::ExtendRequest { stage: stage.into(), ..pb::ExtendRequest::default() })
        };
        let faithful = |request: &Request, hold: &pb::Hold| is_faithful(request, hold, &visit(), &goods);
        let held = hold(pb::HoldState::Held);
        assert!(faithful(&reserve, &held) && faithful(&extend(pb::HoldStage::Unspecified), &held));
        assert!(!faithful(&claim, &held) && !faithful(&Request::Release(pb::ReleaseRequest::default()), &held));
        assert!(!faithful(&extend(pb::HoldStage::Paying), &held));
        assert!(faithful(&extend(pb::HoldStage::Paying), &hold(pb::HoldState::Paying)));
        let claimed = pb::Hold { order_ref: order(Uuid::nil()), ..hold(pb::HoldState::Claimed) };
        assert!(faithful(&claim, &claimed) && !faithful(&reserve, &claimed));
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
            assert!(!faithful(&reserve, &wrong), "{wrong:?}");
        }
        let other = pb::Hold { order_ref: "another".into(), ..hold(pb::HoldState::Claimed) };
        assert!(!faithful(&claim, &other));
    }
}

//! Each hold: the customer's last answer against what the server lists.

use std::collections::{HashMap, HashSet};

use stockade_proto as pb;
use stockade_proto::HoldState;
use uuid::Uuid;

use super::{Audit, Evidence, Listed};
use crate::ledger::{Call, Ledger, Said, Sale, Visit, order};
use crate::request::Verb;

/// Checks every visit and every listed hold.
pub(super) fn judge(sales: &[Sale], ledger: &Ledger, evidence: &Evidence, audit: &mut Audit) {
    let mut known: HashSet<Uuid> = HashSet::with_capacity(ledger.visits.len());
    audit.answers = u64::try_from(ledger.turned.len()).unwrap_or(u64::MAX);
    for visit in &ledger.visits {
        known.insert(visit.hold);
        answers(visit, audit);
        let listed = evidence.drops.get(usize::from(visit.drop)).and_then(|shown| shown.holds.get(&visit.hold));
        match (listed, visit.granted(Verb::Reserve)) {
            (Some(listed), Some(_)) => {
                if let Some(why) = lost(visit, listed) {
                    audit.lost_acks = audit.lost_acks.saturating_add(1);
                    audit.tell(|| format!("lost ack: hold {} of {}: {why}", visit.hold, visit.customer));
                }
            }
            (None, Some(_)) => {
                audit.lost_acks = audit.lost_acks.saturating_add(1);
                audit.tell(|| format!("lost ack: hold {} of {} is not there", visit.hold, visit.customer));
            }
            // A customer without an answer may have the units, or not.
            (Some(_), None) if visit.in_doubt(Verb::Reserve) => {}
            (Some(_), None) => phantom(visit.hold, audit),
            (None, None) => {}
        }
    }
    for (sale, shown) in sales.iter().zip(&evidence.drops) {
        audit.listed = audit.listed.saturating_add(u64::try_from(shown.holds.len()).unwrap_or(u64::MAX));
        for id in shown.holds.keys().filter(|id| !known.contains(id)) {
            phantom(*id, audit);
        }
        for id in &shown.twice {
            audit.differs(|| format!("hold {id} of {} is listed twice", sale.id));
        }
    }
    claims(ledger, evidence, audit);
}

fn phantom(id: Uuid, audit: &mut Audit) {
    audit.phantoms = audit.phantoms.saturating_add(1);
    audit.tell(|| format!("phantom: hold {id} exists, and no customer was granted it"));
}

/// Checks each answer by itself, and against answers to the same request sent again.
fn answers(visit: &Visit, audit: &mut Audit) {
    let mut deadline = 0_u64;
    for call in &visit.calls {
        audit.answers = audit.answers.saturating_add(1);
        match call.said {
            Said::Unknown { .. } => audit.unanswered = audit.unanswered.saturating_add(1),
            Said::Hold { faithful: false, .. } => {
                audit.wrong_answers = audit.wrong_answers.saturating_add(1);
                audit.tell(|| format!("wrong answer: hold {} does not match its request: {:?}", visit.hold, call.said));
            }
            Said::Hold { expires_at, .. } => deadline = deadline.max(expires_at),
            Said::Refused { reason, server_time, .. } => {
                if let Some(why) = untrue(visit, call, reason, (server_time, deadline)) {
                    audit.lost_acks = audit.lost_acks.saturating_add(1);
                    audit.tell(|| format!("lost ack: hold {}: {why}", visit.hold));
                }
            }
        }
    }
}

/// Why a refusal that concerns the customer's own hold contradicts earlier answers.
fn untrue(visit: &Visit, call: &Call, reason: pb::RefusalReason, (now, deadline): (u64, u64)) -> Option<String> {
    let sent = |verb| visit.of(verb).any(|other| other.sent <= call.received);
    let verb = call.verb.label();
    match reason {
        pb::RefusalReason::HoldExpired if now < deadline => {
            Some(format!("{verb} was refused as expired {} ms before its deadline", deadline.saturating_sub(now)))
        }
        pb::RefusalReason::HoldReleased if !sent(Verb::Release) => {
            Some(format!("{verb} was refused as released, and nobody released it"))
        }
        pb::RefusalReason::HoldClaimed if !sent(Verb::Claim) => {
            Some(format!("{verb} was refused as claimed, and nobody claimed it"))
        }
        pb::RefusalReason::OrderMismatch => Some(format!("{verb} was refused for another order, and there is none")),
        // It was granted before, and a hold ends only by expiry, release or claim.
        pb::RefusalReason::SoldOut | pb::RefusalReason::LimitReached
            if visit.granted(Verb::Reserve).is_some_and(|granted| granted.received < call.sent) =>
        {
            Some("the same reserve was granted before and is refused now".to_owned())
        }
        // These concern the drop's state, or agree with the earlier answers.
        pb::RefusalReason::Unspecified
        | pb::RefusalReason::NotOpen
        | pb::RefusalReason::Paused
        | pb::RefusalReason::Closed
        | pb::RefusalReason::NotEligible
        | pb::RefusalReason::NotAdmitted
        | pb::RefusalReason::SlotRequired
        | pb::RefusalReason::Cooldown
        | pb::RefusalReason::TooManyHolds
        | pb::RefusalReason::LimitReached
        | pb::RefusalReason::SoldOut
        | pb::RefusalReason::HoldExpired
        | pb::RefusalReason::HoldReleased
        | pb::RefusalReason::HoldClaimed
        | pb::RefusalReason::Superseded
        | pb::RefusalReason::PaymentInProgress
        | pb::RefusalReason::CeilingReached => None,
    }
}

/// Why the listed hold contradicts what was acknowledged.
fn lost(visit: &Visit, listed: &Listed) -> Option<String> {
    let Listed {
        state,
        customer,
        lines,
        order: listed_order,
        expires_at: _,
        revision,
        created_at: _,
        served: _,
        as_of,
        until,
    } = listed;
    if *customer != visit.customer {
        return Some(format!("it is {customer}'s"));
    }
    let (deadline, reported, stage) = visit.acknowledged();
    if *revision < reported {
        return Some(format!("revision {reported} was acknowledged, {revision} is there"));
    }
    let whole = || lines.iter().all(|line| visit.lines.contains(line)) && lines.len() == visit.lines.len();
    let empty = || lines.iter().all(|(_, units)| *units == 0);
    let claimed = || *state == HoldState::Claimed && whole() && *listed_order == order(visit.hold);
    let released = || *state == HoldState::Released && empty();
    if visit.granted(Verb::Claim).is_some() {
        return (!claimed()).then(|| format!("its claim was acknowledged, and it is {state:?} of {lines:?}"));
    }
    if visit.granted(Verb::Release).is_some() {
        return (!released()).then(|| format!("its release was acknowledged, and it is {state:?} of {lines:?}"));
    }
    let asked = |verb| visit.of(verb).any(|call| matches!(call.said, Said::Unknown { .. }));
    let extended = asked(Verb::Extend);
    let fits = match state {
        HoldState::Held | HoldState::Paying => whole() && (extended || (*as_of < deadline && *state == stage)),
        HoldState::Expired => empty() && *until >= deadline,
        HoldState::Claimed => asked(Verb::Claim) && claimed(),
        HoldState::Released => asked(Verb::Release) && released(),
        HoldState::Unspecified => false,
    };
    let left = || i128::from(deadline).saturating_sub(i128::from(*as_of));
    (!fits).then(|| {
        format!("it was acknowledged as {stage:?} with {} ms to live, and it is {state:?} of {lines:?}", left())
    })
}

/// Holds claimed for the same order, or claimed by nobody.
fn claims(ledger: &Ledger, evidence: &Evidence, audit: &mut Audit) {
    let mut orders: HashMap<&str, Uuid> = HashMap::new();
    let claimed = |shown: &'_ super::Shown| -> Vec<Uuid> {
        let claimed = shown.holds.iter().filter(|(_, listed)| listed.state == HoldState::Claimed);
        claimed.map(|(id, _)| *id).collect()
    };
    let asked: HashSet<Uuid> =
        ledger.visits.iter().filter(|visit| visit.of(Verb::Claim).next().is_some()).map(|visit| visit.hold).collect();
    for shown in &evidence.drops {
        for id in claimed(shown) {
            if !asked.contains(&id) {
                audit.double_claims = audit.double_claims.saturating_add(1);
                audit.tell(|| format!("double claim: hold {id} is claimed, and nobody claimed it"));
            }
            let order = shown.holds.get(&id).map_or("", |listed| listed.order.as_str());
            if let Some(other) = orders.insert(order, id) {
                audit.double_claims = audit.double_claims.saturating_add(1);
                audit.tell(|| format!("double claim: {order} has holds {other} and {id}"));
            }
        }
    }
    for visit in &ledger.visits {
        if visit.granted(Verb::Claim).is_some() && visit.granted(Verb::Release).is_some() {
            audit.double_claims = audit.double_claims.saturating_add(1);
            audit.tell(|| format!("double claim: hold {} was answered as claimed and as released", visit.hold));
        }
    }
}

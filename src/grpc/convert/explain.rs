//! Explanations on the wire.

use std::collections::VecDeque;

use prost::Message as _;
use stockade_engine::verbs::explain::{DECISIONS_MAX, Decision, DecisionOutcome, RuleName, Subject};
use stockade_proto as pb;
use stockade_types::ids::Lsn;
use stockade_types::record::Actor;
use stockade_types::time::Timestamp;

use super::answer::{hold, refusal, timestamp};
use super::faults::{Faults, Rejection};
use super::fields::id;

/// Most bytes of the decisions of an answer: clients accept 4 MiB in a message by default.
pub const EXPLANATION_BYTES: usize = 1024 * 1024;
/// Bytes that an answer adds to a decision: its tag and length.
const PER_DECISION: usize = 8;

/// What a request asks about.
///
/// # Errors
/// All faulty fields.
pub fn explain(request: &pb::ExplainRequest) -> Result<Subject, Rejection> {
    use pb::explain_request::About;
    let pb::ExplainRequest { about } = request;
    let mut faults = Faults::default();
    let subject = match about {
        Some(About::HoldId(text)) => id(&mut faults, "hold_id", text).map(Subject::Hold),
        Some(About::Customer(pb::CustomerInDrop { drop_id, customer_id })) => {
            let drop = id(&mut faults, "customer.drop_id", drop_id);
            let customer = id(&mut faults, "customer.customer_id", customer_id);
            drop.zip(customer).map(|(drop, customer)| Subject::Customer { drop, customer })
        }
        None => {
            faults.invalid("hold_id", "one of hold_id and customer is needed");
            None
        }
    };
    faults.finish(subject)
}

/// The newest decisions that an answer takes, and since when none is missing: of the changes, and of the refusals.
#[must_use]
pub fn explanation(decisions: &[Decision], [changes, refusals]: [Timestamp; 2]) -> pb::ExplainResponse {
    let (mut shown, mut bytes) = (VecDeque::new(), 0_usize);
    for one in decisions.iter().rev() {
        let converted = decision(one);
        bytes = bytes.saturating_add(converted.encoded_len()).saturating_add(PER_DECISION);
        if shown.len() >= DECISIONS_MAX || (bytes > EXPLANATION_BYTES && !shown.is_empty()) {
            break;
        }
        shown.push_front(converted);
    }
    // What has no room is as if it were not kept.
    let left_out = decisions.len().saturating_sub(shown.len());
    let first = decisions.get(left_out).filter(|_| left_out > 0).map_or(Timestamp::default(), |first| first.at);
    pb::ExplainResponse {
        decisions: shown.into(),
        changes_since: Some(timestamp(changes.max(first))),
        refusals_since: Some(timestamp(refusals.max(first))),
    }
}

fn decision(decision: &Decision) -> pb::Decision {
    let Decision { at, lsn: Lsn(lsn), operation, hold: hold_id, rule: RuleName { kind, id }, facts, outcome } =
        decision;
    let (shown, refused, actor) = match outcome {
        DecisionOutcome::Done(view, Actor::Engine) => (Some(hold(view)), None, Actor::Engine.label()),
        // Callers are not distinguished yet.
        DecisionOutcome::Done(view, Actor::Anonymous) => (Some(hold(view)), None, ""),
        DecisionOutcome::Refused(refused) => (None, Some(refusal(refused)), ""),
    };
    pb::Decision {
        time: Some(timestamp(*at)),
        lsn: *lsn,
        operation: (*operation).to_owned(),
        hold_id: hold_id.to_string(),
        refusal: refused,
        hold: shown,
        rule_kind: (*kind).to_owned(),
        rule_id: id.clone(),
        facts: facts.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        actor: actor.to_owned(),
    }
}

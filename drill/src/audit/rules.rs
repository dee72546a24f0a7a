//! The rules of a drop: each hold's window, pool, price and time to live, and each refusal that names a rule.
//!
//! They are judged by the server's own instants: when the hold was made, or the refusal decided, against the instants
//! that `GetDrop` shows of windows, flows and price steps; and these against the drop's definition.

use stockade_proto as pb;

use super::{Audit, Evidence, Listed, Shown};
use crate::ledger::{Ledger, Said, Sale, Turned, Visit, reason_name};
use crate::request::Verb;
use crate::rules::{Breach, Fired, Mark, Visitor, by_time};
use crate::wire::instant;

/// How long around the firing of a rule at a level of stock it can't be known who was decided with it, in milliseconds:
/// the level is looked at every few milliseconds, and a request may have read the clock before and wait for a core.
pub(super) const MARGIN: u64 = 250;
/// A request that read the clock before another one recorded a moment counts as of that moment, in milliseconds.
const SLACK: u64 = 250;

/// Checks every drop that has rules.
pub(super) fn judge(sales: &[Sale], ledger: &Ledger, evidence: &Evidence, audit: &mut Audit) {
    for (place, (sale, shown)) in (0_u16..).zip(sales.iter().zip(&evidence.drops)) {
        let Some(rules) = &sale.rules else { continue };
        definition(sale, (rules, &shown.drop), audit);
        for visit in ledger.visits.iter().filter(|visit| visit.drop == place) {
            if let Some(listed) = shown.holds.get(&visit.hold) {
                served((rules, shown), visit, listed, ledger.tiers_of(visit.crowd), audit);
            }
        }
        for turned in ledger.refused().filter(|turned| turned.drop == place) {
            let fired = |at| by_time(&shown.drop, at, MARGIN);
            if let Some(what) = untimely(rules, sale.sku(turned.item), (&turned, ledger.tiers_of(turned.crowd)), fired)
            {
                audit.false_refusals = audit.false_refusals.saturating_add(1);
                audit.tell(|| format!("false {:?}: {what}", reason_name(turned.reason)));
            }
        }
    }
}

/// The drop is shown as it was defined, and its windows come when they are to come.
fn definition(sale: &Sale, (rules, shown): (&pb::Drop, &pb::Drop), audit: &mut Audit) {
    let span = |moment: Option<&pb::Moment>| match moment.and_then(|moment| moment.when.as_ref()) {
        Some(pb::moment::When::AfterOpen(span)) => {
            let (seconds, nanos) = (u64::try_from(span.seconds), u64::try_from(span.nanos));
            Some(seconds.unwrap_or(0).saturating_mul(1_000).saturating_add(nanos.unwrap_or(0) / 1_000_000))
        }
        Some(pb::moment::When::At(_) | pb::moment::When::BeforeClose(_) | pb::moment::When::Local(_)) | None => None,
    };
    let opens = instant(shown.opens_at);
    let bare = |window: &pb::Window| pb::Window { starts_at: None, ends_at: None, ..window.clone() };
    let windows: Vec<pb::Window> = shown.windows.iter().map(bare).collect();
    if windows != rules.windows {
        audit.differs(|| format!("{}: the windows are shown otherwise than they were defined", sale.id));
    }
    for window in &shown.windows {
        for (defined, resolved, usual) in
            [(&window.starts, window.starts_at, shown.opens_at), (&window.ends, window.ends_at, shown.closes_at)]
        {
            let wanted = span(defined.as_ref()).map(|span| opens.saturating_add(span));
            let wanted = if defined.is_some() { wanted } else { usual.map(|usual| instant(Some(usual))) };
            if wanted.is_some_and(|wanted| resolved.map(|at| instant(Some(at))) != Some(wanted)) {
                audit.differs(|| format!("{}: window {} is shown to come at another time", sale.id, window.id));
            }
        }
    }
    let prices = |drop: &pb::Drop| -> Vec<(String, Option<pb::Money>, Vec<Option<pb::Money>>)> {
        let steps = |terms: &pb::Terms| terms.steps.iter().map(|step| step.price.clone()).collect();
        drop.terms.iter().map(|terms| (terms.id.clone(), terms.price.clone(), steps(terms))).collect()
    };
    if prices(shown) != prices(rules) {
        audit.differs(|| format!("{}: the prices are shown otherwise than they were defined", sale.id));
    }
}

/// What a hold got: as its customer was answered, and as the rules allowed when it was made.
fn served((rules, shown): (&pb::Drop, &Shown), visit: &Visit, listed: &Listed, tiers: &[String], audit: &mut Audit) {
    let hold = visit.hold;
    if !visit.served.is_empty() && visit.served != listed.served {
        audit.lost_acks = audit.lost_acks.saturating_add(1);
        audit.tell(|| format!("lost ack: hold {hold}: {:?} was answered, {:?} is there", visit.served, listed.served));
    }
    let fired = by_time(&shown.drop, listed.created_at, MARGIN);
    let visitor = Visitor { drop: rules, tiers, fired: &fired };
    for line in &listed.served {
        if let Err((breach, what)) = visitor.served(line) {
            let count = match breach {
                Breach::Window => &mut audit.outside_windows,
                Breach::Pool => &mut audit.foreign_pools,
                Breach::Price => &mut audit.wrong_prices,
            };
            *count = count.saturating_add(1);
            audit.tell(|| format!("not what the rules allow: hold {hold} of {}: {what}", visit.customer));
        }
    }
    let Some(Said::Hold { expires_at, .. }) = visit.granted(Verb::Reserve).map(|call| call.said) else { return };
    let mut ttls = listed.served.iter().map(|line| visitor.hold_ttl(&line.window));
    let Some(ttl) = ttls.next().flatten().filter(|_| !visit.names_ttl) else { return };
    let life = expires_at.saturating_sub(listed.created_at);
    let wanted = instant(Some(prost_types::Timestamp { seconds: ttl.seconds, nanos: ttl.nanos }));
    // Through several windows: which of them decides is not judged.
    if ttls.all(|other| other == Some(ttl)) && life != wanted {
        audit.wrong_answers = audit.wrong_answers.saturating_add(1);
        audit.tell(|| format!("wrong answer: hold {hold} lives for {life} ms, its window says {wanted}"));
    }
}

/// Why a refusal did not fit the rules at its instant.
fn untimely<F: Fn(&Mark) -> Fired>(
    rules: &pb::Drop,
    sku: &str,
    (turned, tiers): (&Turned, &[String]),
    fired: impl Fn(u64) -> F,
) -> Option<&'static str> {
    use pb::RefusalReason as Reason;
    let now = turned.server_time;
    let (before, after) = (now.saturating_sub(SLACK), now.saturating_add(SLACK));
    let ask = |at: u64| {
        let fired = fired(at);
        let visitor = Visitor { drop: rules, tiers, fired: &fired };
        (visitor.may_reserve(sku), !visitor.pools(sku).is_empty(), fired(&Mark::Closed))
    };
    let at = [before, now, after].map(ask);
    match turned.reason {
        Reason::NotOpen if at.iter().all(|(open, ..)| *open == Fired::Yes) => {
            Some("a window was open for the customer")
        }
        Reason::NotEligible if at.iter().all(|(open, has_pool, _)| *open == Fired::Yes && *has_pool) => {
            Some("a window and a pool were open for the customer")
        }
        Reason::Closed if at.iter().all(|(.., closed)| *closed == Fired::No) => Some("the drop was not closed"),
        Reason::SoldOut | Reason::LimitReached if at.iter().all(|(open, ..)| *open == Fired::No) => {
            Some("no window was open for the customer")
        }
        Reason::Unspecified
        | Reason::NotOpen
        | Reason::Paused
        | Reason::Closed
        | Reason::NotEligible
        | Reason::NotAdmitted
        | Reason::SlotRequired
        | Reason::Cooldown
        | Reason::TooManyHolds
        | Reason::LimitReached
        | Reason::SoldOut
        | Reason::HoldExpired
        | Reason::HoldReleased
        | Reason::HoldClaimed
        | Reason::OrderMismatch
        | Reason::Superseded
        | Reason::PaymentInProgress
        | Reason::CeilingReached => None,
    }
}

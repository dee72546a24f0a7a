//! Faults that single answers show without a search: an invalid answer, a hold with other lines than requested, "sold
//! out" for items that were not requested, a time outside of the call, an id with two outcomes, a revision that
//! decreases.

use std::collections::HashMap;

use stockade_drill::rules::{Fired, Mark};
use stockade_proto as pb;

use super::ask::sku;
use super::event::{Answer, Call, History, Seen, Served, Shown, Why};
use super::market::Market;

/// The most findings that are described.
const FINDINGS_MAX: usize = 20;

/// Faults of single answers, in words.
#[must_use]
pub fn look(history: &History, market: Option<&Market>) -> Vec<String> {
    let mut findings = Vec::new();
    let mut holds: HashMap<&str, Vec<(&Call, &Seen)>> = HashMap::new();
    for call in &history.calls {
        let faults = [odd(call), late(call, history.setup.slack), unfaithful(call), baseless(call)];
        findings.extend(faults.into_iter().flatten().map(|what| format!("{what}: {call:?}")));
        if let Some(market) = market {
            let faults = [unlawful(call, market), untimely(call, market, history.setup.slack)];
            findings.extend(faults.into_iter().flatten().map(|what| format!("{what}: {call:?}")));
        }
        if let Answer::Hold(seen) = &call.answer {
            holds.entry(&call.hold).or_default().push((call, seen));
        }
    }
    for (id, seen) in holds {
        if let Some((one, other)) = seen.windows(2).find_map(|pair| match pair {
            [(one, a), (other, b)] if a.created != b.created => Some((one, other)),
            _ => None,
        }) {
            findings.push(format!("hold {id} was made twice, at different times: {one:?} and {other:?}"));
        }
        findings.extend(went_back(id, seen));
    }
    findings.truncate(FINDINGS_MAX);
    findings
}

/// An answer that this call can't have.
fn odd(call: &Call) -> Option<String> {
    match &call.answer {
        Answer::Odd(what) => Some(format!("not an answer to this call: {what}")),
        Answer::Hold(_)
        | Answer::Refused(..)
        | Answer::Absent
        | Answer::Adjusted
        | Answer::Stock(_)
        | Answer::Unknown(_) => None,
    }
}

/// A decision at a time outside of the call.
fn late(call: &Call, slack: u64) -> Option<String> {
    let now = call.now?;
    let early = now.saturating_add(slack) < call.sent.wall;
    let late = now > call.back.wall.saturating_add(slack);
    (early || late).then(|| "the server's time is outside of the call".to_owned())
}

/// A hold that does not match the request.
fn unfaithful(call: &Call) -> Option<String> {
    let Answer::Hold(seen) = &call.answer else { return None };
    let has = seen.state.is_live() || seen.state == Shown::Claimed;
    let wanted: Vec<(u8, u32)> = call.lines.iter().map(|(item, units)| (*item, if has { *units } else { 0 })).collect();
    (seen.lines != wanted || seen.customer != call.customer).then(|| "not the hold that was asked for".to_owned())
}

/// "Sold out" that names no item, or one that was not requested. No part's search would check that against a stock.
fn baseless(call: &Call) -> Option<String> {
    let Answer::Refused(Why::SoldOut, items) = &call.answer else { return None };
    let asked = |item: &u8| call.lines.iter().any(|(line, _)| line == item);
    (items.is_empty() || !items.iter().all(asked)).then(|| "sold out, but of nothing that was asked for".to_owned())
}

/// A line through a window, from a pool or at a price that was not the customer's when the hold was made.
fn unlawful(call: &Call, market: &Market) -> Option<String> {
    let Answer::Hold(seen) = &call.answer else { return None };
    let line = |Served { item, units, pool, window, terms, price }: &Served| pb::HoldLine {
        sku: sku(*item),
        pool: pool.clone(),
        quantity: *units,
        terms_id: terms.clone(),
        unit_price: Some(pb::Money { currency_code: "EUR".to_owned(), minor_units: *price }),
        window: window.clone(),
        ..pb::HoldLine::default()
    };
    market.ask(call.customer, seen.created, |visitor| {
        let breach = seen.served.iter().find_map(|served| visitor.served(&line(served)).err());
        breach.map(|(_, what)| format!("not what the rules allow: {what}"))
    })
}

/// A refusal that names a rule which did not refuse this customer then, or stock while no window was open.
fn untimely(call: &Call, market: &Market, slack: u64) -> Option<String> {
    let (Answer::Refused(why, _), Some(now)) = (&call.answer, call.now) else { return None };
    let may_reserve = |at| {
        let every = |item: &(u8, u32)| market.ask(call.customer, at, |visitor| visitor.may_reserve(&sku(item.0)));
        call.lines.iter().map(every).min().unwrap_or(Fired::No)
    };
    let closed = |at| market.ask(call.customer, at, |visitor| (visitor.fired)(&Mark::Closed));
    // A request that read the clock before another one recorded a moment counts as of that moment.
    let (before, after) = (now.saturating_sub(slack), now.saturating_add(slack));
    let what = match why {
        Why::NotOpen if may_reserve(before) == Fired::Yes => {
            "refused as not open, but a window was open for the customer"
        }
        Why::SoldOut | Why::LimitReached if may_reserve(now).max(may_reserve(after)) == Fired::No => {
            "refused for stock or a limit, but no window was open for the customer"
        }
        Why::DropClosed if closed(after) == Fired::No => "refused as closed before the closing",
        Why::NotEligible => "refused as not eligible, but there are a window, a pool and a price for everyone",
        Why::SoldOut
        | Why::LimitReached
        | Why::Expired
        | Why::Released
        | Why::Claimed
        | Why::OrderMismatch
        | Why::Paying
        | Why::NotOpen
        | Why::DropClosed => return None,
    };
    Some(what.to_owned())
}

/// A finding if a call returned a smaller revision of this hold than an earlier call.
fn went_back(id: &str, mut seen: Vec<(&Call, &Seen)>) -> Option<String> {
    let mut shown: Vec<(u64, u64)> = seen.iter().map(|(call, seen)| (call.back.ns, seen.revision)).collect();
    shown.sort_unstable();
    seen.sort_by_key(|(call, _)| call.sent.ns);
    let (mut newest, mut next) = (0, shown.iter().peekable());
    for (call, seen) in seen {
        while let Some((_, revision)) = next.next_if(|(back, _)| *back < call.sent.ns) {
            newest = newest.max(*revision);
        }
        if seen.revision < newest {
            return Some(format!("hold {id} was shown at revision {newest} before, and is older here: {call:?}"));
        }
    }
    None
}

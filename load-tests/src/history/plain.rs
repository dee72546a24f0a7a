//! Faults that single answers show without a search: an invalid answer, a hold with other lines than requested, "sold
//! out" for items that were not requested, a time outside of the call, an id with two outcomes, a revision that
//! decreases.

use std::collections::HashMap;

use super::event::{Answer, Call, History, Seen, Shown, Why};

/// The most findings that are described.
const FINDINGS_MAX: usize = 20;

/// Faults of single answers, in words.
#[must_use]
pub fn look(history: &History) -> Vec<String> {
    let mut findings = Vec::new();
    let mut holds: HashMap<&str, Vec<(&Call, &Seen)>> = HashMap::new();
    for call in &history.calls {
        let faults = [odd(call), late(call, history.setup.slack), unfaithful(call), baseless(call)];
        findings.extend(faults.into_iter().flatten().map(|what| format!("{what}: {call:?}")));
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

//! Describes a violation: the call whose answer fits nowhere, the calls in flight with it, and earlier calls.

use std::fmt::Write as _;

use super::event::{Answer, Call, History, Verb};
use super::lens::Part;
use super::search::Stuck;
use super::state::{Life, State};

/// The most earlier calls that are shown.
const BEFORE: usize = 12;

/// Describes where the search found no order.
#[must_use]
pub fn explain(part: &Part, history: &History, stuck: &Stuck) -> String {
    let mut text = format!("{}: no order of its calls gives these answers\n", part.subject);
    let call = |op: usize| part.ops.get(op).and_then(|op| history.calls.get(op.call));
    let at = part.ops.get(stuck.op).map_or(0, |op| op.back);
    // Calls on the same hold come first; then the latest.
    let id = part.ops.get(stuck.op).map_or(u32::MAX, |op| op.id);
    let mut before: Vec<(bool, u64, usize)> = part
        .ops
        .iter()
        .enumerate()
        .filter(|(place, op)| op.back < at && *place != stuck.op && !stuck.under_way.contains(place))
        .map(|(place, op)| (op.id == id, op.back, place))
        .collect();
    before.sort_unstable();
    let mut before: Vec<usize> = before.into_iter().rev().take(BEFORE).map(|(_, _, place)| place).collect();
    before.sort_unstable();
    let mut tell = |title: &str, ops: &[usize]| {
        // Writing to a string never fails.
        let _written = writeln!(text, "  {title}");
        for call in ops.iter().filter_map(|op| call(*op)) {
            let _written = writeln!(text, "    {}", reported(call));
        }
    };
    tell("over before:", &before);
    tell("under way:", &stuck.under_way);
    tell("fits nowhere:", &[stuck.op]);
    for state in &stuck.states {
        let _written = writeln!(text, "  possible before: {}", stands(state, part, history));
    }
    for (number, term) in history.terms.iter().enumerate() {
        if let Some(gone) = term.gone.filter(|gone| gone.ns <= at) {
            let _written = writeln!(text, "  life {number} was killed by {:.3} ms", millis(gone.ns));
        }
    }
    text
}

fn millis(ns: u64) -> f64 {
    stockade_drill::numbers::real(ns) / 1e6
}

/// A call as one line.
#[must_use]
pub fn reported(call: &Call) -> String {
    let Call { client, term, verb, hold, customer, lines, sent, back, now, answer, last: _ } = call;
    let what = match verb {
        Verb::Reserve { ttl } => format!("reserve {lines:?} for {ttl} ms, customer {customer}"),
        Verb::Extend { ttl, pay: false } => format!("extend to {ttl} ms"),
        Verb::Extend { ttl: _, pay: true } => "begin payment".to_owned(),
        Verb::Claim { order } => format!("claim for order {order}"),
        Verb::Release => "release".to_owned(),
        Verb::GetHold => "get".to_owned(),
        Verb::Adjust => format!("add {lines:?}"),
        Verb::GetDrop => "stock".to_owned(),
    };
    let came = match answer {
        Answer::Hold(seen) => {
            format!("{:?}, made {}, due {}, revision {}", seen.state, seen.created, seen.due, seen.revision)
        }
        Answer::Refused(why, items) if items.is_empty() => format!("refused: {why:?}"),
        Answer::Refused(why, items) => format!("refused: {why:?} {items:?}"),
        Answer::Absent => "no such hold".to_owned(),
        Answer::Adjusted => "done".to_owned(),
        Answer::Stock(items) => format!("{items:?}"),
        Answer::Unknown(why) => format!("unknown: {why}"),
        Answer::Odd(what) => format!("odd: {what}"),
    };
    let short = hold.get(..8).unwrap_or(hold);
    let now = now.map_or_else(String::new, |now| format!(" at {now}"));
    let (sent, back) = (millis(sent.ns), millis(back.ns));
    format!("[{sent:.3}..{back:.3} ms, client {client}, life {term}] {short} {what} -> {came}{now}")
}

fn stands(state: &State, part: &Part, history: &History) -> String {
    let mut words: Vec<String> = Vec::new();
    for entry in &state.entries {
        let op = part.ops.iter().find(|op| op.id == entry.id);
        let id = op.and_then(|op| history.calls.get(op.call)).map_or("?", |call| call.hold.as_str());
        let life = match entry.life {
            Life::Live { due, paying } => {
                let held = if paying { "in payment" } else { "held" };
                let due =
                    if due.from == due.until { due.from.to_string() } else { format!("{}-{}", due.from, due.until) };
                format!("{held} until {due}")
            }
            Life::Claimed(order) => format!("sold for order {order}"),
            Life::Released => "given back".to_owned(),
            Life::Expired => "expired".to_owned(),
            Life::Adjusted => "made".to_owned(),
        };
        let units = part.units.get(usize::try_from(entry.id).unwrap_or(usize::MAX)).copied().unwrap_or(0);
        words.push(format!("{} x{units} {life}", id.get(..8).unwrap_or(id)));
    }
    let capacity = part.capacity.map_or_else(String::new, |units| format!("of {units}: "));
    format!("{capacity}{}; {} sold and {} added for good", words.join(", "), state.sold, state.added)
}

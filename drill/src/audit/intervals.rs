//! When a hold's units were taken, by its customer's answers: surely, and possibly.
//!
//! The server's clock is never compared with ours. An answer shows how long the hold has to live from the server's time
//! of the answer on, and that instant was between sending and receiving.

use std::ops::Range;

use crate::ledger::{At, Call, Said, Visit};
use crate::request::Verb;

/// A millisecond, in nanoseconds.
const MILLI: At = 1_000_000;
/// How much shorter or longer a hold may live than answered: milliseconds are truncated, and the clocks' rates differ.
const SLACK: At = 10 * MILLI;
/// What a slewed clock may gain or lose: a thousandth.
const PACE: At = 1_000;
/// How long after its deadline a hold's units may still count as taken while the server returns them.
const LATE: At = 50 * MILLI;

/// The hold's remaining life when this call was answered.
fn life(call: &Call) -> Option<At> {
    match call.said {
        Said::Hold { expires_at, server_time, .. } => {
            Some(At::try_from(expires_at.saturating_sub(server_time)).unwrap_or(At::MAX).saturating_mul(MILLI))
        }
        Said::Refused { .. } | Said::Unknown { .. } => None,
    }
}

/// Whether this call's answer sets the hold's end.
const fn moves(call: &Call) -> bool {
    matches!(call.verb, Verb::Reserve | Verb::Extend)
}

fn slack(life: At) -> At {
    SLACK.saturating_add(life / PACE)
}

/// In this time the units were surely the customer's.
#[must_use]
pub(super) fn surely(visit: &Visit) -> Option<Range<At>> {
    let start = visit.granted(Verb::Reserve)?.received;
    if visit.granted(Verb::Claim).is_some() {
        return Some(start..At::MAX);
    }
    let ends = visit.calls.iter().filter(|call| moves(call)).filter_map(|call| {
        let life = life(call)?;
        Some(call.sent.saturating_add(life).saturating_sub(slack(life)))
    });
    let released = visit.of(Verb::Release).map(|call| call.sent).min().unwrap_or(At::MAX);
    let end = ends.max()?.min(released);
    (start < end).then_some(start..end)
}

/// Outside of this time the units were surely not the customer's.
#[must_use]
pub(super) fn possibly(visit: &Visit) -> Option<Range<At>> {
    let may = |call: &&Call| !matches!(call.said, Said::Refused { .. });
    let start = visit.of(Verb::Reserve).filter(may).map(|call| call.sent).min()?;
    let open_ended = visit.granted(Verb::Claim).is_some()
        || [Verb::Reserve, Verb::Extend, Verb::Claim]
            .into_iter()
            .any(|verb| visit.of(verb).any(|call| matches!(call.said, Said::Unknown { .. })));
    if open_ended {
        return Some(start..At::MAX);
    }
    let ends = visit.calls.iter().filter(|call| moves(call)).filter_map(|call| {
        let life = life(call)?;
        Some(call.received.saturating_add(life).saturating_add(slack(life)).saturating_add(LATE))
    });
    let released = visit.granted(Verb::Release).map_or(At::MAX, |call| call.received);
    Some(start..ends.max().unwrap_or(At::MAX).min(released))
}

#[cfg(test)]
mod tests {
    use stockade_proto::HoldState;
    use tonic::Code;
    use uuid::Uuid;

    use super::*;

    fn call(verb: Verb, sent: At, said: Said) -> Call {
        Call { verb, sent: sent * MILLI, received: (sent + 10) * MILLI, said }
    }

    /// A hold with this many milliseconds to live.
    fn hold(life: u64) -> Said {
        let (server_time, state) = (5_000_000, HoldState::Held);
        Said::Hold { state, expires_at: server_time + life, server_time, revision: 1, faithful: true }
    }

    fn visit(calls: Vec<Call>) -> Visit {
        let lines = vec![(0, 1)];
        let (names_ttl, served) = (false, Vec::new());
        Visit { hold: Uuid::nil(), drop: 0, crowd: 0, customer: "c".into(), turn: 0, lines, names_ttl, served, calls }
    }

    fn millis(range: Option<Range<At>>) -> Option<(At, At)> {
        range.map(|range| (range.start / MILLI, if range.end == At::MAX { At::MAX } else { range.end / MILLI }))
    }

    #[test]
    fn a_hold_that_is_left_alone_is_taken_until_its_deadline() {
        let visit = visit(vec![call(Verb::Reserve, 100, hold(1_000))]);
        assert_eq!(millis(surely(&visit)), Some((110, 1_089)), "sent at 100, 1,000 to live, 11 of slack");
        assert_eq!(millis(possibly(&visit)), Some((100, 1_171)), "answered at 110");
    }

    #[test]
    fn an_extension_moves_the_end_and_a_claim_takes_it_away() {
        let extended = [call(Verb::Reserve, 100, hold(1_000)), call(Verb::Extend, 600, hold(2_000))];
        assert_eq!(millis(surely(&visit(extended.to_vec()))), Some((110, 2_588)));
        let claimed = [call(Verb::Reserve, 100, hold(1_000)), call(Verb::Claim, 600, hold(0))];
        assert_eq!(millis(surely(&visit(claimed.to_vec()))), Some((110, At::MAX)));
        assert_eq!(millis(possibly(&visit(claimed.to_vec()))), Some((100, At::MAX)));
    }

    #[test]
    fn a_release_ends_it_surely_when_sent_and_possibly_when_answered() {
        let visit = visit(vec![call(Verb::Reserve, 100, hold(1_000)), call(Verb::Release, 300, hold(0))]);
        assert_eq!((millis(surely(&visit)), millis(possibly(&visit))), (Some((110, 300)), Some((100, 310))));
    }

    #[test]
    fn what_was_not_answered_may_be_taken_for_ever_and_is_never_surely() {
        let unknown = Said::Unknown { code: Code::DeadlineExceeded };
        let silent = visit(vec![call(Verb::Reserve, 100, unknown)]);
        assert_eq!((millis(surely(&silent)), millis(possibly(&silent))), (None, Some((100, At::MAX))));
        let claim = visit(vec![call(Verb::Reserve, 100, hold(1_000)), call(Verb::Claim, 300, unknown)]);
        assert_eq!((millis(surely(&claim)), millis(possibly(&claim))), (Some((110, 1_089)), Some((100, At::MAX))));
    }
}

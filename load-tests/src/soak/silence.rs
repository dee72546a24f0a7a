//! Requests that a round's server did not answer while it lived. They are findings, since nothing disturbed it.

use std::time::Duration;

use stockade_drill::ledger::{At, Ledger, Said, at};
use stockade_drill::numbers::count;

use super::stream::{EVERY, Streamed};

/// A request that was sent this long before the server was ended must have been answered by then.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// At least one in this many of the messages that could have been sent must have been answered, since an answer takes
/// time too.
const MESSAGES_MIN: u128 = 4;

/// How long a round's server is under load, by the load's watch.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The length of the load.
    pub length: Duration,
    /// Until when the server surely lives, if it is ended during the load; none if it is not.
    pub ended: Option<Duration>,
}

impl Span {
    /// Requests without an answer that the server's end does not explain. Those sent shortly before it were in flight;
    /// those sent after it reached no server, and are sent again and again.
    #[must_use]
    pub fn unanswered(self, ledger: &Ledger) -> Option<String> {
        let until = self.ended.map_or(At::MAX, |ended| at(ended.saturating_sub(ANSWER_TIME_MAX)));
        let calls = ledger.visits.iter().flat_map(|visit| &visit.calls);
        let silent = calls.filter(|call| matches!(call.said, Said::Unknown { .. }) && call.sent < until);
        let silent = count(silent.count());
        (silent > 0).then(|| format!("requests without an answer while the server lived: {silent}"))
    }

    /// Findings if a stream ended while the server lived, or if too few messages were answered.
    #[must_use]
    pub fn stalled(self, streamed: &Streamed) -> Vec<String> {
        let mut found = Vec::new();
        if let Some((when, why)) = &streamed.ended
            && self.ended.is_none_or(|ended| *when < ended)
        {
            found.push(format!("the stream ended after {when:?} while the server lived: {why}"));
        }
        let most = self.ended.unwrap_or(self.length).as_millis() / EVERY.as_millis().max(1);
        if u128::from(streamed.messages).saturating_mul(MESSAGES_MIN) < most {
            found.push(format!("{} messages of the stream were answered, of {most} at most", streamed.messages));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use stockade_proto as pb;
    use stockade_types::metrics::Stopwatch;
    use tonic::Code;
    use uuid::Uuid;

    use super::*;
    use crate::soak::stream;
    use stockade_drill::ledger::{Call, Visit};
    use stockade_drill::request::Verb;

    const LIVES: Span = Span { length: Duration::from_mins(1), ended: None };
    const ENDED: Span = Span { ended: Some(Duration::from_millis(59_500)), ..LIVES };

    /// The requests of a visit, by the instants of sending, with an answer or not.
    fn ledger(sent: impl Iterator<Item = (u64, bool)>) -> Ledger {
        let unknown = Said::Unknown { code: Code::Unavailable };
        let reason = pb::RefusalReason::SoldOut;
        let refused = Said::Refused { reason, item: None, may_come_back: false, server_time: 0 };
        let call = |(sent, is_answered)| {
            let (sent, said) = (at(Duration::from_millis(sent)), if is_answered { refused } else { unknown });
            Call { verb: Verb::Reserve, sent, received: sent + 1, said }
        };
        let calls = sent.map(call).collect();
        let visit = Visit {
            hold: Uuid::nil(),
            drop: 0,
            crowd: 0,
            customer: "c".into(),
            turn: 0,
            lines: vec![],
            names_ttl: false,
            served: vec![],
            calls,
        };
        Ledger { visits: vec![visit], ..Ledger::default() }
    }

    #[test]
    fn what_met_the_end_of_the_server_is_explained_and_nothing_else() {
        let answered = || (0..28_198).map(|number| (number * 2, true));
        let retries = |from: u64| (0..5_000_u64).map(move |number| (from + number / 3, false));
        let at_the_end = ledger(answered().chain(retries(59_400)));
        assert_eq!(ENDED.unanswered(&at_the_end), None, "5000 of 33198, at a port where nobody is");
        assert!(LIVES.unanswered(&at_the_end).is_some_and(|found| found.ends_with(": 5000")));
        assert_eq!(LIVES.unanswered(&ledger(answered())), None);
        let hangs = ledger(answered().chain(retries(20_000)));
        assert!(ENDED.unanswered(&hangs).is_some_and(|found| found.ends_with(": 5000")));
        assert!(LIVES.unanswered(&ledger([(59_990, false)].into_iter())).is_some(), "one is too many");
    }

    #[test]
    fn a_stream_that_does_not_work_is_told() {
        let streamed = |messages, ended: Option<u64>| {
            let ended = ended.map(|millis| (Duration::from_millis(millis), "gone".to_owned()));
            Streamed { messages, ended, ..Streamed::default() }
        };
        assert!(ENDED.stalled(&streamed(545, Some(59_510))).is_empty(), "killed");
        assert!(ENDED.stalled(&streamed(582, Some(59_800))).is_empty(), "stopped");
        assert!(LIVES.stalled(&streamed(590, None)).is_empty());
        assert_eq!(LIVES.stalled(&streamed(590, Some(59_900))).len(), 1, "nobody ended it");
        assert_eq!(ENDED.stalled(&streamed(400, Some(40_000))).len(), 1, "it ended before the server");
        assert_eq!(LIVES.stalled(&streamed(100, None)).len(), 1, "it hardly went on");
        assert_eq!(ENDED.stalled(&streamed(0, Some(59_510))).len(), 1, "it never worked");
    }

    #[tokio::test]
    async fn a_stream_that_is_not_opened_says_so() {
        // No server listens there.
        let client = stockade_client::Client::connect_lazy("http://127.0.0.1:1").expect("an endpoint");
        let (random, watch) = (fastrand::Rng::with_seed(1), Stopwatch::start());
        let streamed = stream::run(client, "stream".to_owned(), (watch, LIVES.length), random).await;
        assert!(streamed.ended.is_some(), "{streamed:?}");
        assert_eq!((LIVES.stalled(&streamed).len(), ENDED.stalled(&streamed).len()), (2, 2), "{streamed:?}");
    }
}

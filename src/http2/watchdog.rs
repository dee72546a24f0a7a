//! Looks at a connection every now and then, and says when it is to be ended.

use std::time::Duration;

use super::exchange::TAKE_TIMEOUT;
use super::guarded::Seen;

/// How often a connection is looked at.
pub(super) const PERIOD: Duration = Duration::from_secs(2);
/// A peer that has begun a frame or a block of headers goes on within this time,
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// by at least as many bytes.
const PIECE_BYTES: u64 = 256;
/// A connection without a call and without a byte for so long is told to go.
const IDLE_TIMEOUT: Duration = Duration::from_mins(15);
/// A silent peer is asked after so long whether it still lives,
const ASK_AFTER: Duration = Duration::from_secs(30);
/// and given up if it is silent for so long more.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// It is silent: ask whether anyone is there.
    Ask,
    /// It has been idle for long: tell it to go.
    Idle,
    /// It has begun something and does not go on, or takes nothing: end it.
    Stuck,
    /// Nobody is there.
    Dead,
}

/// What was seen before.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    last: Seen,
    /// For how long nothing has been read,
    silent: Duration,
    /// no call has begun and none has been in flight,
    idle: Duration,
    /// nothing could be written,
    blocked: Duration,
    /// and the peer has been in the middle of something.
    in_pieces: Duration,
    /// How much had been read when that began.
    pieces_from: u64,
}

impl Watchdog {
    /// One [`PERIOD`] later.
    pub(super) fn look(&mut self, seen: Seen, calls: usize) -> Verdict {
        let grown = |so_far: Duration, still: bool| if still { so_far.saturating_add(PERIOD) } else { Duration::ZERO };
        self.silent = grown(self.silent, seen.read == self.last.read);
        self.idle = grown(self.idle, calls == 0 && seen.requests == self.last.requests);
        self.blocked = grown(self.blocked, seen.write_blocked && seen.written == self.last.written);
        let goes_on = seen.read.saturating_sub(self.pieces_from) >= PIECE_BYTES;
        self.in_pieces = grown(self.in_pieces, seen.in_pieces && !goes_on);
        if self.in_pieces.is_zero() {
            self.pieces_from = seen.read;
        }
        self.last = seen;
        if self.blocked >= TAKE_TIMEOUT || self.in_pieces > PIECE_TIMEOUT {
            Verdict::Stuck
        } else if self.silent >= ASK_AFTER.saturating_add(ANSWER_WITHIN) {
            Verdict::Dead
        } else if self.idle >= IDLE_TIMEOUT {
            Verdict::Idle
        } else if self.silent >= ASK_AFTER {
            Verdict::Ask
        } else {
            Verdict::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks until there is another verdict than these, and says after how long.
    fn until(mut seen: impl FnMut(u64) -> Seen, calls: usize, fine: &[Verdict]) -> (Duration, Verdict) {
        let mut watchdog = Watchdog::default();
        let mut passed = Duration::ZERO;
        for look in 0..10_000 {
            passed += PERIOD;
            let verdict = watchdog.look(seen(look), calls);
            if !fine.contains(&verdict) {
                return (passed, verdict);
            }
        }
        (passed, Verdict::Fine)
    }

    #[test]
    fn a_peer_that_takes_nothing_is_ended() {
        let seen = |look| Seen { read: look, written: 7, write_blocked: true, ..Seen::default() };
        assert_eq!(until(seen, 1, &[Verdict::Fine]), (Duration::from_secs(18), Verdict::Stuck));
        let slow = |look| Seen { read: look, written: look, write_blocked: true, ..Seen::default() };
        assert_eq!(until(slow, 1, &[Verdict::Fine]).1, Verdict::Fine);
    }

    #[test]
    fn a_peer_in_the_middle_of_something_goes_on_or_is_ended() {
        let drip = |look| Seen { read: 2 * look, in_pieces: true, ..Seen::default() };
        assert_eq!(until(drip, 1, &[Verdict::Fine]), (Duration::from_secs(12), Verdict::Stuck));
        let upload = |look| Seen { read: PIECE_BYTES * look, in_pieces: true, ..Seen::default() };
        assert_eq!(until(upload, 1, &[Verdict::Fine]).1, Verdict::Fine);
    }

    #[test]
    fn a_silent_peer_is_asked_and_one_that_does_not_answer_is_dead() {
        let seen = |_| Seen::default();
        assert_eq!(until(seen, 1, &[Verdict::Fine]), (Duration::from_secs(30), Verdict::Ask));
        assert_eq!(until(seen, 1, &[Verdict::Fine, Verdict::Ask]), (Duration::from_secs(40), Verdict::Dead));
    }

    #[test]
    fn a_peer_that_calls_nothing_is_told_to_go_though_it_answers_pings() {
        let pongs = |look| Seen { read: look / 10, ..Seen::default() };
        assert_eq!(until(pongs, 0, &[Verdict::Fine, Verdict::Ask]), (IDLE_TIMEOUT, Verdict::Idle));
        assert_eq!(until(pongs, 1, &[Verdict::Fine, Verdict::Ask]).1, Verdict::Fine);
    }
}

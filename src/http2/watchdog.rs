//! Checks a connection periodically, and says when it must end.

use std::time::Duration;

use super::exchange::TAKE_TIMEOUT;
use super::guarded::Seen;

/// How often a connection is checked.
pub(super) const PERIOD: Duration = Duration::from_secs(2);
/// A peer that has begun a frame or a block of headers must continue within this time,
const PIECE_TIMEOUT: Duration = Duration::from_secs(10);
/// by at least this many bytes.
const PIECE_BYTES: u64 = 256;
/// A connection without a call for this long is asked to close.
const IDLE_TIMEOUT: Duration = Duration::from_mins(15);
/// A peer that is silent for this long is pinged,
const ASK_AFTER: Duration = Duration::from_secs(30);
/// and given up if it is silent for this much longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Liveness {
    /// Nothing.
    Fine,
    /// It is silent: ping it.
    Ask,
    /// It has been idle for long: ask it to close.
    Idle,
    /// It does not continue what it has begun, or does not read: end it.
    Stuck,
    /// It did not answer the ping.
    Dead,
}

/// What the earlier checks saw.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    last: Seen,
    /// How long nothing has been read,
    silent: Duration,
    /// no call has begun and none has been in flight,
    idle: Duration,
    /// nothing could be written,
    blocked: Duration,
    /// and how long the peer has been in the middle of something.
    in_pieces: Duration,
    /// How many bytes had been read when that began.
    pieces_from: u64,
}

impl Watchdog {
    /// Checks the connection, one [`PERIOD`] after the last check.
    pub(super) fn check(&mut self, seen: Seen, calls: usize) -> Liveness {
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
            Liveness::Stuck
        } else if self.silent >= ASK_AFTER.saturating_add(ANSWER_WITHIN) {
            Liveness::Dead
        } else if self.idle >= IDLE_TIMEOUT {
            Liveness::Idle
        } else if self.silent >= ASK_AFTER {
            Liveness::Ask
        } else {
            Liveness::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks until the verdict is none of these. Returns the time and the verdict.
    fn until(mut seen: impl FnMut(u64) -> Seen, calls: usize, fine: &[Liveness]) -> (Duration, Liveness) {
        let mut watchdog = Watchdog::default();
        let mut passed = Duration::ZERO;
        for look in 0..10_000 {
            passed += PERIOD;
            let liveness = watchdog.check(seen(look), calls);
            if !fine.contains(&liveness) {
                return (passed, liveness);
            }
        }
        (passed, Liveness::Fine)
    }

    #[test]
    fn a_peer_that_takes_nothing_is_ended() {
        let seen = |look| Seen { read: look, written: 7, write_blocked: true, ..Seen::default() };
        assert_eq!(until(seen, 1, &[Liveness::Fine]), (Duration::from_secs(18), Liveness::Stuck));
        let slow = |look| Seen { read: look, written: look, write_blocked: true, ..Seen::default() };
        assert_eq!(until(slow, 1, &[Liveness::Fine]).1, Liveness::Fine);
    }

    #[test]
    fn a_peer_in_the_middle_of_something_goes_on_or_is_ended() {
        let drip = |look| Seen { read: 2 * look, in_pieces: true, ..Seen::default() };
        assert_eq!(until(drip, 1, &[Liveness::Fine]), (Duration::from_secs(12), Liveness::Stuck));
        let upload = |look| Seen { read: PIECE_BYTES * look, in_pieces: true, ..Seen::default() };
        assert_eq!(until(upload, 1, &[Liveness::Fine]).1, Liveness::Fine);
    }

    #[test]
    fn a_silent_peer_is_asked_and_one_that_does_not_answer_is_dead() {
        let seen = |_| Seen::default();
        assert_eq!(until(seen, 1, &[Liveness::Fine]), (Duration::from_secs(30), Liveness::Ask));
        assert_eq!(until(seen, 1, &[Liveness::Fine, Liveness::Ask]), (Duration::from_secs(40), Liveness::Dead));
    }

    #[test]
    fn a_peer_that_calls_nothing_is_told_to_go_though_it_answers_pings() {
        let pongs = |look| Seen { read: look / 10, ..Seen::default() };
        assert_eq!(until(pongs, 0, &[Liveness::Fine, Liveness::Ask]), (IDLE_TIMEOUT, Liveness::Idle));
        assert_eq!(until(pongs, 1, &[Liveness::Fine, Liveness::Ask]).1, Liveness::Fine);
    }
}

//! How fast connections are accepted. A burst is accepted at once. A flood is accepted at a rate that leaves the
//! workers time for calls; connections beyond the rate wait in the socket's backlog.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Connections that are accepted at once after a second without any: as many as the backlog holds.
const AT_ONCE: u32 = super::sockets::BACKLOG;
/// After that, one connection in this time: 4,000 a second. A connection costs a core 50 µs, mostly for its HTTP/2
/// greeting, so the rate takes a fifth of a core.
const EARNED_IN: Duration = Duration::from_micros(250);
/// How long to wait before the next try; several connections may be due then.
const WAIT: Duration = Duration::from_millis(2);

/// How many connections may be accepted now.
#[derive(Debug)]
pub(super) struct AcceptRate {
    left: u32,
    /// The time up to which they were counted.
    at: Instant,
}

impl AcceptRate {
    /// A full allowance, from now on.
    pub(super) fn new() -> Self {
        Self { left: AT_ONCE, at: Instant::now() }
    }

    /// Waits until one more connection may be accepted.
    pub(super) async fn one_more(&mut self) {
        while !self.take(Instant::now()) {
            sleep(WAIT).await;
        }
    }

    /// Whether one more may be accepted at this instant.
    fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.at).as_micros() / EARNED_IN.as_micros();
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(AT_ONCE);
            self.left = self.left.saturating_add(earned).min(AT_ONCE);
            self.at = now;
        }
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are accepted at this instant.
    fn taken(rate: &mut AcceptRate, now: Instant) -> u32 {
        std::iter::repeat_with(|| rate.take(now)).take_while(|taken| *taken).map(u32::from).sum()
    }

    #[test]
    fn a_herd_is_accepted_at_once_and_a_flood_at_its_rate() {
        let mut rate = AcceptRate::new();
        let begun = rate.at;
        let after = |millis| begun + Duration::from_millis(millis);
        assert_eq!(taken(&mut rate, begun), AT_ONCE);
        assert_eq!((taken(&mut rate, after(1)), taken(&mut rate, after(1))), (4, 0));
        let flood: u32 = (2..=1_000).map(|millis| taken(&mut rate, after(millis))).sum();
        assert_eq!(flood, 4 * 999);
        assert_eq!(taken(&mut rate, after(61_000)), AT_ONCE, "no more after a minute");
        rate.take(after(62_000));
        assert_eq!(taken(&mut rate, after(70_000)), AT_ONCE, "nor where some were left before");
    }
}

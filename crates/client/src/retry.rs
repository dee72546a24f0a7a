//! Whether and when a call is retried. Only this module judges statuses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::Retry;

/// The delay that the server requests, in milliseconds; any other value means that the call must not be retried.
const PUSHBACK: &str = "grpc-retry-pushback-ms";
/// The cost of a retry.
const RETRY: u64 = 100;

/// When calls are retried, and the budget for that. Shared by all callers of a client.
#[derive(Debug)]
pub(super) struct Policy {
    retry: Retry,
    /// In hundredths of retries.
    left: AtomicU64,
}

impl Policy {
    pub(super) fn new(retry: Retry) -> Self {
        let left = AtomicU64::new(u64::from(retry.reserve).saturating_mul(RETRY));
        Self { retry, left }
    }

    /// Most attempts of a call.
    pub(super) fn attempts(&self) -> u32 {
        self.retry.attempts.max(1)
    }

    /// The longest delay of the client's own.
    pub(super) const fn longest_delay(&self) -> Duration {
        self.retry.longest_delay
    }

    /// Adds to the budget for a call that is made for the first time.
    pub(super) fn earn(&self) {
        let most = u64::from(self.retry.reserve).saturating_mul(RETRY).max(RETRY);
        let more = |left: u64| (left < most).then(|| left.saturating_add(self.retry.percent.into()).min(most));
        // Relaxed: the amount guards no other data. A full budget is left as it is.
        let _full: Result<u64, u64> = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Takes one retry from the budget. False if it has none.
    pub(super) fn spend(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(RETRY)).is_ok()
    }

    /// How long to wait after this many failures in a row, the last with this status; `None` if it is final.
    pub(super) fn delay(&self, status: &Status, failures: u32) -> Option<Duration> {
        let passes = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
        // A bound of the server lasts until something changes; the server may know when that is.
        let may_pass = passes || status.code() == Code::ResourceExhausted;
        let pushback = match Pushback::by(status) {
            Pushback::After(delay) if may_pass => Some(delay),
            Pushback::Nothing if passes => None,
            Pushback::Nothing | Pushback::After(_) | Pushback::Never => return None,
        };
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        let own = self.retry.shortest_delay.saturating_mul(doubled).min(self.retry.longest_delay);
        let half = own / 2;
        // Never earlier than the server requests, and with a random part, so that callers do not all return at once.
        Some(pushback.unwrap_or(half).saturating_add(up_to(half)))
    }
}

/// What the server says about a retry.
enum Pushback {
    Nothing,
    After(Duration),
    Never,
}

impl Pushback {
    fn by(status: &Status) -> Self {
        if let Some(pushback) = status.metadata().get(PUSHBACK) {
            let millis = pushback.to_str().ok().and_then(|text| text.parse().ok());
            return millis.map_or(Self::Never, |millis| Self::After(Duration::from_millis(millis)));
        }
        let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        delay.map_or(Self::Nothing, Self::After)
    }
}

/// A random part of a span.
fn up_to(span: Duration) -> Duration {
    let most = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
    // Without random numbers it is the whole span.
    getrandom::u64().map_or(span, |random| Duration::from_nanos(random.checked_rem(most).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;
    use tonic_types::ErrorDetails;

    use super::*;

    fn policy(reserve: u32, percent: u32) -> Policy {
        Policy::new(Retry { reserve, percent, ..Retry::default() })
    }

    fn pushed_back(text: &'static str) -> Status {
        let mut status = Status::unavailable("busy");
        status.metadata_mut().insert(PUSHBACK, text.parse().expect("a value"));
        status
    }

    #[test]
    fn only_what_may_change_is_sent_again() {
        let policy = policy(1, 0);
        let again = |status: Status| policy.delay(&status, 1).is_some();
        assert!(again(Status::unavailable("")) && again(Status::deadline_exceeded("")));
        for code in (0..17).map(Code::from).filter(|code| !matches!(code, Code::Unavailable | Code::DeadlineExceeded)) {
            assert!(!again(Status::new(code, "")), "{code:?}");
        }
        let details = |delay| ErrorDetails::with_retry_info(delay);
        let pushback =
            |code, delay| Status::with_error_details_and_metadata(code, "", details(delay), MetadataMap::new());
        assert!(again(pushback(Code::ResourceExhausted, Some(Duration::from_millis(5)))));
        assert!(!again(pushback(Code::ResourceExhausted, None)));
        assert!(!again(pushback(Code::Internal, Some(Duration::from_millis(5)))));
    }

    #[test]
    fn a_servers_delay_is_kept_to() {
        let policy = policy(1, 0);
        for _ in 0..100 {
            let delay = policy.delay(&pushed_back("700"), 1).expect("again");
            assert!((700..=725).contains(&delay.as_millis()), "{delay:?}");
        }
        assert_eq!(policy.delay(&pushed_back("-1"), 1), None, "never");
        assert_eq!(policy.delay(&pushed_back("soon"), 1), None, "never, as the specification has it");
    }

    #[test]
    fn delays_double_up_to_the_longest_and_differ() {
        let policy = policy(1, 0);
        let delays = |failures| -> Vec<Duration> {
            (0..50).map(|_| policy.delay(&Status::unavailable(""), failures).expect("again")).collect()
        };
        for (failures, most) in [(1, 50), (2, 100), (3, 200), (6, 1_600), (7, 2_000), (1_000_000, 2_000)] {
            let delays = delays(failures);
            assert!(
                delays.iter().all(|delay| (most / 2..=most).contains(&delay.as_millis())),
                "{failures}: {delays:?}"
            );
            assert!(delays.windows(2).any(|two| two[0] != two[1]), "no jitter");
        }
    }

    #[test]
    fn retries_are_paid_by_calls() {
        let policy = policy(2, 25);
        assert!(policy.spend() && policy.spend() && !policy.spend(), "the reserve");
        for _ in 0..3 {
            policy.earn();
        }
        assert!(!policy.spend(), "three calls are not enough");
        policy.earn();
        assert!(policy.spend() && !policy.spend(), "four are");
        for _ in 0..1_000 {
            policy.earn();
        }
        assert!(policy.spend() && policy.spend() && !policy.spend(), "no more than the reserve is kept");
    }
}

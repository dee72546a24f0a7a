//! When a failed delivery is tried again.

use stockade_types::time::Millis;

/// The longest wait before each of the first retries; after them it is [`HOURLY`].
const SCHEDULE: [Millis; 5] = [
    Millis::from_secs(5),
    Millis::from_secs(30),
    Millis::from_secs(2 * 60),
    Millis::from_secs(10 * 60),
    Millis::from_secs(30 * 60),
];
/// The longest wait before each later retry.
const HOURLY: Millis = Millis::from_secs(60 * 60);

/// How long to wait after this many failures, the first of them being 1. Full jitter: `random`, a number drawn evenly
/// from all of its type, picks the wait between nothing and the longest one.
#[must_use]
pub fn wait(failures: u32, random: u32) -> Millis {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let longest = SCHEDULE.get(place).copied().unwrap_or(HOURLY);
    // Below 2^54, since the longest is below 2^22 ms.
    Millis(longest.0.saturating_mul(u64::from(random)) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_are_spread_from_nothing_to_the_longest() {
        let longest = [5, 30, 120, 600, 1_800, 3_600, 3_600];
        for (failures, seconds) in (1..).zip(longest) {
            assert_eq!(wait(failures, 0), Millis(0));
            assert_eq!(wait(failures, 1 << 31), Millis(seconds * 500));
            assert_eq!(wait(failures, u32::MAX), Millis(seconds * 1_000 - 1));
        }
        assert_eq!(wait(u32::MAX, 1 << 31), Millis(1_800_000));
    }
}

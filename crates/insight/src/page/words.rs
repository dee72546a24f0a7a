//! Figures as people read them.

use stockade_types::time::{Millis, Timestamp};

/// An instant in UTC, to the second.
pub(super) fn instant(at: Timestamp) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{} UTC", seconds.replace('T', " ")),
        None => text,
    }
}

/// A span: `850 ms`, `12.5 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn span(Millis(millis): Millis) -> String {
    let two = |large: u64, unit: &str, small: u64, below: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {below}"),
    };
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{}.{} s", seconds, millis % 1_000 / 100),
        60..3_600 => two(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        86_400.. => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// Basis points as percent.
pub(super) fn percent(points: i64) -> String {
    let sign = if points < 0 { "-" } else { "" };
    format!("{sign}{}.{:02} %", points.unsigned_abs() / 100, points.unsigned_abs() % 100)
}

/// A count with its thousands apart.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && place % 3 == first {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let counts = [0, 999, 1_000, 12_345, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "12,345", "1,234,567"]);
        let spans = [0, 850, 12_540, 60_000, 200_000, 7_500_000, 273_600_000].map(|millis| span(Millis(millis)));
        assert_eq!(spans, ["0 ms", "850 ms", "12.5 s", "1 min", "3 min 20 s", "2 h 5 min", "3 d 4 h"]);
        assert_eq!([percent(5), percent(10_000), percent(-1_234)], ["0.05 %", "100.00 %", "-12.34 %"]);
        assert_eq!(instant(Timestamp(1_796_403_600_123)), "2026-12-04 17:00:00 UTC");
    }
}

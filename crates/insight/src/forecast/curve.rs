//! How demand comes in after an opening: which part of the first hour's demand has come by the end of each minute, up to a
//! day. The mean of past drops, each with the same weight.

use crate::number::{count, float};

/// Minutes of the first hour, and of a day.
const HOUR: usize = 60;
pub(super) const DAY: usize = 1_440;

/// Parts of the first hour's demand that have come by the end of each minute, as far as known.
#[derive(Debug, Clone, Default)]
pub(super) struct Curve(Vec<f64>);

impl Curve {
    /// From the requests by minute of past drops, each as long as it was open and counted. Drops of less than an hour, or
    /// without requests in it, say nothing.
    pub(super) fn of<'a>(drops: impl Iterator<Item = &'a [u64]>) -> Self {
        let mut sums: Vec<(f64, f64)> = Vec::new();
        for minutes in drops {
            let first: u64 = minutes.iter().take(HOUR).fold(0, |sum, minute| sum.saturating_add(*minute));
            if minutes.len() < HOUR || first == 0 {
                continue;
            }
            sums.resize(sums.len().max(minutes.len().min(DAY)), (0.0, 0.0));
            let mut come: u64 = 0;
            for (sum, minute) in sums.iter_mut().zip(minutes) {
                come = come.saturating_add(*minute);
                *sum = (sum.0 + float(come) / float(first), sum.1 + 1.0);
            }
        }
        // Later minutes are known of fewer drops; what has come stays.
        let mut highest: f64 = 0.0;
        let parts = sums.into_iter().map(|(sum, drops)| {
            highest = highest.max(sum / drops);
            highest
        });
        Self(parts.collect())
    }

    /// Which part of the first hour's demand comes within its first `minutes`: by the clock where nothing is known.
    pub(super) fn part_within(&self, minutes: f64) -> f64 {
        if minutes >= 60.0 {
            return 1.0;
        }
        if self.0.is_empty() {
            return minutes / 60.0;
        }
        self.come_by(minutes)
    }

    /// How often the first hour's demand comes within a day, as far as known.
    pub(super) fn whole(&self) -> Option<f64> {
        self.0.last().copied()
    }

    /// Seconds after the opening at which this many times the first hour's demand has come; nothing where that is not
    /// within what is known.
    pub(super) fn reached(&self, part: f64) -> Option<u64> {
        let minute = self.0.iter().position(|come| *come >= part)?;
        let before = minute.checked_sub(1).and_then(|minute| self.0.get(minute)).copied().unwrap_or(0.0);
        let grown = self.0.get(minute).copied()? - before;
        let within = if grown > 0.0 { ((part - before) / grown).clamp(0.0, 1.0) } else { 0.0 };
        Some(count((float(u64::try_from(minute).ok()?) + within) * 60.0).max(1))
    }

    fn come_by(&self, minutes: f64) -> f64 {
        let full = usize::try_from(count(minutes.floor())).unwrap_or(DAY);
        let at = |minute: usize| minute.checked_sub(1).and_then(|last| self.0.get(last)).copied().unwrap_or(0.0);
        let (before, behind) = (at(full), at(full.saturating_add(1)));
        before + (behind - before).max(0.0) * minutes.fract()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of the hour's demand in the first five minutes, and two requests a minute behind the first hour.
    fn drop() -> Vec<u64> {
        (0..180)
            .map(|minute| {
                if minute < 5 {
                    110
                } else if minute < 60 {
                    10
                } else {
                    2
                }
            })
            .collect()
    }

    #[test]
    fn a_stock_is_sold_out_when_its_part_has_come() {
        let drops = [drop(), drop(), vec![7; 30]];
        let curve = Curve::of(drops.iter().map(Vec::as_slice));
        assert_eq!(curve.reached(0.5), Some(300));
        assert_eq!(curve.reached(0.25), Some(150));
        assert_eq!(curve.reached(1.05), Some(5_250));
        assert_eq!(curve.reached(2.0), None, "known for three hours only");
        assert!((curve.part_within(5.0) - 0.5).abs() < 1e-9);
        assert!((curve.part_within(2.5) - 0.25).abs() < 1e-9);
        assert!((curve.whole().expect("known") - 1_340.0 / 1_100.0).abs() < 1e-9, "{curve:?}");
    }

    #[test]
    fn without_drops_nothing_is_known_but_the_clock() {
        let curve = Curve::of([[0_u64; 100].as_slice()].into_iter());
        assert_eq!(curve.reached(0.1), None);
        assert!((curve.part_within(30.0) - 0.5).abs() < 1e-9);
        assert!(curve.whole().is_none());
    }
}

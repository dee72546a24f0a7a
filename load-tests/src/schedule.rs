//! When requests are sent. It is fixed before the first one: an open loop sends on time, whatever the server does.

use std::time::Duration;

use stockade_drill::numbers::{count, nanos, real, whole};

const NANOS: f64 = 1e9;

/// How arrivals are distributed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// At equal intervals.
    Constant {
        /// Arrivals a second.
        rate: f64,
    },
    /// Independent of each other, as people are.
    Poisson {
        /// Arrivals a second.
        rate: f64,
    },
    /// At a rate that rises or falls linearly.
    Ramp {
        /// The first rate, in arrivals a second.
        from: f64,
        /// The last rate.
        to: f64,
    },
    /// All at once.
    Herd {
        /// Number of arrivals.
        arrivals: u64,
    },
}

/// Arrivals for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// When it begins, from the start of the load.
    pub after: Duration,
    /// How long it lasts. A herd with a length is spread evenly over it; one without arrives at once.
    pub length: Duration,
    /// How arrivals are distributed in it.
    pub shape: Shape,
}

impl Phase {
    /// The number of arrivals; the average where it is random.
    #[must_use]
    pub fn expected(&self) -> u64 {
        let seconds = self.length.as_secs_f64();
        match self.shape {
            Shape::Constant { rate } | Shape::Poisson { rate } => whole(rate * seconds),
            Shape::Ramp { from, to } => whole(f64::midpoint(from, to) * seconds),
            Shape::Herd { arrivals } => arrivals,
        }
    }

    /// The instant of each arrival, in nanoseconds from the start of the load, ascending.
    fn arrivals(&self, random: &mut fastrand::Rng) -> Vec<u64> {
        let seconds = self.length.as_secs_f64();
        let at = |second: f64| nanos(self.after).saturating_add(whole(second * NANOS));
        match self.shape {
            Shape::Constant { rate } => (0..self.expected()).map(|n| at(real(n) / rate)).collect(),
            Shape::Poisson { rate } => {
                let mut arrivals = Vec::new();
                let mut second = 0.0;
                loop {
                    // The gaps between independent arrivals are exponential; 1 - x is never 0.
                    second += -(1.0 - random.f64()).ln() / rate;
                    if second >= seconds {
                        return arrivals;
                    }
                    arrivals.push(at(second));
                }
            }
            Shape::Ramp { from, to } => {
                let growth = (to - from) / seconds;
                (0..self.expected()).map(|n| at(ramped(from, growth, real(n)))).collect()
            }
            Shape::Herd { arrivals } => {
                let all = real(arrivals).max(1.0);
                (0..arrivals).map(|n| at(seconds * real(n) / all)).collect()
            }
        }
    }
}

/// When the n-th arrives at a rate that begins at `from` and grows by `growth` a second: t solves from t + growth t² /
/// 2 = n.
fn ramped(from: f64, growth: f64, n: f64) -> f64 {
    if growth.abs() < 1e-9 {
        return n / from;
    }
    let root = (growth.mul_add(2.0 * n, from * from)).max(0.0).sqrt();
    (root - from) / growth
}

/// The instants of all arrivals of all phases, in nanoseconds from the start of the load, ascending. They depend on the
/// seed alone.
#[must_use]
pub fn arrivals(phases: &[Phase], seed: u64) -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all: Vec<u64> = phases.iter().flat_map(|phase| phase.arrivals(&mut random)).collect();
    all.sort_unstable();
    all
}

/// When the last phase ends.
#[must_use]
pub fn length(phases: &[Phase]) -> Duration {
    phases.iter().map(|phase| phase.after.saturating_add(phase.length)).max().unwrap_or_default()
}

/// The approximate number of arrivals in all phases.
#[must_use]
pub fn expected(phases: &[Phase]) -> u64 {
    phases.iter().map(Phase::expected).fold(count(0), u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn of(shape: Shape) -> Vec<u64> {
        arrivals(&[Phase { after: Duration::from_secs(1), length: Duration::from_secs(2), shape }], 7)
    }

    #[test]
    fn constant_arrivals_are_evenly_apart_and_end_in_time() {
        let at = of(Shape::Constant { rate: 4.0 });
        let quarters: Vec<u64> = (4..12).map(|quarter| quarter * SECOND / 4).collect();
        assert_eq!(at, quarters);
    }

    #[test]
    fn poisson_arrivals_come_at_their_rate_with_exponential_gaps() {
        let at = of(Shape::Poisson { rate: 10_000.0 });
        // Within four standard deviations of 20,000.
        assert!((19_430..20_570).contains(&at.len()), "{}", at.len());
        assert!(at.iter().all(|at| (SECOND..3 * SECOND).contains(at)));
        let gaps: Vec<f64> = at.windows(2).map(|two| real(two[1] - two[0])).collect();
        let mean = gaps.iter().sum::<f64>() / real(count(gaps.len()));
        let long = gaps.iter().filter(|gap| **gap > mean).count();
        // Of exponential gaps a part of 1/e is longer than the mean; of equal ones none, of uniform ones half.
        let share = real(count(long)) / real(count(gaps.len()));
        assert!((0.35..0.39).contains(&share), "{share}");
        assert_eq!(at, of(Shape::Poisson { rate: 10_000.0 }), "the same seed gives the same");
    }

    #[test]
    fn a_ramp_has_a_quarter_of_its_arrivals_in_the_first_half() {
        let at = of(Shape::Ramp { from: 0.0, to: 100.0 });
        assert_eq!(at.len(), 100);
        assert_eq!(at.iter().filter(|at| **at < 2 * SECOND).count(), 25);
        let down = of(Shape::Ramp { from: 100.0, to: 0.0 });
        assert_eq!(down.iter().filter(|at| **at < 2 * SECOND).count(), 75);
        assert_eq!(of(Shape::Ramp { from: 4.0, to: 4.0 }), of(Shape::Constant { rate: 4.0 }));
    }

    #[test]
    fn a_herd_comes_at_once_or_within_its_time() {
        let at_once = Phase { after: Duration::ZERO, length: Duration::ZERO, shape: Shape::Herd { arrivals: 3 } };
        assert_eq!(arrivals(&[at_once], 1), [0, 0, 0]);
        assert_eq!(of(Shape::Herd { arrivals: 2 }), [SECOND, 2 * SECOND]);
    }

    #[test]
    fn phases_that_overlap_come_in_one_order() {
        let phase = |after, rate| Phase {
            after: Duration::from_secs(after),
            length: Duration::from_secs(2),
            shape: Shape::Constant { rate },
        };
        let phases = [phase(0, 1.0), phase(1, 1.0)];
        assert_eq!(arrivals(&phases, 1), [0, SECOND, SECOND, 2 * SECOND]);
        assert_eq!((length(&phases), expected(&phases)), (Duration::from_secs(3), 4));
    }
}

//! Guardrails: verdicts on measured drops, and how much stricter the next drops become.
//!
//! Pure: the drops come in with their figures, the verdicts go out. Whom they are sent to, and which drops are tightened,
//! is not decided here.

use std::cmp::Reverse;

use stockade_types::time::{Millis, Timestamp};

use crate::report::{MEASURES, Measure, Ratio};

/// Orders from which on a measure counts, where none are said.
pub const MIN_ORDERS_DEFAULT: u32 = 20;
/// After the closing, for measures of what comes afterwards, where no time is said.
pub const SETTLE_AFTERWARDS: Millis = Millis::from_secs(30 * 86_400);
/// Most guardrails of a shop or series.
pub const GUARDRAILS_MAX: usize = 32;

/// A threshold on a measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guardrail {
    /// Its name.
    pub id: String,
    /// What is measured.
    pub measure: Measure,
    /// Trips above this
    pub above: Option<i64>,
    /// or below this.
    pub below: Option<i64>,
    /// Measured from this number of orders on, in all drops that are measured together; 0 for the default.
    pub min_orders: u32,
    /// How many of the last drops are measured together; 0 for one.
    pub over_drops: u32,
    /// Measured so long after the closing; nothing for what the measure needs.
    pub settle: Option<Millis>,
    /// Measured already during the sale, and from then on.
    pub while_running: bool,
    /// What becomes stricter; nothing where it is only said.
    pub tighten: Option<Tighten>,
}

/// What happens to the next drops, at their opening. Only ever stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tighten {
    /// For how many openings; 0 for one.
    pub drops: u32,
    /// Limits, of what they are; 0 for 100.
    pub limits_percent: u32,
    /// Times of holds, of what they are; 0 for 100.
    pub hold_ttl_percent: u32,
    /// Opens paused.
    pub pause: bool,
}

/// A drop with what was measured of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredDrop {
    /// Its id.
    pub drop_id: String,
    /// When it was closed; nothing while it runs.
    pub closed_at: Option<Timestamp>,
    /// Its orders.
    pub orders: u64,
    /// Its measures, in the order of their numbers; nothing where one is not known.
    pub ratios: [Option<Ratio>; MEASURES.len()],
}

/// The state of a finding, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingState {
    /// Within its thresholds.
    Ok,
    /// Too few orders to say, or nothing known.
    TooFew,
    /// A drop has not settled yet.
    Pending,
    /// Beyond a threshold.
    Tripped,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The guardrail's id.
    pub guardrail: String,
    /// What it measures.
    pub measure: Measure,
    /// The verdict.
    pub state: FindingState,
    /// What was measured, in the measure's unit.
    pub value: Option<i64>,
    /// For people.
    pub message: String,
    /// Drops that were tightened because of it; filled in by who tightens.
    pub tightened_drops: Vec<String>,
}

/// Judges the last drop of the list, with those before it as far as a guardrail measures several together. The list is in
/// the order of openings. Worst first: tripped ones by how far, then by state, then as they were given.
#[must_use]
pub fn findings(guardrails: &[Guardrail], drops: &[MeasuredDrop], now: Timestamp) -> Vec<Finding> {
    let mut judged: Vec<(Finding, u64)> = guardrails.iter().map(|guardrail| guardrail.judge(drops, now)).collect();
    judged.sort_by_key(|(finding, beyond)| (Reverse(finding.state), Reverse(*beyond)));
    judged.into_iter().map(|(finding, _)| finding).collect()
}

/// What all tripped guardrails together ask for: of each the strictest. Nothing where none tripped or none tightens.
#[must_use]
pub fn tightening(guardrails: &[Guardrail], findings: &[Finding]) -> Option<Tighten> {
    let is_tripped = |guardrail: &&Guardrail| {
        findings.iter().any(|found| found.state == FindingState::Tripped && found.guardrail == guardrail.id)
    };
    Tighten::strictest(guardrails.iter().filter(is_tripped).filter_map(|guardrail| guardrail.tighten))
}

impl Tighten {
    /// With its defaults in place of zeros, and never looser than the drop itself.
    #[must_use]
    pub fn effective(self) -> Self {
        let percent = |percent: u32| if percent == 0 { 100 } else { percent.min(100) };
        Self {
            drops: self.drops.max(1),
            limits_percent: percent(self.limits_percent),
            hold_ttl_percent: percent(self.hold_ttl_percent),
            pause: self.pause,
        }
    }

    /// The strictest of several: the smallest percentages, the most openings, paused if one pauses.
    #[must_use]
    pub fn strictest(several: impl Iterator<Item = Self>) -> Option<Self> {
        several.map(Self::effective).reduce(|one, other| Self {
            drops: one.drops.max(other.drops),
            limits_percent: one.limits_percent.min(other.limits_percent),
            hold_ttl_percent: one.hold_ttl_percent.min(other.hold_ttl_percent),
            pause: one.pause || other.pause,
        })
    }
}

impl Guardrail {
    /// How long after the closing it is measured.
    #[must_use]
    pub fn settle(&self) -> Millis {
        let default = if self.measure.is_of_the_sale() { Millis(0) } else { SETTLE_AFTERWARDS };
        self.settle.unwrap_or(default)
    }

    /// The verdict, and how far beyond a threshold the value is, in parts of a thousand of the threshold.
    fn judge(&self, drops: &[MeasuredDrop], now: Timestamp) -> (Finding, u64) {
        let many = usize::try_from(self.over_drops.max(1)).unwrap_or(usize::MAX);
        let together = drops.get(drops.len().saturating_sub(many)..).unwrap_or_default();
        let value = pooled(self.measure, together).and_then(|ratio| self.measure.value(ratio));
        let orders = together.iter().fold(0, |sum: u64, drop| sum.saturating_add(drop.orders));
        let needed = if self.min_orders == 0 { MIN_ORDERS_DEFAULT } else { self.min_orders };
        let settles_at = together.iter().map(|drop| self.settles_at(drop)).max().unwrap_or(Timestamp::NEVER);
        let name = self.measure.in_words();
        let (state, value, message) = if settles_at > now {
            let until = if settles_at == Timestamp::NEVER {
                "once it has closed".to_owned()
            } else {
                format!("from {settles_at} on")
            };
            (FindingState::Pending, None, format!("{name}: measured {until}"))
        } else if orders < u64::from(needed) {
            (FindingState::TooFew, value, format!("{name}: {orders} orders, measured from {needed} on"))
        } else if let Some(value) = value {
            let (state, said) = self.compare(value);
            (state, Some(value), format!("{name}: {}, {said}{}", self.measure.shown(value), of_several(together)))
        } else {
            (FindingState::TooFew, None, format!("{name}: not known"))
        };
        let beyond = value.filter(|_| state == FindingState::Tripped).map_or(0, |value| self.beyond(value));
        let (guardrail, measure) = (self.id.clone(), self.measure);
        (Finding { guardrail, measure, state, value, message, tightened_drops: Vec::new() }, beyond)
    }

    /// When a drop can be measured.
    fn settles_at(&self, drop: &MeasuredDrop) -> Timestamp {
        match drop.closed_at {
            _ if self.while_running => Timestamp(0),
            None => Timestamp::NEVER,
            Some(closed_at) => closed_at.plus(self.settle()),
        }
    }

    fn compare(&self, value: i64) -> (FindingState, String) {
        let shown = |threshold: i64| self.measure.shown(threshold);
        match (self.above, self.below) {
            (Some(above), _) if value > above => (FindingState::Tripped, format!("above {}", shown(above))),
            (_, Some(below)) if value < below => (FindingState::Tripped, format!("below {}", shown(below))),
            (Some(above), Some(below)) => (FindingState::Ok, format!("between {} and {}", shown(below), shown(above))),
            (Some(above), None) => (FindingState::Ok, format!("not above {}", shown(above))),
            (None, Some(below)) => (FindingState::Ok, format!("not below {}", shown(below))),
            (None, None) => (FindingState::Ok, "without a threshold".to_owned()),
        }
    }

    fn beyond(&self, value: i64) -> u64 {
        let thresholds = [self.above.filter(|above| value > *above), self.below.filter(|below| value < *below)];
        let beyond = |threshold: i64| value.abs_diff(threshold).saturating_mul(1_000) / threshold.unsigned_abs().max(1);
        thresholds.into_iter().flatten().map(beyond).max().unwrap_or(0)
    }
}

/// A measure of several drops together: sums of parts by sums of wholes. Drops of which it is not known do not count.
fn pooled(measure: Measure, drops: &[MeasuredDrop]) -> Option<Ratio> {
    let place = MEASURES.iter().position(|one| *one == measure)?;
    let mut known = drops.iter().filter_map(|drop| drop.ratios.get(place).copied().flatten());
    let first = known.next()?;
    known.try_fold(first, Ratio::with)
}

fn of_several(drops: &[MeasuredDrop]) -> String {
    if drops.len() > 1 { format!(", over {} drops", drops.len()) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = Millis::from_secs(86_400);
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn guardrail(id: &str, measure: Measure, above: Option<i64>, below: Option<i64>) -> Guardrail {
        let id = id.to_owned();
        Guardrail {
            id,
            measure,
            above,
            below,
            min_orders: 0,
            over_drops: 0,
            settle: None,
            while_running: false,
            tighten: None,
        }
    }

    fn drop(closed_days_ago: Option<u64>, orders: u64, measures: &[(Measure, i128, u128)]) -> MeasuredDrop {
        let ratio = |measure: Measure| {
            let found = measures.iter().find(|one| one.0 == measure);
            found.map(|(_, part, whole)| Ratio { part: *part, whole: *whole })
        };
        let closed_at = closed_days_ago.map(|days| NOW.minus(Millis(days * DAY.0)));
        MeasuredDrop { drop_id: "d".to_owned(), closed_at, orders, ratios: MEASURES.map(ratio) }
    }

    fn one(guardrail: &Guardrail, drops: &[MeasuredDrop]) -> (FindingState, Option<i64>) {
        let found = findings(std::slice::from_ref(guardrail), drops, NOW);
        assert_eq!(found.len(), 1);
        (found[0].state, found[0].value)
    }

    #[test]
    fn thresholds_trip_beyond_not_at() {
        let sell_through = |part, above, below| {
            let guardrail = guardrail("g", Measure::SellThrough, above, below);
            one(&guardrail, &[drop(Some(0), 20, &[(Measure::SellThrough, part, 10_000)])])
        };
        for (part, above, below, state) in [
            (5_000, Some(5_000), None, FindingState::Ok),
            (5_001, Some(5_000), None, FindingState::Tripped),
            (5_000, None, Some(5_000), FindingState::Ok),
            (4_999, None, Some(5_000), FindingState::Tripped),
            (5_500, Some(6_000), Some(5_000), FindingState::Ok),
            (6_001, Some(6_000), Some(5_000), FindingState::Tripped),
            (4_999, Some(6_000), Some(5_000), FindingState::Tripped),
            (5_500, None, None, FindingState::Ok),
        ] {
            assert_eq!(
                sell_through(part, above, below),
                (state, i64::try_from(part).ok()),
                "{part} {above:?} {below:?}"
            );
        }
    }

    #[test]
    fn a_measure_settles_after_the_closing_and_some_are_measured_while_running() {
        let support = Measure::SupportContactRate;
        let usual = guardrail("g", support, Some(1_000), None);
        let quick = Guardrail { settle: Some(DAY), ..usual.clone() };
        let running = Guardrail { while_running: true, ..usual.clone() };
        let of_sale = guardrail("g", Measure::SellThrough, Some(1_000), None);
        let measures = [(support, 30, 100), (Measure::SellThrough, 30, 100)];
        for (closed_days_ago, states) in [
            (None, [FindingState::Pending, FindingState::Pending, FindingState::Tripped, FindingState::Pending]),
            (Some(0), [FindingState::Pending, FindingState::Pending, FindingState::Tripped, FindingState::Tripped]),
            (Some(1), [FindingState::Pending, FindingState::Tripped, FindingState::Tripped, FindingState::Tripped]),
            (Some(29), [FindingState::Pending, FindingState::Tripped, FindingState::Tripped, FindingState::Tripped]),
            (Some(30), [FindingState::Tripped, FindingState::Tripped, FindingState::Tripped, FindingState::Tripped]),
        ] {
            let found = [&usual, &quick, &running, &of_sale]
                .map(|guardrail| one(guardrail, &[drop(closed_days_ago, 100, &measures)]).0);
            assert_eq!(found, states, "{closed_days_ago:?}");
        }
        assert_eq!(one(&usual, &[]).0, FindingState::Pending, "no drop");
    }

    #[test]
    fn drops_are_measured_together_by_their_sums() {
        let returns = Measure::ReturnRate;
        // 1 of 10 and 90 of 100: 91 of 110, not the mean of 10 % and 90 %.
        let drops = [
            drop(Some(50), 900, &[(returns, 900, 900)]),
            drop(Some(40), 10, &[(returns, 1, 10)]),
            drop(Some(31), 15, &[(returns, 90, 100)]),
        ];
        let two = Guardrail { over_drops: 2, ..guardrail("g", returns, Some(8_000), None) };
        assert_eq!(one(&two, &drops), (FindingState::Tripped, Some(8_273)));
        let alone = Guardrail { over_drops: 1, ..two.clone() };
        assert_eq!(one(&alone, &drops), (FindingState::TooFew, Some(9_000)), "15 orders of 20");
        let all = Guardrail { over_drops: 9, ..two.clone() };
        assert_eq!(one(&all, &drops), (FindingState::Tripped, Some(9_812)));
        // Of one of them it is not known; one has not settled.
        let unknown = [drops[1].clone(), drop(Some(31), 15, &[])];
        assert_eq!(one(&two, &unknown), (FindingState::Ok, Some(1_000)));
        let unsettled = [drops[1].clone(), drop(Some(29), 15, &[(returns, 90, 100)])];
        assert_eq!(one(&two, &unsettled), (FindingState::Pending, None));
        assert_eq!(one(&two, &[drop(Some(31), 50, &[])]), (FindingState::TooFew, None));
    }

    #[test]
    fn nps_is_in_points_and_may_be_negative() {
        let unhappy = guardrail("nps", Measure::Nps, None, Some(0));
        let drops = |part| [drop(Some(30), 100, &[(Measure::Nps, part, 40)])];
        assert_eq!(one(&unhappy, &drops(-10)), (FindingState::Tripped, Some(-25)));
        assert_eq!(one(&unhappy, &drops(10)), (FindingState::Ok, Some(25)));
        let found = findings(&[unhappy], &drops(-10), NOW);
        assert_eq!(found[0].message, "NPS: -25, below 0");
    }

    #[test]
    fn the_worst_comes_first_and_of_two_that_tripped_the_strictest_counts() {
        let tighten = |limits_percent, hold_ttl_percent, drops, pause| {
            Some(Tighten { drops, limits_percent, hold_ttl_percent, pause })
        };
        let with = |id, measure, above, tighten| Guardrail { tighten, ..guardrail(id, measure, Some(above), None) };
        let guardrails = [
            with("fine", Measure::SellThrough, 9_900, tighten(1, 1, 9, true)),
            with("later", Measure::ChargebackRate, 100, tighten(1, 1, 9, true)),
            with("hoarders", Measure::Top1PercentShare, 2_000, tighten(50, 0, 3, false)),
            with("abandoned", Measure::AbandonmentRate, 1_000, tighten(80, 60, 0, false)),
            with("few", Measure::RepeatFraction, 1_000, None),
        ];
        let measured = [
            (Measure::SellThrough, 50, 100),
            (Measure::Top1PercentShare, 30, 100),
            (Measure::AbandonmentRate, 40, 100),
        ];
        let drops = [drop(Some(1), 100, &measured)];
        let found = findings(&guardrails, &drops, NOW);
        let order: Vec<(&str, FindingState)> = found.iter().map(|one| (one.guardrail.as_str(), one.state)).collect();
        // Abandonment is 300 % beyond its threshold, the top buyers' share 50 %.
        assert_eq!(
            order,
            [
                ("abandoned", FindingState::Tripped),
                ("hoarders", FindingState::Tripped),
                ("later", FindingState::Pending),
                ("few", FindingState::TooFew),
                ("fine", FindingState::Ok),
            ]
        );
        assert_eq!(found[0].message, "abandonment rate: 40.00 %, above 10.00 %");
        let together = Tighten { drops: 3, limits_percent: 50, hold_ttl_percent: 60, pause: false };
        assert_eq!(tightening(&guardrails, &found), Some(together));
        assert_eq!(tightening(&guardrails, &found[2..]), None);
        let loose = Tighten { drops: 0, limits_percent: 250, hold_ttl_percent: 0, pause: true };
        let strict = Tighten { drops: 1, limits_percent: 100, hold_ttl_percent: 100, pause: true };
        assert_eq!(loose.effective(), strict, "never looser than the drop");
    }
}

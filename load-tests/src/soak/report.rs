//! The result of a soak: round by round, and how memory, open files and disk use changed; as text and as JSON.

use std::fmt;
use std::path::{Path, PathBuf};

use stockade_drill::Failure;
use stockade_drill::audit::Audit;
use stockade_drill::ledger::Ledger;
use stockade_drill::numbers::{count, real};
use stockade_drill::process::Signal;
use stockade_drill::tables::{columns, row};

use super::Options;
use super::trend::{Bound, Trend, Verdict, judge, median_of_part};
use super::watch::Sample;

const MIB: f64 = 1024.0 * 1024.0;
/// Lives before which memory is not judged: until then the number of remembered ended holds still grows.
const WARM_UP_ROUNDS: usize = 3;
/// The part of a life of several rounds before which memory is not judged.
const WARM_UP_PART: f64 = 0.25;
/// Memory across restarts: one value for each life.
const ACROSS: Bound = Bound { percent_per_hour: 10.0, absolute: 8.0 * MIB, fewest: 6 };
/// Memory within one life: one value a second.
const WITHIN: Bound = Bound { percent_per_hour: 20.0, absolute: 8.0 * MIB, fewest: 60 };
/// Open files, over the whole soak.
const FILES: Bound = Bound { percent_per_hour: 50.0, absolute: 8.0, fewest: 60 };
/// The data folder, over the whole soak. The journal drops a segment only when all of its 64 MiB are covered by a
/// snapshot; until then the folder grows.
const FOLDER: Bound = Bound { percent_per_hour: 50.0, absolute: 96.0 * MIB, fewest: 60 };

/// A soak with this many seconds of load has enough samples for every measure; for memory across restarts, if it has
/// enough lives.
const TREND_SECONDS_MIN: f64 = 1_200.0;

/// One round.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Round {
    /// Its number, from 0.
    pub number: u64,
    /// How its server ended.
    pub how: &'static str,
    /// How long the server took to serve again.
    pub restart_millis: Option<u64>,
    /// Customers who got units, or may have.
    pub visits: u64,
    /// Answers that were checked.
    pub answers: u64,
    /// Requests without an answer.
    pub unanswered: u64,
    /// Holds that were listed.
    pub listed: u64,
    /// Messages of the stream.
    pub messages: u64,
    /// The findings.
    pub findings: Vec<String>,
}

/// How a server ended.
#[must_use]
pub fn reported(how: Option<Signal>) -> &'static str {
    match how {
        Some(Signal::KILL) => "killed",
        Some(_) => "stopped",
        None => "lives on",
    }
}

impl Round {
    /// Adds the findings of an audit.
    pub fn take(&mut self, audit: &Audit, ledger: &Ledger) {
        self.visits = count(ledger.visits.len());
        (self.answers, self.unanswered, self.listed) = (audit.answers, audit.unanswered, audit.listed);
        let counts = audit.counts();
        let found = counts.iter().filter(|(_, count)| *count > 0);
        self.findings.extend(found.map(|(what, count)| format!("{what}: {count}")));
        self.findings.extend(audit.findings.iter().cloned());
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, how, restart_millis, visits, answers, unanswered, listed, messages, findings } = self;
        write!(
            f,
            "round {number}: {answers} answers, {unanswered} without; {visits} with units; {messages} messages; "
        )?;
        write!(f, "{listed} holds audited; {how}")?;
        if let Some(millis) = restart_millis {
            write!(f, ", serves again after {millis} ms")?;
        }
        for finding in findings {
            write!(f, "\n  FOUND: {finding}")?;
        }
        Ok(())
    }
}

/// A whole soak.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// Seconds of load.
    pub load_seconds: f64,
    /// The seed of everything random.
    pub seed: u64,
    /// Its rounds.
    pub rounds: Vec<Round>,
    /// How memory, files and disk use changed.
    pub trends: Vec<Trend>,
    /// Measures with too few samples although the soak was long enough.
    pub unmeasured: Vec<String>,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Report {
    /// The report of these rounds and samples.
    #[must_use]
    pub fn of(options: &Options, rounds: Vec<Round>, samples: Vec<Sample>) -> Self {
        let trends = vec![
            judge("memory across restarts, at equal age", &across(&samples), ACROSS),
            judge("memory within the longest life", &within(&samples), WITHIN),
            judge("open files", &series(&samples, |sample| sample.files), FILES),
            judge("data folder", &series(&samples, |sample| sample.folder), FOLDER),
        ];
        let load_seconds = options.length.as_secs_f64();
        // The first life began without a restart.
        let restarts = rounds.iter().filter(|round| round.restart_millis.is_some()).count();
        let has_lives = restarts.saturating_add(1) >= WARM_UP_ROUNDS.saturating_add(ACROSS.fewest);
        let unmeasured = trends.iter().enumerate().filter(|(place, trend)| {
            trend.verdict == Verdict::Unjudged && load_seconds >= TREND_SECONDS_MIN && (*place > 0 || has_lives)
        });
        let unmeasured = unmeasured.map(|(_, trend)| trend.name.clone()).collect();
        Self { load_seconds, seed: options.seed, rounds, trends, unmeasured, samples }
    }

    /// Whether there are no findings, and everything was measured that the soak was long enough for.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let grows = self.trends.iter().any(|trend| trend.verdict == Verdict::Growing);
        !grows && self.unmeasured.is_empty() && self.rounds.iter().all(|round| round.findings.is_empty())
    }

    /// Writes it as text and as JSON.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let rounds: Vec<String> = self.rounds.iter().map(Round::to_string).collect();
        let text = format!("{}\n{self}\n", rounds.join("\n"));
        crate::report::write(
            folder,
            [("soak.txt".to_owned(), text), ("soak.json".to_owned(), crate::report::json(self)?)],
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["measure", "samples", "median", "an hour", "%/hour", "over all", "bound", "verdict"];
        let mut rows = vec![row(head)];
        for trend in &self.trends {
            let Trend { name, measured, median, per_hour, percent_per_hour, grown, bound, verdict } = trend;
            // Files are a number, all else is bytes.
            let unit = if bound.absolute < MIB { 1.0 } else { MIB };
            let said = match verdict {
                Verdict::Flat => "flat",
                Verdict::Growing => "GROWS",
                Verdict::Unjudged if self.unmeasured.contains(name) => "NOT MEASURED",
                Verdict::Unjudged => "too short to tell",
            };
            rows.push(vec![
                name.clone(),
                measured.to_string(),
                format!("{:.1}", median / unit),
                format!("{:.1}", per_hour / unit),
                format!("{percent_per_hour:.1}"),
                format!("{:.1}", grown / unit),
                format!("{:.0} and {:.0} %/hour", bound.absolute / unit, bound.percent_per_hour),
                said.to_owned(),
            ]);
        }
        write!(f, "{}", columns(&rows))?;
        writeln!(f, "(memory and disk in MiB; a measure grows if it exceeds both of its bounds)")?;
        let sum = |part: fn(&Round) -> u64| self.rounds.iter().map(part).fold(0, u64::saturating_add);
        let restarts = self.rounds.iter().filter(|round| round.restart_millis.is_some()).count();
        let findings = sum(|round| count(round.findings.len()));
        let (answers, unanswered) = (sum(|round| round.answers), sum(|round| round.unanswered));
        let (messages, rounds) = (sum(|round| round.messages), self.rounds.len());
        write!(
            f,
            "{rounds} rounds, {restarts} restarts, {answers} answers ({unanswered} without), {messages} messages: "
        )?;
        if self.is_clean() { f.write_str("clean") } else { write!(f, "NOT CLEAN: {findings} findings in rounds") }
    }
}

fn hours(sample: &Sample) -> f64 {
    sample.at / 3600.0
}

fn series(samples: &[Sample], of: fn(&Sample) -> u64) -> Vec<(f64, f64)> {
    samples.iter().map(|sample| (hours(sample), real(of(sample)))).collect()
}

/// The lives in order, each with its samples.
fn lives(samples: &[Sample]) -> Vec<Vec<Sample>> {
    let mut lives: Vec<Vec<Sample>> = Vec::new();
    for sample in samples {
        match lives.last_mut().filter(|life| life.first().is_some_and(|first| first.life == sample.life)) {
            Some(life) => life.push(*sample),
            None => lives.push(vec![*sample]),
        }
    }
    lives
}

/// Memory of each life at the same age: in the second half of its first load.
fn across(samples: &[Sample]) -> Vec<(f64, f64)> {
    let lives = lives(samples);
    let of_life = lives.iter().filter_map(|life| {
        // A life begins with the audit of the round before; its own load follows.
        let loaded: Vec<&Sample> =
            life.iter().skip_while(|sample| !sample.under_load).take_while(|sample| sample.under_load).collect();
        let values: Vec<f64> = loaded.iter().map(|sample| real(sample.resident)).collect();
        Some((hours(loaded.last()?), median_of_part(&values, 0.5, 1.0)?))
    });
    of_life.skip(WARM_UP_ROUNDS).collect()
}

/// Memory under load of the life with the most samples.
fn within(samples: &[Sample]) -> Vec<(f64, f64)> {
    let longest = lives(samples).into_iter().max_by_key(Vec::len).unwrap_or_default();
    let loaded: Vec<Sample> = longest.into_iter().filter(|sample| sample.under_load).collect();
    let skipped =
        stockade_drill::numbers::place(stockade_drill::numbers::whole(WARM_UP_PART * real(count(loaded.len()))));
    series(loaded.get(skipped..).unwrap_or_default(), |sample| sample.resident)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::Recipe;

    /// Lives of 50 s, and a last one of 250 s.
    fn samples(resident: impl Fn(u32, u32, u32) -> u32) -> Vec<Sample> {
        let sample = |life: u32, age: u32, at: u32| Sample {
            at: f64::from(at),
            life,
            under_load: age > 4,
            resident: u64::from(resident(life, age, at)) * 1024,
            files: 40,
            folder: 5_000_000,
        };
        let short = (0..1_000).map(|at| sample(at / 50, at % 50, at));
        short.chain((0..250).map(|age| sample(20, age, 1_000 + age))).collect()
    }

    fn report(samples: Vec<Sample>, rounds: Vec<Round>) -> Report {
        let (recipe, reports) = (Recipe::default(), PathBuf::new());
        let round = Duration::from_secs(50);
        Report::of(&Options { recipe, length: Duration::from_secs(1_250), round, seed: 1, reports }, rounds, samples)
    }

    #[test]
    fn lives_that_warm_up_are_flat() {
        let warm = report(samples(|_life, age, at| 80_000 + age.min(60) * 500 + at % 7 * 300), vec![Round::default()]);
        assert!(warm.is_clean(), "{warm}");
        assert!(warm.trends.iter().all(|trend| trend.verdict == Verdict::Flat), "{warm}");
    }

    #[test]
    fn what_grows_from_life_to_life_or_within_one_is_told() {
        let across = report(samples(|life, age, _at| 80_000 + life * 1_000 + age.min(60) * 500), Vec::new());
        assert!(!across.is_clean() && across.to_string().contains("GROWS"), "{across}");
        assert_eq!(across.trends[1].verdict, Verdict::Flat, "{across}");
        let within = report(samples(|_life, age, _at| 80_000 + age * 100), Vec::new());
        assert!(!within.is_clean(), "{within}");
        assert_eq!((within.trends[0].verdict, within.trends[1].verdict), (Verdict::Flat, Verdict::Growing), "{within}");
    }

    #[test]
    fn what_was_not_measured_in_a_long_soak_is_not_clean() {
        let restarted = Round { restart_millis: Some(50), ..Round::default() };
        let rounds = |restarts| [vec![restarted.clone(); restarts], vec![Round::default(); 5]].concat();
        let never = report(Vec::new(), rounds(20));
        assert!(!never.is_clean() && never.to_string().contains("NOT MEASURED"), "{never}");
        assert_eq!(never.unmeasured.len(), 4, "{never}");
        let whole = report(samples(|_life, _age, _at| 80_000), rounds(20));
        assert!(whole.is_clean(), "{whole}");
        // Too few lives are no fault of the measurement.
        let one_life =
            |samples: Vec<Sample>| samples.into_iter().filter(|sample| sample.life == 20).collect::<Vec<_>>();
        let few = report(one_life(samples(|_life, _age, _at| 80_000)), rounds(2));
        assert!(few.is_clean() && few.to_string().contains("too short to tell"), "{few}");
        let missed = report(one_life(samples(|_life, _age, _at| 80_000)), rounds(20));
        assert_eq!((missed.unmeasured.len(), missed.is_clean()), (1, false), "{missed}");
    }

    #[test]
    fn files_and_disk_are_judged_too_and_a_finding_is_enough() {
        let mut grown = samples(|_life, _age, _at| 80_000);
        for (number, sample) in grown.iter_mut().enumerate() {
            sample.files = 40 + u64::try_from(number / 50).expect("few");
            sample.folder = 5_000_000 + u64::try_from(number).expect("few") * 100_000;
        }
        let report_of = report(grown, Vec::new());
        let verdicts: Vec<Verdict> = report_of.trends.iter().map(|trend| trend.verdict).collect();
        assert_eq!(verdicts, [Verdict::Flat, Verdict::Flat, Verdict::Growing, Verdict::Growing], "{report_of}");
        let found = Round { findings: vec!["oversold: 1".to_owned()], ..Round::default() };
        assert!(!report(samples(|_life, _age, _at| 80_000), vec![found]).is_clean());
    }
}

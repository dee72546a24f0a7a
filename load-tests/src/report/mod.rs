//! The result of a run: as text, as JSON, and as one self-contained page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use stockade_types::time::wall_clock;

mod html;
pub mod svg;

use stockade_drill::Failure;
use stockade_drill::audit::Audit;
use stockade_drill::ledger::{Ledger, Said, Turned, reason_name};
use stockade_drill::numbers::{count, grouped, real, whole};
use stockade_drill::request::Verb;
use stockade_drill::samples::{Ending, Sample, spread};
use stockade_drill::tables::{columns, row};

use crate::rush::Rush;
use crate::samples::{Latency, Slice, rate, slices};
use crate::scenario::Scenario;

/// Slices of a run in its plots.
const SLICES: u32 = 100;
/// Points of the percentile curve for each nine.
const POINTS: u32 = 12;

/// Facts that are known before the run.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The name of the scenario's file without its extension.
    pub name: String,
    /// The factor that the scenario was scaled by.
    pub scale: f64,
    /// Whether the server was started for this run.
    pub own: bool,
}

/// The figures of one verb.
#[derive(Debug, Clone, serde::Serialize)]
pub struct VerbReport {
    /// The verb.
    pub verb: Verb,
    /// Requests answered as asked.
    pub done: u64,
    /// Refusals.
    pub refused: u64,
    /// Requests without an answer.
    pub failed: u64,
    /// Latency, from when the request was due.
    pub latency: Latency,
}

/// The figures of one crowd.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct CrowdReport {
    /// Its name.
    pub name: String,
    /// Visits that got units.
    pub held: u64,
    /// Units that they got.
    pub units: u64,
    /// Visits that bought.
    pub claimed: u64,
    /// Units that they bought.
    pub bought: u64,
    /// Visits that released their units.
    pub released: u64,
    /// Refusals.
    pub refused: u64,
}

/// A whole report.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Report {
    /// The name of the scenario's file without its extension.
    pub scenario: String,
    /// Its title.
    pub title: String,
    /// When the run was over.
    pub at: String,
    /// The factor that the scenario was scaled by.
    pub scale: f64,
    /// The seed of everything random.
    pub seed: u64,
    /// Whether the server was started for this run.
    pub own_server: bool,
    /// Whether arrivals followed a schedule; else a closed loop.
    pub open_loop: bool,
    /// Connections for reserves.
    pub connections: u16,
    /// From the first request that was due to the last answer, in seconds.
    pub took: f64,
    /// Answers a second over that time.
    pub rate: f64,
    /// All requests together.
    pub latency: Latency,
    /// Verb by verb.
    pub verbs: Vec<VerbReport>,
    /// Crowd by crowd.
    pub crowds: Vec<CrowdReport>,
    /// Units of a drop with rules, by crowd, window, pool and price.
    pub served: BTreeMap<String, u64>,
    /// Refusals by reason.
    pub refusals: BTreeMap<String, u64>,
    /// Requests without an answer, by status, including those that were sent again.
    pub failures: BTreeMap<String, u64>,
    /// Requests that were sent again after `UNAVAILABLE`.
    pub sent_again: u64,
    /// The run over time.
    pub slices: Vec<Slice>,
    /// Percentiles and milliseconds of the curve.
    pub curve: Vec<(f64, f64)>,
    /// The audit's result.
    pub audit: Audit,
}

impl Report {
    /// Computes the report of a run.
    ///
    /// # Errors
    /// Never: the bounds of the histograms are fixed.
    pub fn of(facts: Facts, rush: &Rush, ledger: &Ledger, audit: Audit) -> Result<Self, Failure> {
        let (samples, scenario) = (rush.floor.recorder.take(), &rush.scenario);
        let all = spread(&samples)?;
        let load = &scenario.load;
        let mut verbs = Vec::new();
        for verb in Verb::ALL {
            verbs.extend(verb_told(verb, &samples)?);
        }
        let (refusals, failures) = reasons(ledger);
        let Facts { name, scale, own } = facts;
        Ok(Self {
            scenario: name,
            title: scenario.title.clone(),
            at: wall_clock().to_string(),
            scale,
            seed: load.seed,
            own_server: own,
            open_loop: load.closed.is_none(),
            connections: load.connections,
            took: real(samples.iter().map(Sample::answered).max().unwrap_or(0)) / 1e6,
            rate: rate(&samples),
            latency: Latency::of(&all),
            verbs,
            crowds: crowds(scenario, ledger),
            served: served(scenario, ledger),
            refusals,
            failures,
            sent_again: rush.floor.again.get(),
            slices: slices(&samples, SLICES)?,
            curve: curve(&all),
            audit,
        })
    }

    /// The report for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let millis = |value: f64| format!("{value:.2}");
        let mut rows = vec![row(["", "done", "refused", "failed", "p50 ms", "p90", "p99", "p99.9", "p99.99", "max"])];
        for reported in &self.verbs {
            let VerbReport { verb, done, refused, failed, latency } = reported;
            let at = |wanted: f64| {
                let found = latency.percentiles.iter().find(|(percentile, _)| percentile.total_cmp(&wanted).is_eq());
                found.map_or_else(String::new, |(_, value)| millis(*value))
            };
            let mut row = vec![verb.label().to_owned(), grouped(*done), grouped(*refused), grouped(*failed)];
            row.extend([50.0, 90.0, 99.0, 99.9, 99.99].map(at));
            row.push(millis(latency.max));
            rows.push(row);
        }
        let loop_name = if self.open_loop { "open loop, from the scheduled instant" } else { "closed loop" };
        // Writing to a string never fails; the same below.
        let _written = writeln!(
            text,
            "\n{} answers in {:.1} s, {}/s; {loop_name}; scale {}",
            grouped(self.latency.measured),
            self.took,
            grouped(whole(self.rate)),
            self.scale
        );
        text.push_str(&columns(&rows));
        let mut rows = vec![row(["crowd", "held", "units", "claimed", "units", "released", "refused"])];
        for CrowdReport { name, held, units, claimed, bought, released, refused } in &self.crowds {
            let mut row = vec![name.clone()];
            row.extend([held, units, claimed, bought, released, refused].map(|value| grouped(*value)));
            rows.push(row);
        }
        let _written = write!(text, "\n{}", columns(&rows));
        for (what, units) in &self.served {
            let _written = writeln!(text, "{what}: {} units", grouped(*units));
        }
        for (what, reasons) in [("refused", &self.refusals), ("no answer", &self.failures)] {
            for (reason, counted) in reasons {
                let _written = writeln!(text, "{what}, {reason}: {}", grouped(*counted));
            }
        }
        let _written = writeln!(
            text,
            "\naudit of {} answers and {} holds",
            grouped(self.audit.answers),
            grouped(self.audit.listed)
        );
        let rows: Vec<Vec<String>> =
            self.audit.counts().iter().map(|(name, counted)| vec![(*name).to_owned(), grouped(*counted)]).collect();
        text.push_str(&columns(&rows));
        if self.audit.unanswered > 0 {
            let _written = writeln!(text, "requests without an answer: {}", grouped(self.audit.unanswered));
        }
        for finding in &self.audit.findings {
            let _written = writeln!(text, "finding: {finding}");
        }
        text.push_str(if self.audit.is_clean() { "the audit is clean" } else { "the audit is NOT clean" });
        text
    }

    /// Writes the report as text, JSON and HTML. Returns the files.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let parts = [("txt", self.text()), ("json", json(self)?), ("html", html::page(self))];
        write(folder, parts.map(|(ending, content)| (format!("{}.{ending}", self.scenario), content)))
    }
}

/// What was found, as JSON.
///
/// # Errors
/// Never: reports have texts as keys.
pub fn json(report: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(report).map_err(|_bad| Failure::Bug("a report is JSON"))
}

/// Writes files with these names and texts into a folder. Returns their paths.
///
/// # Errors
/// When a file can't be written.
pub fn write(folder: &Path, files: impl IntoIterator<Item = (String, String)>) -> Result<Vec<PathBuf>, Failure> {
    std::fs::create_dir_all(folder).map_err(Failure::file(folder))?;
    let mut written = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Failure::file(&path))?;
        written.push(path);
    }
    Ok(written)
}

/// The figures of one verb; none if it was never sent.
fn verb_told(verb: Verb, samples: &[Sample]) -> Result<Option<VerbReport>, Failure> {
    let of = || samples.iter().filter(|sample| sample.verb == verb);
    if of().next().is_none() {
        return Ok(None);
    }
    let ended = |ending| count(of().filter(|sample| sample.ending == ending).count());
    let latency = Latency::of(&spread(of())?);
    let (done, refused, failed) = (ended(Ending::Done), ended(Ending::Refused), ended(Ending::Failed));
    Ok(Some(VerbReport { verb, done, refused, failed, latency }))
}

/// Percentiles at equal distances for each nine: as many points from 90 to 99 as from 99 to 99.9.
fn curve(spread: &hdrhistogram::Histogram<u64>) -> Vec<(f64, f64)> {
    let nines = real(spread.len().max(10)).log10();
    let points = whole(nines * f64::from(POINTS)).max(1);
    (0..=points)
        .map(|point| {
            let percentile = 100.0 * (1.0 - 10.0_f64.powf(-real(point) / f64::from(POINTS)));
            (percentile, real(spread.value_at_percentile(percentile)) / 1000.0)
        })
        .collect()
}

/// Refusals by reason, and missing answers by status.
fn reasons(ledger: &Ledger) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
    let (mut refusals, mut failures) = (BTreeMap::new(), BTreeMap::new());
    let more = |counts: &mut BTreeMap<String, u64>, name: String| {
        let sum = counts.entry(name).or_default();
        *sum = sum.saturating_add(1);
    };
    let name = |reason| reason_name(reason).to_owned();
    for turned in &ledger.turned {
        more(&mut refusals, name(turned.reason));
    }
    for call in ledger.visits.iter().flat_map(|visit| &visit.calls) {
        match call.said {
            Said::Refused { reason, .. } => more(&mut refusals, name(reason)),
            Said::Unknown { code } => more(&mut failures, format!("{code:?}")),
            Said::Hold { .. } => {}
        }
    }
    (refusals, failures)
}

/// Units by the rules that served them.
fn served(scenario: &Scenario, ledger: &Ledger) -> BTreeMap<String, u64> {
    let mut served = BTreeMap::new();
    for visit in &ledger.visits {
        let crowd = scenario.crowds.get(usize::from(visit.crowd)).map_or("", |crowd| &crowd.name);
        for line in &visit.served {
            let price = line.unit_price.as_ref().map_or(0, |price| price.minor_units);
            let what = format!("{crowd}, {}, window {}, pool {}, at {price}", line.sku, line.window, line.pool);
            let sum: &mut u64 = served.entry(what).or_default();
            *sum = sum.saturating_add(u64::from(line.quantity));
        }
    }
    served
}

fn crowds(scenario: &Scenario, ledger: &Ledger) -> Vec<CrowdReport> {
    let named = |name: &str| CrowdReport { name: name.to_owned(), ..CrowdReport::default() };
    let mut reported: Vec<CrowdReport> = scenario.crowds.iter().map(|crowd| named(&crowd.name)).collect();
    for visit in &ledger.visits {
        let Some(crowd) = reported.get_mut(usize::from(visit.crowd)) else { continue };
        let granted = |verb| visit.granted(verb).is_some();
        for (fits, sum, by) in [
            (granted(Verb::Reserve), &mut crowd.held, 1),
            (granted(Verb::Reserve), &mut crowd.units, visit.units_of(None)),
            (granted(Verb::Claim), &mut crowd.claimed, 1),
            (granted(Verb::Claim), &mut crowd.bought, visit.units_of(None)),
            (granted(Verb::Release), &mut crowd.released, 1),
        ] {
            if fits {
                *sum = sum.saturating_add(by);
            }
        }
    }
    for Turned { crowd, .. } in ledger.refused() {
        if let Some(crowd) = reported.get_mut(usize::from(crowd)) {
            crowd.refused = crowd.refused.saturating_add(1);
        }
    }
    reported
}

#[cfg(test)]
mod tests;

//! Reports of drops: computed from what the engine has counted and from its holds, and recorded once a drop's sale is over.
//!
//! Nothing of it is on a request's way. Holds are walked on a thread that may block, one walk at a time: for all drops
//! whose sale is over, and for a drop that is asked for while it runs, at most every 10 s.

mod compute;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prost::Message as _;
use stockade_engine::Engine;
use stockade_engine::answer::Fault;
use stockade_engine::context::Context;
use stockade_engine::lifecycle::term::EngineHandle;
use stockade_engine::operators::measure::Measured;
use stockade_proto as pb;
use stockade_types::ids::{DropId, DropNo};
use stockade_types::record::{REPORT_BYTES_MAX, ReportFact, ReportPart};
use stockade_types::time::{Clock, Millis, Timestamp};
use tokio::task::{JoinHandle, spawn_blocking};

use compute::{Computed, compute};
pub use view::read_report;

/// A report of a drop that runs is computed again once it is older than this.
const FRESH: Millis = Millis::from_secs(10);
/// How often drops are looked for whose sale is over.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// Drops that are looked at in one piece, and reported by one walk.
const DROPS_AT_ONCE: usize = 256;
/// Reports of running drops that are kept.
const KEPT_MAX: usize = 1_024;
/// What was asked by interval is kept this long.
const DEMAND_AGE: Millis = Millis::from_secs(90 * 24 * 3_600);

/// No engine, between two terms.
const NO_ENGINE: Fault = Fault::Overloaded("the server's engine is being replaced");

/// The reports of a server's drops.
pub struct Reports {
    engines: Arc<EngineHandle>,
    clock: Arc<dyn Clock>,
    /// Reports of drops that run, as of an instant.
    running: Mutex<HashMap<DropNo, pb::DropReport>>,
    /// Held during a walk.
    walking: Mutex<()>,
}

/// Which reports are listed.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Those of this shop; empty: of the default one.
    pub shop: String,
    /// Those of this series; empty: all of the shop.
    pub series: String,
    /// Behind this place: the opening and the id of the last one that was listed.
    pub after: Option<(Timestamp, String)>,
    /// So many at most.
    pub most: usize,
}

impl Reports {
    /// Reports over the engine of the current term.
    #[must_use]
    pub fn new(engines: Arc<EngineHandle>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { engines, clock, running: Mutex::default(), walking: Mutex::default() })
    }

    /// Records reports once sales are over, and keeps their figures for a time, until it is aborted.
    pub fn start(self: &Arc<Self>, keep: Millis) -> JoinHandle<()> {
        let reports = Arc::clone(self);
        tokio::spawn(async move {
            let mut look = tokio::time::interval(LOOK_PERIOD);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                look.tick().await;
                let reports = Arc::clone(&reports);
                if spawn_blocking(move || reports.record_due(keep)).await.is_err() {
                    return;
                }
            }
        })
    }

    /// Records the reports of all drops whose sale is over. What fails is tried again at the next look.
    fn record_due(&self, keep: Millis) {
        let Some(engine) = self.engines.current() else { return };
        let mut last = None;
        loop {
            let (due, upto) = engine.unreported(last, DROPS_AT_ONCE);
            if !due.is_empty()
                && let Err(fault) = self.record(&engine, &due)
            {
                tracing::warn!(%fault, "reports are recorded later");
                return;
            }
            let Some(upto) = upto else { break };
            last = Some(upto);
        }
        engine.forget_reports(self.clock.now(), keep, keep.min(DEMAND_AGE));
    }

    fn record(&self, engine: &Engine, drops: &[DropId]) -> Result<(), Fault> {
        let _one_at_a_time = self.walking.lock();
        let now = self.clock.now();
        let measured: Vec<Measured> = drops.iter().filter_map(|id| engine.measured(id)).collect();
        let is_unchanged = |before: &Measured| {
            engine.measured(&before.definition.id).is_some_and(|after| after.totals == before.totals && after.is_over)
        };
        let computed = compute(engine, &measured, now);
        for (measured, computed) in measured.iter().zip(computed) {
            // Otherwise a hold was claimed late meanwhile: the next look counts it.
            if is_unchanged(measured) {
                keep(engine, measured, computed, now)?;
                tracing::info!(drop = %measured.definition.id, "the sale is over, and its report is recorded");
                self.running.lock().remove(&measured.number);
            }
        }
        Ok(())
    }

    /// The report of a drop: as it was recorded, with what is known since; while the drop runs, so far. Blocks during a
    /// walk over all holds.
    ///
    /// # Errors
    /// [`Fault::NoDrop`] for a drop that is not known and has no report.
    pub fn get(&self, id: &DropId) -> Result<pb::DropReport, Fault> {
        let engine = self.engines.current().ok_or(NO_ENGINE)?;
        if let Some((figures, demand)) = engine.report(id) {
            return Ok(recorded(&engine, &figures, demand.as_deref()));
        }
        let now = self.clock.now();
        let measured = engine.measured(id).ok_or_else(|| Fault::NoDrop(id.clone()))?;
        let _one_at_a_time = self.walking.lock();
        if let Some(known) = self.running.lock().get(&measured.number).filter(|known| is_fresh(known, now)) {
            return Ok(known.clone());
        }
        let computed = compute(&engine, std::slice::from_ref(&measured), now).into_iter().next();
        let Computed { mut figures, demand } = computed.ok_or_else(|| Fault::NoDrop(id.clone()))?;
        compute::add_afterwards(&mut figures, &measured, engine.fact_tally(id).unwrap_or_default());
        figures.demand = demand;
        let mut running = self.running.lock();
        if running.len() >= KEPT_MAX {
            running.retain(|_, known| is_fresh(known, now));
        }
        if running.len() < KEPT_MAX {
            running.insert(measured.number, figures.clone());
        }
        Ok(figures)
    }

    /// Recorded reports, the latest opening first, without what was asked by interval.
    ///
    /// # Errors
    /// Between two terms.
    pub fn list(&self, listed: &Listed) -> Result<Vec<pb::DropReport>, Fault> {
        let engine = self.engines.current().ok_or(NO_ENGINE)?;
        let mut found: Vec<Arc<ReportFact>> = engine.reports();
        found.retain(|fact| {
            let of_series =
                listed.series.is_empty() || fact.series.as_ref().is_some_and(|series| series.as_str() == listed.series);
            let is_behind = listed.after.as_ref().is_none_or(|(at, id)| {
                (std::cmp::Reverse(fact.opens_at), fact.id.as_str()) > (std::cmp::Reverse(*at), id.as_str())
            });
            fact.shop.as_str() == listed.shop && of_series && is_behind
        });
        found.sort_by(|one, other| (other.opens_at, &one.id).cmp(&(one.opens_at, &other.id)));
        Ok(found.iter().take(listed.most).map(|fact| recorded(&engine, fact, None)).collect())
    }
}

/// Whether a report of a running drop is young enough to be shown again.
fn is_fresh(report: &pb::DropReport, now: Timestamp) -> bool {
    let as_of = report.as_of.as_ref().and_then(|at| u64::try_from(at.seconds).ok()).unwrap_or_default();
    Timestamp(as_of.saturating_mul(1_000)).plus(FRESH) > now
}

/// Records the parts of a report. The figures come last: with them it is complete.
fn keep(engine: &Engine, measured: &Measured, computed: Computed, now: Timestamp) -> Result<(), Fault> {
    let Computed { figures, demand } = computed;
    let demand = pb::DropReport { demand, ..pb::DropReport::default() };
    for (part, report) in [(ReportPart::Demand, demand), (ReportPart::Figures, figures)] {
        let bytes = report.encode_to_vec();
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(Fault::Precondition(format!("the report's {} take {} bytes", part.label(), bytes.len())));
        }
        let definition = &measured.definition;
        let fact = ReportFact {
            drop: measured.number,
            id: definition.id.clone(),
            shop: definition.shop.clone(),
            series: definition.series.clone(),
            opens_at: definition.schedule.opens_at.unwrap_or(measured.created_at),
            at: now,
            part,
            bytes: bytes.into(),
        };
        engine.keep_report(fact, Context::engine(now)).map_err(|decided| decided.value)?;
    }
    Ok(())
}

/// A recorded report, with what is known since.
fn recorded(engine: &Engine, figures: &ReportFact, demand: Option<&ReportFact>) -> pb::DropReport {
    let read = |fact: &ReportFact| pb::DropReport::decode(&*fact.bytes).unwrap_or_default();
    let mut report = read(figures);
    report.demand = demand.map(|fact| read(fact).demand).unwrap_or_default();
    if let Some(measured) = engine.measured(&figures.id).filter(|measured| measured.number == figures.drop) {
        compute::add_afterwards(&mut report, &measured, engine.fact_tally(&figures.id).unwrap_or_default());
    }
    report
}

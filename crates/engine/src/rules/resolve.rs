//! When the moments of a definition come.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};
use stockade_types::calendar::{self, Resolved};
use stockade_types::definition::{Definition, Moment, Named, Trigger};
use stockade_types::time::Timestamp;

/// The time zone of a drop that names none.
const UTC: &str = "UTC";

/// A local time that does not exist, because clocks are set forward over it: it comes as much later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The field that names it.
    pub field: String,
}

/// A moment that can't come, or comes where it may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MomentFault {
    /// The field that names it.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// Sets when each moment of the definition comes, for a drop that opens at `opens_at`, and returns the local times that
/// do not exist.
///
/// # Errors
/// Every field whose moment can't come, or comes where it may not: a slot before the opening, all others outside the
/// drop.
pub fn resolve(definition: &mut Definition, opens_at: Timestamp) -> Result<Vec<Gap>, Vec<MomentFault>> {
    resolve_but(definition, opens_at, |_| {})
}

/// As [`resolve`], of the moments for which `keep` sets no instant: those that it sets stay, wherever they lie.
///
/// # Errors
/// As of [`resolve`].
pub fn resolve_but(
    definition: &mut Definition,
    opens_at: Timestamp,
    keep: impl FnOnce(&mut Definition),
) -> Result<Vec<Gap>, Vec<MomentFault>> {
    if !definition.has_rules() {
        return Ok(Vec::new());
    }
    each_bounded(definition, |_, _, moment| moment.at = Timestamp::NEVER);
    keep(definition);
    let mut resolving = Resolving {
        opens_at,
        closes_at: definition.schedule.closes_at,
        zone: zone(&definition.rules.time_zone),
        faults: Vec::new(),
        gaps: Vec::new(),
    };
    if resolving.zone.is_none() {
        let description = "must be the IANA name of a time zone, such as Europe/Berlin";
        resolving.fault("drop.time_zone".to_owned(), description);
        resolving.zone = Some(TimeZone::UTC);
    }
    each_bounded(definition, |field, bounds, moment| {
        if moment.at != Timestamp::NEVER {
            return;
        }
        moment.at = resolving.instant(&field, bounds, moment.named).unwrap_or(Timestamp::NEVER);
    });
    each_span(definition, |field, starts, ends| {
        let starts = starts.map_or(opens_at, |starts| starts.at);
        let ends = ends.map_or(resolving.closes_at.unwrap_or(Timestamp::NEVER), |ends| ends.at);
        if starts != Timestamp::NEVER && ends <= starts {
            resolving.fault(format!("{field}.ends"), "must be later than starts");
        }
    });
    let Resolving { faults, gaps, .. } = resolving;
    if faults.is_empty() { Ok(gaps) } else { Err(faults) }
}

/// When a drop closes that opens at `opens_at`, if that is later.
#[must_use]
pub fn closing(named: Named, opens_at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let at = match named {
        Named::At(at) => Some(at),
        Named::AfterOpening(span) => opens_at.0.checked_add_signed(span).map(Timestamp),
        Named::BeforeClosing(_) => None,
        Named::Local { days, seconds } => local_time(zone, opens_at, (days, seconds)).map(|resolved| resolved.at),
    };
    at.filter(|at| *at > opens_at)
}

/// A time of day, `days` after the local day of the opening.
fn local_time(zone: &TimeZone, opens_at: Timestamp, (days, seconds): (i32, u32)) -> Option<Resolved> {
    let day: Date = calendar::local(zone, opens_at)?.date().checked_add(days.days()).ok()?;
    let of_day = SignedDuration::from_secs(i64::from(seconds));
    calendar::resolve(zone, day.to_datetime(Time::midnight()).checked_add(of_day).ok()?)
}

/// The zone with this name; UTC for none.
fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(if name.is_empty() { UTC } else { name }).ok()
}

/// Where a moment may lie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bounds {
    /// Between the opening and the closing.
    InDrop,
    /// From the opening on: what is sold may be picked up after the sale.
    FromOpening,
    /// Up to the closing: a drop is made known before it opens.
    UntilClosing,
}

struct Resolving {
    opens_at: Timestamp,
    closes_at: Option<Timestamp>,
    zone: Option<TimeZone>,
    faults: Vec<MomentFault>,
    gaps: Vec<Gap>,
}

impl Resolving {
    fn fault(&mut self, field: String, description: &str) {
        self.faults.push(MomentFault { field, description: description.to_owned() });
    }

    /// The moment's instant, if it lies where it may.
    fn instant(&mut self, field: &str, bounds: Bounds, named: Named) -> Option<Timestamp> {
        let at = match named {
            Named::At(at) => Some(at),
            Named::AfterOpening(span) => self.opens_at.0.checked_add_signed(span).map(Timestamp),
            Named::BeforeClosing(span) => {
                let Some(closes_at) = self.closes_at else {
                    self.fault(format!("{field}.before_close"), "needs a drop with closes_at");
                    return None;
                };
                closes_at.0.checked_sub(span.0).map(Timestamp)
            }
            Named::Local { days, seconds } => {
                let Some((at, is_gap)) = self.local(days, seconds) else {
                    self.fault(format!("{field}.local"), "names no instant of the years 1970 to 9999");
                    return None;
                };
                if is_gap {
                    self.gaps.push(Gap { field: format!("{field}.local") });
                }
                Some(at)
            }
        };
        let (from, until, outside) = match bounds {
            Bounds::InDrop => (self.opens_at, self.closes_at, "must lie between opens_at and closes_at"),
            Bounds::FromOpening => (self.opens_at, None, "must not lie before opens_at"),
            Bounds::UntilClosing => (Timestamp(0), self.closes_at, "must not be after closes_at"),
        };
        let fits = at.is_some_and(|at| at >= from && until.is_none_or(|until| at <= until));
        if !fits {
            self.fault(field.to_owned(), outside);
        }
        at.filter(|_| fits)
    }

    /// A time of day, `days` after the local day of the opening, and whether it had to be moved over a gap.
    fn local(&self, days: i32, seconds: u32) -> Option<(Timestamp, bool)> {
        let resolved = local_time(self.zone.as_ref()?, self.opens_at, (days, seconds))?;
        Some((resolved.at, resolved.is_gap))
    }
}

/// Visits every moment of a definition with the path of its field.
pub fn each_moment(definition: &mut Definition, mut visit: impl FnMut(String, &mut Moment)) {
    each_bounded(definition, |field, _, moment| visit(field, moment));
}

/// Visits every moment of a definition with the path of its field and where it may lie.
fn each_bounded(definition: &mut Definition, mut visit: impl FnMut(String, Bounds, &mut Moment)) {
    let mut f = |field, moment: &mut Moment| visit(field, Bounds::InDrop, moment);
    let rules = &mut definition.rules;
    for (place, window) in rules.windows.iter_mut().enumerate() {
        for (name, moment) in [("starts", &mut window.starts), ("ends", &mut window.ends)] {
            if let Some(moment) = moment {
                f(format!("drop.windows[{place}].{name}"), moment);
            }
        }
    }
    for (place, terms) in rules.prices.iter_mut().enumerate() {
        for (name, moment) in [("starts", &mut terms.starts), ("ends", &mut terms.ends)] {
            if let Some(moment) = moment {
                f(format!("drop.terms[{place}].{name}"), moment);
            }
        }
        for (step, of) in terms.steps.iter_mut().enumerate() {
            if let Trigger::Moment(moment) = &mut of.when {
                f(format!("drop.terms[{place}].steps[{step}].when.moment"), moment);
            }
        }
    }
    for (place, tranche) in rules.tranches.iter_mut().enumerate() {
        if let Trigger::Moment(moment) = &mut tranche.when {
            f(format!("drop.tranches[{place}].when.moment"), moment);
        }
    }
    for (place, item) in definition.items.iter_mut().enumerate() {
        for (pool, of) in item.pools.iter_mut().enumerate() {
            for (flow, of) in of.flows.iter_mut().enumerate() {
                if let Some(Trigger::Moment(moment)) = &mut of.when {
                    f(format!("drop.items[{place}].pools[{pool}].flows[{flow}].when.moment"), moment);
                }
            }
        }
    }
    for (place, signal) in definition.rules.signals.iter_mut().enumerate() {
        if let Trigger::Moment(moment) = &mut signal.on {
            visit(format!("drop.signals[{place}].on.moment"), Bounds::UntilClosing, moment);
        }
    }
    for (place, item) in definition.items.iter_mut().enumerate() {
        if let Some(slot) = &mut item.slot {
            visit(format!("drop.items[{place}].slot.starts"), Bounds::FromOpening, &mut slot.starts);
            visit(format!("drop.items[{place}].slot.ends"), Bounds::FromOpening, &mut slot.ends);
        }
    }
}

/// Visits everything that starts and ends, with the path of its field.
fn each_span(definition: &Definition, mut f: impl FnMut(String, Option<Moment>, Option<Moment>)) {
    for (place, window) in definition.rules.windows.iter().enumerate() {
        f(format!("drop.windows[{place}]"), window.starts, window.ends);
    }
    for (place, terms) in definition.rules.prices.iter().enumerate() {
        f(format!("drop.terms[{place}]"), terms.starts, terms.ends);
    }
    for (place, item) in definition.items.iter().enumerate() {
        if let Some(slot) = &item.slot {
            f(format!("drop.items[{place}].slot"), Some(slot.starts), Some(slot.ends));
        }
    }
}

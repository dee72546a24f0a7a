//! Occurrences of a series: when they come, their drops, and which made drop belongs to which.

use std::iter::from_fn;

use jiff::civil::{Date, DateTime};
use stockade_types::calendar::{local, resolve};
use stockade_types::definition::{Definition, Schedule};
use stockade_types::ids::DropId;
use stockade_types::record::{DropImage, LastUpdate, OccurrenceFact};
use stockade_types::series::Plan;
use stockade_types::time::Timestamp;

use super::Note;
use crate::answer::{Fault, InvalidField};
use crate::inventory::{Occurred, OccurrenceTable};
use crate::operators::create::plan as plan_drop;
use crate::operators::fits::fits;
use crate::rules::closing;

/// An occurrence of a series.
#[derive(Debug, Clone)]
pub(super) struct Occurrence {
    /// Its local time.
    pub(super) local: DateTime,
    /// When its drop opens.
    pub(super) opens_at: Timestamp,
    /// Whether its local time does not exist, so that it comes later.
    pub(super) is_gap: bool,
    /// The record of the made drop that belongs to it.
    pub(super) made: Option<Occurred>,
    /// The last record of its local time, if no made drop belongs to it.
    pub(super) result: Option<Occurred>,
}

/// The occurrences from the beginning of a local day on, with what came of them.
pub(super) fn from_day<'a>(
    plan: &'a Plan,
    results: &'a OccurrenceTable,
    day: Date,
) -> impl Iterator<Item = Occurrence> + 'a {
    let mut locals = plan.recurrence.from(day.at(0, 0, 0, 0)).peekable();
    let days = from_fn(move || {
        let first = locals.next()?;
        let mut of_day = vec![first];
        while let Some(more) = locals.next_if(|more| more.date() == first.date()) {
            of_day.push(more);
        }
        Some(of_day)
    });
    days.flat_map(move |of_day| of_one_day(plan, results, of_day))
}

/// Within a local day the n-th made drop belongs to the n-th occurrence.
fn of_one_day(plan: &Plan, results: &OccurrenceTable, of_day: Vec<DateTime>) -> Vec<Occurrence> {
    let made = of_day.first().map(|first| made_on(plan, results, first.date())).unwrap_or_default();
    let mut made = made.into_iter();
    let occurrence = |at: DateTime| {
        let made = made.next();
        let resolved = resolve(&plan.zone, at)?;
        let result = if made.is_some() { None } else { results.get(&plan.series.id, at).cloned() };
        Some(Occurrence { local: at, opens_at: resolved.at, is_gap: resolved.is_gap, made, result })
    };
    of_day.into_iter().filter_map(occurrence).collect()
}

/// The records of the drops that were made for a local day, in the order of their local times.
pub(super) fn made_on(plan: &Plan, results: &OccurrenceTable, day: Date) -> Vec<Occurred> {
    let of_day = |occurred: &&Occurred| occurred.fact.local.date() == day && occurred.fact.verb.has_drop();
    results.of(&plan.series.id).filter(of_day).cloned().collect()
}

/// The local day of an instant.
pub(super) fn day_of(plan: &Plan, at: Timestamp) -> Option<Date> {
    local(&plan.zone, at).map(DateTime::date)
}

/// The first occurrence after an instant.
pub(super) fn next_after(plan: &Plan, now: Timestamp) -> Option<(DateTime, Timestamp)> {
    let day = day_of(plan, now)?;
    let resolved = plan.recurrence.from(day.at(0, 0, 0, 0)).filter_map(|at| Some((at, resolve(&plan.zone, at)?.at)));
    resolved.into_iter().find(|(_, at)| *at > now)
}

/// The drop of an occurrence, with this id.
pub(super) fn drop_of(plan: &Plan, id: DropId, local: DateTime, opens_at: Timestamp) -> Result<Definition, Fault> {
    let series = &plan.series;
    let mut definition = series.template.clone();
    definition.id = id;
    definition.shop = series.shop.clone();
    definition.series = Some(series.id.clone());
    definition.title = series.drop_title(local);
    definition.rules.time_zone.clone_from(&series.time_zone);
    let closes_at = match series.closes {
        None => None,
        Some(named) => Some(closing(named, opens_at, &plan.zone).ok_or_else(|| {
            let description = format!("names no instant after the opening of {local}");
            Fault::Invalid(vec![InvalidField { field: "drop.closes_at".to_owned(), description }])
        })?),
    };
    definition.schedule = Schedule { opens_at: Some(opens_at), closes_at };
    Ok(definition)
}

/// Checks that a drop could be made as this definition says, but for bounds of the engine and its id.
pub(super) fn try_drop(mut definition: Definition, opens_at: Timestamp) -> Result<(), Fault> {
    plan_drop(&mut definition, opens_at, |_| {})?;
    let update: Option<LastUpdate> = None;
    let (number, request) = (stockade_types::ids::DropNo(u32::MAX), [0; 32]);
    fits(&DropImage { number, created_at: opens_at, definition, request, update })
}

/// The faults of a drop as faults of the series that makes it.
pub(super) fn of_template(fault: Fault) -> Fault {
    let Fault::Invalid(fields) = fault else { return fault };
    let renamed = |InvalidField { field, description }| {
        let field = match field.strip_prefix("drop.") {
            Some("closes_at") => "series.closes".to_owned(),
            Some(rest) => format!("series.template.{rest}"),
            None => "series.template".to_owned(),
        };
        InvalidField { field, description }
    };
    Fault::Invalid(fields.into_iter().map(renamed).collect())
}

impl Occurrence {
    /// What is noticed about its local time.
    pub(super) fn gap(&self) -> Option<Note> {
        let message =
            format!("{} does not exist there, for clocks are set forward over it: it comes as much later", self.local);
        self.is_gap.then(|| Note { code: "local_time_moved", field: "series.starts_at".to_owned(), message })
    }

    /// The record about it, if there is one.
    pub(super) fn fact(&self) -> Option<&OccurrenceFact> {
        self.made.as_ref().or(self.result.as_ref()).map(|occurred| occurred.fact.as_ref())
    }
}

//! What comes of a series: its next occurrences with the drops that they made or would make.

use jiff::civil::DateTime;
use stockade_types::ids::{DropId, SeriesId};
use stockade_types::record::{DefinedKind, OccurrenceVerb};
use stockade_types::series::{Plan, Series, SeriesState};
use stockade_types::time::Timestamp;

use super::guard::{Neighbour, Neighbours, judge};
use super::look::said;
use super::occurrence::{Occurrence, day_of, drop_of, from_day, of_template, try_drop};
use super::{Note, OccurrenceState, OccurrenceView, defined_id, plan, series_of};
use crate::Engine;
use crate::answer::DropView;
use crate::attempt::{Answer, Decided};
use crate::context::Context;
use crate::inventory::DropState;

/// Which series a preview is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewOf {
    /// One that was created.
    Known(SeriesId),
    /// One that may not be. If there is one with its id, the drops that it made are taken into account.
    Given(Box<Series>),
}

impl Engine {
    /// Up to `count` occurrences of a series at `from` or later.
    ///
    /// # Errors
    /// `NoDefinition`, and `Invalid` for a series whose calendar gives nothing.
    pub fn preview_series(
        &self,
        of: &PreviewOf,
        (from, count): (Timestamp, usize),
        context: Context<'_>,
    ) -> Answer<Vec<OccurrenceView>> {
        let plan = match of {
            PreviewOf::Known(id) => {
                let known = self.defined(DefinedKind::Series, &defined_id(id))?.value;
                plan(series_of(&known)?)?
            }
            PreviewOf::Given(series) => plan(series.as_ref().clone())?,
        };
        let Some(day) = day_of(&plan, from) else { return Ok(Decided::at_once(Vec::new())) };
        let results = self.inventory.occurrences.lock();
        let occurrences: Vec<Occurrence> =
            from_day(&plan, &results, day).filter(|occurrence| occurrence.opens_at >= from).take(count).collect();
        // A local time that is taken by a drop that belongs to another occurrence of its day.
        let is_taken: Vec<bool> =
            occurrences.iter().map(|of| of.result.as_ref().is_some_and(|known| known.fact.verb.has_drop())).collect();
        drop(results);
        let neighbours = std::mem::take(Neighbours::default().of(self, &plan));
        let mut preview = Preview { engine: self, neighbours, plan, context };
        let shown = occurrences.iter().zip(is_taken).map(|(occurrence, is_taken)| preview.show(occurrence, is_taken));
        Ok(Decided { value: shown.collect(), durable_after: self.journal.appended() })
    }
}

struct Preview<'a> {
    engine: &'a Engine,
    plan: Plan,
    /// Other drops of the shop, and those that the occurrences before would make.
    neighbours: Vec<Neighbour>,
    context: Context<'a>,
}

impl Preview<'_> {
    fn show(&mut self, occurrence: &Occurrence, is_taken: bool) -> OccurrenceView {
        let made = occurrence.made.as_ref().map(|made| self.plan.series.drop_id(made.fact.local));
        let id = made.clone().unwrap_or_else(|| self.plan.series.drop_id(occurrence.local));
        let mut view = OccurrenceView {
            local: occurrence.local,
            opens_at: occurrence.opens_at,
            drop: id.clone(),
            state: OccurrenceState::Planned,
            reason: String::new(),
            notes: occurrence.gap().into_iter().collect(),
        };
        match (made, occurrence.fact()) {
            (Some(_), _) => self.show_made(&id, &mut view),
            (None, Some(_)) if is_taken => {
                view.state = OccurrenceState::Failed;
                view.reason = format!("drop {id} belongs to another occurrence of the day");
            }
            (None, Some(fact)) => {
                view.state = match fact.verb {
                    OccurrenceVerb::Create | OccurrenceVerb::Change => OccurrenceState::Created,
                    OccurrenceVerb::Cancel => OccurrenceState::Cancelled,
                    OccurrenceVerb::Skip => OccurrenceState::Skipped,
                    OccurrenceVerb::Fail => OccurrenceState::Failed,
                };
                view.reason = fact.reason.to_string();
            }
            (None, None) => self.show_planned(id, occurrence.local, &mut view),
        }
        view
    }

    /// A made drop: as it is now, also if it was changed by hand.
    fn show_made(&self, id: &DropId, view: &mut OccurrenceView) {
        view.state = OccurrenceState::Created;
        let Ok(Decided { value: drop, .. }) = self.engine.get_drop(id, self.context) else { return };
        let DropView { definition, opens_at, state, .. } = drop;
        view.opens_at = opens_at;
        if state == DropState::Cancelled {
            view.state = OccurrenceState::Cancelled;
            "closed before it opened".clone_into(&mut view.reason);
        } else {
            let findings = judge(&self.plan, &definition, opens_at, &self.neighbours);
            view.notes.extend(findings.into_iter().map(|finding| finding.note));
        }
    }

    /// A drop that would be made.
    fn show_planned(&mut self, id: DropId, local: DateTime, view: &mut OccurrenceView) {
        match self.plan.series.state {
            SeriesState::Active => {}
            SeriesState::Paused => "the series is paused".clone_into(&mut view.reason),
            SeriesState::Ended => "the series has ended".clone_into(&mut view.reason),
        }
        let mut note = |code, message| {
            view.notes.push(Note { code, field: "series.template".to_owned(), message });
        };
        if self.engine.get_drop(&id, self.context).is_ok() {
            note("drop_exists", format!("there is a drop {id} that this series did not make"));
        }
        let drop = drop_of(&self.plan, id, local, view.opens_at);
        let tried = drop.and_then(|drop| try_drop(drop.clone(), view.opens_at).map(|()| drop));
        match tried {
            Err(fault) => note("drop_refused", said(&of_template(fault))),
            Ok(drop) => {
                let findings = judge(&self.plan, &drop, view.opens_at, &self.neighbours);
                if !findings.iter().any(|finding| finding.skips) {
                    self.neighbours.push(Neighbour::of(drop.into(), view.opens_at, None));
                }
                view.notes.extend(findings.into_iter().map(|finding| finding.note));
            }
        }
    }
}

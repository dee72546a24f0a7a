//! Does what is due in a series: says what has passed without a drop, lets made drops follow a change, makes the drops
//! that are due, and finds out when there is more to do.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::civil::{Date, DateTime};
use stockade_journal::Permit;
use stockade_types::ids::{DropId, Lsn, SeriesId};
use stockade_types::record::{DefinedKind, OccurrenceFact, OccurrenceVerb, REASON_MAX, Record, request_digest};
use stockade_types::series::{Plan, SeriesState};
use stockade_types::time::{Millis, Timestamp};

use super::guard::{Finding, Neighbour, Neighbours, judge};
use super::occurrence::{Occurrence, day_of, drop_of, from_day, next_after, of_template, try_drop};
use super::{Note, defined_id, plan, series_of};
use crate::Engine;
use crate::answer::Fault;
use crate::command::CreateDrop;
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::{Defined, DefinedTable, Locked, OccurrenceTable};

/// How far back a look says which occurrences have passed without a drop: a start after a longer outage says no more.
const PASSED: Millis = Millis::from_secs(30 * 24 * 60 * 60);
/// How often what could not be made is tried again until it opens: a guard may find nothing any more.
const AGAIN: Millis = Millis::from_secs(60);
/// When a look is tried again that the journal or a bound has stopped.
const RETRY: Millis = Millis::from_secs(5);
const DAY: Millis = Millis::from_secs(24 * 60 * 60);
/// Most records of occurrences that the agenda writes in one look, so that its other work waits for few drops,
const AT_ONCE: usize = 16;
/// and that a change of the series writes for new drops. The agenda writes the rest.
const AT_A_CHANGE: usize = 64;
/// Occurrences of which a drop must be possible when a series is created or changed.
const TRIED: usize = 8;
/// The reason of an occurrence whose opening was over before its drop could be made,
const MISSED: &str = "missed";
/// and of one that passed while its series was paused.
const PAUSED: &str = "paused";

/// A series, while all series are locked.
pub(super) struct Look<'a> {
    pub(super) engine: &'a Engine,
    pub(super) plan: Plan,
    pub(super) revision: Lsn,
    /// What has passed before was said before.
    since: Timestamp,
    pub(super) context: Context<'a>,
    pub(super) results: &'a mut OccurrenceTable,
    /// Whether the agenda looks, which has other work. The answer to a change says what became of all made drops.
    by_agenda: bool,
    /// Records that it has written.
    written: usize,
    /// Why drops can't follow.
    pub(super) refused: BTreeMap<DropId, String>,
}

impl Engine {
    /// Does what is due in one series, as the agenda does. Returns whether there was one.
    ///
    /// # Errors
    /// Faults of the journal, and bounds that are reached. The series is tried again a while later.
    pub fn look_at_series(&self, now: Timestamp) -> Result<bool, Fault> {
        self.look_at_series_with(now, &mut Neighbours::default())
    }

    /// As [`Engine::look_at_series`], with what an earlier look has found of other drops.
    pub(crate) fn look_at_series_with(&self, now: Timestamp, neighbours: &mut Neighbours) -> Result<bool, Fault> {
        let Some(id) = self.inventory.series_looks.due(now) else { return Ok(false) };
        let table = &mut self.inventory.definitions.lock(DefinedKind::Series);
        self.look_in(table, &id, Context::engine(now), Some(neighbours)).map(|_refused| true)
    }

    /// The same for a series that was just changed. What can't be done now is done by the agenda. Returns why made drops
    /// could not follow.
    pub(super) fn look_now(
        &self,
        table: &mut DefinedTable,
        id: &SeriesId,
        context: Context<'_>,
    ) -> BTreeMap<DropId, String> {
        self.look_in(table, id, context, None).unwrap_or_else(|fault| {
            tracing::warn!(series = %id, %fault, "what a series has to do is done later");
            BTreeMap::new()
        })
    }

    fn look_in(
        &self,
        table: &mut DefinedTable,
        id: &SeriesId,
        context: Context<'_>,
        of_agenda: Option<&mut Neighbours>,
    ) -> Result<BTreeMap<DropId, String>, Fault> {
        let Some(known) = table.get(&defined_id(id)).cloned() else {
            self.inventory.series_looks.expect(id, Timestamp::NEVER);
            return Ok(BTreeMap::new());
        };
        self.inventory.series_looks.expect(id, context.now.plus(RETRY));
        let results = &mut self.inventory.occurrences.lock();
        let mut own = Neighbours::default();
        let mut look = Look::at(self, &known, results, context)?;
        look.by_agenda = of_agenda.is_some();
        let neighbours = of_agenda.unwrap_or(&mut own);
        let is_whole = look.settle()? && look.follow()? && look.make(neighbours)?;
        self.inventory.series_looks.expect(id, if is_whole { look.next() } else { context.now });
        Ok(look.refused)
    }

    /// Finishes what a series has begun before it is changed: says what has passed without a drop, says which drops were
    /// made, and lets made drops follow its last change.
    pub(super) fn finish_now(&self, table: &DefinedTable, id: &SeriesId, context: Context<'_>) -> Result<(), Fault> {
        let Some(known) = table.get(&defined_id(id)).cloned() else { return Ok(()) };
        let results = &mut self.inventory.occurrences.lock();
        let mut look = Look::at(self, &known, results, context)?;
        look.settle()?;
        look.adopt()?;
        look.follow().map(|_all| ())
    }

    /// Checks that drops can be made of the next occurrences; if none is to come, of the first.
    pub(super) fn try_occurrences(&self, plan: &Plan, now: Timestamp) -> Result<(), Fault> {
        let none = OccurrenceTable::default();
        let first = plan.recurrence.starts_at().date();
        let from = next_after(plan, now).map_or(first, |(local, _)| local.date());
        for Occurrence { local, opens_at, .. } in from_day(plan, &none, from).take(TRIED) {
            let id = plan.series.drop_id(local);
            drop_of(plan, id, local, opens_at).and_then(|drop| try_drop(drop, opens_at)).map_err(of_template)?;
        }
        self.has_memory()
    }

    /// What is noticed about the next occurrences of a series.
    pub(super) fn notes_of_next(&self, plan: &Plan, now: Timestamp) -> Vec<Note> {
        let Some(from) = day_of(plan, now) else { return Vec::new() };
        let results = self.inventory.occurrences.lock();
        let next: Vec<Occurrence> =
            from_day(plan, &results, from).filter(|occurrence| occurrence.opens_at > now).take(TRIED).collect();
        drop(results);
        let mut neighbours = Neighbours::default();
        let neighbours = neighbours.of(self, plan);
        let mut notes = Vec::new();
        for occurrence in next {
            let id = plan.series.drop_id(occurrence.local);
            notes.extend(occurrence.gap());
            let Ok(drop) = drop_of(plan, id, occurrence.local, occurrence.opens_at) else { continue };
            let findings = judge(plan, &drop, occurrence.opens_at, neighbours);
            let is_made = !findings.iter().any(|finding| finding.skips);
            notes.extend(findings.into_iter().map(|finding| finding.of(&occurrence)));
            if is_made && occurrence.made.is_none() {
                neighbours.push(Neighbour::of(drop.into(), occurrence.opens_at, None));
            }
        }
        notes
    }
}

impl<'a> Look<'a> {
    fn at(
        engine: &'a Engine,
        known: &Defined,
        results: &'a mut OccurrenceTable,
        context: Context<'a>,
    ) -> Result<Self, Fault> {
        let plan = plan(series_of(known)?)?;
        let since = known.fact.at.max(context.now.minus(PASSED));
        let revision = known.revision;
        let (by_agenda, written, refused) = (false, 0, BTreeMap::new());
        Ok(Self { engine, plan, revision, since, context, results, by_agenda, written, refused })
    }

    /// Whether a look of the agenda goes on in its next turn.
    pub(super) fn is_to_rest(&self) -> bool {
        self.by_agenda && (self.written >= AT_ONCE || self.engine.journal.is_busy())
    }

    /// Writes that occurrences have passed without a drop. Returns whether that was all.
    fn settle(&mut self) -> Result<bool, Fault> {
        let reason = match self.plan.series.state {
            SeriesState::Active => MISSED,
            SeriesState::Paused => PAUSED,
            SeriesState::Ended => return Ok(true),
        };
        let Some(day) = day_of(&self.plan, self.since) else { return Ok(true) };
        let (since, now) = (self.since, self.context.now);
        let of_days = from_day(&self.plan, self.results, day).take_while(|occurrence| occurrence.opens_at <= now);
        let passed = of_days.filter(|occurrence| occurrence.opens_at > since && occurrence.fact().is_none());
        for occurrence in passed.collect::<Vec<_>>() {
            if self.is_to_rest() {
                return Ok(false);
            }
            let permit = self.engine.journal.permit()?;
            if self.is_made(&occurrence) {
                self.write(permit, &occurrence, OccurrenceVerb::Create, "")?;
            } else {
                self.write(permit, &occurrence, OccurrenceVerb::Skip, reason)?;
            }
        }
        Ok(true)
    }

    /// Writes which drops were made before a crash came between a drop and the record of its occurrence. Afterwards, with
    /// another template, nobody could tell.
    fn adopt(&mut self) -> Result<(), Fault> {
        let Some(day) = day_of(&self.plan, self.context.now) else { return Ok(()) };
        let until = self.ahead();
        let ahead = from_day(&self.plan, self.results, day).take_while(|occurrence| occurrence.opens_at <= until);
        let open = ahead.filter(|occurrence| self.is_open(occurrence) && self.is_made(occurrence));
        for occurrence in open.collect::<Vec<_>>() {
            let permit = self.engine.journal.permit()?;
            self.write(permit, &occurrence, OccurrenceVerb::Create, "")?;
        }
        Ok(())
    }

    /// Whether this series made the drop of an occurrence, as it is now.
    fn is_made(&self, occurrence: &Occurrence) -> bool {
        let id = self.plan.series.drop_id(occurrence.local);
        let Ok(drop) = drop_of(&self.plan, id.clone(), occurrence.local, occurrence.opens_at) else { return false };
        let request = request_digest(&drop);
        self.engine.inventory.drops.with_id(&id, |entry| entry.request == request) == Some(true)
    }

    /// Makes the drops that are due. Returns whether that was all.
    fn make(&mut self, neighbours: &mut Neighbours) -> Result<bool, Fault> {
        if self.plan.series.state != SeriesState::Active {
            return Ok(true);
        }
        let now = self.context.now;
        let Some(day) = day_of(&self.plan, now) else { return Ok(true) };
        let until = self.ahead();
        let looks = &self.engine.inventory.series_looks;
        let judges_again = looks.judges_again(&self.plan.series.id, now);
        let due: Vec<Occurrence> = from_day(&self.plan, self.results, day)
            .take_while(|occurrence| occurrence.opens_at <= until)
            .filter(|occurrence| occurrence.opens_at > now && self.is_open(occurrence))
            .filter(|occurrence| judges_again || occurrence.fact().is_none_or(|fact| fact.by < self.revision))
            .collect();
        for occurrence in &due {
            if self.is_to_rest() || self.written >= AT_A_CHANGE {
                return Ok(false);
            }
            self.make_one(occurrence, neighbours)?;
        }
        if judges_again {
            looks.judged(&self.plan.series.id, now.plus(AGAIN));
        }
        Ok(true)
    }

    /// Whether a drop may still be made for an occurrence that lies ahead.
    fn is_open(&self, occurrence: &Occurrence) -> bool {
        let Some(fact) = occurrence.fact() else { return true };
        match fact.verb {
            // Its local time is the id of a drop that belongs to another occurrence of the day, or that was cancelled.
            OccurrenceVerb::Create | OccurrenceVerb::Change | OccurrenceVerb::Cancel => false,
            OccurrenceVerb::Skip => true,
            OccurrenceVerb::Fail => fact.by < self.revision,
        }
    }

    fn make_one(&mut self, occurrence: &Occurrence, neighbours: &mut Neighbours) -> Result<(), Fault> {
        let Occurrence { local, opens_at, .. } = *occurrence;
        let id = self.plan.series.drop_id(local);
        // First, so that a drop is not made for whose record there is no room.
        let permit = self.engine.journal.permit()?;
        let drop = match drop_of(&self.plan, id.clone(), local, opens_at) {
            Ok(drop) => drop,
            Err(fault) => return self.write(permit, occurrence, OccurrenceVerb::Fail, &said(&of_template(fault))),
        };
        let of_shop = neighbours.of(self.engine, &self.plan);
        let findings = judge(&self.plan, &drop, opens_at, of_shop);
        if let Some(Finding { note, .. }) = findings.iter().find(|finding| finding.skips) {
            let reason = format!("{}: {}", note.code, note.message);
            let is_known = occurrence.fact().is_some_and(|fact| *fact.reason == *reason);
            return if is_known { Ok(()) } else { self.write(permit, occurrence, OccurrenceVerb::Skip, &reason) };
        }
        self.has_room()?;
        let neighbour = Neighbour::of(Arc::new(drop.clone()), opens_at, None);
        let command = CreateDrop { definition: drop, validate_only: false };
        match self.engine.create_drop(&command, self.context) {
            Ok(_view) => {
                // One that was there before is among them.
                if !of_shop.iter().any(|other| other.is_of(&id)) {
                    of_shop.push(neighbour);
                    neighbours.made();
                }
                self.write(permit, occurrence, OccurrenceVerb::Create, "")
            }
            Err(refused) => match refused_for_good(refused.value)? {
                ControlFlow::Break(reason) => self.write(permit, occurrence, OccurrenceVerb::Fail, &reason),
                ControlFlow::Continue(()) => Ok(()),
            },
        }
    }

    /// Until when drops are made.
    fn ahead(&self) -> Timestamp {
        let days = u64::from(self.plan.series.create_ahead_days);
        self.context.now.plus(Millis(DAY.0.saturating_mul(days)))
    }

    /// When there is more to do.
    fn next(&self) -> Timestamp {
        let (now, until) = (self.context.now, self.ahead());
        let Some(day) = day_of(&self.plan, now) else { return Timestamp::NEVER };
        let ahead = from_day(&self.plan, self.results, day).filter(|occurrence| occurrence.opens_at > now);
        let mut waiting = ahead.filter(|occurrence| self.is_open(occurrence));
        match (self.plan.series.state, waiting.next()) {
            (SeriesState::Ended, _) | (_, None) => Timestamp::NEVER,
            (SeriesState::Paused, Some(next)) => next.opens_at,
            (SeriesState::Active, Some(next)) if next.opens_at > until => {
                let days = u64::from(self.plan.series.create_ahead_days);
                next.opens_at.minus(Millis(DAY.0.saturating_mul(days)))
            }
            (SeriesState::Active, Some(next)) => now.plus(AGAIN).min(next.opens_at),
        }
    }

    fn has_room(&self) -> Result<(), Fault> {
        if self.results.has_room(self.context.now) {
            Ok(())
        } else {
            Err(Fault::Exhausted("too many occurrences of series"))
        }
    }

    /// Writes what came of an occurrence.
    pub(super) fn write(
        &mut self,
        permit: Permit<'_>,
        occurrence: &Occurrence,
        verb: OccurrenceVerb,
        reason: &str,
    ) -> Result<(), Fault> {
        let local = occurrence.made.as_ref().map_or(occurrence.local, |made| made.fact.local);
        self.write_at(permit, (local, occurrence.opens_at), verb, reason)
    }

    /// The same, by the local time that the occurrence had first.
    pub(super) fn write_at(
        &mut self,
        permit: Permit<'_>,
        (local, opens_at): (DateTime, Timestamp),
        verb: OccurrenceVerb,
        reason: &str,
    ) -> Result<(), Fault> {
        let Context { now, origin } = self.context;
        let series = &self.plan.series;
        let end = reason.floor_char_boundary(REASON_MAX);
        let fact = OccurrenceFact {
            series: series.id.clone(),
            shop: series.shop.clone(),
            local,
            verb,
            at: now,
            origin: origin.clone(),
            opens_at,
            by: self.revision,
            reason: reason.get(..end).unwrap_or_default().into(),
        };
        if !verb.has_drop() && self.results.get(&series.id, local).is_none() {
            self.has_room()?;
        }
        let (series, drop) = (fact.series.clone(), series.drop_id(local));
        let prepared = Prepared { permit, locked: Locked::Occurrences(self.results), taken: None };
        self.engine.commit(Record::Occurrence(Box::new(fact)), prepared, now)?;
        self.written = self.written.saturating_add(1);
        let what = verb.label();
        match verb {
            OccurrenceVerb::Create | OccurrenceVerb::Change | OccurrenceVerb::Cancel => {
                tracing::info!(%series, %drop, what, "drop of a series");
            }
            OccurrenceVerb::Skip | OccurrenceVerb::Fail => {
                tracing::warn!(%series, %drop, what, reason, "an occurrence of a series has no drop");
            }
        }
        Ok(())
    }
}

impl Finding {
    /// As a note about an occurrence.
    pub(super) fn of(self, occurrence: &Occurrence) -> Note {
        let Self { skips: _, note } = self;
        Note { message: format!("{}: {}", occurrence.local, note.message), ..note }
    }
}

/// Why a drop was refused, if that stays so until the series is changed.
///
/// # Errors
/// The fault, if it may pass.
pub(super) fn refused_for_good(fault: Fault) -> Result<ControlFlow<String>, Fault> {
    match fault {
        Fault::Invalid(_) => Ok(ControlFlow::Break(said(&of_template(fault)))),
        Fault::Exists { .. } | Fault::Precondition(_) => Ok(ControlFlow::Break(fault.to_string())),
        // Another change of the drop came between.
        Fault::Stale(_) | Fault::NoDrop(_) => Ok(ControlFlow::Continue(())),
        Fault::NoHold(_)
        | Fault::NoDefinition(..)
        | Fault::Exhausted(_)
        | Fault::Overloaded(_)
        | Fault::InDoubt
        | Fault::Suspended(_)
        | Fault::JournalFailed => Err(fault),
    }
}

/// A fault in words, with its fields.
pub(super) fn said(fault: &Fault) -> String {
    let Fault::Invalid(fields) = fault else { return fault.to_string() };
    let fields: Vec<String> = fields.iter().map(|field| format!("{} {}", field.field, field.description)).collect();
    fields.join("; ")
}

/// The local day of a date, for occurrences of it.
pub(super) fn same_day(plan: &Plan, results: &OccurrenceTable, day: Date) -> Vec<Occurrence> {
    from_day(plan, results, day).take_while(|occurrence| occurrence.local.date() == day).collect()
}

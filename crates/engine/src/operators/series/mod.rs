//! Series: drops that come again by a rule of the calendar.
//!
//! A series is a definition by an id (`operators/define.rs`). What came of each of its occurrences is one record, and
//! the id of an occurrence's drop is made of the series and its local time, so a drop is made once, across restarts and
//! whatever the clock does. The lock of all series is held while one is changed or looked at: a drop is of one template.
//!
//! - `occurrence`: an occurrence, and which made drop belongs to it. `guard`: what an occurrence must not do.
//! - `look`: does what is due in a series. `follow`: made drops follow a change. `preview`: what comes.

mod follow;
mod guard;
mod look;
mod occurrence;
mod preview;

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use stockade_types::calendar::CalendarFault;
use stockade_types::ids::{DefinedId, DropId, Lsn, SeriesId};
use stockade_types::record::{DefinedKind, OccurrenceFact, OccurrenceVerb};
use stockade_types::series::{Plan, PlanFault, Series, SeriesState, drop_id};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::{Fault, InvalidField};
use crate::attempt::{Answer, Decided};
use crate::context::Context;
use crate::inventory::Defined;
use crate::operators::define::Define;

pub(crate) use guard::Neighbours;
pub use preview::PreviewOf;

/// Creates a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSeries {
    /// As it shall be.
    pub series: Series,
    /// Only check it.
    pub validate_only: bool,
}

/// Changes a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSeries {
    /// As it shall be, whole.
    pub series: Series,
    /// Whether its state stays as it is, whatever `series` says.
    pub keep_state: bool,
    /// The revision that the caller has read.
    pub revision: Lsn,
    /// Only check it.
    pub validate_only: bool,
}

/// A series as of one of its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesView {
    /// As defined.
    pub series: Series,
    /// Its state: also ended if no occurrence is left.
    pub state: SeriesState,
    /// Its revision; 0 if it was only checked.
    pub revision: Lsn,
}

/// What is noticed about a series or an occurrence: lawful, but perhaps not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Stable, in `snake_case`.
    pub code: &'static str,
    /// The field that it is about, in proto spelling.
    pub field: String,
    /// In words.
    pub message: String,
}

/// What becomes of an occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OccurrenceState {
    /// Its drop is still to be made.
    Planned,
    /// Its drop was made.
    Created,
    /// No drop is made for it.
    Skipped,
    /// Its drop was refused.
    Failed,
    /// Its drop was closed before it opened.
    Cancelled,
}

/// An occurrence as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccurrenceView {
    /// Its local time.
    pub local: DateTime,
    /// When its drop opens.
    pub opens_at: Timestamp,
    /// Its drop.
    pub drop: DropId,
    /// What becomes of it.
    pub state: OccurrenceState,
    /// Why; empty if it is planned or created.
    pub reason: String,
    /// What is noticed about it.
    pub notes: Vec<Note>,
}

/// A series that was created or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesChanged {
    /// The series.
    pub view: SeriesView,
    /// What is noticed about it.
    pub notes: Vec<Note>,
    /// The occurrences whose drops were moved, changed or cancelled by it.
    pub changed: Vec<OccurrenceView>,
}

impl Engine {
    /// Creates a series, and makes the drops that are due. The same request again returns the series as it is now.
    ///
    /// # Errors
    /// [`Fault::Invalid`] for a calendar that gives nothing or a template that no drop can be made of,
    /// [`Fault::Exists`] when the id has another series, [`Fault::Exhausted`] when there are too many, and faults of the
    /// journal.
    pub fn create_series(&self, command: &CreateSeries, context: Context<'_>) -> Answer<SeriesChanged> {
        let CreateSeries { series, validate_only } = command;
        let plan = plan(series.clone())?;
        self.try_occurrences(&plan, context.now)?;
        let table = &mut self.inventory.definitions.lock(DefinedKind::Series);
        let bytes = series.encode();
        let request = blake3::hash(&bytes).into();
        let known = table.get(&defined_id(&series.id)).cloned();
        let define = define(series, request, *validate_only);
        let defined = self.define_in(table, define, context).map_err(|fault| first_difference(fault, known, series))?;
        let refused = if *validate_only { BTreeMap::new() } else { self.look_now(table, &series.id, context) };
        self.shown(&defined.value, &refused, context.now)
    }

    /// Changes a series and what is to come of it. If nothing differs, no record is written. The same request again
    /// returns the same answer, as long as no other change came after it.
    ///
    /// # Errors
    /// [`Fault::NoDefinition`]; [`Fault::Stale`] when the series does not have that revision; [`Fault::Invalid`] as for
    /// [`Engine::create_series`], and for another shop; and faults of the journal.
    pub fn update_series(&self, command: &UpdateSeries, context: Context<'_>) -> Answer<SeriesChanged> {
        let UpdateSeries { series, keep_state, revision, validate_only } = command;
        let plan = plan(series.clone())?;
        self.try_occurrences(&plan, context.now)?;
        let table = &mut self.inventory.definitions.lock(DefinedKind::Series);
        let id = defined_id(&series.id);
        let Some(known) = table.get(&id).cloned() else {
            return Err(Fault::NoDefinition(DefinedKind::Series, id).into());
        };
        let before = series_of(&known)?;
        if before.shop != series.shop {
            let description = format!("can't be changed: the series' shop is {}", before.shop);
            return Err(Fault::Invalid(vec![InvalidField { field: "series.shop".to_owned(), description }]).into());
        }
        let mut request = series.encode();
        request.push(u8::from(*keep_state));
        let request = blake3::hash(&request).into();
        let mut wanted = series.clone();
        if *keep_state {
            wanted.state = before.state;
        }
        if !validate_only {
            // What has passed, and what was begun, is finished by the series as it was.
            self.finish_now(table, &series.id, context)?;
        }
        let defined = self.redefine_in(table, define(&wanted, request, *validate_only), *revision, context)?;
        let refused = if *validate_only { BTreeMap::new() } else { self.look_now(table, &series.id, context) };
        let answer = self.shown(&defined.value, &refused, context.now)?;
        if !validate_only {
            return Ok(answer);
        }
        let changed = self.would_change(&Plan { series: wanted, ..plan }, context.now);
        Ok(answer.map(|answer| SeriesChanged { changed, ..answer }))
    }

    /// A series as it is now.
    ///
    /// # Errors
    /// [`Fault::NoDefinition`].
    pub fn get_series(&self, id: &SeriesId, context: Context<'_>) -> Answer<SeriesView> {
        let known = self.defined(DefinedKind::Series, &defined_id(id))?;
        Ok(Decided { value: view_of(&known.value, context.now)?, durable_after: known.durable_after })
    }

    /// Up to `most` series of a shop, or of all, behind an id, in the order of ids.
    ///
    /// # Errors
    /// None but for a series that can't be read.
    pub fn list_series(
        &self,
        shop: Option<&stockade_types::ids::ShopId>,
        after: Option<&SeriesId>,
        most: usize,
        context: Context<'_>,
    ) -> Answer<Vec<SeriesView>> {
        let after = after.map(defined_id);
        let of_shop =
            |known: &&Defined| shop.is_none_or(|shop| series_of(known).is_ok_and(|series| series.shop == *shop));
        let listed = self.list_defined(DefinedKind::Series, after.as_ref(), most, of_shop);
        let views = listed.value.iter().map(|known| view_of(known, context.now)).collect::<Result<_, _>>()?;
        Ok(Decided { value: views, durable_after: listed.durable_after })
    }

    /// The answer to a change, with why made drops could not follow. It shows drops that other records may have made, so
    /// it waits for all of them.
    fn shown(&self, defined: &Defined, refused: &BTreeMap<DropId, String>, now: Timestamp) -> Answer<SeriesChanged> {
        let revision = defined.revision;
        let view = view_of(defined, now)?;
        let plan = plan(view.series.clone())?;
        let occurrences = self.inventory.occurrences.lock();
        let of_change = |fact: &&OccurrenceFact| {
            let is_changed = matches!(fact.verb, OccurrenceVerb::Change | OccurrenceVerb::Cancel);
            fact.by == revision && is_changed && revision > Lsn(0)
        };
        let results = occurrences.of(&view.series.id).map(|occurred| occurred.fact.as_ref());
        let changed = results.filter(of_change).map(|fact| changed_view(&plan, fact)).collect();
        drop(occurrences);
        let mut notes = self.notes_of_next(&plan, now);
        notes.extend(self.left_as_they_are(&plan, revision, refused, now));
        Ok(Decided { value: SeriesChanged { view, notes, changed }, durable_after: self.journal.appended() })
    }
}

/// An occurrence whose drop was changed or cancelled by a change of its series.
fn changed_view(plan: &Plan, fact: &OccurrenceFact) -> OccurrenceView {
    let OccurrenceFact { series, shop: _, local, verb, at: _, origin: _, opens_at, by: _, reason } = fact;
    let is_cancelled = *verb == OccurrenceVerb::Cancel;
    let moved_to = stockade_types::calendar::local(&plan.zone, *opens_at).filter(|_| !is_cancelled);
    OccurrenceView {
        local: moved_to.unwrap_or(*local),
        opens_at: *opens_at,
        drop: drop_id(series, *local),
        state: if is_cancelled { OccurrenceState::Cancelled } else { OccurrenceState::Created },
        reason: reason.to_string(),
        notes: Vec::new(),
    }
}

/// Reads the rules of a series.
fn plan(series: Series) -> Result<Plan, Fault> {
    let invalid = |field: String, description: String| InvalidField { field, description };
    Plan::of(series).map_err(|fault| match fault {
        PlanFault::TimeZone => {
            let description = "must be the IANA name of a time zone, such as Europe/Berlin".to_owned();
            Fault::Invalid(vec![invalid("series.time_zone".to_owned(), description)])
        }
        PlanFault::Rules(faults) => {
            let field = |line: Option<usize>| match line {
                Some(line) => format!("series.rules[{line}]"),
                None => "series.starts_at".to_owned(),
            };
            let faults =
                faults.into_iter().map(|CalendarFault { line, description }| invalid(field(line), description));
            Fault::Invalid(faults.collect())
        }
    })
}

fn define(series: &Series, request: [u8; 32], validate_only: bool) -> Define {
    let (id, bytes) = (defined_id(&series.id), series.encode().into());
    Define { kind: DefinedKind::Series, id, request, bytes, validate_only }
}

/// The series' id among definitions.
fn defined_id(id: &SeriesId) -> DefinedId {
    let defined = DefinedId::try_from(id.as_str()).ok();
    stockade_types::invariant!(let Some(defined) = defined, "the id of series {id} is none of a definition");
    defined
}

/// Reads a series. One that can't be read was written by a build that did not check it, or has rotted in memory.
fn series_of(defined: &Defined) -> Result<Series, Fault> {
    Series::decode(&defined.fact.image.bytes).map_err(|error| {
        let id = &defined.fact.image.id;
        tracing::error!(series = %id, %error, "a series can't be read");
        Fault::Precondition(format!("series {id} can't be read: it {error}"))
    })
}

fn view_of(defined: &Defined, now: Timestamp) -> Result<SeriesView, Fault> {
    let series = series_of(defined)?;
    let is_over = |plan: Plan| occurrence::next_after(&plan, now).is_none();
    let state = match series.state {
        SeriesState::Active if Plan::of(series.clone()).is_ok_and(is_over) => SeriesState::Ended,
        SeriesState::Active | SeriesState::Paused | SeriesState::Ended => series.state,
    };
    Ok(SeriesView { series, state, revision: defined.revision })
}

/// Says in which field a series differs from the one that has its id.
fn first_difference(fault: Decided<Fault>, known: Option<Defined>, wanted: &Series) -> Decided<Fault> {
    let Decided { value: Fault::Exists { what, .. }, durable_after } = fault else { return fault };
    let known = known.and_then(|known| series_of(&known).ok());
    let field = known.and_then(|known| differing(&known, wanted)).unwrap_or("series");
    Decided { value: Fault::Exists { what, field }, durable_after }
}

fn differing(known: &Series, wanted: &Series) -> Option<&'static str> {
    let Series {
        id: _,
        shop,
        title,
        state: _,
        time_zone,
        starts_at,
        rules,
        closes,
        template,
        create_ahead_days,
        guards,
        made_follow: _,
    } = known;
    let fields = [
        ("series.shop", *shop != wanted.shop),
        ("series.title", *title != wanted.title),
        ("series.time_zone", *time_zone != wanted.time_zone),
        ("series.starts_at", *starts_at != wanted.starts_at),
        ("series.rules", *rules != wanted.rules),
        ("series.closes", *closes != wanted.closes),
        ("series.template", *template != wanted.template),
        ("series.create_ahead_days", *create_ahead_days != wanted.create_ahead_days),
        ("series.guards", *guards != wanted.guards),
    ];
    fields.into_iter().find(|(_, differs)| *differs).map(|(field, _)| field)
}

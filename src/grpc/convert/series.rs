//! Converts series: requests to commands, and series and occurrences to the wire.
//!
//! A series' template is checked by the code that checks a drop; what is wrong with it is said by the template's
//! fields.

use jiff::tz::TimeZone;
use prost::Message as _;
use stockade_engine::operators::series::{
    CreateSeries, Note, OccurrenceState, OccurrenceView, PreviewOf, SeriesView, UpdateSeries,
};
use stockade_proto as pb;
use stockade_types::calendar::Recurrence;
use stockade_types::definition::{DEFAULT_SHOP, Definition, Named, Schedule, TITLE_MAX};
use stockade_types::ids::{Lsn, SeriesId, ShopId};
use stockade_types::series::{
    AHEAD_DAYS_MAX, AHEAD_DAYS_USUAL, GUARDS_MAX, Guard, GuardKind, SERIES_ID_MAX, Series, SeriesState,
};
use stockade_types::time::Timestamp;

use super::answer::timestamp;
use super::drop::definition;
use super::drop_view::defined;
use super::faults::{Faults, Rejection};
use super::fields::{enumeration, id, instant, optional_id};
use super::list::page;
use super::rules::moment;
use super::rules_view::{is_general, moment_view};
use crate::text;

/// Occurrences of a preview that asks for no number, and the most.
const USUAL_PREVIEW: usize = 10;
const LARGEST_PREVIEW: usize = 366;
/// The last second of the year 9999.
const FAR: prost_types::Timestamp = prost_types::Timestamp { seconds: 253_402_300_799, nanos: 0 };

/// Converts a request to create a series.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn create_series(request: &pb::CreateSeriesRequest) -> Result<CreateSeries, Rejection> {
    let pb::CreateSeriesRequest { series, validate_only } = request;
    let mut faults = Faults::default();
    let series = given(&mut faults, series.as_ref());
    let command = series.map(|(series, _state)| CreateSeries { series, validate_only: *validate_only });
    faults.finish(command)
}

/// Converts a request to change a series.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn update_series(request: &pb::UpdateSeriesRequest) -> Result<UpdateSeries, Rejection> {
    let pb::UpdateSeriesRequest { series, revision, validate_only, made_drops } = request;
    let mut faults = Faults::default();
    let state_number = series.as_ref().map_or(0, |series| series.state);
    let state: Option<pb::SeriesState> = enumeration(&mut faults, "series.state", state_number);
    let series = given(&mut faults, series.as_ref());
    if *revision == 0 {
        faults.invalid("revision", "must be the revision that was read");
    }
    let made: Option<pb::MadeDrops> = enumeration(&mut faults, "made_drops", *made_drops);
    let command = series.zip(made).zip(state).map(|(((series, _), made), state)| UpdateSeries {
        series: Series {
            state: match state {
                pb::SeriesState::Unspecified | pb::SeriesState::Active => SeriesState::Active,
                pb::SeriesState::Paused => SeriesState::Paused,
                pb::SeriesState::Ended => SeriesState::Ended,
            },
            made_follow: match made {
                pb::MadeDrops::Unspecified | pb::MadeDrops::Follow => true,
                pb::MadeDrops::Keep => false,
            },
            ..series
        },
        keep_state: state == pb::SeriesState::Unspecified,
        revision: Lsn(*revision),
        validate_only: *validate_only,
    });
    faults.finish(command)
}

/// Converts the id of a series in a request.
///
/// # Errors
/// If it is none.
pub fn get_series(request: &pb::GetSeriesRequest) -> Result<SeriesId, Rejection> {
    let mut faults = Faults::default();
    let id = id(&mut faults, "series_id", &request.series_id);
    faults.finish(id)
}

/// A list of series: whose, behind which, and how many.
pub(super) type SeriesList = (Option<ShopId>, Option<SeriesId>, usize);

/// Converts a request for a list of series.
///
/// # Errors
/// All faulty fields.
pub fn list_series(request: &pb::ListSeriesRequest) -> Result<SeriesList, Rejection> {
    let pb::ListSeriesRequest { shop, page_size, page_token } = request;
    let mut faults = Faults::default();
    let shop = optional_id(&mut faults, "shop", shop);
    let size = page(&mut faults, *page_size);
    let after = page_token.strip_prefix(TOKEN).and_then(|id| SeriesId::try_from(id).ok());
    if !page_token.is_empty() && after.is_none() {
        faults.invalid("page_token", "was not returned by this call");
    }
    faults.finish(Some((shop, after, size)))
}

/// The version of tokens of series.
const TOKEN: &str = "1:";

/// The token of the page behind this series.
#[must_use]
pub fn series_token(last: &SeriesId) -> String {
    format!("{TOKEN}{last}")
}

/// A preview: of what, from when on, and how many.
pub(super) type SeriesPreview = (PreviewOf, Option<Timestamp>, usize);

/// Converts a request for a preview.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn preview_series(request: &pb::PreviewSeriesRequest) -> Result<SeriesPreview, Rejection> {
    use pb::preview_series_request::Of;
    let pb::PreviewSeriesRequest { of, count, from } = request;
    let mut faults = Faults::default();
    let of = match of {
        None => {
            faults.invalid("series_id", "one of series_id and series must be set");
            None
        }
        Some(Of::SeriesId(name)) => id(&mut faults, "series_id", name).map(PreviewOf::Known),
        Some(Of::Series(series)) => {
            given(&mut faults, Some(series)).map(|(series, _state)| PreviewOf::Given(Box::new(series)))
        }
    };
    let from = instant(&mut faults, "from", from.as_ref());
    let count = match usize::try_from(*count) {
        Ok(0) => USUAL_PREVIEW,
        Ok(count) if count <= LARGEST_PREVIEW => count,
        Ok(_) | Err(_) => {
            faults.invalid("count", format_args!("must be 0-{LARGEST_PREVIEW}"));
            0
        }
    };
    faults.finish(of.map(|of| (of, from, count)))
}

/// A series of a request, active, and the state that it has there; `None` with the faults recorded.
fn given(faults: &mut Faults, given: Option<&pb::Series>) -> Option<(Series, i32)> {
    let Some(given) = given else {
        faults.invalid("series", "must be set");
        return None;
    };
    let pb::Series {
        id: name,
        shop,
        title,
        state,
        time_zone,
        starts_at,
        rules,
        closes,
        template,
        create_ahead_days,
        guards,
        revision: _,
    } = given;
    let name: Option<SeriesId> = id(faults, "series.id", name);
    let name = name.filter(|name| {
        let fits = name.as_str().len() <= SERIES_ID_MAX;
        if !fits {
            faults.invalid("series.id", format_args!("must be 1-{SERIES_ID_MAX} characters of [A-Za-z0-9._:-]"));
        }
        fits
    });
    let shop = id(faults, "series.shop", if shop.is_empty() { DEFAULT_SHOP } else { shop });
    if title.len() > TITLE_MAX {
        faults.invalid("series.title", format_args!("must be at most {TITLE_MAX} bytes"));
    } else if !text::is_plain(title) {
        faults.invalid("series.title", text::PLAIN);
    }
    calendar(faults, time_zone, starts_at, rules);
    let closes_given = closes.is_some();
    let closes = closing(faults, closes.as_ref());
    let create_ahead_days = match u8::try_from(*create_ahead_days) {
        Ok(0) => AHEAD_DAYS_USUAL,
        Ok(days) if days <= AHEAD_DAYS_MAX => days,
        Ok(_) | Err(_) => {
            faults.invalid("series.create_ahead_days", format_args!("must be 1-{AHEAD_DAYS_MAX}, or 0 for 14"));
            0
        }
    };
    let guards = self::guards(faults, guards, closes_given);
    let template = self::template(faults, given, template.as_ref());
    let series = Series {
        id: name?,
        shop: shop?,
        title: title.clone(),
        state: SeriesState::Active,
        time_zone: time_zone.clone(),
        starts_at: starts_at.clone(),
        rules: rules.clone(),
        closes,
        template: template?,
        create_ahead_days,
        guards,
        made_follow: true,
    };
    Some((series, *state))
}

/// Checks time zone, start and rules.
fn calendar(faults: &mut Faults, time_zone: &str, starts_at: &str, rules: &[String]) {
    let zone = TimeZone::get(time_zone);
    if zone.is_err() {
        faults.invalid("series.time_zone", "must be the IANA name of a time zone, such as Europe/Berlin");
    }
    let zone = zone.unwrap_or(TimeZone::UTC);
    for fault in Recurrence::parse(starts_at, &zone, rules).err().unwrap_or_default() {
        match fault.line {
            Some(line) => faults.invalid(format_args!("series.rules[{line}]"), fault.description),
            None => faults.invalid("series.starts_at", fault.description),
        }
    }
}

/// When the drops close; `None` for an open end, or with a fault recorded.
fn closing(faults: &mut Faults, given: Option<&pb::Moment>) -> Option<Named> {
    let path = "series.closes";
    let moment = moment(faults, path, given, true)?;
    match moment.named {
        Named::At(_) => faults.invalid(format_args!("{path}.at"), "must be after_open or local: it is of many drops"),
        Named::BeforeClosing(_) => faults.invalid(format_args!("{path}.before_close"), "must be after_open or local"),
        Named::AfterOpening(span) if span <= 0 => {
            faults.invalid(format_args!("{path}.after_open"), "must be a duration above 0s");
        }
        Named::AfterOpening(_) | Named::Local { .. } => return Some(moment.named),
    }
    None
}

fn guards(faults: &mut Faults, given: &[pb::Guard], closes: bool) -> Vec<Guard> {
    if given.len() > GUARDS_MAX {
        faults.invalid("series.guards", format_args!("must be at most {GUARDS_MAX}, not {}", given.len()));
        return Vec::new();
    }
    let mut guards: Vec<Guard> = Vec::new();
    for (place, pb::Guard { kind, action, max }) in given.iter().enumerate() {
        let path = format!("series.guards[{place}]");
        let action: Option<pb::GuardAction> = enumeration(faults, format_args!("{path}.action"), *action);
        let kind = match enumeration(faults, format_args!("{path}.kind"), *kind) {
            None => None,
            Some(pb::GuardKind::Unspecified) => {
                faults.invalid(format_args!("{path}.kind"), "must be OVERLAP or MAX_DROPS_A_WEEK");
                None
            }
            Some(pb::GuardKind::Overlap) => {
                if !closes {
                    faults.invalid(format_args!("{path}.kind"), "OVERLAP needs a series with closes");
                }
                if *max != 0 {
                    faults.invalid(format_args!("{path}.max"), "is of MAX_DROPS_A_WEEK");
                }
                Some(GuardKind::Overlap)
            }
            Some(pb::GuardKind::MaxDropsAWeek) => {
                if *max == 0 {
                    faults.invalid(format_args!("{path}.max"), "must be at least 1");
                }
                Some(GuardKind::DropsAWeek(*max))
            }
        };
        let skips = action == Some(pb::GuardAction::Skip);
        guards.extend(kind.map(|kind| Guard { kind, skips }));
    }
    guards
}

/// The template of the drops; `None` with the faults recorded.
fn template(faults: &mut Faults, series: &pb::Series, given: Option<&pb::Drop>) -> Option<Definition> {
    let Some(given) = given else {
        faults.invalid("series.template", "must be set");
        return None;
    };
    let of_series = [
        ("id", !given.id.is_empty()),
        ("shop", !given.shop.is_empty()),
        ("series", !given.series.is_empty()),
        ("opens_at", given.opens_at.is_some()),
        ("closes_at", given.closes_at.is_some()),
        ("time_zone", !given.time_zone.is_empty()),
    ];
    for (field, _) in of_series.into_iter().filter(|(_, is_set)| *is_set) {
        faults.invalid(format_args!("series.template.{field}"), "must not be set: it comes from the series");
    }
    // As a drop of the series; faulty ids are said once, as those of the series.
    let named = |text: &str| if SeriesId::try_from(text).is_ok() { text.to_owned() } else { "series".to_owned() };
    let drop = pb::Drop {
        id: named(&series.id),
        shop: named(if series.shop.is_empty() { DEFAULT_SHOP } else { &series.shop }),
        series: named(&series.id),
        opens_at: None,
        closes_at: series.closes.as_ref().map(|_| FAR),
        time_zone: series.time_zone.clone(),
        ..given.clone()
    };
    let mut of_template = Faults::default();
    let mut template = definition(&mut of_template, &drop);
    if let Some(template) = &mut template {
        template.schedule = Schedule::default();
    }
    each_moment(given, |path, moment| {
        if let Some(pb::moment::When::At(_)) = moment.when {
            of_template.invalid(format_args!("drop.{path}.at"), "must be relative or local: it is of many drops");
        }
    });
    faults.absorb(of_template, |field| match field.strip_prefix("drop.") {
        Some(rest) => format!("series.template.{rest}"),
        None => "series.template".to_owned(),
    });
    template
}

/// Visits every moment of a drop with its path.
fn each_moment(drop: &pb::Drop, mut f: impl FnMut(String, &pb::Moment)) {
    let mut of =
        |path: String, moment: Option<&pb::Moment>| moment.into_iter().for_each(|moment| f(path.clone(), moment));
    let on = |trigger: Option<&pb::Trigger>| match trigger?.on.as_ref()? {
        pb::trigger::On::Moment(moment) => Some(moment.clone()),
        pb::trigger::On::Stock(_) => None,
    };
    for (place, window) in drop.windows.iter().enumerate() {
        of(format!("windows[{place}].starts"), window.starts.as_ref());
        of(format!("windows[{place}].ends"), window.ends.as_ref());
    }
    for (place, terms) in drop.terms.iter().enumerate() {
        of(format!("terms[{place}].starts"), terms.starts.as_ref());
        of(format!("terms[{place}].ends"), terms.ends.as_ref());
        for (step, of_step) in terms.steps.iter().enumerate() {
            of(format!("terms[{place}].steps[{step}].when.moment"), on(of_step.when.as_ref()).as_ref());
        }
    }
    for (place, tranche) in drop.tranches.iter().enumerate() {
        of(format!("tranches[{place}].when.moment"), on(tranche.when.as_ref()).as_ref());
    }
    for (place, item) in drop.items.iter().enumerate() {
        if let Some(slot) = &item.slot {
            of(format!("items[{place}].slot.starts"), slot.starts.as_ref());
            of(format!("items[{place}].slot.ends"), slot.ends.as_ref());
        }
        for (pool, of_pool) in item.pools.iter().enumerate() {
            for (flow, of_flow) in of_pool.flows.iter().enumerate() {
                let path = format!("items[{place}].pools[{pool}].flows[{flow}].when.moment");
                of(path, on(of_flow.when.as_ref()).as_ref());
            }
        }
    }
}

/// A series.
#[must_use]
pub fn series(view: &SeriesView) -> pb::Series {
    let SeriesView { series, state, revision } = view;
    let Series {
        id,
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
    } = series;
    let mut shown = pb::Drop {
        id: String::new(),
        shop: String::new(),
        series: String::new(),
        time_zone: String::new(),
        ..defined(template, None)
    };
    // The pool that an item has by itself is left out: read and sent back, the template is the same.
    for (item, shown) in template.items.iter().zip(&mut shown.items) {
        if is_general(item) {
            shown.pools.clear();
        }
    }
    pb::Series {
        id: id.to_string(),
        shop: shop.to_string(),
        title: title.clone(),
        state: match state {
            SeriesState::Active => pb::SeriesState::Active,
            SeriesState::Paused => pb::SeriesState::Paused,
            SeriesState::Ended => pb::SeriesState::Ended,
        }
        .into(),
        time_zone: time_zone.clone(),
        starts_at: starts_at.clone(),
        rules: rules.clone(),
        closes: closes.map(|named| moment_view(named.into())),
        template: Some(shown),
        create_ahead_days: u32::from(*create_ahead_days),
        guards: guards.iter().map(guard).collect(),
        revision: revision.0,
    }
}

fn guard(Guard { kind, skips }: &Guard) -> pb::Guard {
    let (kind, max) = match kind {
        GuardKind::Overlap => (pb::GuardKind::Overlap, 0),
        GuardKind::DropsAWeek(max) => (pb::GuardKind::MaxDropsAWeek, *max),
    };
    let action = if *skips { pb::GuardAction::Skip } else { pb::GuardAction::Warn };
    pb::Guard { kind: kind.into(), action: action.into(), max }
}

/// About the bytes of a series on the wire.
#[must_use]
pub fn series_bytes(series: &pb::Series) -> usize {
    series.encoded_len().saturating_add(8)
}

/// An occurrence of a series in this time zone.
#[must_use]
pub fn occurrence(view: &OccurrenceView, time_zone: &str) -> pb::Occurrence {
    let OccurrenceView { local, opens_at, drop, state, reason, notes } = view;
    pb::Occurrence {
        local_time: format!("{}[{time_zone}]", local.strftime("%Y-%m-%dT%H:%M:%S")),
        opens_at: Some(timestamp(*opens_at)),
        drop_id: drop.to_string(),
        state: match state {
            OccurrenceState::Planned => pb::OccurrenceState::Planned,
            OccurrenceState::Created => pb::OccurrenceState::Created,
            OccurrenceState::Skipped => pb::OccurrenceState::Skipped,
            OccurrenceState::Failed => pb::OccurrenceState::Failed,
            OccurrenceState::Cancelled => pb::OccurrenceState::Cancelled,
        }
        .into(),
        reason: reason.clone(),
        warnings: notes.iter().map(warning).collect(),
    }
}

/// What is noticed about a series, as a warning.
#[must_use]
pub fn warning(Note { code, field, message }: &Note) -> pb::Warning {
    pb::Warning { code: (*code).to_owned(), field: field.clone(), message: message.clone() }
}

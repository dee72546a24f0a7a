//! A series as defined: a calendar rule, and the template of the drops that it makes.
//!
//! The code that builds one from a request checks it. [`Plan`] is a series whose rules have been read.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::calendar::{CalendarFault, Recurrence, stamp};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::definition::{Definition, Moment, Named};
use crate::ids::{DropId, SeriesId, ShopId};
use crate::record::DEFINED_BYTES_MAX;

/// Most characters of a series' id: the id of a drop is made of it and the time of its occurrence.
pub const SERIES_ID_MAX: usize = 40;
/// Most days ahead of an occurrence that its drop may be made, and the days if nothing is said.
pub const AHEAD_DAYS_MAX: u8 = 90;
/// The days ahead if nothing is said.
pub const AHEAD_DAYS_USUAL: u8 = 14;
/// Most guards of a series.
pub const GUARDS_MAX: usize = 8;

/// Whether a series makes drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesState {
    /// It does.
    Active,
    /// It does not for now: occurrences that pass meanwhile are skipped.
    Paused,
    /// It does not any more.
    Ended,
}

/// What an occurrence must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// What it must not do.
    pub kind: GuardKind,
    /// Whether an occurrence that does it is skipped; otherwise it is only noticed.
    pub skips: bool,
}

/// A kind of guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardKind {
    /// Sell a SKU that another drop of the shop sells at the time.
    Overlap,
    /// Be one more drop of the shop than this many in a week, Monday to Sunday in the series' time zone.
    DropsAWeek(u32),
}

/// A series as defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Unique in the engine.
    pub id: SeriesId,
    /// Whose drops it makes.
    pub shop: ShopId,
    /// For display, and of its drops if the template has none. `{date}` and `{time}` stand for the occurrence's.
    pub title: String,
    /// Whether it makes drops.
    pub state: SeriesState,
    /// The IANA name of its time zone.
    pub time_zone: String,
    /// Its first local time, as the contract writes it.
    pub starts_at: String,
    /// Lines of RFC 5545.
    pub rules: Vec<String>,
    /// When its drops close, after their opening; none: they do not by themselves.
    pub closes: Option<Named>,
    /// Its drops, without id, opening and closing.
    pub template: Definition,
    /// How many days ahead of an occurrence its drop is made.
    pub create_ahead_days: u8,
    /// What its occurrences must not do.
    pub guards: Vec<Guard>,
    /// Whether drops that are made already follow the last change of the series.
    pub made_follow: bool,
}

/// A series whose rules have been read.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The series.
    pub series: Series,
    /// Its time zone.
    pub zone: TimeZone,
    /// Its local times.
    pub recurrence: Recurrence,
}

/// What is wrong with a series' calendar: its time zone, or its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanFault {
    /// No such time zone is known.
    TimeZone,
    /// The rules.
    Rules(Vec<CalendarFault>),
}

impl Plan {
    /// Reads the rules of a series.
    ///
    /// # Errors
    /// [`PlanFault`].
    pub fn of(series: Series) -> Result<Self, PlanFault> {
        let zone = TimeZone::get(&series.time_zone).map_err(|_unknown| PlanFault::TimeZone)?;
        let recurrence = Recurrence::parse(&series.starts_at, &zone, &series.rules).map_err(PlanFault::Rules)?;
        Ok(Self { series, zone, recurrence })
    }
}

impl Series {
    /// The id of the drop of an occurrence: `weekly-20261204T1800`.
    ///
    /// # Panics
    /// When the series' id is longer than [`SERIES_ID_MAX`]: a bug.
    #[must_use]
    pub fn drop_id(&self, local: DateTime) -> DropId {
        drop_id(&self.id, local)
    }

    /// The title of the drop of an occurrence.
    #[must_use]
    pub fn drop_title(&self, local: DateTime) -> String {
        let title = if self.template.title.is_empty() { &self.title } else { &self.template.title };
        let (date, time) = (local.strftime("%Y-%m-%d").to_string(), local.strftime("%H:%M").to_string());
        title.replace("{date}", &date).replace("{time}", &time)
    }

    /// Its bytes, at most [`DEFINED_BYTES_MAX`] of them if the template has the size of a drop.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self {
            id,
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
            made_follow,
        } = self;
        let mut out = Vec::new();
        for text in [id.as_str(), shop.as_str(), title, time_zone, starts_at] {
            put_text(&mut out, text);
        }
        out.extend_from_slice(&[state.number(), *create_ahead_days, u8::from(*made_follow)]);
        put_u64(&mut out, u64::try_from(rules.len()).unwrap_or(u64::MAX));
        for line in rules {
            put_text(&mut out, line);
        }
        Moment::encode_option(closes.map(Moment::from), &mut out);
        put_u64(&mut out, u64::try_from(guards.len()).unwrap_or(u64::MAX));
        for Guard { kind, skips } in guards {
            let (number, most) = match kind {
                GuardKind::Overlap => (1, 0),
                GuardKind::DropsAWeek(most) => (2, *most),
            };
            out.extend_from_slice(&[number, u8::from(*skips)]);
            put_u64(&mut out, most.into());
        }
        template.encode(true, &mut out);
        out
    }

    /// Reads what [`Series::encode`] has written.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are not exactly one series.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > DEFINED_BYTES_MAX {
            return Err(DecodeError::Long);
        }
        let reader = &mut Reader::new(bytes);
        let (id, shop, title) = (reader.id("series id")?, reader.id("shop id")?, reader.text()?.to_owned());
        let (time_zone, starts_at) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        let [state, create_ahead_days] = reader.array()?;
        let state = SeriesState::ALL.into_iter().find(|known| known.number() == state);
        let state = state.ok_or(DecodeError::Bad("state of a series"))?;
        let made_follow = reader.flag("flag")?;
        let rules = (0..reader.count(1)?).map(|_| reader.text().map(ToOwned::to_owned)).collect::<Result<_, _>>()?;
        let closes = Moment::decode_option(reader)?.map(|moment| moment.named);
        let guards = (0..reader.count(3)?).map(|_| guard(reader)).collect::<Result<_, _>>()?;
        let template = Definition::decode(reader, true)?;
        let series = Self {
            id,
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
            made_follow,
        };
        reader.finish()?;
        Ok(series)
    }
}

fn guard(reader: &mut Reader<'_>) -> Result<Guard, DecodeError> {
    let (kind, skips, most) = (reader.u8()?, reader.flag("flag")?, reader.small("number")?);
    let kind = match kind {
        1 => GuardKind::Overlap,
        2 => GuardKind::DropsAWeek(most),
        _ => return Err(DecodeError::Bad("guard")),
    };
    Ok(Guard { kind, skips })
}

impl SeriesState {
    const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Ended];

    const fn number(self) -> u8 {
        match self {
            Self::Active => 1,
            Self::Paused => 2,
            Self::Ended => 3,
        }
    }

    /// In a word.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// The id of the drop of a series' occurrence.
///
/// # Panics
/// When the series' id is longer than [`SERIES_ID_MAX`]: a bug.
#[must_use]
pub fn drop_id(series: &SeriesId, local: DateTime) -> DropId {
    let id = DropId::try_from(format!("{series}-{}", stamp(local)).as_str()).ok();
    crate::invariant!(let Some(id) = id, "the id of series {series} is too long for a drop's");
    id
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::definition::{Item, Pool, Rules, Schedule, Terms};
    use crate::time::Millis;

    fn series() -> Series {
        let template = Definition {
            id: "weekly".parse().expect("an id"),
            title: String::new(),
            shop: "s".parse().expect("an id"),
            series: Some("weekly".parse().expect("an id")),
            labels: BTreeMap::new(),
            schedule: Schedule::default(),
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(2), payment_ttl: Millis(3) },
            items: vec![Item::plain("A".parse().expect("a sku"), vec![Pool::plain("all".parse().expect("an id"), 5)])],
            limits: Vec::new(),
            rules: Rules::default(),
        };
        let guards = vec![
            Guard { kind: GuardKind::Overlap, skips: true },
            Guard { kind: GuardKind::DropsAWeek(4), skips: false },
        ];
        Series {
            id: "weekly".parse().expect("an id"),
            shop: "s".parse().expect("an id"),
            title: "Knives of {date}, {time}".to_owned(),
            state: SeriesState::Paused,
            time_zone: "Europe/Berlin".to_owned(),
            starts_at: "2026-12-04T18:00:00".to_owned(),
            rules: vec!["RRULE:FREQ=WEEKLY".to_owned()],
            closes: Some(Named::Local { days: 1, seconds: 7_200 }),
            template,
            create_ahead_days: 90,
            guards,
            made_follow: false,
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let whole = series().encode();
        assert_eq!(Series::decode(&whole), Ok(series()));
        for cut in 0..whole.len() {
            assert!(Series::decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert_eq!(Series::decode(&[&whole[..], &[0]].concat()), Err(DecodeError::Long));
        let open = Series { closes: None, state: SeriesState::Ended, made_follow: true, ..series() };
        assert_eq!(Series::decode(&open.encode()), Ok(open));
    }

    #[test]
    fn a_drop_is_named_after_its_occurrence() {
        let at = "2026-12-04T18:00".parse().expect("a time");
        assert_eq!(series().drop_id(at).as_str(), "weekly-20261204T1800");
        assert_eq!(series().drop_title(at), "Knives of 2026-12-04, 18:00");
        let mut titled = series();
        titled.template.title = "Today: {time}".to_owned();
        assert_eq!(titled.drop_title(at), "Today: 18:00");
    }

    #[test]
    fn a_calendar_that_can_t_be_read_is_said() {
        let zone = Plan::of(Series { time_zone: "Europe/Nowhere".to_owned(), ..series() });
        assert_eq!(zone.expect_err("no zone"), PlanFault::TimeZone);
        let rules = Plan::of(Series { rules: vec!["RRULE:FREQ=NEVER".to_owned()], ..series() });
        assert!(matches!(rules, Err(PlanFault::Rules(faults)) if faults[0].line == Some(0)));
        assert!(Plan::of(series()).is_ok());
    }
}

//! Lines of RFC 5545 become a [`Recurrence`]. Everything that is wrong is said at once, each with its line.

use std::str::FromStr;

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

use super::rule::{ByDay, End, Frequency, Rule};
use super::{A_DAY_MAX, DATES_MAX, LINE_BYTES_MAX, LINES_MAX, Recurrence, YEARS_MAX};

/// Most days that COUNT may give.
const COUNT_MAX: u32 = 10_000;
/// Most periods between two that a rule looks at.
const INTERVAL_MAX: u32 = 1_000;
/// The parts of an RRULE.
const PARTS: [&str; 9] = ["FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST"];

/// What is wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarFault {
    /// In which line; none: with the start.
    pub line: Option<usize>,
    /// What is wrong.
    pub description: String,
}

/// One line: a rule, dates that are added, or dates that are left out.
enum Line {
    Rule(Rule),
    Added(Vec<DateTime>),
    LeftOut(Vec<DateTime>),
}

pub(super) fn recurrence(starts_at: &str, zone: &TimeZone, lines: &[String]) -> Result<Recurrence, Vec<CalendarFault>> {
    let mut faults = Vec::new();
    let start = local_time(starts_at);
    let (mut rules, mut added, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    if lines.len() > LINES_MAX {
        let description = format!("has {} lines, of at most {LINES_MAX}", lines.len());
        return Err(vec![CalendarFault { line: Some(LINES_MAX), description }]);
    }
    for (place, text) in lines.iter().enumerate() {
        match line(text, zone) {
            Ok(Line::Rule(rule)) => rules.push((place, rule)),
            Ok(Line::Added(dates)) => added.extend(dates),
            Ok(Line::LeftOut(dates)) => left_out.extend(dates),
            Err(description) => faults.push(CalendarFault { line: Some(place), description }),
        }
        if added.len() > DATES_MAX || left_out.len() > DATES_MAX {
            let description = format!("too many dates: at most {DATES_MAX} of RDATE, and of EXDATE");
            faults.push(CalendarFault { line: Some(place), description });
            break;
        }
    }
    let starts_at = match start {
        Ok(starts_at) if faults.is_empty() => starts_at,
        Ok(_) => return Err(faults),
        Err(description) => {
            faults.insert(0, CalendarFault { line: None, description });
            return Err(faults);
        }
    };
    if rules.is_empty() {
        added.push(starts_at);
    }
    let (places, rules): (Vec<usize>, Vec<Rule>) =
        rules.into_iter().map(|(place, rule)| (place, rule.starting(starts_at.date()))).unzip();
    for dates in [&mut added, &mut left_out] {
        dates.sort_unstable();
        dates.dedup();
    }
    let recurrence = Recurrence { starts_at, rules, added, left_out };
    let faults = unsound(&recurrence, &places);
    if faults.is_empty() { Ok(recurrence) } else { Err(faults) }
}

/// Rules that never come, and days with too many occurrences; `places` are the lines of the rules.
fn unsound(recurrence: &Recurrence, places: &[usize]) -> Vec<CalendarFault> {
    let start = recurrence.starts_at;
    let never = recurrence.rules.iter().zip(places).filter(|(rule, _)| {
        let alone = Recurrence {
            rules: vec![(*rule).clone()],
            added: Vec::new(),
            left_out: Vec::new(),
            starts_at: recurrence.starts_at,
        };
        alone.from(start).next().is_none()
    });
    let never = never.map(|(_, place)| CalendarFault {
        line: Some(*place),
        description: format!("never comes: it gives no day from starts_at on for {YEARS_MAX} years"),
    });
    let mut faults: Vec<CalendarFault> = never.collect();
    if faults.is_empty() && recurrence.from(recurrence.earliest()).next().is_none() {
        faults.push(CalendarFault { line: None, description: "never comes: EXDATE leaves nothing of it".to_owned() });
    }
    if let Some(day) = recurrence.crowded_day() {
        let description = format!("more than {A_DAY_MAX} on {}", day.date());
        faults.push(CalendarFault { line: None, description });
    }
    faults
}

impl Recurrence {
    /// The earliest time that may be an occurrence.
    fn earliest(&self) -> DateTime {
        self.added.first().map_or(self.starts_at, |first| self.starts_at.min(*first))
    }
}

fn line(text: &str, zone: &TimeZone) -> Result<Line, String> {
    if text.len() > LINE_BYTES_MAX {
        return Err(format!("has {} bytes, of at most {LINE_BYTES_MAX}", text.len()));
    }
    let expected = || "must be a line such as RRULE:FREQ=WEEKLY;BYDAY=FR, or one of RDATE or EXDATE".to_owned();
    let (head, value) = text.trim().split_once(':').ok_or_else(expected)?;
    let mut head = head.split(';');
    let name = head.next().unwrap_or_default().to_ascii_uppercase();
    let is_dates = match name.as_str() {
        "RRULE" => false,
        "RDATE" | "EXDATE" => true,
        other => return Err(format!("{}: only RRULE, RDATE and EXDATE are supported", shown(other))),
    };
    for parameter in head {
        parameter_fits(&parameter.to_ascii_uppercase(), parameter, is_dates, zone)?;
    }
    if !is_dates {
        return rule(value, zone).map(Line::Rule);
    }
    let dates = value.split(',').map(|date| moment(date, zone)).collect::<Result<Vec<_>, _>>()?;
    Ok(if name == "RDATE" { Line::Added(dates) } else { Line::LeftOut(dates) })
}

/// Dates may say their zone, if it is the series', and their type, if it is the usual one.
fn parameter_fits(upper: &str, parameter: &str, is_dates: bool, zone: &TimeZone) -> Result<(), String> {
    let own_zone = zone.iana_name().map(|name| format!("TZID={name}").to_ascii_uppercase());
    if is_dates && (upper == "VALUE=DATE-TIME" || own_zone.as_deref() == Some(upper)) {
        return Ok(());
    }
    let supported = if is_dates { "only VALUE=DATE-TIME, and TZID with the series' time zone, are" } else { "none is" };
    Err(format!("{}: of parameters {supported} supported", shown(parameter)))
}

/// Text of a request, cut to what a message may show.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn rule(value: &str, zone: &TimeZone) -> Result<Rule, String> {
    let mut parts: [Option<&str>; PARTS.len()] = [None; PARTS.len()];
    for part in value.split(';') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let upper = name.to_ascii_uppercase();
        let known = PARTS.iter().zip(&mut parts).find(|(known, _)| **known == upper);
        let Some((_, known)) = known else {
            return Err(format!("{}: only {} are supported", shown(name), PARTS.join(", ")));
        };
        if known.replace(value).is_some() {
            return Err(format!("{upper} is there twice"));
        }
    }
    let [frequency, interval, count, until, by_day, by_month_day, by_month, by_set_pos, week_start] = parts;
    let frequency = match frequency.unwrap_or_default().to_ascii_uppercase().as_str() {
        "DAILY" => Frequency::Daily,
        "WEEKLY" => Frequency::Weekly,
        "MONTHLY" => Frequency::Monthly,
        "YEARLY" => Frequency::Yearly,
        "" => return Err("FREQ is missing: DAILY, WEEKLY, MONTHLY or YEARLY".to_owned()),
        other => return Err(format!("FREQ={}: must be DAILY, WEEKLY, MONTHLY or YEARLY", shown(other))),
    };
    let end = match (count, until) {
        (Some(_), Some(_)) => return Err("COUNT and UNTIL exclude each other".to_owned()),
        (Some(count), None) => End::Count(number("COUNT", count, 1..=COUNT_MAX)?),
        (None, Some(until)) => End::Until(last_time(until, zone)?),
        (None, None) => End::Never,
    };
    let rule = Rule {
        frequency,
        interval: interval.map_or(Ok(1), |interval| number("INTERVAL", interval, 1..=INTERVAL_MAX))?,
        end,
        by_day: list(by_day, by_days)?,
        by_month_day: list(by_month_day, |day| signed("BYMONTHDAY", day, 31))?,
        by_month: list(by_month, |month| number("BYMONTH", month, 1..=12))?,
        by_set_pos: list(by_set_pos, |place| signed("BYSETPOS", place, 366))?,
        week_start: week_start.map_or(Ok(Weekday::Monday), |day| weekday("WKST", day))?,
    };
    fits_frequency(&rule)?;
    Ok(rule)
}

/// Parts that have no meaning for a frequency.
fn fits_frequency(rule: &Rule) -> Result<(), String> {
    let is_coarse = match rule.frequency {
        Frequency::Monthly | Frequency::Yearly => true,
        Frequency::Daily | Frequency::Weekly => false,
    };
    if !is_coarse && rule.by_day.iter().any(|by_day| by_day.ordinal.is_some()) {
        return Err("BYDAY: a day with a number needs FREQ=MONTHLY or FREQ=YEARLY".to_owned());
    }
    if rule.frequency == Frequency::Weekly && !rule.by_month_day.is_empty() {
        return Err("BYMONTHDAY: not with FREQ=WEEKLY".to_owned());
    }
    if !rule.by_set_pos.is_empty() && rule.by_day.is_empty() && rule.by_month_day.is_empty() && rule.by_month.is_empty()
    {
        return Err("BYSETPOS: needs BYDAY, BYMONTHDAY or BYMONTH".to_owned());
    }
    Ok(())
}

fn list<T>(text: Option<&str>, one: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.map_or(Ok(Vec::new()), |text| text.split(',').map(one).collect())
}

fn number<N: FromStr + PartialOrd + std::fmt::Display>(
    name: &str,
    text: &str,
    range: std::ops::RangeInclusive<N>,
) -> Result<N, String> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && range.contains(number));
    number.ok_or_else(|| format!("{name}={}: must be {}-{}", shown(text), range.start(), range.end()))
}

/// A number that counts from the end if it is negative.
fn signed<N: TryFrom<i32>>(name: &str, text: &str, most: i32) -> Result<N, String> {
    let number = text.parse().ok().filter(|number: &i32| *number != 0 && (-most..=most).contains(number));
    let number = number.and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("{name}={}: must be 1-{most}, or negative to count from the end", shown(text)))
}

fn weekday(name: &str, text: &str) -> Result<Weekday, String> {
    Ok(match text.to_ascii_uppercase().as_str() {
        "MO" => Weekday::Monday,
        "TU" => Weekday::Tuesday,
        "WE" => Weekday::Wednesday,
        "TH" => Weekday::Thursday,
        "FR" => Weekday::Friday,
        "SA" => Weekday::Saturday,
        "SU" => Weekday::Sunday,
        other => return Err(format!("{name}={}: must be one of MO, TU, WE, TH, FR, SA, SU", shown(other))),
    })
}

fn by_days(text: &str) -> Result<ByDay, String> {
    let (ordinal, day) = text.split_at_checked(text.len().saturating_sub(2)).unwrap_or(("", text));
    let day = weekday("BYDAY", day)?;
    let ordinal = if ordinal.is_empty() { None } else { Some(signed("BYDAY", ordinal, 53)?) };
    Ok(ByDay { ordinal, day })
}

/// The time of UNTIL: a day means all of it.
fn last_time(text: &str, zone: &TimeZone) -> Result<DateTime, String> {
    let is_day = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    if is_day {
        let whole = DateTime::strptime("%Y%m%dT%H%M%S", format!("{text}T235959"));
        return whole.map_err(|_| format!("UNTIL={text}: there is no such day"));
    }
    basic(text, zone).map_err(|what| format!("UNTIL={}: {what}", shown(text)))
}

/// A date of RDATE or EXDATE.
fn moment(text: &str, zone: &TimeZone) -> Result<DateTime, String> {
    let at = basic(text, zone).map_err(|what| format!("{}: {what}", shown(text)))?;
    if at.second() != 0 {
        return Err(format!("{}: times are whole minutes", shown(text)));
    }
    Ok(at)
}

/// A time as RFC 5545 writes it, local or in UTC.
fn basic(text: &str, zone: &TimeZone) -> Result<DateTime, &'static str> {
    let expected = "must be a local time such as 20261204T180000, or one in UTC such as 20261204T170000Z";
    let digits = text.strip_suffix('Z').unwrap_or(text);
    let is_digit = |(place, b): (usize, u8)| if place == 8 { b == b'T' } else { b.is_ascii_digit() };
    if digits.len() != 15 || !digits.bytes().enumerate().all(is_digit) || digits.ends_with("60") {
        return Err(expected);
    }
    let at = DateTime::strptime("%Y%m%dT%H%M%S", digits).map_err(|_| "there is no such time")?;
    if digits.len() == text.len() {
        return Ok(at);
    }
    let at = TimeZone::UTC.to_timestamp(at).map_err(|_| "there is no such time")?;
    Ok(zone.to_datetime(at))
}

/// A local time as the contract writes it: `2026-12-04T18:00:00`. The seconds may be left out, and are 0.
///
/// # Errors
/// What is wrong with it.
pub fn local_time(text: &str) -> Result<DateTime, String> {
    let shape = |pattern: &str| {
        let fits = |(b, like): (u8, u8)| if like == b'0' { b.is_ascii_digit() } else { b == like };
        text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
    };
    if !shape("0000-00-00T00:00:00") && !shape("0000-00-00T00:00") {
        return Err("must be a local time without a zone, such as 2026-12-04T18:00:00".to_owned());
    }
    let at: DateTime = text.parse().map_err(|_| "there is no such day or time".to_owned())?;
    if at.second() != 0 || text.ends_with(":60") {
        return Err("must be a whole minute".to_owned());
    }
    if !(1970..=9_800).contains(&at.year()) {
        return Err("must lie in the years 1970 to 9800".to_owned());
    }
    Ok(at)
}

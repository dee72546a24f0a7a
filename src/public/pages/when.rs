//! Instants as people read them, in a drop's time zone.

use jiff::Zoned;
use jiff::tz::TimeZone;
use maud::{Markup, html};
use stockade_types::time::Timestamp;

/// An instant in a time zone; in UTC if the zone is not known here.
pub(super) fn local(at: Timestamp, zone: &str) -> Zoned {
    let instant = i64::try_from(at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    let zone = if zone.is_empty() { TimeZone::UTC } else { TimeZone::get(zone).unwrap_or(TimeZone::UTC) };
    instant.unwrap_or_default().to_zoned(zone)
}

/// The day of an instant.
pub(super) fn day(at: &Zoned) -> String {
    at.strftime("%A, %-d %B %Y").to_string()
}

/// The time of day, with the zone's abbreviation.
pub(super) fn time(at: &Zoned) -> String {
    at.strftime("%H:%M %Z").to_string()
}

/// Day and time.
pub(super) fn whole(at: Timestamp, zone: &str) -> Markup {
    html! { time datetime=(at) { (words(at, zone)) } }
}

/// The same, which the script changes under this name.
pub(super) fn part(name: &str, at: Timestamp, zone: &str) -> Markup {
    html! { time datetime=(at) data-part=(name) { (words(at, zone)) } }
}

fn words(at: Timestamp, zone: &str) -> String {
    let local = local(at, zone);
    format!("{}, {}", day(&local), time(&local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_shown_in_the_drops_time_zone() {
        // 2026-12-04T23:30:00Z
        let at = Timestamp(1_796_427_000_000);
        let shown = |zone: &str| (day(&local(at, zone)), time(&local(at, zone)));
        assert_eq!(shown("Europe/Berlin"), ("Saturday, 5 December 2026".into(), "00:30 CET".into()));
        assert_eq!(shown(""), ("Friday, 4 December 2026".into(), "23:30 UTC".into()));
        assert_eq!(shown("Nowhere/At_All"), shown("UTC"));
    }
}

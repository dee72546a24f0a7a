//! The events of a drop: one for the drop, and one for each window that a tier may use.

use stockade_engine::answer::{Announced, DropState};
use stockade_types::definition::{Audience, Signal, Trigger};
use stockade_types::time::Timestamp;

use super::super::words;
use super::Asked;
use super::lines::Lines;
use crate::grpc::PublicStatus;

/// The channel of signals that calendars remind of.
const CALENDAR: &str = "calendar";

/// An event.
#[derive(Debug)]
pub(super) struct Event {
    uid: String,
    announced: Announced,
    starts: Timestamp,
    /// None: open end.
    ends: Option<Timestamp>,
    summary: String,
    location: String,
    url: Option<String>,
    is_cancelled: bool,
    alarms: Vec<Alarm>,
}

/// What reminds of an event.
#[derive(Debug)]
struct Alarm {
    at: Timestamp,
    text: String,
}

/// The events of a drop, for whom they were asked.
pub(super) fn events(drop: &PublicStatus, asked: &Asked, address: Option<&str>) -> Vec<Event> {
    let status = &drop.message;
    let page = || address.map(|address| format!("{address}/drops/{}", status.drop_id));
    let url = words::buy_url(status).map(ToOwned::to_owned).or_else(page);
    let ended = drop.closed_at.filter(|_| drop.state != DropState::Cancelled);
    let event = |uid: String, summary: String, starts: Timestamp, ends: Option<Timestamp>| {
        let never_came = ended.is_some_and(|ended| starts >= ended && starts > drop.opens_at);
        Event {
            uid: format!("{uid}@{}.stockade", status.shop),
            announced: drop.announced,
            starts,
            ends: ended.filter(|ended| ends.is_none_or(|ends| *ended < ends)).or(ends).map(|ends| ends.max(starts)),
            summary,
            location: status.location.clone(),
            url: url.clone(),
            is_cancelled: drop.state == DropState::Cancelled || never_came,
            alarms: Vec::new(),
        }
    };
    let title = words::title(status);
    let closes = drop.definition.schedule.closes_at;
    let mut whole = event(status.drop_id.clone(), title.to_owned(), drop.opens_at, closes);
    whole.alarms = alarms(&drop.definition.rules.signals, asked, title);
    let windows = drop.definition.rules.windows.iter().filter(|window| is_for(&window.audience, asked)).map(|window| {
        let starts = window.starts.map_or(drop.opens_at, |starts| starts.at);
        let ends = window.ends.map(|ends| ends.at).or(closes);
        event(format!("{}.{}", status.drop_id, window.id), format!("{title} ({})", window.id), starts, ends)
    });
    std::iter::once(whole).chain(windows).collect()
}

/// Signals for calendars that come at a moment. What comes at a level of stock has no instant ahead.
fn alarms(signals: &[Signal], asked: &Asked, title: &str) -> Vec<Alarm> {
    let alarm = |signal: &Signal| match &signal.on {
        Trigger::Moment(moment) => Some(Alarm { at: moment.at, text: title.to_owned() }),
        Trigger::Stock(_) => None,
    };
    let is_for_calendars =
        |signal: &&Signal| signal.channels.iter().any(|channel| channel == CALENDAR) && is_for(&signal.audience, asked);
    signals.iter().filter(is_for_calendars).filter_map(alarm).collect()
}

/// Whether customers of the tier and the zone that were asked for are in an audience.
fn is_for(audience: &Audience, asked: &Asked) -> bool {
    let Asked { shop: _, series: _, zone, tier } = asked;
    let of_tier = audience.tiers.is_empty() || tier.as_ref().is_some_and(|tier| audience.tiers.contains(tier));
    let of_zone = audience.zones.is_empty() || zone.as_ref().is_none_or(|zone| audience.zones.contains(zone));
    of_tier && of_zone
}

impl Event {
    /// Writes it.
    pub(super) fn write(&self, lines: &mut Lines) {
        let Self { uid, announced, starts, ends, summary, location, url, is_cancelled, alarms } = self;
        let Announced { changes, at } = announced;
        lines.put("BEGIN", "VEVENT");
        lines.put("UID", uid);
        lines.put("SEQUENCE", &changes.to_string());
        lines.instant("DTSTAMP", *at);
        lines.instant("LAST-MODIFIED", *at);
        lines.instant("DTSTART", *starts);
        if let Some(ends) = ends {
            lines.instant("DTEND", *ends);
        }
        lines.text("SUMMARY", summary);
        if !location.is_empty() {
            lines.text("LOCATION", location);
        }
        if let Some(url) = url {
            lines.put("URL", url);
        }
        lines.put("STATUS", if *is_cancelled { "CANCELLED" } else { "CONFIRMED" });
        // Nobody is busy because a sale is open.
        lines.put("TRANSP", "TRANSPARENT");
        for Alarm { at, text } in alarms {
            lines.put("BEGIN", "VALARM");
            lines.put("ACTION", "DISPLAY");
            lines.instant("TRIGGER;VALUE=DATE-TIME", *at);
            lines.text("DESCRIPTION", text);
            lines.put("END", "VALARM");
        }
        lines.put("END", "VEVENT");
    }
}

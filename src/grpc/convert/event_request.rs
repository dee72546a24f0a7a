//! Requests for events.

use stockade_feed::Filter;
use stockade_proto as pb;
use stockade_types::ids::{DropId, SeriesId, ShopId};
use stockade_types::time::Millis;
use stockade_types::webhook::EventPatterns;

use super::event::EventFields;
use super::faults::{Faults, Rejection};
use super::fields::optional_id;
use super::list;

/// The default and the most events of a message; a larger request gets this many.
const EVENTS_MAX: usize = 1_000;
/// Most types in a filter; also most names, and most channels.
const ENTRIES_MAX: usize = 64;
/// The longest wait for a page; a longer request gets this.
const WAIT_MAX: Millis = Millis::from_secs(30);

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// At the oldest event that is kept.
    Oldest,
    /// At the end: only new events.
    Now,
    /// After this cursor.
    Cursor(String),
}

/// Which events are returned, and which parts of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSelection {
    /// Which events.
    pub filter: Filter,
    /// Which parts of them.
    pub shown: EventFields,
    /// Most events of a message or page.
    pub events: usize,
}

/// A stream of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadEvents {
    /// Where to begin.
    pub from: From,
    /// Which events.
    pub wanted: EventSelection,
    /// Whether the stream goes on with new events.
    pub follow: bool,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEvents {
    /// Where to begin.
    pub from: From,
    /// Which events.
    pub wanted: EventSelection,
    /// How long to wait for an event if there is none.
    pub wait: Option<Millis>,
    /// The newest events, newest first.
    pub latest: bool,
}

/// Converts a request for a stream of events.
///
/// # Errors
/// All faulty fields.
pub fn read_events(request: &pb::ReadEventsRequest) -> Result<ReadEvents, Rejection> {
    let pb::ReadEventsRequest { after, filter, follow, from_now, max_events, with_customers, with_stock } = request;
    let mut faults = Faults::default();
    let from = match (from_now, after.is_empty()) {
        (true, true) => From::Now,
        (false, true) => From::Oldest,
        (false, false) => From::Cursor(after.clone()),
        (true, false) => {
            faults.invalid("after", "must be left out with from_now");
            From::Now
        }
    };
    let events = match usize::try_from(*max_events).unwrap_or(EVENTS_MAX) {
        0 => EVENTS_MAX,
        events => events.min(EVENTS_MAX),
    };
    let shown = EventFields { customers: *with_customers, stock: *with_stock };
    let wanted = EventSelection { filter: event_filter(&mut faults, "filter", filter.as_ref()), shown, events };
    faults.finish(Some(ReadEvents { from, wanted, follow: *follow }))
}

/// Converts a request for a page of events.
///
/// # Errors
/// All faulty fields.
pub fn list_events(request: &pb::ListEventsRequest) -> Result<ListEvents, Rejection> {
    let pb::ListEventsRequest { after, filter, page_size, wait, with_customers, with_stock, latest } = request;
    let mut faults = Faults::default();
    let from = if after.is_empty() { From::Oldest } else { From::Cursor(after.clone()) };
    let shown = EventFields { customers: *with_customers, stock: *with_stock };
    let filter = event_filter(&mut faults, "filter", filter.as_ref());
    let wanted = EventSelection { filter, shown, events: list::page(&mut faults, *page_size) };
    let wait = waiting(&mut faults, wait.as_ref());
    faults.finish(Some(ListEvents { from, wanted, wait, latest: *latest }))
}

/// The filter of a request, whose field it is.
pub(super) fn event_filter(faults: &mut Faults, field: &str, filter: Option<&pb::EventFilter>) -> Filter {
    let none = pb::EventFilter::default();
    let pb::EventFilter { types, shop, series, drop_id, names, channels } = filter.unwrap_or(&none);
    let mut wanted = Filter::default();
    wanted.shop = optional_id(faults, format_args!("{field}.shop"), shop);
    wanted.series = optional_id(faults, format_args!("{field}.series"), series);
    wanted.drop = optional_id(faults, format_args!("{field}.drop_id"), drop_id);
    wanted.names = names.iter().take(ENTRIES_MAX).cloned().collect();
    wanted.channels = channels.iter().take(ENTRIES_MAX).cloned().collect();
    if types.is_empty() {
        faults.invalid(format_args!("{field}.types"), "must have at least one type");
    }
    for (part, entries) in [("types", types), ("names", names), ("channels", channels)] {
        if entries.len() > ENTRIES_MAX {
            let many = entries.len();
            faults.invalid(
                format_args!("{field}.{part}"),
                format_args!("must have at most {ENTRIES_MAX} entries, not {many}"),
            );
        }
    }
    for (place, pattern) in types.iter().enumerate().take(ENTRIES_MAX) {
        if let Err(bad) = wanted.add(pattern) {
            faults.invalid(format_args!("{field}.types[{place}]"), bad);
        }
    }
    wanted
}

/// A filter as it is kept. Ids that are none are left out.
pub(super) fn patterns(filter: Option<&pb::EventFilter>) -> EventPatterns {
    let none = pb::EventFilter::default();
    let pb::EventFilter { types, shop, series, drop_id, names, channels } = filter.unwrap_or(&none);
    EventPatterns {
        types: types.clone(),
        shop: ShopId::try_from(shop.as_str()).ok(),
        series: SeriesId::try_from(series.as_str()).ok(),
        drop: DropId::try_from(drop_id.as_str()).ok(),
        names: names.clone(),
        channels: channels.clone(),
    }
}

/// How long to wait for an event; `None` for no wait.
fn waiting(faults: &mut Faults, wait: Option<&prost_types::Duration>) -> Option<Millis> {
    let prost_types::Duration { seconds, nanos } = wait?;
    let parts = u64::try_from(*seconds).ok().zip(u64::try_from(*nanos).ok().filter(|nanos| *nanos < 1_000_000_000));
    let Some((seconds, nanos)) = parts else {
        faults.invalid("wait", "must be a duration of 0s or more, with nanos from 0 to 999999999");
        return None;
    };
    let millis = Millis(seconds.saturating_mul(1_000).saturating_add(nanos.div_ceil(1_000_000)));
    Some(millis.min(WAIT_MAX)).filter(|wait| wait.0 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(rejection: Rejection) -> Vec<String> {
        match rejection {
            Rejection::Invalid(violations) => violations.into_iter().map(|violation| violation.field).collect(),
            Rejection::Unbuilt(fields) => fields,
        }
    }

    fn filter(types: &[&str]) -> pb::EventFilter {
        pb::EventFilter { types: types.iter().map(ToString::to_string).collect(), ..pb::EventFilter::default() }
    }

    #[test]
    fn what_is_faulty_is_named_at_once() {
        let request = pb::ReadEventsRequest { after: "x".into(), from_now: true, ..pb::ReadEventsRequest::default() };
        assert_eq!(read_events(&request).map_err(fields), Err(vec!["after".into(), "filter.types".into()]));
        let (shop, drop_id) = ("Not A Slug".into(), "no slug".into());
        let bad = Some(pb::EventFilter { shop, drop_id, ..filter(&["hold.*", "hold"]) });
        let wait = Some(prost_types::Duration { seconds: -1, nanos: 0 });
        let request = pb::ListEventsRequest { filter: bad, page_size: -1, wait, ..pb::ListEventsRequest::default() };
        let wanted = ["filter.shop", "filter.drop_id", "filter.types[1]", "page_size", "wait"];
        assert_eq!(list_events(&request).map_err(fields), Err(wanted.map(String::from).to_vec()));
    }

    #[test]
    fn sizes_and_waits_have_their_usual_and_their_most() {
        let list = |page_size, seconds| {
            let wait = Some(prost_types::Duration { seconds, nanos: 0 });
            let filter = Some(filter(&["*"]));
            let asked = pb::ListEventsRequest { filter, page_size, wait, ..pb::ListEventsRequest::default() };
            list_events(&asked).map(|asked| (asked.wanted.events, asked.wait)).expect("good")
        };
        assert_eq!(list(0, 0), (100, None));
        assert_eq!(list(7, 20), (7, Some(Millis::from_secs(20))));
        assert_eq!(list(9_999, 99), (1_000, Some(Millis::from_secs(30))));
        let read = |max_events| {
            let asked =
                pb::ReadEventsRequest { filter: Some(filter(&["*"])), max_events, ..pb::ReadEventsRequest::default() };
            read_events(&asked).expect("good").wanted.events
        };
        assert_eq!([read(0), read(3), read(u32::MAX)], [1_000, 3, 1_000]);
    }
}

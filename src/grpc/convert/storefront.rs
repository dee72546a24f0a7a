//! The public's requests, and a drop as the public sees it.

use prost_types::Duration;
use stockade_engine::answer::{DropState, DropView, Stock};
use stockade_proto as pb;
use stockade_types::ids::{DropId, SeriesId, ShopId, ZoneId};
use stockade_types::record::{PoolBasis, PoolFigures};
use stockade_types::time::{Millis, Timestamp};

use super::answer::duration;
use super::drop_status::{Shown, drop_status};
use super::faults::{Faults, Rejection};
use super::fields::{instant, optional_id};
use super::list::{page, token};

/// How far back a list of statuses begins if the request does not say.
const USUAL_PAST: Millis = Millis::from_secs(24 * 60 * 60);
/// The version of page tokens. A token of another version is refused.
const TOKEN: &str = "1:";
/// How long a reader waits before it asks again: while the drop is open,
const WHILE_OPEN: Millis = Millis(1_500);
/// while it is paused,
const WHILE_PAUSED: Millis = Millis(3_000);
/// and once it is over, or long before it opens.
const AT_MOST: Millis = Millis::from_secs(60);
/// Never sooner than this.
const AT_LEAST: Millis = Millis::from_secs(1);
/// Before an opening a reader asks again after this part of the time that is left.
const PART_OF_THE_REST: u64 = 10;

/// Which statuses are listed: those that match everything that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQuery {
    /// Of this shop.
    pub shop: Option<ShopId>,
    /// Of this series.
    pub series: Option<SeriesId>,
    /// For this place, or for all.
    pub zone: Option<ZoneId>,
    /// That open at this instant or later; none: a day before now.
    pub opens_from: Option<Timestamp>,
    /// That open before this instant.
    pub opens_until: Option<Timestamp>,
    /// Most statuses of the page.
    pub size: usize,
    /// Where the page begins.
    pub after: Option<StatusPlace>,
}

/// A place in the list: behind the drop with this opening and this id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatusPlace {
    /// When that drop opens.
    pub opens_at: Timestamp,
    /// Its id.
    pub drop: DropId,
}

impl StatusQuery {
    /// The instant from which on drops are listed.
    #[must_use]
    pub fn from(&self, now: Timestamp) -> Timestamp {
        self.opens_from.unwrap_or_else(|| now.minus(USUAL_PAST))
    }
}

/// Converts a request for a list of statuses.
///
/// # Errors
/// All faulty fields.
pub fn list_statuses(request: &pb::ListDropStatusesRequest) -> Result<StatusQuery, Rejection> {
    let pb::ListDropStatusesRequest { shop, series, zone, opens_from, opens_until, page_size, page_token } = request;
    let mut faults = Faults::default();
    let query = StatusQuery {
        shop: optional_id(&mut faults, "shop", shop),
        series: optional_id(&mut faults, "series", series),
        zone: optional_id(&mut faults, "zone", zone),
        opens_from: instant(&mut faults, "opens_from", opens_from.as_ref()),
        opens_until: instant(&mut faults, "opens_until", opens_until.as_ref()),
        size: page(&mut faults, *page_size),
        after: token(&mut faults, page_token, place),
    };
    faults.finish(Some(query))
}

/// The token of the page after this place; empty if there is none.
#[must_use]
pub fn status_token(place: Option<&StatusPlace>) -> String {
    place.map(|StatusPlace { opens_at, drop }| format!("{TOKEN}{:x}.{drop}", opens_at.0)).unwrap_or_default()
}

fn place(text: &str) -> Option<StatusPlace> {
    let (at, drop) = text.strip_prefix(TOKEN)?.split_once('.')?;
    Some(StatusPlace { opens_at: Timestamp(u64::from_str_radix(at, 16).ok()?), drop: DropId::try_from(drop).ok()? })
}

/// A drop as the public sees it.
#[must_use]
pub fn public_status(view: &DropView) -> pb::DropStatus {
    let stock: Vec<PoolFigures> = view.stock.iter().flatten().copied().map(figures).collect();
    let shown = Shown { opens_at: view.opens_at, state: view.state, stock: &stock, marks: &view.marks };
    drop_status(&view.definition, shown)
}

const fn figures(stock: Stock) -> PoolFigures {
    let Stock { received, free: _, held, paying, claimed, withdrawn, returned_total } = stock;
    let basis = PoolBasis { received, taken_out: 0 };
    PoolFigures { basis, held, paying, claimed, withdrawn, returned_total }
}

/// After which time a reader of a drop should ask again: less, the nearer its opening is.
#[must_use]
pub fn poll_after(state: DropState, opens_at: Timestamp, now: Timestamp) -> Duration {
    let rest = now.until(opens_at);
    duration(match state {
        DropState::Scheduled => Millis(rest.0 / PART_OF_THE_REST).clamp(AT_LEAST, AT_MOST),
        DropState::Open => WHILE_OPEN,
        DropState::Paused => WHILE_PAUSED,
        DropState::Closed | DropState::Cancelled | DropState::Archived => AT_MOST,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_faulty_is_named_at_once() {
        let request = pb::ListDropStatusesRequest {
            shop: "no slug".into(),
            series: "no slug".into(),
            zone: "no slug".into(),
            opens_from: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
            opens_until: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
            page_size: -1,
            page_token: "7:1.a".into(),
        };
        let Err(Rejection::Invalid(faults)) = list_statuses(&request) else { panic!("it is faulty") };
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["shop", "series", "zone", "opens_from", "opens_until", "page_size", "page_token"]);
    }

    #[test]
    fn a_token_says_its_place() {
        let place_of = |at, id: &str| StatusPlace { opens_at: Timestamp(at), drop: id.parse().expect("an id") };
        let here = place_of(1_700_000_000_000, "a.b:c_d-e");
        assert_eq!(place(&status_token(Some(&here))), Some(here));
        assert_eq!(status_token(None), "");
        assert!(place_of(1, "z") < place_of(2, "a"), "by opening first");
    }

    #[test]
    fn readers_ask_more_often_before_an_opening_and_never_in_a_rush() {
        let opening = Timestamp(10_000_000_000);
        let before = |seconds: u64| {
            let wait = poll_after(DropState::Scheduled, opening, opening.minus(Millis::from_secs(seconds)));
            (wait.seconds, wait.nanos / 1_000_000)
        };
        assert_eq!(
            [before(86_400), before(300), before(25), before(3), before(0)],
            [(60, 0), (30, 0), (2, 500), (1, 0), (1, 0)]
        );
        let open = poll_after(DropState::Open, opening, opening);
        assert_eq!((open.seconds, open.nanos), (1, 500_000_000));
    }
}

//! Lists and their pages. A page token has the place of the next page; it is opaque to callers.

use prost::Message;
use stockade_engine::answer::{DropState, DropView, HoldView};
use stockade_engine::verbs::list::{DropFilter, DropPlace, HoldFilter, HoldPlace};
use stockade_engine::verbs::page::Page;
use stockade_proto as pb;
use stockade_types::hold::HoldState;
use stockade_types::ids::{DropId, HoldId, Lsn};
use stockade_types::time::Timestamp;

use super::answer::hold;
use super::drop_view::drop_view;
use super::faults::{Faults, Rejection};
use super::fields::{enumeration, instant, optional_id, span};

/// The default size of a page.
const USUAL_PAGE: usize = 100;
/// The largest size of a page; a larger request gets this.
const LARGEST_PAGE: usize = 1_000;

/// Most bytes of an encoded page: the page ends before an entry that would exceed this. Clients accept 4 MiB in a
/// message by default.
const PAGE_BYTES: usize = 1024 * 1024;
/// Bytes that a page adds to an entry: its tag and length.
const PER_THING: usize = 8;

/// What a list of holds is asked for: filter, place and size.
pub(super) type HoldList = (HoldFilter, Option<HoldPlace>, usize);
/// What a list of drops is asked for: filter, place and size.
pub(super) type DropList = (DropFilter, Option<DropPlace>, usize);

/// Converts a request for a list of holds.
///
/// # Errors
/// All faulty fields.
pub fn list_holds(request: &pb::ListHoldsRequest) -> Result<HoldList, Rejection> {
    let pb::ListHoldsRequest { drop_id, customer_id, order_ref, sku, state, older_than, page_size, page_token, shop } =
        request;
    let mut faults = Faults::default();
    if drop_id.is_empty() && customer_id.is_empty() && order_ref.is_empty() {
        faults.invalid("drop_id", "one of drop_id, customer_id and order_ref is needed");
    }
    let filter = HoldFilter {
        drop: optional_id(&mut faults, "drop_id", drop_id),
        customer: optional_id(&mut faults, "customer_id", customer_id),
        order_ref: optional_id(&mut faults, "order_ref", order_ref),
        sku: optional_id(&mut faults, "sku", sku),
        state: enumeration(&mut faults, "state", *state).and_then(hold_state),
        older_than: span(&mut faults, "older_than", older_than.as_ref()),
        shop: optional_id(&mut faults, "shop", shop),
    };
    let size = page(&mut faults, *page_size);
    let place = token(&mut faults, page_token, hold_place);
    faults.finish(Some((filter, place, size)))
}

/// Converts a request for a list of drops.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn list_drops(request: &pb::ListDropsRequest) -> Result<DropList, Rejection> {
    let pb::ListDropsRequest { shop, series, state, page_size, page_token, opens_from, opens_until, zone } = request;
    let mut faults = Faults::default();
    let wanted = enumeration(&mut faults, "state", *state);
    faults.unbuilt(wanted == Some(pb::DropState::Draft), "state");
    let filter = DropFilter {
        shop: optional_id(&mut faults, "shop", shop),
        series: optional_id(&mut faults, "series", series),
        state: wanted.and_then(drop_state),
        opens_from: instant(&mut faults, "opens_from", opens_from.as_ref()),
        opens_until: instant(&mut faults, "opens_until", opens_until.as_ref()),
        zone: optional_id(&mut faults, "zone", zone),
    };
    let size = page(&mut faults, *page_size);
    let place = token(&mut faults, page_token, drop_place);
    faults.finish(Some((filter, place, size)))
}

/// An empty page for this many holds.
#[must_use]
pub fn hold_page(size: usize) -> Page<HoldView, pb::Hold> {
    Page::new(size, PAGE_BYTES, |view| sized(hold(view)))
}

/// An empty page for this many drops.
#[must_use]
pub fn drop_page(size: usize) -> Page<DropView, pb::Drop> {
    Page::new(size, PAGE_BYTES, |view| sized(drop_view(view)))
}

fn sized<T: Message>(shown: T) -> (T, usize) {
    let bytes = shown.encoded_len().saturating_add(PER_THING);
    (shown, bytes)
}

/// The version of the placement of holds in shards. A token of another version would skip holds, so it is refused.
const PLACEMENT: &str = "2:";

/// The token of the next page of holds; empty if there is none.
#[must_use]
pub fn hold_token(place: Option<HoldPlace>) -> String {
    place.map(|HoldPlace { shard, after }| format!("{PLACEMENT}{shard:x}.{after}")).unwrap_or_default()
}

/// The version of tokens of drops. A token of another version is refused.
const AS_OF: &str = "2:";

/// The token of the next page of drops; empty if there is none.
#[must_use]
pub fn drop_token(place: Option<DropPlace>) -> String {
    let token = |DropPlace { as_of, opens_at, after }| format!("{AS_OF}{:x}.{:x}.{after}", as_of.0, opens_at.0);
    place.map(token).unwrap_or_default()
}

fn hold_place(text: &str) -> Option<HoldPlace> {
    let (shard, after) = text.strip_prefix(PLACEMENT)?.split_once('.')?;
    Some(HoldPlace { shard: u32::from_str_radix(shard, 16).ok()?, after: HoldId::try_from(after).ok()? })
}

fn drop_place(text: &str) -> Option<DropPlace> {
    let (as_of, rest) = text.strip_prefix(AS_OF)?.split_once('.')?;
    let (at, after) = rest.split_once('.')?;
    let (as_of, opens_at) = (u64::from_str_radix(as_of, 16).ok()?, u64::from_str_radix(at, 16).ok()?);
    Some(DropPlace { as_of: Lsn(as_of), opens_at: Timestamp(opens_at), after: DropId::try_from(after).ok()? })
}

/// The place that a page token names.
pub(super) fn token<T>(faults: &mut Faults, text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    let place = parse(text);
    if place.is_none() {
        faults.invalid("page_token", "was not returned by this call");
    }
    place
}

/// The size of a page, as requested.
pub(super) fn page(faults: &mut Faults, size: i32) -> usize {
    match usize::try_from(size) {
        Ok(0) => USUAL_PAGE,
        Ok(size) => size.min(LARGEST_PAGE),
        Err(_) => {
            faults.invalid("page_size", "must not be negative");
            USUAL_PAGE
        }
    }
}

const fn hold_state(state: pb::HoldState) -> Option<HoldState> {
    match state {
        pb::HoldState::Unspecified => None,
        pb::HoldState::Held => Some(HoldState::Held),
        pb::HoldState::Paying => Some(HoldState::Paying),
        pb::HoldState::Claimed => Some(HoldState::Claimed),
        pb::HoldState::Released => Some(HoldState::Released),
        pb::HoldState::Expired => Some(HoldState::Expired),
    }
}

const fn drop_state(state: pb::DropState) -> Option<DropState> {
    match state {
        pb::DropState::Scheduled => Some(DropState::Scheduled),
        pb::DropState::Open => Some(DropState::Open),
        pb::DropState::Paused => Some(DropState::Paused),
        pb::DropState::Closed => Some(DropState::Closed),
        pb::DropState::Archived => Some(DropState::Archived),
        pb::DropState::Cancelled => Some(DropState::Cancelled),
        pb::DropState::Unspecified | pb::DropState::Draft => None,
    }
}

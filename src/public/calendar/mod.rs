//! The calendar of drops (RFC 5545): an event for each drop, and for each of its windows that a tier may use.
//!
//! A change of what an event shows gives it a higher sequence number and the time of that change. Both follow from the
//! drop's records, so they are the same after a restart and on every server of one journal.

mod event;
mod lines;

use std::sync::Arc;

use stockade_engine::answer::DropState;
use stockade_types::ids::{SeriesId, ShopId, TierId, ZoneId};
use stockade_types::time::{Millis, Timestamp};

use super::cache::Made;
use super::policy;
use crate::grpc::{Listing, PublicStatus};
use crate::web::Problem;
use crate::web::Query;
use event::events;
use lines::Lines;

/// How long the calendar may be kept.
const A_MINUTE: &str = "public, max-age=60, s-maxage=60, stale-while-revalidate=600";
/// How often a calendar should be loaded again.
const REFRESHED: &str = "PT15M";
/// A drop stays this long after it was cancelled, or after it opened.
const STAYS: Millis = Millis::from_secs(30 * 24 * 60 * 60);
/// Most drops in it: those that open first.
const DROPS_MAX: usize = 2_000;

/// Whose drops are wanted, and for whom.
#[derive(Debug, Default)]
pub(super) struct Asked {
    shop: Option<ShopId>,
    series: Option<SeriesId>,
    zone: Option<ZoneId>,
    tier: Option<TierId>,
}

/// Converts the parameters.
///
/// # Errors
/// All faulty ones.
pub(super) fn asked(mut query: Query) -> Result<Asked, Problem> {
    let shop = query.parsed("shop");
    let (series, zone, tier) = (query.parsed("series"), query.parsed("zone"), query.parsed("tier"));
    let faults = query.faults();
    if faults.is_empty() { Ok(Asked { shop, series, zone, tier }) } else { Err(Problem::faulty(faults)) }
}

impl Asked {
    fn fits(&self, drop: &PublicStatus, now: Timestamp) -> bool {
        let Self { shop, series, zone, tier: _ } = self;
        let (definition, zones) = (&drop.definition, &drop.definition.rules.zones);
        let since = if drop.state == DropState::Cancelled { drop.closed_at.unwrap_or_default() } else { drop.opens_at };
        shop.as_ref().is_none_or(|shop| *shop == definition.shop)
            && (series.is_none() || *series == definition.series)
            && zone.as_ref().is_none_or(|zone| zones.is_empty() || zones.contains(zone))
            && since.plus(STAYS) > now
    }

    fn name(&self) -> String {
        let Self { shop, series, .. } = self;
        let of = [series.as_ref().map(ToString::to_string), shop.as_ref().map(ToString::to_string)];
        let of: Vec<_> = of.into_iter().flatten().collect();
        if of.is_empty() { "Drops".to_owned() } else { format!("Drops: {}", of.join(", ")) }
    }
}

/// The calendar; `address` is where readers reach this server.
pub(super) fn made(listing: &Listing, asked: &Asked, address: Option<&str>) -> Made {
    let mut lines = Lines::default();
    lines.put("BEGIN", "VCALENDAR");
    lines.put("VERSION", "2.0");
    lines.put("PRODID", "-//Stockade//Drops//EN");
    lines.put("CALSCALE", "GREGORIAN");
    lines.put("METHOD", "PUBLISH");
    lines.text("X-WR-CALNAME", &asked.name());
    lines.put("REFRESH-INTERVAL;VALUE=DURATION", REFRESHED);
    lines.put("X-PUBLISHED-TTL", REFRESHED);
    let wanted = listing.drops.iter().filter(|drop| asked.fits(drop, listing.at)).take(DROPS_MAX);
    for event in wanted.flat_map(|drop: &Arc<PublicStatus>| events(drop, asked, address)) {
        event.write(&mut lines);
    }
    lines.put("END", "VCALENDAR");
    let content = lines.into_bytes();
    Made {
        content_type: "text/calendar; charset=utf-8",
        cache_control: A_MINUTE,
        policy: policy::nothing(),
        etag: policy::digest(&content),
        content,
    }
}

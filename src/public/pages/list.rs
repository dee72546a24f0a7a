//! Drops to come, by the day of their opening in their time zone.

use std::sync::Arc;

use maud::html;
use stockade_engine::answer::DropState;

use super::super::api::TEN_SECONDS;
use super::super::cache::Made;
use super::super::policy;
use super::super::words;
use super::{Draft, when};
use crate::grpc::{Listing, PublicStatus};

/// Most drops on the page.
const DROPS_MAX: usize = 200;

/// The page.
pub(in crate::public) fn list(listing: &Listing) -> Made {
    let is_to_come = |drop: &&Arc<PublicStatus>| match drop.state {
        DropState::Scheduled | DropState::Open | DropState::Paused => true,
        DropState::Closed | DropState::Cancelled | DropState::Archived => false,
    };
    let dated = |drop: &Arc<PublicStatus>| (when::local(drop.opens_at, &drop.message.time_zone), Arc::clone(drop));
    let mut drops: Vec<_> = listing.drops.iter().filter(is_to_come).take(DROPS_MAX).map(dated).collect();
    // Within a day by instant; of two zones the same day may begin and end at other instants.
    drops.sort_by_key(|(local, drop)| (local.date(), drop.opens_at));
    let days = drops.chunk_by(|(one, _), (other, _)| one.date() == other.date());
    let body = html! {
        main {
            h1 { "Drops" }
            @if drops.is_empty() { p { "No drops are planned." } }
            @for day in days {
                @if let Some((first, _)) = day.first() { h2 { (when::day(first)) } }
                ul class="drops" {
                    @for (local, drop) in day {
                        li data-drop-id=(drop.message.drop_id) data-state=(words::state(drop.state)) {
                            time datetime=(drop.opens_at) { (when::time(local)) }
                            " " a href={ "/drops/" (drop.message.drop_id) } { (words::title(&drop.message)) }
                            @if !drop.message.location.is_empty() { " " span class="where" { (drop.message.location) } }
                            @if drop.state != DropState::Scheduled {
                                " " span class="item-band" { (words::message(drop, listing.at)) }
                            }
                        }
                    }
                }
            }
            p { a href="/calendar.ics" { "Subscribe to the calendar" } }
        }
    };
    Draft {
        title: "Drops",
        description: "Drops to come, by day",
        style: "",
        is_live: false,
        may_be_framed: false,
        reload: None,
        cache_control: TEN_SECONDS,
        etag: policy::digest(body.0.as_bytes()),
        body,
    }
    .made()
}

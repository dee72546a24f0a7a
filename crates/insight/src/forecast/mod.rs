//! When to open the next drop: openings of the coming weeks by expected demand, with intervals, and how good such
//! forecasts were so far. `docs/cadence.md` explains the model.
//!
//! It reads no clock and keeps nothing: what is known comes in, suggestions come out. Of two calls with the same input
//! the answers are the same.

mod curve;
mod fit;
mod interest;
mod model;
mod negative_binomial;
mod quality;
mod rates;
mod suggest;
mod week;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;
use stockade_types::time::{Millis, Timestamp};

pub use suggest::suggest;

/// Past drops that are used: the latest ones.
pub const DROPS_MAX: usize = 500;
/// The horizon where none is asked for, and its bounds.
pub const HORIZON_DEFAULT: Millis = Millis::from_secs(14 * 86_400);
/// The shortest horizon.
pub const HORIZON_MIN: Millis = Millis::from_secs(86_400);
/// The longest horizon.
pub const HORIZON_MAX: Millis = Millis::from_secs(60 * 86_400);
/// Suggestions where no number is asked for.
pub const SUGGESTIONS_DEFAULT: u32 = 10;
/// Most suggestions.
pub const SUGGESTIONS_MAX: u32 = 100;
/// The gap between suggestions, and from planned drops, where none is asked for.
pub const GAP_DEFAULT: Millis = Millis::from_secs(86_400);
/// Drops that the quality is measured on: the last ones.
pub const JUDGED_MAX: usize = 10;

/// A drop that has opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PastDrop {
    /// Its opening.
    pub opens_at: Timestamp,
    /// Units asked for in the part of its first hour that was counted, refused ones included; nothing where that is not
    /// known.
    pub units_asked: Option<u64>,
    /// How much of the first hour was counted, from the opening on: less than an hour where it closed before, or where
    /// counts were lost.
    pub counted: Millis,
    /// The same units by zone; empty where they are not known by zone. A zone that is not there asked for none.
    pub by_zone: Vec<(String, u64)>,
    /// Requests in each minute from the opening on, as long as it was open and counted; of a day at most.
    pub by_minute: Vec<u64>,
    /// Units that it had received.
    pub stock: u64,
    /// Units that were claimed.
    pub units_claimed: u64,
    /// Contacts to the shop's support about it, where they are known.
    pub support_contacts: Option<u64>,
}

/// Views and interest in one hour from one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterestHour {
    /// The beginning of the hour; of any other instant, its full hour in UTC counts.
    pub starts_at: Timestamp,
    /// Where from; empty where that is not known.
    pub zone: String,
    /// Views of pages.
    pub views: u64,
    /// Other signs of interest, such as a wishlist.
    pub interest: u64,
}

/// What is known of the past, and planned. In any order.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// Drops that have opened.
    pub drops: &'a [PastDrop],
    /// Views and interest.
    pub interest: &'a [InterestHour],
    /// Openings to come that are planned already.
    pub planned: &'a [Timestamp],
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Demand of this zone only; of all where it is empty.
    pub zone: &'a str,
    /// The time zone whose weeks count.
    pub time_zone: &'a TimeZone,
    /// The instant of the request.
    pub now: Timestamp,
    /// Suggestions begin here, or now if that is later.
    pub from: Option<Timestamp>,
    /// How far they reach.
    pub horizon: Option<Millis>,
    /// Stock that is planned; 0 where that is not known.
    pub units: u64,
    /// How many; 0 for the default.
    pub max_suggestions: u32,
    /// Between suggestions, and from drops that are planned.
    pub min_gap: Option<Millis>,
}

/// A request that can't be answered: the field, and what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// The horizon is out of its bounds.
    #[error("horizon: from 1 to 60 days")]
    Horizon,
    /// Too many suggestions.
    #[error("max_suggestions: at most 100")]
    MaxSuggestions,
    /// Beyond the calendar.
    #[error("from: beyond the calendar")]
    From,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Best first. Empty where no past drop's demand is known.
    pub suggestions: Vec<Suggestion>,
    /// What it depends on.
    pub quality: Quality,
}

/// An opening that is suggested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// On a full quarter of an hour.
    pub opens_at: Timestamp,
    /// The same in the time zone, as RFC 3339 with its offset.
    pub local_time: String,
    /// Units asked for in the first hour.
    pub expected_demand: u64,
    /// Four times out of five the demand is at least this
    pub low: u64,
    /// and at most this.
    pub high: u64,
    /// From the opening; nothing where that is not known, or not within a day.
    pub expected_time_to_sold_out: Option<Millis>,
    /// Nothing where nothing is known of contacts.
    pub expected_support_contacts: Option<u32>,
    /// For people.
    pub reason: String,
    /// So close to other drops that at least a tenth of the demand is expected to be lost.
    pub fatigue: bool,
}

/// What forecasts depend on, and how good they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quality {
    /// Past drops whose demand is known.
    pub drops: u32,
    /// Views.
    pub views: u64,
    /// The model, for people.
    pub method: String,
    /// Weighted absolute percentage error of the last drops, each forecast from what was known before it; basis points.
    pub error: Option<u32>,
    /// Of the same drops, "as the last one at that weekday and hour", or as the last one where there was none.
    pub naive_error: Option<u32>,
}

//! Converts single fields: ids, enums, durations and instants.
//!
//! Each function returns the value, or records a fault and returns `None`. It also returns `None` for an optional
//! field that is not set; a recorded fault prevents the command in any case.

use std::fmt::Display;

use prost_types::{Duration, Timestamp as Instant};
use stockade_types::ids::IdError;
use stockade_types::time::{Millis, Timestamp};

use super::answer::DURATION_MAX;
use super::faults::Faults;

const NANOS_PER_MILLI: u64 = 1_000_000;
/// The end of the year 9999, in seconds since the epoch: the last instant of RFC 3339.
const LAST_SECOND: u64 = 253_402_300_799;

/// A required id.
#[inline]
pub(super) fn id<T>(faults: &mut Faults, field: impl Display, text: &str) -> Option<T>
where
    T: for<'a> TryFrom<&'a str, Error = IdError>,
{
    match T::try_from(text) {
        Ok(id) => Some(id),
        Err(error) => {
            faults.invalid(field, error);
            None
        }
    }
}

/// An optional id: an empty text is `None`.
#[inline]
pub(super) fn optional_id<T>(faults: &mut Faults, field: impl Display, text: &str) -> Option<T>
where
    T: for<'a> TryFrom<&'a str, Error = IdError>,
{
    if text.is_empty() { None } else { id(faults, field, text) }
}

/// A list of at most `most` ids: sorted, each once. Empty with a fault recorded if it is too long.
pub(super) fn ids<T>(faults: &mut Faults, field: &str, given: &[String], most: usize) -> Vec<T>
where
    T: for<'a> TryFrom<&'a str, Error = IdError> + Ord,
{
    if given.len() > most {
        faults.invalid(field, format_args!("must be at most {most}, not {}", given.len()));
        return Vec::new();
    }
    let one = |(place, text): (usize, &String)| id(faults, format_args!("{field}[{place}]"), text);
    let mut ids: Vec<T> = given.iter().enumerate().filter_map(one).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// An enum value; a number that the contract does not define is a fault.
pub(super) fn enumeration<E: TryFrom<i32>>(faults: &mut Faults, field: impl Display, number: i32) -> Option<E> {
    let known = E::try_from(number).ok();
    if known.is_none() {
        faults.invalid(field, format_args!("{number} is not a known value"));
    }
    known
}

/// An optional duration above zero. Below a millisecond it becomes one millisecond; a duration that overflows becomes
/// the longest one.
pub(super) fn span(faults: &mut Faults, field: impl Display, span: Option<&Duration>) -> Option<Millis> {
    let millis = positive(*span?);
    if millis.is_none() {
        faults.invalid(field, "must be a duration above 0s, with nanos from 0 to 999999999");
    }
    millis
}

/// A duration of zero or more, as long as a duration may be. Digits finer than milliseconds are cut off.
pub(super) fn wait(faults: &mut Faults, field: impl Display, span: Duration) -> Option<Millis> {
    let millis = if span == Duration::default() { Some(Millis(0)) } else { positive(span) };
    let millis = millis.filter(|millis| *millis <= DURATION_MAX);
    if millis.is_none() {
        faults.invalid(field, "must be a duration of 0s to 10000 years, with nanos from 0 to 999999999");
    }
    millis
}

fn positive(Duration { seconds, nanos }: Duration) -> Option<Millis> {
    let seconds = u64::try_from(seconds).ok()?;
    let nanos = u64::try_from(nanos).ok().filter(|nanos| *nanos < 1_000 * NANOS_PER_MILLI)?;
    let millis = seconds.saturating_mul(1000).saturating_add(nanos / NANOS_PER_MILLI);
    (seconds > 0 || nanos > 0).then(|| Millis(millis.max(1)))
}

/// An optional instant of the years 1970 to 9999. Digits finer than milliseconds are cut off.
pub(super) fn instant(faults: &mut Faults, field: impl Display, at: Option<&Instant>) -> Option<Timestamp> {
    let at = at?;
    let seconds = u64::try_from(at.seconds).ok().filter(|seconds| *seconds <= LAST_SECOND);
    let nanos = u64::try_from(at.nanos).ok().filter(|nanos| *nanos < 1_000 * NANOS_PER_MILLI);
    if let (Some(seconds), Some(nanos)) = (seconds, nanos) {
        let millis = seconds.saturating_mul(1000).saturating_add(nanos / NANOS_PER_MILLI);
        return Some(Timestamp(millis));
    }
    faults.invalid(field, "must be an instant of the years 1970 to 9999, with nanos from 0 to 999999999");
    None
}

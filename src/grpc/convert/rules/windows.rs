//! Access windows.

use stockade_proto as pb;
use stockade_types::definition::{WINDOWS_MAX, Window};

use super::super::drop::{TTL_MAX, TTL_MIN, TTL_RANGE};
use super::super::faults::Faults;
use super::super::fields::span;
use super::moments::moment;
use super::reach::{Listed, Reach, audience, entry_id, reach};

/// All windows of a drop; `None` with the faults recorded.
pub(super) fn windows(
    faults: &mut Faults,
    given: &[pb::Window],
    listed: &Listed<'_>,
    closes: bool,
) -> Option<Vec<Window>> {
    const LIST: &str = "drop.windows";
    if given.len() > WINDOWS_MAX {
        faults.invalid(LIST, format_args!("must be at most {WINDOWS_MAX}, not {}", given.len()));
        return None;
    }
    let mut windows = Vec::with_capacity(given.len());
    for (place, window) in given.iter().enumerate() {
        let pb::Window { id: name, audience: whom, skus, starts, ends, hold_ttl, pools, starts_at: _, ends_at: _ } =
            window;
        let path = format!("{LIST}[{place}]");
        let name = entry_id(faults, (LIST, place), (name, given.iter().map(|window| &window.id)));
        let audience = audience(faults, &format!("{path}.audience"), whom.as_ref());
        let Reach { skus, pools } = reach(faults, &path, (skus, pools), listed);
        let starts = moment(faults, &format!("{path}.starts"), starts.as_ref(), closes);
        let ends = moment(faults, &format!("{path}.ends"), ends.as_ref(), closes);
        let hold_ttl = span(faults, format_args!("{path}.hold_ttl"), hold_ttl.as_ref());
        if hold_ttl.is_some_and(|ttl| !(TTL_MIN..=TTL_MAX).contains(&ttl)) {
            faults.invalid(format_args!("{path}.hold_ttl"), TTL_RANGE);
        }
        windows.extend(name.map(|id| Window { id, audience, skus, pools, starts, ends, hold_ttl }));
    }
    (windows.len() == given.len()).then_some(windows)
}

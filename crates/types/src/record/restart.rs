//! The fact of a start after an outage, and its bytes.

use crate::codec::{DecodeError, Reader, put_u64};
use crate::hold::Hold;
use crate::time::Timestamp;

/// The engine started again and gave the holds that it may have slept through some more time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The last instant before the outage that the journal knows.
    pub stopped_at: Timestamp,
    /// Holds with a deadline after `stopped_at` and before this get this one.
    pub grace_until: Timestamp,
    /// When it started; records of format 1 don't say.
    pub at: Option<Timestamp>,
}

impl Restart {
    /// Whether it gives this hold more time.
    #[must_use]
    pub fn moves(&self, hold: &Hold) -> bool {
        hold.state.is_live() && self.stopped_at < hold.expires_at() && hold.expires_at() < self.grace_until
    }

    /// Gives a hold that it moves more time.
    pub fn change(&self, hold: &mut Hold) {
        hold.set_expires_at(self.grace_until);
    }
}

pub(super) fn encode(restart: &Restart, out: &mut Vec<u8>) {
    let Restart { stopped_at, grace_until, at } = restart;
    put_u64(out, stopped_at.0);
    put_u64(out, grace_until.0);
    if let Some(at) = at {
        put_u64(out, at.0);
    }
}

pub(super) fn decode(reader: &mut Reader<'_>, timed: bool) -> Result<Restart, DecodeError> {
    let (stopped_at, grace_until) = (Timestamp(reader.u64()?), Timestamp(reader.u64()?));
    let at = if timed { Some(Timestamp(reader.u64()?)) } else { None };
    Ok(Restart { stopped_at, grace_until, at })
}

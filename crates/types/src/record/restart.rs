//! The fact that the engine started after an outage, and its bytes.

use crate::codec::{DecodeError, Reader, put_u64};
use crate::hold::Hold;
use crate::time::Timestamp;

/// The engine started after an outage and gave more time to holds that were due during or soon after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The last instant in the journal before the outage.
    pub stopped_at: Timestamp,
    /// The new deadline of live holds whose deadline is between `stopped_at` and this.
    pub grace_until: Timestamp,
    /// When it started; records of format 1 don't say.
    pub at: Option<Timestamp>,
}

impl Restart {
    /// Whether it changes this hold's deadline.
    #[must_use]
    pub fn moves(&self, hold: &Hold) -> bool {
        hold.state.is_live() && self.stopped_at < hold.expires_at() && hold.expires_at() < self.grace_until
    }

    /// Sets the new deadline of a hold that it changes.
    pub fn change(&self, hold: &mut Hold) {
        hold.give_grace(self.grace_until);
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

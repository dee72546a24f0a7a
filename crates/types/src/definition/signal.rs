//! Signals: facts that a drop makes known by an event, at an instant or at a level of stock.

use std::collections::BTreeMap;

use super::audience::Audience;
use super::trigger::Trigger;
use super::{labels, put_count, several};
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::SignalId;
use crate::time::{Millis, Timestamp};

/// Most signals of a drop.
pub const SIGNALS_MAX: usize = 64;
/// Most signals that a drop may ever have had.
pub const SIGNAL_NAMES_MAX: usize = 4_096;
/// Most channels of a signal.
pub const CHANNELS_MAX: usize = 8;
/// Most bytes of a channel's name.
pub const CHANNEL_BYTES_MAX: usize = 64;
/// Most labels of a signal.
pub const SIGNAL_LABELS_MAX: usize = 8;
/// How late a signal still fires if its definition does not say.
pub const VALID_FOR_USUAL: Millis = Millis::from_secs(5 * 60);
/// The longest time for which a signal is valid, and after which it may fire again.
pub const SIGNAL_SPAN_MAX: Millis = Millis::from_secs(400 * 24 * 60 * 60);

/// The number of a signal, from 0 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SignalNo(pub u16);

/// A fact that a drop makes known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Unique in the drop.
    pub id: SignalId,
    /// When it fires.
    pub on: Trigger,
    /// Whom it is meant for: handed on with the event.
    pub audience: Audience,
    /// Where it is meant to go, as the caller names it: handed on.
    pub channels: Vec<String>,
    /// How long after it has fired it may fire again, once its level has ceased and is reached anew; none: never.
    pub repeat_after: Option<Millis>,
    /// If it would fire later than this after its moment, it is missed instead.
    pub valid_for: Millis,
    /// Handed on.
    pub labels: BTreeMap<String, String>,
    /// When its trigger was defined: set by the engine. A moment before this is missed.
    pub defined_at: Timestamp,
}

impl Signal {
    /// Whether it is missed if its moment comes to be seen at `now` only.
    #[must_use]
    pub fn is_missed(&self, moment: Timestamp, now: Timestamp) -> bool {
        moment < self.defined_at || now > moment.plus(self.valid_for)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { id, on, audience, channels, repeat_after, valid_for, labels, defined_at } = self;
        put_text(out, id.as_str());
        on.encode(out);
        audience.encode(out);
        put_count(out, channels.len());
        for channel in channels {
            put_text(out, channel);
        }
        put_u64(out, repeat_after.map_or(0, |span| span.0));
        put_u64(out, valid_for.0);
        put_count(out, labels.len());
        for (key, value) in labels {
            put_text(out, key);
            put_text(out, value);
        }
        put_u64(out, defined_at.0);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: reader.id("signal id")?,
            on: Trigger::decode(reader)?,
            audience: Audience::decode(reader)?,
            channels: several(reader, 1, |reader| Ok(reader.text()?.to_owned()))?,
            repeat_after: Some(Millis(reader.u64()?)).filter(|span| span.0 > 0),
            valid_for: Millis(reader.u64()?),
            labels: labels(reader)?,
            defined_at: Timestamp(reader.u64()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Named;

    #[test]
    fn a_moment_is_missed_when_it_is_seen_late_or_was_past_when_it_was_defined() {
        let signal = Signal {
            id: "six".parse().expect("an id"),
            on: Trigger::Moment(Named::AfterOpening(0).into()),
            audience: Audience::default(),
            channels: Vec::new(),
            repeat_after: None,
            valid_for: Millis(10),
            labels: BTreeMap::new(),
            defined_at: Timestamp(100),
        };
        let missed = |moment, now| signal.is_missed(Timestamp(moment), Timestamp(now));
        assert!(!missed(100, 100) && !missed(100, 110) && missed(100, 111));
        assert!(missed(99, 100), "however little it is past");
    }
}

//! How far the messages of a channel are, and to which audiences it has sent lately.

use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::DefinedId;
use crate::time::Timestamp;
use crate::webhook::EventPlace;

/// Most audiences of one channel that are remembered.
pub const AUDIENCES_MAX: usize = 256;

/// How far a channel is. In a snapshot: the last of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelFact {
    /// When.
    pub at: Timestamp,
    /// Which channel.
    pub channel: DefinedId,
    /// How far it is; none: it is forgotten.
    pub progress: Option<ChannelProgress>,
}

/// How far the messages of a channel are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelProgress {
    /// Every event up to here was sent, held back or given up.
    pub decided_to: EventPlace,
    /// What was sent lately: as much of it as bounds of today's and of the next messages depend on.
    pub sent: Vec<Sent>,
}

/// What an audience was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Whose audience, as a digest.
    pub audience: [u8; 16],
    /// When the last message was sent.
    pub last_at: Timestamp,
    /// How many were sent on that day, the last one among them.
    pub count: u32,
}

pub(super) fn encode(fact: &ChannelFact, out: &mut Vec<u8>) {
    let ChannelFact { at, channel, progress } = fact;
    put_u64(out, at.0);
    put_text(out, channel.as_str());
    out.push(u8::from(progress.is_some()));
    let Some(ChannelProgress { decided_to, sent }) = progress else { return };
    decided_to.encode(out);
    put_u64(out, u64::try_from(sent.len()).unwrap_or(u64::MAX));
    for Sent { audience, last_at, count } in sent {
        out.extend_from_slice(audience);
        put_u64(out, last_at.0);
        put_u64(out, u64::from(*count));
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<ChannelFact, DecodeError> {
    let (at, channel) = (Timestamp(reader.u64()?), reader.id("channel")?);
    let progress = if reader.flag("progress of a channel")? { Some(progress(reader)?) } else { None };
    Ok(ChannelFact { at, channel, progress })
}

fn progress(reader: &mut Reader<'_>) -> Result<ChannelProgress, DecodeError> {
    let decided_to = EventPlace::decode(reader)?;
    let count = reader.count(18)?;
    if count > AUDIENCES_MAX {
        return Err(DecodeError::Bad("count of audiences"));
    }
    let mut sent = || {
        let (audience, last_at) = (reader.array()?, Timestamp(reader.u64()?));
        Ok(Sent { audience, last_at, count: reader.small("count of messages")? })
    };
    Ok(ChannelProgress { decided_to, sent: (0..count).map(|_| sent()).collect::<Result<_, _>>()? })
}

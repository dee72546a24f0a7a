//! How far deliveries of webhooks are: one record for many of them, since each moves all the time.

use crate::codec::{DecodeError, Reader, put_u64};
use crate::time::Timestamp;
use crate::webhook::WebhookProgress;

/// Most webhooks of one record, so that it fits into a batch.
pub const DELIVERED_MAX: usize = 400;

/// How far the deliveries of some webhooks are. In a snapshot: of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// When.
    pub at: Timestamp,
    /// Which webhooks, and how far they are.
    pub webhooks: Vec<WebhookProgress>,
}

pub(super) fn encode(kind: u8, delivered: &Delivered, out: &mut Vec<u8>) {
    let Delivered { at, webhooks } = delivered;
    out.push(kind);
    put_u64(out, at.0);
    put_u64(out, u64::try_from(webhooks.len()).unwrap_or(u64::MAX));
    for entry in webhooks {
        entry.encode(out);
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Delivered, DecodeError> {
    let at = Timestamp(reader.u64()?);
    let count = reader.count(8)?;
    if count > DELIVERED_MAX {
        return Err(DecodeError::Bad("count of webhooks"));
    }
    let webhooks = (0..count).map(|_| WebhookProgress::decode(reader)).collect::<Result<_, _>>()?;
    Ok(Delivered { at, webhooks })
}

//! Access windows: when which customers may reserve which items.

use super::audience::Audience;
use super::moment::Moment;
use super::{decode_ids, encode_ids};
use crate::codec::{DecodeError, Reader, put_option, put_text};
use crate::ids::{PoolId, Sku, WindowId};
use crate::time::Millis;

/// Most windows of a drop.
pub const WINDOWS_MAX: usize = 32;

/// A window. A drop without any is open to everyone from its opening to its closing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Unique in the drop.
    pub id: WindowId,
    /// Whom it lets in.
    pub audience: Audience,
    /// The SKUs that it is for, ascending; empty: all.
    pub skus: Vec<Sku>,
    /// The pools that may be drawn on through it, ascending; empty: all.
    pub pools: Vec<PoolId>,
    /// None: with the drop.
    pub starts: Option<Moment>,
    /// None: with the drop.
    pub ends: Option<Moment>,
    /// How long a hold made through it lives, in place of the drop's `hold_ttl`.
    pub hold_ttl: Option<Millis>,
}

impl Window {
    /// Whether it is for this SKU.
    #[must_use]
    pub fn covers(&self, sku: &Sku) -> bool {
        self.skus.is_empty() || self.skus.binary_search(sku).is_ok()
    }

    /// Whether this pool may be drawn on through it.
    #[must_use]
    pub fn reaches(&self, pool: &PoolId) -> bool {
        self.pools.is_empty() || self.pools.binary_search(pool).is_ok()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { id, audience, skus, pools, starts, ends, hold_ttl } = self;
        put_text(out, id.as_str());
        audience.encode(out);
        encode_ids(skus.iter().map(Sku::as_str), out);
        encode_ids(pools.iter().map(PoolId::as_str), out);
        Moment::encode_option(*starts, out);
        Moment::encode_option(*ends, out);
        put_option(out, hold_ttl.map(|ttl| ttl.0));
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: reader.id("window id")?,
            audience: Audience::decode(reader)?,
            skus: decode_ids(reader, "sku")?,
            pools: decode_ids(reader, "pool id")?,
            starts: Moment::decode_option(reader)?,
            ends: Moment::decode_option(reader)?,
            hold_ttl: reader.option()?.map(Millis),
        })
    }
}

//! Tranches: stock that joins a drop by plan while it is live.

use super::trigger::Trigger;
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{PoolId, Sku, TrancheId};

/// Most tranches of a drop.
pub const TRANCHES_MAX: usize = 64;

/// Units that join a pool once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tranche {
    /// Unique in the drop.
    pub id: TrancheId,
    /// Of which SKU.
    pub sku: Sku,
    /// Into which of its pools; none: the one that has the rest.
    pub pool: Option<PoolId>,
    /// How many.
    pub units: u64,
    /// When.
    pub when: Trigger,
}

impl Tranche {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { id, sku, pool, units, when } = self;
        put_text(out, id.as_str());
        put_text(out, sku.as_str());
        put_text(out, pool.as_ref().map_or("", PoolId::as_str));
        put_u64(out, *units);
        when.encode(out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: reader.id("tranche id")?,
            sku: reader.id("sku")?,
            pool: reader.optional_id("pool id")?,
            units: reader.u64()?,
            when: Trigger::decode(reader)?,
        })
    }
}

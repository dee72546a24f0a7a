//! Prices: for whom, when, and in which pools.

use super::audience::Audience;
use super::moment::Moment;
use super::money::Money;
use super::trigger::Trigger;
use super::{decode_ids, encode_ids, put_count, several};
use crate::codec::{DecodeError, Reader, put_text};
use crate::ids::{PoolId, Sku, TermsId};

/// Most terms of a drop.
pub const PRICE_TERMS_MAX: usize = 64;
/// Most steps of one price.
pub const PRICE_STEPS_MAX: usize = 16;

/// A price for an audience and a time. The first terms of a drop that fit a line are pinned to it when its units are
/// set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTerms {
    /// Unique in the drop.
    pub id: TermsId,
    /// Whom it is for.
    pub audience: Audience,
    /// The SKUs that it is for, ascending; empty: all.
    pub skus: Vec<Sku>,
    /// The pools that it is for, ascending; empty: all.
    pub pools: Vec<PoolId>,
    /// None: with the drop.
    pub starts: Option<Moment>,
    /// None: with the drop.
    pub ends: Option<Moment>,
    /// The price of a unit before any step.
    pub price: Money,
    /// The last step in this list that has fired counts.
    pub steps: Vec<PriceStep>,
}

/// A change of a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceStep {
    /// When it fires.
    pub when: Trigger,
    /// The price of a unit from then on.
    pub price: Money,
}

impl PriceTerms {
    /// Whether it names a price for this SKU.
    #[must_use]
    pub fn covers(&self, sku: &Sku) -> bool {
        self.skus.is_empty() || self.skus.binary_search(sku).is_ok()
    }

    /// Whether it is for this pool.
    #[must_use]
    pub fn reaches(&self, pool: &PoolId) -> bool {
        self.pools.is_empty() || self.pools.binary_search(pool).is_ok()
    }

    /// Its prices: before any step, then after each.
    pub fn prices(&self) -> impl Iterator<Item = Money> + '_ {
        std::iter::once(self.price).chain(self.steps.iter().map(|step| step.price))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { id, audience, skus, pools, starts, ends, price, steps } = self;
        put_text(out, id.as_str());
        audience.encode(out);
        encode_ids(skus.iter().map(Sku::as_str), out);
        encode_ids(pools.iter().map(PoolId::as_str), out);
        Moment::encode_option(*starts, out);
        Moment::encode_option(*ends, out);
        price.encode(out);
        put_count(out, steps.len());
        for PriceStep { when, price } in steps {
            when.encode(out);
            price.encode(out);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: reader.id("terms id")?,
            audience: Audience::decode(reader)?,
            skus: decode_ids(reader, "sku")?,
            pools: decode_ids(reader, "pool id")?,
            starts: Moment::decode_option(reader)?,
            ends: Moment::decode_option(reader)?,
            price: Money::decode(reader)?,
            steps: several(reader, 6, |reader| {
                Ok(PriceStep { when: Trigger::decode(reader)?, price: Money::decode(reader)? })
            })?,
        })
    }
}

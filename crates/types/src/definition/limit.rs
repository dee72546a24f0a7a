//! Limits: how much one subject may hold and own.

use std::collections::BTreeMap;

use super::put_count;
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{IdentityKind, LimitId, Sku, TierId};
use crate::time::Millis;

/// Most limits of a drop.
pub const LIMITS_MAX: usize = 64;
/// Most SKUs that a limit names.
pub const LIMIT_SKUS_MAX: usize = 256;
/// Most tiers that a limit names.
pub const LIMIT_TIERS_MAX: usize = 64;

/// What a limit counts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Each item by itself.
    Item,
    /// All items of the drop together.
    Drop,
    /// All drops of the drop's series together.
    Series,
    /// All drops of the shop together.
    Shop,
}

/// How much one subject may hold and own. Held, paying and claimed units count. At least one bound is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Unique in the drop.
    pub id: LimitId,
    /// What it counts over.
    pub scope: Scope,
    /// The SKUs that it counts, ascending; empty: all.
    pub skus: Vec<Sku>,
    /// The kind of identity that it counts by; none: the customer.
    pub identity_kind: Option<IdentityKind>,
    /// Most units. 0 is legal: nobody may buy.
    pub max_units: Option<u32>,
    /// Most units for customers of a tier. The highest bound of the customer's tiers replaces `max_units`.
    pub max_units_by_tier: BTreeMap<TierId, u32>,
    /// Most units that are held or in payment.
    pub max_live_units: Option<u32>,
    /// Most holds that are held or in payment.
    pub max_live_holds: Option<u32>,
    /// `max_units` counts only units that were reserved within this time.
    pub rolling: Option<Millis>,
    /// The minimum time between two reserves.
    pub cooldown: Option<Millis>,
}

impl Limit {
    /// A limit without bounds.
    #[must_use]
    pub const fn new(id: LimitId, scope: Scope) -> Self {
        Self {
            id,
            scope,
            skus: Vec::new(),
            identity_kind: None,
            max_units: None,
            max_units_by_tier: BTreeMap::new(),
            max_live_units: None,
            max_live_holds: None,
            rolling: None,
            cooldown: None,
        }
    }

    /// Whether it only bounds the customer's units of the drop or of each item, as most limits do.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Self {
            id: _,
            scope,
            skus,
            identity_kind,
            max_units,
            max_units_by_tier,
            max_live_units,
            max_live_holds,
            rolling,
            cooldown,
        } = self;
        let here = match scope {
            Scope::Item | Scope::Drop => true,
            Scope::Series | Scope::Shop => false,
        };
        here && max_units.is_some()
            && skus.is_empty()
            && identity_kind.is_none()
            && max_units_by_tier.is_empty()
            && max_live_units.is_none()
            && max_live_holds.is_none()
            && rolling.is_none()
            && cooldown.is_none()
    }

    /// Whether it counts this SKU.
    #[must_use]
    pub fn covers(&self, sku: &Sku) -> bool {
        self.skus.is_empty() || self.skus.binary_search(sku).is_ok()
    }

    /// Most units for a customer of these tiers: the highest bound of any of them, otherwise `max_units`.
    #[must_use]
    pub fn units_for(&self, tiers: &[TierId]) -> Option<u32> {
        let fitting = tiers.iter().filter_map(|tier| self.max_units_by_tier.get(tier));
        fitting.max().or(self.max_units.as_ref()).copied()
    }
}

const SCOPE_ITEM: u8 = 1;
const SCOPE_DROP: u8 = 2;
const SCOPE_SERIES: u8 = 3;
const SCOPE_SHOP: u8 = 4;
/// Added to the scope if the limit has more than `max_units`. Its parts follow then, each preceded by its tag.
const IN_PARTS: u8 = 16;

/// Tags of a limit's parts. The encoder writes each at most once; the decoder keeps the last.
mod tag {
    pub(super) const END: u8 = 0;
    pub(super) const SKUS: u8 = 1;
    pub(super) const IDENTITY_KIND: u8 = 2;
    pub(super) const MAX_UNITS: u8 = 3;
    pub(super) const BY_TIER: u8 = 4;
    pub(super) const LIVE_UNITS: u8 = 5;
    pub(super) const LIVE_HOLDS: u8 = 6;
    pub(super) const ROLLING: u8 = 7;
    pub(super) const COOLDOWN: u8 = 8;
}

/// Appends a limit's bytes.
pub(super) fn encode(limit: &Limit, out: &mut Vec<u8>) {
    let Limit {
        id,
        scope,
        skus,
        identity_kind,
        max_units,
        max_units_by_tier,
        max_live_units,
        max_live_holds,
        rolling,
        cooldown,
    } = limit;
    let scope = match scope {
        Scope::Item => SCOPE_ITEM,
        Scope::Drop => SCOPE_DROP,
        Scope::Series => SCOPE_SERIES,
        Scope::Shop => SCOPE_SHOP,
    };
    put_text(out, id.as_str());
    if let Some(most) = max_units
        && *limit == (Limit { max_units: *max_units, ..Limit::new(id.clone(), limit.scope) })
    {
        out.push(scope);
        put_u64(out, u64::from(*most));
        return;
    }
    out.push(scope | IN_PARTS);
    if !skus.is_empty() {
        out.push(tag::SKUS);
        put_count(out, skus.len());
        for sku in skus {
            put_text(out, sku.as_str());
        }
    }
    if let Some(kind) = identity_kind {
        out.push(tag::IDENTITY_KIND);
        put_text(out, kind.as_str());
    }
    if !max_units_by_tier.is_empty() {
        out.push(tag::BY_TIER);
        put_count(out, max_units_by_tier.len());
        for (tier, most) in max_units_by_tier {
            put_text(out, tier.as_str());
            put_u64(out, u64::from(*most));
        }
    }
    let numbers = [
        (tag::MAX_UNITS, max_units.map(u64::from)),
        (tag::LIVE_UNITS, max_live_units.map(u64::from)),
        (tag::LIVE_HOLDS, max_live_holds.map(u64::from)),
        (tag::ROLLING, rolling.map(|span| span.0)),
        (tag::COOLDOWN, cooldown.map(|span| span.0)),
    ];
    for (tag, number) in numbers {
        if let Some(number) = number {
            out.push(tag);
            put_u64(out, number);
        }
    }
    out.push(tag::END);
}

/// Reads a limit.
pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Limit, DecodeError> {
    let id: LimitId = reader.id("limit id")?;
    let scope = reader.u8()?;
    let in_parts = scope & IN_PARTS != 0;
    let scope = match scope & !IN_PARTS {
        SCOPE_ITEM => Scope::Item,
        SCOPE_DROP => Scope::Drop,
        SCOPE_SERIES => Scope::Series,
        SCOPE_SHOP => Scope::Shop,
        _ => return Err(DecodeError::Bad("limit scope")),
    };
    let mut limit = Limit::new(id, scope);
    if !in_parts {
        limit.max_units = Some(reader.small("max units")?);
        return Ok(limit);
    }
    loop {
        match reader.u8()? {
            tag::END => return Ok(limit),
            tag::SKUS => limit.skus = (0..reader.count(1)?).map(|_| reader.id("sku")).collect::<Result<_, _>>()?,
            tag::IDENTITY_KIND => limit.identity_kind = Some(reader.id("identity kind")?),
            tag::BY_TIER => {
                let count = reader.count(2)?;
                let mut tier = || Ok((reader.id("tier")?, reader.small("max units")?));
                limit.max_units_by_tier = (0..count).map(|_| tier()).collect::<Result<_, DecodeError>>()?;
            }
            tag::MAX_UNITS => limit.max_units = Some(reader.small("max units")?),
            tag::LIVE_UNITS => limit.max_live_units = Some(reader.small("max live units")?),
            tag::LIVE_HOLDS => limit.max_live_holds = Some(reader.small("max live holds")?),
            tag::ROLLING => limit.rolling = Some(Millis(reader.u64()?)),
            tag::COOLDOWN => limit.cooldown = Some(Millis(reader.u64()?)),
            _ => return Err(DecodeError::Bad("limit tag")),
        }
    }
}

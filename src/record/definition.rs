//! A drop definition's bytes.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Reader, put_option, put_text, put_u64};
use crate::definition::{Definition, Item, Limit, Pool, Scope};
use crate::ids::LimitId;
use crate::time::{Millis, Timestamp};

const SCOPE_ITEM: u8 = 1;
const SCOPE_DROP: u8 = 2;
const SCOPE_SERIES: u8 = 3;
const SCOPE_SHOP: u8 = 4;
/// Added to the scope of a limit that has more than `max_units`: then its parts follow, each behind its tag.
const IN_PARTS: u8 = 16;

/// Tags of what follows the first fields of a definition or limit, each at most once.
mod tag {
    pub const END: u8 = 0;
    pub const SERIES: u8 = 1;

    pub const SKUS: u8 = 1;
    pub const IDENTITY_KIND: u8 = 2;
    pub const MAX_UNITS: u8 = 3;
    pub const BY_TIER: u8 = 4;
    pub const LIVE_UNITS: u8 = 5;
    pub const LIVE_HOLDS: u8 = 6;
    pub const ROLLING: u8 = 7;
    pub const COOLDOWN: u8 = 8;
}

/// Whether a definition has parts beyond the first fields. Only then are they written: one without keeps the bytes, and
/// the digest, that it had before there were any.
pub(super) const fn has_parts(definition: &Definition) -> bool {
    definition.series.is_some()
}

/// With its parts, if it is to have any.
pub(super) fn encode(definition: &Definition, in_parts: bool, out: &mut Vec<u8>) {
    let Definition {
        id,
        title,
        shop,
        series,
        labels,
        opens_at,
        closes_at,
        hold_ttl,
        max_hold_life,
        payment_ttl,
        items,
        limits,
    } = definition;
    put_text(out, id.as_str());
    put_text(out, title);
    put_text(out, shop.as_str());
    put_count(out, labels.len());
    for (key, value) in labels {
        put_text(out, key);
        put_text(out, value);
    }
    put_option(out, opens_at.map(|at| at.0));
    put_option(out, closes_at.map(|at| at.0));
    put_u64(out, hold_ttl.0);
    put_u64(out, max_hold_life.0);
    put_u64(out, payment_ttl.0);
    put_count(out, items.len());
    for Item { sku, pools } in items {
        put_text(out, sku.as_str());
        put_count(out, pools.len());
        for Pool { id, units } in pools {
            put_text(out, id.as_str());
            put_u64(out, *units);
        }
    }
    put_count(out, limits.len());
    for limit in limits {
        encode_limit(limit, out);
    }
    if let Some(series) = series {
        out.push(tag::SERIES);
        put_text(out, series.as_str());
    }
    if in_parts {
        out.push(tag::END);
    }
}

fn encode_limit(limit: &Limit, out: &mut Vec<u8>) {
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

pub(super) fn decode(reader: &mut Reader<'_>, in_parts: bool) -> Result<Definition, DecodeError> {
    let mut definition = Definition {
        id: reader.id("drop id")?,
        title: reader.text()?.to_owned(),
        shop: reader.id("shop id")?,
        series: None,
        labels: labels(reader)?,
        opens_at: reader.option()?.map(Timestamp),
        closes_at: reader.option()?.map(Timestamp),
        hold_ttl: Millis(reader.u64()?),
        max_hold_life: Millis(reader.u64()?),
        payment_ttl: Millis(reader.u64()?),
        items: items(reader)?,
        limits: limits(reader)?,
    };
    if !in_parts {
        return Ok(definition);
    }
    loop {
        match reader.u8()? {
            tag::END => return Ok(definition),
            tag::SERIES => definition.series = Some(reader.id("series id")?),
            _ => return Err(DecodeError::Bad("definition tag")),
        }
    }
}

fn labels(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, DecodeError> {
    let count = reader.count(2)?;
    (0..count).map(|_| Ok((reader.text()?.to_owned(), reader.text()?.to_owned()))).collect()
}

fn items(reader: &mut Reader<'_>) -> Result<Vec<Item>, DecodeError> {
    let count = reader.count(2)?;
    (0..count).map(|_| Ok(Item { sku: reader.id("sku")?, pools: pools(reader)? })).collect()
}

fn pools(reader: &mut Reader<'_>) -> Result<Vec<Pool>, DecodeError> {
    let count = reader.count(2)?;
    (0..count).map(|_| Ok(Pool { id: reader.id("pool id")?, units: reader.u64()? })).collect()
}

fn limits(reader: &mut Reader<'_>) -> Result<Vec<Limit>, DecodeError> {
    let count = reader.count(3)?;
    (0..count).map(|_| limit(reader)).collect()
}

fn limit(reader: &mut Reader<'_>) -> Result<Limit, DecodeError> {
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

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_u64(out, u64::try_from(count).unwrap_or(u64::MAX));
}

//! A drop definition's bytes.

use std::collections::BTreeMap;

use crate::codec::{DecodeError, Reader, put_option, put_text, put_u64};
use crate::definition::{Definition, Item, Limit, Pool, Scope};
use crate::time::{Millis, Timestamp};

const SCOPE_ITEM: u8 = 1;
const SCOPE_DROP: u8 = 2;

pub(super) fn encode(definition: &Definition, out: &mut Vec<u8>) {
    let Definition {
        id,
        title,
        shop,
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
    for Limit { id, scope, max_units } in limits {
        put_text(out, id.as_str());
        out.push(match scope {
            Scope::Item => SCOPE_ITEM,
            Scope::Drop => SCOPE_DROP,
        });
        put_u64(out, u64::from(*max_units));
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Definition, DecodeError> {
    Ok(Definition {
        id: reader.id("drop id")?,
        title: reader.text()?.to_owned(),
        shop: reader.id("shop id")?,
        labels: labels(reader)?,
        opens_at: reader.option()?.map(Timestamp),
        closes_at: reader.option()?.map(Timestamp),
        hold_ttl: Millis(reader.u64()?),
        max_hold_life: Millis(reader.u64()?),
        payment_ttl: Millis(reader.u64()?),
        items: items(reader)?,
        limits: limits(reader)?,
    })
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
    (0..count)
        .map(|_| {
            let id = reader.id("limit id")?;
            let scope = match reader.u8()? {
                SCOPE_ITEM => Scope::Item,
                SCOPE_DROP => Scope::Drop,
                _ => return Err(DecodeError::Bad("limit scope")),
            };
            Ok(Limit { id, scope, max_units: reader.small("max units")? })
        })
        .collect()
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_u64(out, u64::try_from(count).unwrap_or(u64::MAX));
}

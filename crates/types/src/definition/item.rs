//! Items and the pools of their stock.

use super::put_count;
use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{PoolId, Sku};

/// Most items in a drop.
pub const ITEMS_MAX: usize = 256;
/// Most units that an item may have: 10^12. It fits the stock word's 40 bits, and a drop's sums stay far below u64's
/// maximum.
pub const ITEM_UNITS_MAX: u64 = 1_000_000_000_000;
/// The pool of an item that names none.
pub const GENERAL_POOL: &str = "general";

/// One SKU in one drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Unique in the drop.
    pub sku: Sku,
    /// At least one; units are drawn from them in this order.
    pub pools: Vec<Pool>,
}

/// A named part of an item's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Unique in the item.
    pub id: PoolId,
    /// The initial stock, in units.
    pub units: u64,
}

/// Appends an item's bytes.
pub(super) fn encode(Item { sku, pools }: &Item, out: &mut Vec<u8>) {
    put_text(out, sku.as_str());
    put_count(out, pools.len());
    for Pool { id, units } in pools {
        put_text(out, id.as_str());
        put_u64(out, *units);
    }
}

/// Reads an item.
pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Item, DecodeError> {
    Ok(Item { sku: reader.id("sku")?, pools: pools(reader)? })
}

fn pools(reader: &mut Reader<'_>) -> Result<Vec<Pool>, DecodeError> {
    let count = reader.count(2)?;
    (0..count).map(|_| Ok(Pool { id: reader.id("pool id")?, units: reader.u64()? })).collect()
}

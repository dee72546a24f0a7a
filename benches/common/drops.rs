//! A drop of one item for the benchmarks of stock and of the whole engine.

use std::collections::BTreeMap;

use stockade_types::definition::{Definition, Item, Limit, Pool, Schedule, Terms};
use stockade_types::ids::{DropId, PoolId, ShopId, Sku};
use stockade_types::time::{Millis, Timestamp};

/// The benchmarks' present time.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// The ttl of a hold.
pub const TTL: Millis = Millis::from_secs(300);

/// The one item.
pub fn sku() -> Sku {
    Sku::try_from("knife").expect("a sku")
}

/// A drop with these units and limits.
pub fn definition(id: &str, units: u64, limits: Vec<Limit>) -> Definition {
    let pools = vec![Pool::plain(PoolId::try_from("general").expect("an id"), units)];
    Definition {
        id: DropId::try_from(id).expect("an id"),
        title: String::new(),
        shop: ShopId::try_from("default").expect("an id"),
        series: None,
        labels: BTreeMap::new(),
        schedule: Schedule { opens_at: None, closes_at: None },
        terms: Terms { hold_ttl: TTL, max_hold_life: TTL, payment_ttl: Millis::from_secs(900) },
        items: vec![Item::plain(sku(), pools)],
        limits,
        rules: stockade_types::definition::Rules::default(),
    }
}

//! Short forms of commands, and repeated attempts until an answer is free of doubt.

use stockade_engine::Engine;
use stockade_engine::answer::Fault;
use stockade_engine::attempt::{Answer, Decided};
use stockade_engine::command::{
    AdjustStock, Claim, ExpiredPolicy, Extend, Release, Reserve, Target, UpdateDrop, WantedUnits,
};
use stockade_engine::context::Context;
use stockade_types::definition::{Definition, Item, Limit, Pool, Schedule, Scope, Terms};
use stockade_types::ids::{AdjustmentId, CustomerId, DropId, HoldId, LimitId, OrderRef, PoolId, ShopId, Sku};
use stockade_types::record::StockChange;
use stockade_types::time::{Millis, Timestamp};

use super::{ITEMS, Wanted};

/// The instant at which a history starts.
pub const START: Timestamp = Timestamp(1_800_000_000_000);

/// More attempts than any answer needs that others may keep in doubt for a while.
const ATTEMPTS_MAX: u32 = 200_000;

pub fn drop_id(text: &str) -> DropId {
    DropId::try_from(text).expect("a drop id")
}

pub fn sku(text: &str) -> Sku {
    Sku::try_from(text).expect("a sku")
}

/// The n-th hold's id.
pub fn hold_id(n: u64) -> HoldId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    HoldId::from_bytes(bytes)
}

pub fn definition(id: &str, items: &[(&str, u64)], limits: &[(&str, Scope, u32)]) -> Definition {
    Definition {
        id: drop_id(id),
        title: String::new(),
        shop: ShopId::try_from("default").expect("a shop id"),
        series: None,
        labels: std::collections::BTreeMap::new(),
        schedule: Schedule { opens_at: None, closes_at: None },
        terms: Terms {
            hold_ttl: Millis::from_secs(300),
            max_hold_life: Millis::from_secs(600),
            payment_ttl: Millis::from_secs(900),
        },
        items: items.iter().map(|(name, units)| Item::plain(sku(name), pools(&[*units]))).collect(),
        limits: limits
            .iter()
            .map(|(id, scope, max_units)| Limit {
                max_units: Some(*max_units),
                ..Limit::new(LimitId::try_from(*id).expect("a limit id"), *scope)
            })
            .collect(),
        rules: stockade_types::definition::Rules::default(),
    }
}

/// The pools of an item with these units.
pub fn pools(units: &[u64]) -> Vec<Pool> {
    (0..).zip(units).map(|(place, units)| Pool::plain(pool_id(place), *units)).collect()
}

/// The name of an item's pool.
pub fn pool_id(place: u16) -> PoolId {
    let name = if place == 0 { "general".to_owned() } else { format!("pool-{place}") };
    PoolId::try_from(name.as_str()).expect("a pool id")
}

/// Lines of a drop as the edge makes them: ascending by SKU, of each SKU those first that name a pool.
pub fn wanted(drop: usize, units: &[Wanted]) -> Vec<WantedUnits> {
    let line = |(place, wanted): (usize, &Wanted)| WantedUnits {
        sku: sku(ITEMS[drop][wanted.item]),
        pool: wanted.pool.map(pool_id),
        units: wanted.units,
        place,
    };
    let mut lines: Vec<WantedUnits> = units.iter().enumerate().map(line).collect();
    lines.sort_by(|a, b| (&a.sku, a.pool.is_none(), &a.pool).cmp(&(&b.sku, b.pool.is_none(), &b.pool)));
    lines
}

/// A line of a refusal as text.
pub fn refused_line(sku: &str, pool: Option<&str>, reason: &str, (available, requested): (u32, u32)) -> String {
    let pool = pool.map(|pool| format!("/{pool}")).unwrap_or_default();
    format!("{sku}{pool} {reason} {available} of {requested}")
}

/// Lines as the edge makes them: each SKU once, ascending.
pub fn lines(wanted: &[(&str, u32)]) -> Vec<WantedUnits> {
    let mut lines: Vec<WantedUnits> = wanted
        .iter()
        .enumerate()
        .map(|(place, (name, units))| WantedUnits { sku: sku(name), pool: None, units: *units, place })
        .collect();
    lines.sort_by(|a, b| a.sku.cmp(&b.sku));
    lines
}

pub fn reserve(hold: HoldId, drop: &str, customer: &str, wanted: &[(&str, u32)]) -> Reserve {
    let customer = CustomerId::try_from(customer).expect("a customer id");
    Reserve::new(hold, drop_id(drop), customer, lines(wanted))
}

pub fn target(hold: HoldId) -> Target {
    Target { hold, drop: None, customer: None }
}

pub fn extend(hold: HoldId, ttl: Option<Millis>) -> Extend {
    Extend { target: target(hold), ttl, stage: None }
}

pub fn claim(hold: HoldId, order: &str) -> Claim {
    Claim {
        target: target(hold),
        order_ref: OrderRef::try_from(order).expect("an order ref"),
        expired: ExpiredPolicy::Refuse,
        lines: Vec::new(),
    }
}

pub fn release(hold: HoldId, keep: &[(&str, u32)]) -> Release {
    Release { target: target(hold), keep: lines(keep), abandon_payment: false }
}

/// Tries until the answer is free of doubt, as the edge does.
///
/// # Panics
/// When it never is: nothing stays in doubt.
pub fn settle<T>(mut ask: impl FnMut() -> Answer<T>) -> Result<Decided<T>, Fault> {
    let mut left = ATTEMPTS_MAX;
    loop {
        match ask() {
            Err(Decided { value: Fault::InDoubt, .. }) => std::thread::yield_now(),
            answer => return answer.map_err(|fault| fault.value),
        }
        left -= 1;
        assert!(left > 0, "an answer stays in doubt");
    }
}

/// The n-th adjustment of an item's stock.
pub fn adjust(drop: &str, item: &str, n: u64, change: StockChange) -> AdjustStock {
    let id = AdjustmentId::from_bytes(*hold_id(n).as_bytes());
    AdjustStock { drop: drop_id(drop), sku: sku(item), pool: None, id, change }
}

/// An update of a drop with all its fields as shown, and a change.
pub fn update(engine: &Engine, drop: &str, now: Timestamp, change: impl FnOnce(&mut Definition)) -> UpdateDrop {
    let view = engine.get_drop(&drop_id(drop), Context::anonymous(now)).expect("the drop").value;
    let mut wanted = view.definition.as_ref().clone();
    wanted.schedule.opens_at = Some(view.opens_at);
    change(&mut wanted);
    UpdateDrop { wanted, seen: view.revision, revision: view.revision, named: Vec::new(), validate_only: false }
}

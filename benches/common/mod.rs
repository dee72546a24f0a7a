//! Ids for the benchmarks of holds.

use stockade_types::ids::{CustomerId, HoldId};

/// The n-th hold's id: as in a UUID, its bytes don't show the order.
pub fn hold_id(n: u64) -> HoldId {
    let mixed = u128::from(n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    HoldId::from_bytes(mixed.to_be_bytes())
}

/// The n-th customer's id: twelve bytes.
pub fn customer(n: u64) -> CustomerId {
    CustomerId::try_from(format!("cust-{n:07}").as_str()).expect("an id")
}

//! The pools of an item that a request may draw on.

use stockade_types::definition::{Item, Pool};
use stockade_types::ids::PoolNo;

/// The pools of an item that a request may draw on, in the order of drawing.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    pools: &'a [Pool],
}

/// The pools offered to a request: so far all of the item's pools, in the definition's order, for every customer.
#[must_use]
pub fn offer(item: &Item) -> Offer<'_> {
    Offer { pools: &item.pools }
}

impl<'a> Offer<'a> {
    /// The places of these pools in their item.
    pub fn pools(self) -> impl Iterator<Item = PoolNo> + use<'a> {
        (0..).map(PoolNo).take(self.pools.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pools_are_offered_in_the_order_of_the_definition() {
        let pool = |id: &str| Pool { id: id.parse().expect("an id"), units: 1 };
        let item = |pools| Item { sku: "A".parse().expect("a sku"), pools };
        let offered = |item: &Item| offer(item).pools().collect::<Vec<_>>();
        assert_eq!(offered(&item(vec![pool("vip"), pool("general")])), [PoolNo(0), PoolNo(1)]);
        assert_eq!(offered(&item(vec![pool("general")])), [PoolNo(0)]);
    }
}

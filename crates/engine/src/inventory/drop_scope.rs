//! A drop's shop and series, and its customers as subjects of limits.

use std::sync::OnceLock;

use stockade_types::definition::Definition;
use stockade_types::digest::{Customers, DigestKey};
use stockade_types::ids::{SeriesId, ShopId};

/// The parts of a drop that never change: they may be read without the gate.
#[derive(Debug, Clone)]
pub struct DropScope {
    /// Its shop.
    pub shop: ShopId,
    /// Its series.
    pub series: Option<SeriesId>,
    customers: OnceLock<Customers>,
}

impl DropScope {
    pub(super) fn of(definition: &Definition) -> Self {
        Self { shop: definition.shop.clone(), series: definition.series.clone(), customers: OnceLock::new() }
    }

    /// The shop's customers as subjects. Kept, since nearly every request needs one.
    #[inline]
    pub fn customers(&self, key: &DigestKey) -> &Customers {
        self.customers.get_or_init(|| key.customers(&self.shop))
    }
}

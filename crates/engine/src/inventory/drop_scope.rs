//! Whose a drop is, and who its customers are to limits.

use std::sync::OnceLock;

use stockade_types::definition::Definition;
use stockade_types::digest::{Customers, DigestKey};
use stockade_types::ids::{SeriesId, ShopId};

/// What of a drop never changes: it may be read without passing the gate.
#[derive(Debug, Clone)]
pub struct DropScope {
    /// Whose drop it is.
    pub shop: ShopId,
    /// The series that it belongs to.
    pub series: Option<SeriesId>,
    customers: OnceLock<Customers>,
}

impl DropScope {
    pub(super) fn of(definition: &Definition) -> Self {
        Self { shop: definition.shop.clone(), series: definition.series.clone(), customers: OnceLock::new() }
    }

    /// The shop's customers, as subjects. Nearly every request asks for one of them.
    #[inline]
    pub fn customers(&self, key: &DigestKey) -> &Customers {
        self.customers.get_or_init(|| key.customers(&self.shop))
    }
}

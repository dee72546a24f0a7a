//! What one customer wants and does. Decided by the customer's number alone, so that each run is the same rush.

use std::time::Duration;

use uuid::Uuid;

use crate::proto as pb;

/// The drop that all come for.
pub const DROP: &str = "demo";
/// What most want.
pub const KNIFE: &str = "KNIFE/20cm";
/// What some want with it.
pub const SHEATH: &str = "SHEATH";
/// The most units that one customer may have.
pub const LIMIT: u32 = 2;
/// How long those hold who will leave their cart behind.
pub const IMPATIENT_TTL: Duration = Duration::from_secs(1);

/// What a customer does with a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Pays.
    Claimed,
    /// Gives it back.
    Released,
    /// Walks away; it expires.
    Abandoned,
    /// Is still thinking when the demo ends.
    Kept,
}

/// A customer's plan.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Knives wanted.
    pub knives: u32,
    /// Sheaths wanted.
    pub sheaths: u32,
    /// What happens to the hold.
    pub fate: Fate,
    /// Clicks twice: two requests at once, for one cart each.
    pub double_click: bool,
    /// Loses the answer and asks again with the same id.
    pub asks_again: bool,
}

impl Plan {
    /// The plan of the customer with this number.
    #[must_use]
    pub const fn of(number: u32) -> Self {
        // Knuth's multiplier spreads neighbours over the whole range.
        let spread = (number.wrapping_mul(2_654_435_761) >> 8) & 0xff;
        let (knives, sheaths) = match spread & 0x0f {
            0 => (LIMIT.saturating_add(1), 0),
            1..=3 => (1, 1),
            4..=8 => (2, 0),
            _ => (1, 0),
        };
        let fate = match spread >> 4 {
            0..=3 => Fate::Abandoned,
            4 | 5 => Fate::Released,
            6 => Fate::Kept,
            _ => Fate::Claimed,
        };
        // Who walks away does not come back to ask.
        let asks_again = spread % 31 == 3 && !matches!(fate, Fate::Abandoned);
        Self { knives, sheaths, fate, double_click: spread % 23 == 7, asks_again }
    }

    /// What a customer takes who is given a second chance: one knife, paid at once.
    #[must_use]
    pub const fn second_chance() -> Self {
        Self { knives: 1, sheaths: 0, fate: Fate::Claimed, double_click: false, asks_again: false }
    }

    /// The request for this plan, under an id of its own.
    #[must_use]
    pub fn request(&self, number: u32) -> pb::ReserveRequest {
        let wanted = [(KNIFE, self.knives), (SHEATH, self.sheaths)].into_iter().filter(|(_, units)| *units > 0);
        let line = |(sku, quantity): (&str, u32)| pb::Line { sku: sku.to_owned(), quantity, pool: String::new() };
        let impatient = self.fate == Fate::Abandoned;
        let seconds = i64::try_from(IMPATIENT_TTL.as_secs()).unwrap_or(1);
        pb::ReserveRequest {
            hold_id: Uuid::now_v7().to_string(),
            drop_id: DROP.to_owned(),
            lines: wanted.map(line).collect(),
            customer: Some(pb::Customer { id: format!("customer-{number}"), ..pb::Customer::default() }),
            ttl: impatient.then_some(prost_types::Duration { seconds, nanos: 0 }),
            ..pb::ReserveRequest::default()
        }
    }
}

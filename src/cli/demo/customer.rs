//! What one customer wants and does. Decided by the customer's number alone, so that each run is the same rush.

use std::time::Duration;

use stockade_proto as pb;
use uuid::Uuid;

/// The drop that all come for.
pub const DROP: &str = "demo";
/// What most want.
pub const KNIFE: &str = "KNIFE/20cm";
/// What some want with it.
pub const SHEATH: &str = "SHEATH";
/// What a few want with both.
pub const BOARD: &str = "BOARD";
/// The most units of one item that a customer may have.
pub const ITEM_LIMIT: u32 = 2;
/// The most units that a customer may have in all.
pub const DROP_LIMIT: u32 = 4;
/// How long those hold who will leave their cart behind.
pub const IMPATIENT_TTL: Duration = Duration::from_secs(2);

/// What a customer does with a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Claims at once.
    Claimed,
    /// Goes to the till, then claims.
    Paid,
    /// Goes to the till, and gives up there.
    GaveUp,
    /// Is still at the till when the demo ends.
    AtTheTill,
    /// Gives it back.
    Released,
    /// Walks away; it expires.
    WalkedAway,
    /// Is still thinking when the demo ends.
    Kept,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Claimed, Self::Paid, Self::GaveUp, Self::AtTheTill, Self::Released, Self::WalkedAway, Self::Kept];

    /// Where the hold must stand in the end.
    pub const fn end(self) -> pb::HoldState {
        match self {
            Self::Claimed | Self::Paid => pb::HoldState::Claimed,
            Self::GaveUp | Self::Released => pb::HoldState::Released,
            Self::AtTheTill => pb::HoldState::Paying,
            Self::WalkedAway => pb::HoldState::Expired,
            Self::Kept => pb::HoldState::Held,
        }
    }

    /// Whether the customer has the units in the end.
    pub const fn has_units(self) -> bool {
        match self {
            Self::Claimed | Self::Paid | Self::AtTheTill | Self::Kept => true,
            Self::GaveUp | Self::Released | Self::WalkedAway => false,
        }
    }

    /// Whether the hold goes through payment.
    pub const fn goes_to_the_till(self) -> bool {
        match self {
            Self::Paid | Self::GaveUp | Self::AtTheTill => true,
            Self::Claimed | Self::Released | Self::WalkedAway | Self::Kept => false,
        }
    }
}

/// A customer's plan.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What is wanted, in one hold: all of it or nothing.
    pub cart: [(&'static str, u32); 3],
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
        let (knives, sheaths, boards) = match spread & 0x0f {
            0 => (ITEM_LIMIT.saturating_add(1), 0, 0),
            1 | 2 => (1, 1, 0),
            3 => (1, 1, 1),
            4 => (1, 2, 1),
            5..=8 => (2, 0, 0),
            _ => (1, 0, 0),
        };
        let fate = match spread >> 4 {
            0..=3 => Fate::WalkedAway,
            4 => Fate::Released,
            5 => Fate::GaveUp,
            6 => Fate::Kept,
            7 => Fate::AtTheTill,
            8..=11 => Fate::Paid,
            _ => Fate::Claimed,
        };
        // Who walks away does not come back to ask.
        let asks_again = spread % 31 == 3 && !matches!(fate, Fate::WalkedAway);
        let cart = [(KNIFE, knives), (SHEATH, sheaths), (BOARD, boards)];
        Self { cart, fate, double_click: spread % 23 == 7, asks_again }
    }

    /// What a customer takes who is given a second chance: one knife, paid at the till.
    #[must_use]
    pub const fn second_chance() -> Self {
        let cart = [(KNIFE, 1), (SHEATH, 0), (BOARD, 0)];
        Self { cart, fate: Fate::Paid, double_click: false, asks_again: false }
    }

    /// The request for this plan, under an id of its own.
    #[must_use]
    pub fn request(&self, number: u32) -> pb::ReserveRequest {
        let line = |(sku, quantity): (&str, u32)| pb::Line { sku: sku.to_owned(), quantity, pool: String::new() };
        let impatient = self.fate == Fate::WalkedAway;
        let seconds = i64::try_from(IMPATIENT_TTL.as_secs()).unwrap_or(1);
        pb::ReserveRequest {
            hold_id: Uuid::now_v7().to_string(),
            drop_id: DROP.to_owned(),
            lines: self.cart.into_iter().filter(|(_, units)| *units > 0).map(line).collect(),
            customer: Some(pb::Customer { id: format!("customer-{number}"), ..pb::Customer::default() }),
            ttl: impatient.then_some(prost_types::Duration { seconds, nanos: 0 }),
            ..pb::ReserveRequest::default()
        }
    }
}

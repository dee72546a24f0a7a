//! What one customer wants and does. It follows from the customer's number alone, so every run is the same.

use std::time::Duration;

use stockade_proto as pb;
use uuid::Uuid;

/// The drop of the demo.
pub(super) const DROP: &str = "demo";
/// The item that most customers want.
pub(super) const KNIFE: &str = "KNIFE/20cm";
/// An item that some want with it.
pub(super) const SHEATH: &str = "SHEATH";
/// An item that a few want with both.
pub(super) const BOARD: &str = "BOARD";
/// The most units of one item that a customer may have.
pub(super) const ITEM_LIMIT: u32 = 2;
/// The most units that a customer may have in all.
pub(super) const DROP_LIMIT: u32 = 4;
/// The time to live of holds whose customers will walk away.
pub(super) const IMPATIENT_TTL: Duration = Duration::from_secs(2);

/// What a customer does with a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Claims at once.
    Claimed,
    /// Enters payment, then claims.
    Paid,
    /// Enters payment, and releases the hold there.
    GaveUp,
    /// Is still in payment when the demo ends.
    AtTheTill,
    /// Releases the hold.
    Released,
    /// Walks away; the hold expires.
    WalkedAway,
    /// Still has the hold when the demo ends.
    Kept,
}

impl Fate {
    /// All fates.
    pub(super) const ALL: [Self; 7] =
        [Self::Claimed, Self::Paid, Self::GaveUp, Self::AtTheTill, Self::Released, Self::WalkedAway, Self::Kept];

    /// The state of the hold at the end.
    pub(super) const fn end(self) -> pb::HoldState {
        match self {
            Self::Claimed | Self::Paid => pb::HoldState::Claimed,
            Self::GaveUp | Self::Released => pb::HoldState::Released,
            Self::AtTheTill => pb::HoldState::Paying,
            Self::WalkedAway => pb::HoldState::Expired,
            Self::Kept => pb::HoldState::Held,
        }
    }

    /// Whether the customer has the units at the end.
    pub(super) const fn has_units(self) -> bool {
        match self {
            Self::Claimed | Self::Paid | Self::AtTheTill | Self::Kept => true,
            Self::GaveUp | Self::Released | Self::WalkedAway => false,
        }
    }

    /// Whether the hold enters payment.
    pub(super) const fn goes_to_payment(self) -> bool {
        match self {
            Self::Paid | Self::GaveUp | Self::AtTheTill => true,
            Self::Claimed | Self::Released | Self::WalkedAway | Self::Kept => false,
        }
    }
}

/// A customer's plan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// The wanted units, in one hold: all or nothing.
    pub cart: [(&'static str, u32); 3],
    /// What happens to the hold.
    pub fate: Fate,
    /// Sends two requests at once, each for a cart of its own.
    pub double_click: bool,
    /// Sends the same request again, as if the answer was lost.
    pub asks_again: bool,
}

impl Plan {
    /// The plan of the customer with this number.
    #[must_use]
    pub(super) const fn of(number: u32) -> Self {
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
        // A customer who walks away does not send again.
        let asks_again = spread % 31 == 3 && !matches!(fate, Fate::WalkedAway);
        let cart = [(KNIFE, knives), (SHEATH, sheaths), (BOARD, boards)];
        Self { cart, fate, double_click: spread % 23 == 7, asks_again }
    }

    /// The plan of a customer with a second chance: one knife, with payment.
    #[must_use]
    pub(super) const fn second_chance() -> Self {
        let cart = [(KNIFE, 1), (SHEATH, 0), (BOARD, 0)];
        Self { cart, fate: Fate::Paid, double_click: false, asks_again: false }
    }

    /// The request for this plan, with a new hold id.
    #[must_use]
    pub(super) fn request(&self, number: u32) -> pb::ReserveRequest {
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

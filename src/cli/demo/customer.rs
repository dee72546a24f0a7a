//! What one customer wants and does. It follows from the customer's number alone, so every run is the same.

use std::time::Duration;

use stockade_drill::customers::{self, Plan, Think};
use stockade_drill::ledger::{Goods, Sale, Visit};
use uuid::Uuid;

/// The drop of the demo.
const DROP: &str = "demo";
/// The item that most customers want, by its place and its name.
pub(super) const KNIFE: (u16, &str) = (0, "KNIFE/20cm");
/// An item that some want with it.
const SHEATH: (u16, &str) = (1, "SHEATH");
/// An item that a few want with both.
const BOARD: (u16, &str) = (2, "BOARD");
/// The most units of one item that a customer may have.
pub(super) const ITEM_LIMIT: u32 = 2;
/// The most units that a customer may have in all.
pub(super) const DROP_LIMIT: u32 = 4;
/// The time to live of holds whose customers will walk away.
const IMPATIENT_TTL: Duration = Duration::from_secs(2);

/// The crowd of all customers.
pub(super) const RUSH: u16 = 0;
/// The crowd of those who were refused as sold out while others held units.
pub(super) const SECOND_CHANCE: u16 = 1;

/// The drop for this many customers: its stock is far too small for all.
pub(super) fn sale(customers: u32) -> Sale {
    let goods = |(_, sku): (u16, &str), part: u32| Goods { sku: sku.to_owned(), units: u64::from(customers / part) };
    Sale {
        id: DROP.to_owned(),
        items: vec![goods(KNIFE, 4), goods(SHEATH, 8), goods(BOARD, 16)],
        limit: Some(DROP_LIMIT),
        item_limit: Some(ITEM_LIMIT),
        rules: None,
    }
}

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
    InPayment,
    /// Releases the hold.
    Released,
    /// Walks away; the hold expires.
    WalkedAway,
    /// Still has the hold when the demo ends.
    Kept,
}

/// A customer's wish.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The wanted units of each item, in one hold: all or nothing.
    cart: [u32; 3],
    /// What happens to the hold.
    pub fate: Fate,
    /// Sends two requests at once, each for a cart of its own.
    pub double_click: bool,
    /// Sends the same request again, as if the answer was lost.
    repeats: bool,
}

impl Wish {
    /// The wish of the customer with this number, in this crowd.
    #[must_use]
    pub(super) const fn of(crowd: u16, number: u64) -> Self {
        if crowd == SECOND_CHANCE {
            // One knife, with payment.
            return Self { cart: [1, 0, 0], fate: Fate::Paid, double_click: false, repeats: false };
        }
        // Knuth's multiplier spreads neighbours over the whole range.
        let spread = ((number.wrapping_mul(2_654_435_761) & 0xffff_ffff) >> 8) & 0xff;
        let cart = match spread & 0x0f {
            0 => [ITEM_LIMIT.saturating_add(1), 0, 0],
            1 | 2 => [1, 1, 0],
            3 => [1, 1, 1],
            4 => [1, 2, 1],
            5..=8 => [2, 0, 0],
            _ => [1, 0, 0],
        };
        let fate = match spread >> 4 {
            0..=3 => Fate::WalkedAway,
            4 => Fate::Released,
            5 => Fate::GaveUp,
            6 => Fate::Kept,
            7 => Fate::InPayment,
            8..=11 => Fate::Paid,
            _ => Fate::Claimed,
        };
        // A customer who walks away does not send again.
        let repeats = spread % 31 == 3 && !matches!(fate, Fate::WalkedAway);
        Self { cart, fate, double_click: spread % 23 == 7, repeats }
    }

    /// The wish behind a visit.
    pub(super) const fn behind(visit: &Visit) -> Self {
        Self::of(visit.crowd, visit.turn)
    }

    /// A visit for this wish, with a new hold id.
    pub(super) fn plan(self, crowd: u16, number: u64) -> Plan {
        let pays = matches!(self.fate, Fate::Paid | Fate::GaveUp | Fate::InPayment);
        let fate = match self.fate {
            Fate::Claimed | Fate::Paid => customers::Fate::Buys,
            Fate::Released | Fate::GaveUp => customers::Fate::GivesBack,
            Fate::WalkedAway | Fate::Kept | Fate::InPayment => customers::Fate::WalksAway,
        };
        Plan {
            crowd,
            turn: number,
            customer: format!("customer-{number}"),
            drop: 0,
            lines: (0_u16..).zip(self.cart).filter(|(_, units)| *units > 0).collect(),
            hold: Uuid::now_v7(),
            ttl: (self.fate == Fate::WalkedAway).then_some(IMPATIENT_TTL),
            repeats: self.repeats,
            extends: false,
            pays,
            fate,
            again: 0,
            again_after: Duration::ZERO,
            think: Think::never(),
        }
    }
}

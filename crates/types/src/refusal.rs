//! Refusals: their reasons, stable numbers and messages.
//!
//! A refusal is an answer, not an error. Faults (disk, overload) and bugs have their own types elsewhere.

use crate::definition::WindowNo;

/// Why a request was refused. The numbers are part of the wire and never change.
///
/// If several apply, the first in this order is returned: the caller's own hold, then `Closed`, `Paused`, `NotOpen`,
/// `NotEligible`, `SlotRequired`, then `SoldOut`, then `Cooldown`, `TooManyHolds`, `LimitReached`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Before the drop opens.
    NotOpen,
    /// An operator has paused the drop.
    Paused,
    /// After the drop's end.
    Closed,
    /// No window, pool or price is for this customer.
    NotEligible,
    /// Goods are reserved with a pickup slot only.
    SlotRequired,
    /// The minimum time between two reserves of one subject has not passed.
    Cooldown,
    /// One subject has too many live holds, or too many units in them.
    TooManyHolds,
    /// The request would exceed what one subject may hold and own.
    LimitReached,
    /// Fewer units were free than requested, and none was in doubt.
    SoldOut,
    /// The hold's deadline has passed.
    HoldExpired,
    /// The hold was given back.
    HoldReleased,
    /// The hold has been claimed.
    HoldClaimed,
    /// Another hold has replaced this one.
    Superseded,
    /// The hold was claimed before, for another order.
    OrderMismatch,
    /// The hold is in payment.
    PaymentInProgress,
    /// The hold's life can't be extended further.
    CeilingReached,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::NotOpen,
        Self::Paused,
        Self::Closed,
        Self::NotEligible,
        Self::SlotRequired,
        Self::Cooldown,
        Self::TooManyHolds,
        Self::LimitReached,
        Self::SoldOut,
        Self::HoldExpired,
        Self::HoldReleased,
        Self::HoldClaimed,
        Self::Superseded,
        Self::OrderMismatch,
        Self::PaymentInProgress,
        Self::CeilingReached,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::NotOpen => 1,
            Self::Paused => 2,
            Self::Closed => 3,
            Self::NotEligible => 4,
            Self::SlotRequired => 6,
            Self::Cooldown => 7,
            Self::TooManyHolds => 8,
            Self::LimitReached => 9,
            Self::SoldOut => 10,
            Self::HoldExpired => 11,
            Self::HoldReleased => 12,
            Self::HoldClaimed => 13,
            Self::Superseded => 14,
            Self::OrderMismatch => 15,
            Self::PaymentInProgress => 16,
            Self::CeilingReached => 17,
        }
    }

    /// Its index in [`Reason::ALL`].
    #[inline]
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::NotOpen => 0,
            Self::Paused => 1,
            Self::Closed => 2,
            Self::NotEligible => 3,
            Self::SlotRequired => 4,
            Self::Cooldown => 5,
            Self::TooManyHolds => 6,
            Self::LimitReached => 7,
            Self::SoldOut => 8,
            Self::HoldExpired => 9,
            Self::HoldReleased => 10,
            Self::HoldClaimed => 11,
            Self::Superseded => 12,
            Self::OrderMismatch => 13,
            Self::PaymentInProgress => 14,
            Self::CeilingReached => 15,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.number() == number)
    }

    /// The enum's name in lower case, as metrics label it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotOpen => "not_open",
            Self::Paused => "paused",
            Self::Closed => "closed",
            Self::NotEligible => "not_eligible",
            Self::SlotRequired => "slot_required",
            Self::Cooldown => "cooldown",
            Self::TooManyHolds => "too_many_holds",
            Self::LimitReached => "limit_reached",
            Self::SoldOut => "sold_out",
            Self::HoldExpired => "hold_expired",
            Self::HoldReleased => "hold_released",
            Self::HoldClaimed => "hold_claimed",
            Self::Superseded => "superseded",
            Self::OrderMismatch => "order_mismatch",
            Self::PaymentInProgress => "payment_in_progress",
            Self::CeilingReached => "ceiling_reached",
        }
    }

    /// A message for people, in English.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NotOpen => "the drop is not open yet",
            Self::Paused => "the drop is paused",
            Self::Closed => "the drop is closed",
            Self::NotEligible => "nothing of this is for this customer",
            Self::SlotRequired => "a pickup slot must be reserved with the goods",
            Self::Cooldown => "this customer has reserved a moment ago",
            Self::TooManyHolds => "this customer has too much on hold",
            Self::LimitReached => "the limit for this customer is reached",
            Self::SoldOut => "not enough units are free",
            Self::HoldExpired => "the hold has expired",
            Self::HoldReleased => "the hold was released",
            Self::HoldClaimed => "the hold is claimed already",
            Self::Superseded => "another hold took this one's place",
            Self::OrderMismatch => "the hold was claimed for another order",
            Self::PaymentInProgress => "the hold is in payment",
            Self::CeilingReached => "the hold's life can't be extended further",
        }
    }
}

/// The rule that refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The drop's state.
    Drop,
    /// An access window; 0: no window is for this customer.
    Window(WindowNo),
    /// The price terms: no price is for this customer.
    Terms,
    /// A pickup slot: one is needed, or it has begun.
    Slot,
    /// The stock of an item.
    Stock {
        /// Units that were free; none if no pool of the item is for this customer.
        free: Option<u32>,
    },
    /// A limit.
    Limit,
    /// A rule of conduct.
    Conduct,
    /// The hold in question.
    Hold,
}

impl Rule {
    /// The rule behind a reason, if nothing else is known.
    #[must_use]
    pub const fn behind(reason: Reason) -> Self {
        match reason {
            Reason::NotOpen | Reason::Paused | Reason::Closed => Self::Drop,
            Reason::NotEligible => Self::Window(WindowNo(0)),
            Reason::SlotRequired => Self::Slot,
            Reason::Cooldown | Reason::TooManyHolds | Reason::LimitReached => Self::Limit,
            Reason::SoldOut => Self::Stock { free: None },
            Reason::HoldExpired
            | Reason::HoldReleased
            | Reason::HoldClaimed
            | Reason::Superseded
            | Reason::OrderMismatch
            | Reason::PaymentInProgress
            | Reason::CeilingReached => Self::Hold,
        }
    }

    /// Its kind's name in lower case.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Window(_) => "window",
            Self::Terms => "terms",
            Self::Slot => "slot",
            Self::Stock { .. } => "stock",
            Self::Limit => "limit",
            Self::Conduct => "conduct",
            Self::Hold => "hold",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_knows_its_place() {
        assert_eq!(Reason::ALL.map(Reason::place), std::array::from_fn(|place| place));
    }

    #[test]
    fn numbers_grow_and_none_stands_twice() {
        let numbers: Vec<u8> = Reason::ALL.iter().map(|reason| reason.number()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
}

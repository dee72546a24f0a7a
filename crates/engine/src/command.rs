//! Callers' requests to the engine as typed values. All checks that need no look-up have been made.

use stockade_types::definition::Definition;
use stockade_types::ids::{
    AdjustmentId, CustomerId, DropId, HoldId, IdentityKind, Lsn, OrderRef, PoolId, Sku, TierId, ZoneId,
};
use stockade_types::record::StockChange;
use stockade_types::time::Millis;

/// A verb on a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sets units aside.
    Reserve,
    /// Moves a deadline.
    Extend,
    /// Turns a hold into a sale.
    Claim,
    /// Gives units back before the sale.
    Release,
    /// Gives units back after the sale.
    Return,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reserve, Self::Extend, Self::Claim, Self::Release, Self::Return];

    /// Its name in lower case, as metrics label it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Extend => "extend",
            Self::Claim => "claim",
            Self::Release => "release",
            Self::Return => "return",
        }
    }
}

/// Units of one SKU, summed over the request's lines of that SKU and pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedUnits {
    /// Its SKU.
    pub sku: Sku,
    /// The pool that the lines name; none: any that the customer may use.
    pub pool: Option<PoolId>,
    /// How many; at most 32 lines of 1,000,000.
    pub units: u32,
    /// Place of the first such line in the request, for naming the field in an error.
    pub place: usize,
}

/// Sets units aside: all lines or none; with `allow_partial`, what is free of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// The caller's UUID: the idempotency key.
    pub hold: HoldId,
    /// In which drop.
    pub drop: DropId,
    /// For whom.
    pub customer: CustomerId,
    /// 1–32, each SKU and pool once, ascending by SKU; of one SKU those that name a pool first.
    pub lines: Vec<WantedUnits>,
    /// How long the hold shall live; none: the drop's `hold_ttl`. Longer than the drop's `max_hold_life` is cut to
    /// that.
    pub ttl: Option<Millis>,
    /// The customer's tiers. Ascending, each once.
    pub tiers: Vec<TierId>,
    /// The customer's zones. Ascending, each once.
    pub zones: Vec<ZoneId>,
    /// Further subjects that limits count, by kind and value. Ascending, each once.
    pub identities: Vec<(IdentityKind, String)>,
    /// This customer's own hold in this drop that the new one replaces.
    pub supersedes: Option<HoldId>,
    /// Serve what is free, at least one unit.
    pub allow_partial: bool,
    /// The reason for which staff pass over the limits; none: limits apply.
    pub over_limits: Option<Box<str>>,
    /// The reason for which staff pass over windows, audiences and `slot_required`; none: these apply.
    pub over_windows: Option<Box<str>>,
}

impl Reserve {
    /// A plain reserve: all lines or none, for a customer without tiers.
    #[must_use]
    pub const fn new(hold: HoldId, drop: DropId, customer: CustomerId, lines: Vec<WantedUnits>) -> Self {
        Self {
            hold,
            drop,
            customer,
            lines,
            ttl: None,
            tiers: Vec::new(),
            zones: Vec::new(),
            identities: Vec::new(),
            supersedes: None,
            allow_partial: false,
            over_limits: None,
            over_windows: None,
        }
    }
}

/// Which hold a verb is about. If what is set does not match, the hold is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub hold: HoldId,
    /// Its drop, if given.
    pub drop: Option<DropId>,
    /// Its customer, if given.
    pub customer: Option<CustomerId>,
}

/// Moves a hold's deadline, or moves it into payment or back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extend {
    /// Which hold.
    pub target: Target,
    /// From now on; none: the drop's.
    pub ttl: Option<Millis>,
    /// Into payment, or back from it; none: unchanged.
    pub stage: Option<Stage>,
}

/// The stage of a live hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Set aside.
    Held,
    /// In payment.
    Paying,
}

/// Turns a hold into a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which hold.
    pub target: Target,
    /// The order. Another claim for the same order gets the same answer.
    pub order_ref: OrderRef,
    /// What to do about a hold that has expired.
    pub expired: ExpiredPolicy,
    /// The lines claimed; the others are given back. None: all. Each SKU and pool once, ascending.
    pub lines: Vec<WantedUnits>,
}

/// What a claim does about a hold that has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredPolicy {
    /// Refuses.
    Refuse,
    /// The payment arrived late: claims from what is free, with limits checked again.
    TakeFreeStock,
}

/// Gives units back before the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Which hold.
    pub target: Target,
    /// The units to keep; none: all are given back. Each SKU and pool once, ascending.
    pub keep: Vec<WantedUnits>,
    /// Also if the hold is in payment.
    pub abandon_payment: bool,
}

/// Returns units of a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Which hold.
    pub target: Target,
    /// The units returned so far, in total; none: all. Each SKU and pool once, ascending.
    pub returned: Vec<WantedUnits>,
    /// Whether units returned now are for sale again; otherwise they are withdrawn.
    pub restock: bool,
}

/// Creates a drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDrop {
    /// Its definition.
    pub definition: Definition,
    /// Whether only to check that it could be created, and to return how it would be.
    pub validate_only: bool,
}

/// Changes a drop's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateDrop {
    /// The whole definition as it shall be: the caller's fields on top of the definition of `seen`. No `opens_at` means
    /// now.
    pub wanted: Definition,
    /// The revision that `wanted` is built on.
    pub seen: Lsn,
    /// The revision that the caller has read.
    pub revision: Lsn,
    /// The fields that the caller named, in a fixed order; none: all of them.
    pub named: Vec<&'static str>,
    /// Whether only to check that it could be changed, and to return how it would be.
    pub validate_only: bool,
}

/// What an operator does to a running drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// No new reserves for now.
    Pause,
    /// Ends a pause.
    Resume,
    /// Ends the sale. It can't be opened again.
    Close,
}

/// Changes the stock of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustStock {
    /// In which drop.
    pub drop: DropId,
    /// Its SKU.
    pub sku: Sku,
    /// Which of its pools; none: the one that has the rest.
    pub pool: Option<PoolId>,
    /// The caller's id: each id is applied once.
    pub id: AdjustmentId,
    /// The change. That of a reconciliation is made by [`ReconcileStock`] alone.
    pub change: StockChange,
}

/// Compares the stock of an item with what a system of record has on hand, and sets the difference right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileStock {
    /// In which drop.
    pub drop: DropId,
    /// Its SKU.
    pub sku: Sku,
    /// Which of its pools; none: all of them together, and the one that has the rest takes the difference.
    pub pool: Option<PoolId>,
    /// The caller's id: each id is applied once.
    pub id: AdjustmentId,
    /// The record up to which the system of record has taken in what happened.
    pub as_of: Lsn,
    /// The units that it had on hand then.
    pub on_hand: u64,
    /// Whether only to compare.
    pub dry_run: bool,
}

/// What a system of record should have on hand, by what it has taken in and what reconciliations corrected since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedStock {
    /// Units; below 0 if a reconciliation took out units that had come after what it has taken in.
    pub on_hand: i64,
    /// The record up to which reconciliations are counted.
    pub at: Lsn,
}

/// Fires a pool's flow by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FireFlow {
    /// In which drop.
    pub drop: DropId,
    /// Of which item.
    pub sku: Sku,
    /// The pool that opens.
    pub pool: PoolId,
    /// The pool whose customers may draw on it from then on.
    pub to: PoolId,
}

//! What callers ask of the engine, as typed values: whatever can be checked without looking anything up has been.

use stockade_types::definition::Definition;
use stockade_types::ids::{AdjustmentId, CustomerId, DropId, HoldId, IdentityKind, Lsn, OrderRef, PoolId, Sku, TierId};
use stockade_types::record::StockChange;
use stockade_types::time::Millis;

/// Units of one SKU, summed over the request's lines of that SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which item.
    pub sku: Sku,
    /// How many; at most 32 lines of 1,000,000.
    pub units: u32,
    /// Place of the first such line in the request, for naming the field in an error.
    pub place: usize,
}

/// Sets units aside: all lines or, unless served partly, none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// The caller's UUID: the idempotency key.
    pub hold: HoldId,
    /// In which drop.
    pub drop: DropId,
    /// For whom.
    pub customer: CustomerId,
    /// 1–32, each SKU once, ascending by SKU.
    pub lines: Vec<Wanted>,
    /// The wish; left out: the drop's. Over the ceiling: granted shorter.
    pub ttl: Option<Millis>,
    /// The customer's tiers. Ascending, each once.
    pub tiers: Vec<TierId>,
    /// Further subjects that limits count, by kind and value. Ascending, each once.
    pub identities: Vec<(IdentityKind, String)>,
    /// This customer's own hold in this drop that the new one takes the place of.
    pub supersedes: Option<HoldId>,
    /// Serve what there is, at least one unit.
    pub allow_partial: bool,
    /// Staff steps over the limits, and why.
    pub over_limits: Option<Box<str>>,
}

impl Reserve {
    /// A plain reserve: all lines or none, for a customer without tiers.
    #[must_use]
    pub const fn new(hold: HoldId, drop: DropId, customer: CustomerId, lines: Vec<Wanted>) -> Self {
        Self {
            hold,
            drop,
            customer,
            lines,
            ttl: None,
            tiers: Vec::new(),
            identities: Vec::new(),
            supersedes: None,
            allow_partial: false,
            over_limits: None,
        }
    }
}

/// Which hold a verb is about. What is set must match, else the hold is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub hold: HoldId,
    /// Its drop, if told.
    pub drop: Option<DropId>,
    /// Its customer, if told.
    pub customer: Option<CustomerId>,
}

/// Moves a hold's deadline, never back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extend {
    /// Which hold.
    pub target: Target,
    /// From now; left out: the drop's.
    pub ttl: Option<Millis>,
    /// Into payment, or back from it; left out: as it is.
    pub stage: Option<Stage>,
}

/// Where a live hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Set aside.
    Held,
    /// At the till.
    Paying,
}

/// Turns a hold into a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which hold.
    pub target: Target,
    /// For which order: claiming again for the same is the same answer.
    pub order_ref: OrderRef,
    /// What to do about a hold that has expired.
    pub expired: ExpiredPolicy,
    /// What is claimed, the rest given back; none: everything. Each SKU once, ascending.
    pub lines: Vec<Wanted>,
}

/// What a claim does about a hold that has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiredPolicy {
    /// Refuses.
    Refuse,
    /// A payment has landed late: claims from what is free, limits checked again.
    TakeFreeStock,
}

/// Gives units back before the sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Which hold.
    pub target: Target,
    /// What shall be left; none: nothing. Each SKU once, ascending.
    pub keep: Vec<Wanted>,
    /// Also when it is in payment.
    pub abandon_payment: bool,
}

/// Gives units of a sale back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Which hold.
    pub target: Target,
    /// What has come back so far, in total; none: everything. Each SKU once, ascending.
    pub returned: Vec<Wanted>,
    /// What comes back now is for sale again, else withdrawn.
    pub restock: bool,
}

/// Creates a drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDrop {
    /// What it is.
    pub definition: Definition,
    /// Only say whether it could be created, and as what.
    pub validate_only: bool,
}

/// Changes a drop's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateDrop {
    /// The whole definition as it shall be: what the caller says, on top of the one of `seen`. `opens_at` left out
    /// means now.
    pub wanted: Definition,
    /// The revision that it stands on top of.
    pub seen: Lsn,
    /// The revision that the caller has read.
    pub revision: Lsn,
    /// The fields that the caller has named, in one order; none: all of them.
    pub named: Vec<&'static str>,
    /// Only say whether it could be changed, and into what.
    pub validate_only: bool,
}

/// What an operator does to a running drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// No new reserves for now.
    Pause,
    /// Ends a pause.
    Resume,
    /// Ends the sale, for good.
    Close,
}

/// Changes the stock of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustStock {
    /// In which drop.
    pub drop: DropId,
    /// Which item.
    pub sku: Sku,
    /// Which of its pools; left out: the one that takes the rest.
    pub pool: Option<PoolId>,
    /// The caller's id: the change is made once for each.
    pub id: AdjustmentId,
    /// What to do.
    pub change: StockChange,
}

//! A naive model of the engine: plain lists, everything that is due expired before each step, all counted by adding up.
//!
//! It shares nothing with the engine but the words. The simulation checks every answer with it, and the engine's own
//! tests, which include this folder, check random histories that they can shrink.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "an oracle that is wrong itself must stop")]

pub mod naive;
pub mod reserves;
pub mod rules;
pub mod says;
pub mod stock;
pub mod updates;
pub mod words;

use rules::Rule;

/// Two drops of one series sell the same goods, in another order.
pub const DROPS: [&str; 2] = ["d", "e"];
/// Their goods. The last of each is not there at first.
pub const ITEMS: [[&str; 4]; 2] = [["A", "B", "C", "D"], ["C", "A", "B", "D"]];
/// Who buys.
pub const CUSTOMERS: [&str; 3] = ["ada", "bob", "cleo"];
/// How long a hold lives unless its request says otherwise, in milliseconds, as all times here.
pub const TTL: u64 = 1_000;
/// How long it lives at most.
pub const LIFE: u64 = 2_500;
/// How long a payment takes at most.
pub const PAYMENT: u64 = 1_500;
/// How long after its closing a drop is archived here, so that its series sells on meanwhile.
pub const ARCHIVE_AFTER: u64 = 800;
/// What was bought in an archived drop is counted by the hour.
pub const HOUR: u64 = 3_600_000;

/// What a drop is like in a history: units of each item, and limits.
pub type Shape = (Vec<u64>, Vec<Rule>);
/// Units of items, each by its place in the drop.
pub type Units = Vec<(usize, u32)>;

/// What is asked about a hold, by its number in the history.
#[derive(Debug, Clone)]
pub enum Verb {
    Extend { hold: u64, ttl: Option<u64> },
    Stage { hold: u64, paying: bool },
    Claim { hold: u64, order: u8, late: bool, lines: Units },
    Release { hold: u64, keep: Units, abandon: bool },
    Return { hold: u64, returned: Units, restock: bool },
    Get { hold: u64 },
}

impl Verb {
    /// The hold that it is about.
    pub const fn hold(&self) -> u64 {
        match self {
            Self::Extend { hold, .. }
            | Self::Stage { hold, .. }
            | Self::Claim { hold, .. }
            | Self::Release { hold, .. }
            | Self::Return { hold, .. }
            | Self::Get { hold } => *hold,
        }
    }
}

//! What each subject holds, owns and has reserved, and how limits count it.
//!
//! A subject is a customer of a shop, or one of a customer's identities: a card, a device, an address. Usage is counted
//! by drop and item, whatever limits there are; each limit is a sum over it. All of it follows from the remembered
//! holds, so it is the same after a replay. A subject's stripe stays locked from the check to the append, so two
//! requests of one customer, or of two customers with one card, can't both pass where only one fits. A subject without
//! usage is not in the table: refused requests leave no trace.

mod sorted;
mod archived;
mod aggregate;
mod conduct;
mod fact_conduct;
mod subject;
mod subjects;
mod bound;
mod check;

pub use aggregate::{LiveSet, ReservedUnits, Sum};
pub(crate) use check::add_units;
pub use check::{ExcludedHold, LimitQuery, Purpose, ViolatedLine, Violation, Violations};
pub use conduct::{ActiveConduct, active_conduct};
pub use subject::{CountedHoldRef, HoldKey, Subject};
pub use subjects::{Keys, STRIPES, Subjects};

#[cfg(test)]
mod tests;
#[cfg(test)]
mod check_tests;

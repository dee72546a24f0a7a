//! Pure data: ids, time, definitions, holds and records, and how they are written as bytes. No I/O;
//! the machine's clocks are read in [`time`] only, and stopwatches in [`metrics`].
//!
//! - [`ids`]: typed ids and numbers, such as [`DropId`](ids::DropId), [`HoldId`](ids::HoldId) and [`Lsn`](ids::Lsn).
//! - [`time`]: [`Timestamp`](time::Timestamp), [`Millis`](time::Millis), and the [`Clock`](time::Clock).
//! - [`calendar`]: rules of the calendar, such as every Friday.
//! - [`definition`]: a drop as defined, the [`Definition`](definition::Definition).
//! - [`refusal`]: the [`Reason`](refusal::Reason) of a business "no".
//! - [`hold`]: a [`Hold`](hold::Hold) and its changes.
//! - [`record`]: a [`Record`](record::Record), the entry of journals and snapshots; [`codec`] is its encoding.
//! - [`series`]: drops that come again by a rule of the calendar.
//! - [`webhook`]: a [`Webhook`](webhook::Webhook), and how far its deliveries are.
//! - [`digest`]: keyed hashes. [`metrics`]: counters. [`mod@invariant`]: a bug ends the process.
//!
//! The modules stand in reading order: each uses only those above it. `README.md` has an example.

#![warn(unreachable_pub)]

pub mod invariant;
pub mod ids;
pub mod time;
pub mod codec;
pub mod calendar;
pub mod definition;
pub mod refusal;
pub mod packed;
pub mod hold;
pub mod webhook;
pub mod record;
pub mod series;
pub mod digest;
pub mod metrics;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

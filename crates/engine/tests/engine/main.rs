//! The engine as a whole, on a simulated disk and with a clock that stands still.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod adjustments;
mod agenda;
mod archive;
mod bounds;
mod channels;
mod clock;
mod crash;
mod defined;
mod delivered;
mod draws;
mod events;
mod explained_history;
mod facts;
mod follow;
mod history;
mod limits;
mod lists;
mod model;
mod measured;
mod moments;
mod races;
mod reconcile;
mod record_bound;
mod rules;
mod scenarios;
mod series;
mod series_cut;
mod starts;
mod succession;
mod together;
mod unsound;
mod updates;
mod upgrade;

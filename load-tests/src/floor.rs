//! State that all visits of a run share.

use std::sync::atomic::AtomicU64;

use stockade_types::metrics::{Counter, Stopwatch};

use crate::ledger::OpenLedger;
use crate::samples::Recorder;
use crate::scenario::Scenario;
use crate::wire::Checkout;

/// State that all visits share.
pub struct Floor {
    /// The scenario that is run.
    pub scenario: Scenario,
    /// The drops' ids in this run, in the scenario's order.
    pub drops: Vec<String>,
    /// Connections for reserves.
    pub clients: Vec<Checkout>,
    /// Connections for all later calls, as a shop's checkouts have their own: a customer who has units does not queue
    /// behind a million who have not asked yet.
    pub tills: Vec<Checkout>,
    /// Collects measurements.
    pub recorder: Recorder,
    /// Collects answers.
    pub ledger: OpenLedger,
    /// Started with the load.
    pub watch: Stopwatch,
    /// Visits of each crowd so far: its customers come in turn.
    pub turns: Vec<AtomicU64>,
    /// Requests so far, for sending some of them twice.
    pub requests: AtomicU64,
    /// Requests that were answered with `UNAVAILABLE` and sent again.
    pub again: Counter,
}

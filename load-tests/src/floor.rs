//! What all visits of a run share.

use std::sync::atomic::AtomicU64;

use stockade_types::metrics::{Counter, Stopwatch};

use crate::ledger::OpenLedger;
use crate::samples::Recorder;
use crate::scenario::Scenario;
use crate::wire::Checkout;

/// What all visits share.
pub struct Floor {
    /// What is played.
    pub scenario: Scenario,
    /// The drops' ids in this run, in the scenario's order.
    pub drops: Vec<String>,
    /// Connections for reserves.
    pub clients: Vec<Checkout>,
    /// Connections for all that comes after, as a shop's tills have their own: who holds units does not stand in one line
    /// with a million who have not asked yet.
    pub tills: Vec<Checkout>,
    /// Where measurements go.
    pub recorder: Recorder,
    /// Where answers go.
    pub ledger: OpenLedger,
    /// Since the start of the load.
    pub watch: Stopwatch,
    /// Visits of each crowd so far: customers come in turn.
    pub turns: Vec<AtomicU64>,
    /// Requests so far, for sending some of them twice.
    pub requests: AtomicU64,
    /// Requests that were answered with `UNAVAILABLE` and sent again.
    pub again: Counter,
}

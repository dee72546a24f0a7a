//! State that all clients of a run share: connections to the present server, the watch, and the recorded calls.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use stockade_client::Client;
use stockade_drill::numbers::nanos;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::wall_clock;
use tokio::sync::watch;

use super::event::{Call, Moment, Setup};

/// Number of recent holds that clients call on.
const RECENT: usize = 48;

/// The drop that is sold.
pub const DROP: &str = "history";

/// Connections to the server while it lives.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// The life of the server.
    pub term: u32,
    /// The connections, one for each client.
    pub clients: Arc<Vec<Client>>,
}

/// A hold that a client requested.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Its id.
    pub id: String,
    /// Its customer's number.
    pub customer: u32,
    /// Items and units.
    pub lines: Vec<(u8, u32)>,
}

/// State that all clients share.
pub struct Floor {
    /// The settings of the run.
    pub setup: Setup,
    /// The connections to the server; none between two of its lives.
    pub way: watch::Receiver<Option<Way>>,
    /// Started with the run.
    pub watch: Stopwatch,
    calls: Mutex<Vec<Call>>,
    recent: Mutex<VecDeque<Goal>>,
    /// Units of each item that were sold and not restocked yet; and the number of sales.
    sold: Mutex<(Vec<u32>, u32)>,
}

impl Floor {
    /// The state before the first call.
    #[must_use]
    pub fn new(setup: Setup, way: watch::Receiver<Option<Way>>) -> Self {
        let sold = Mutex::new((vec![0; setup.stock.len()], 0));
        let (calls, recent) = (Mutex::default(), Mutex::default());
        Self { setup, way, watch: Stopwatch::start(), calls, recent, sold }
    }

    /// This instant.
    #[must_use]
    pub fn moment(&self) -> Moment {
        Moment { ns: nanos(self.watch.elapsed()), wall: wall_clock().0 }
    }

    /// Records a call.
    pub fn keep(&self, call: Call) {
        self.calls.lock().push(call);
    }

    /// Number of calls so far.
    pub fn asked(&self) -> usize {
        self.calls.lock().len()
    }

    /// All calls, in order of sending.
    pub fn close(&self) -> Vec<Call> {
        let mut calls = std::mem::take(&mut *self.calls.lock());
        calls.sort_by_key(|call| call.sent.ns);
        calls
    }

    /// Every hold that was requested.
    pub fn goals(&self) -> Vec<Goal> {
        let calls = self.calls.lock();
        let reserves = calls.iter().filter(|call| matches!(call.verb, super::event::Verb::Reserve { .. }));
        let mut goals: Vec<Goal> = reserves
            .map(|call| Goal { id: call.hold.clone(), customer: call.customer, lines: call.lines.clone() })
            .collect();
        goals.sort_by(|one, other| one.id.cmp(&other.id));
        goals.dedup_by(|one, other| one.id == other.id);
        goals
    }

    /// Adds a hold to those that other clients call on.
    pub fn share(&self, goal: Goal) {
        let mut recent = self.recent.lock();
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back(goal);
    }

    /// One of the recent holds; later ones are more likely.
    pub fn recent(&self, random: &mut fastrand::Rng) -> Option<Goal> {
        let recent = self.recent.lock();
        let back = random.usize(..recent.len().max(1)).min(random.usize(..recent.len().max(1)));
        recent.iter().rev().nth(back).cloned()
    }

    /// Counts a sale, so that its units are restocked.
    pub fn sell(&self, goal: &Goal) {
        let mut sold = self.sold.lock();
        for (item, units) in &goal.lines {
            if let Some(sold) = sold.0.get_mut(usize::from(*item)) {
                *sold = sold.saturating_add(*units);
            }
        }
        sold.1 = sold.1.saturating_add(1);
    }

    /// Units of an item to restock: those sold since the last call.
    pub fn replace(&self, item: u8) -> u32 {
        self.sold.lock().0.get_mut(usize::from(item)).map_or(0, std::mem::take)
    }

    /// A random customer of a small window. The window moves with each sale, since sold units count for a limit
    /// forever.
    pub fn customer(&self, random: &mut fastrand::Rng, window: u32) -> u32 {
        let sales = self.sold.lock().1;
        sales.saturating_add(random.u32(..window.max(1)))
    }

    /// The present life and the client's connection to it; waits until the server lives. None when the run is over.
    pub async fn reach(&self, client: u16) -> Option<(u32, Client)> {
        let mut way = self.way.clone();
        let way = way.wait_for(Option::is_some).await.ok()?.clone()?;
        let connection = usize::from(client).checked_rem(way.clients.len())?;
        Some((way.term, way.clients.get(connection)?.clone()))
    }
}

//! A scenario under way: its visits, and all that they share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::customers::Floor;
use stockade_drill::{Failure, wire};

use crate::plan::plan;
use crate::scenario::Scenario;

/// For each this many connections for reserves there is one for all later calls.
const CHECKOUTS: usize = 4;

/// A scenario under way.
pub struct Rush {
    /// The scenario.
    pub scenario: Scenario,
    /// What its visits share.
    pub floor: Floor,
    /// Visits of each crowd so far: its customers come in turn.
    turns: Vec<AtomicU64>,
}

impl Rush {
    /// The connections for reserves, and those for later calls.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn connect(endpoint: &str, scenario: &Scenario) -> Result<(Vec<Client>, Vec<Client>), Failure> {
        let connections = usize::from(scenario.load.connections);
        let checkouts = wire::clients(endpoint, connections.div_ceil(CHECKOUTS)).await?;
        Ok((wire::clients(endpoint, connections).await?, checkouts))
    }

    /// Begins. The drops have these ids, in the scenario's order.
    #[must_use]
    pub fn begin(scenario: Scenario, names: &[String], connections: (Vec<Client>, Vec<Client>)) -> Self {
        let sales = scenario.drops.iter().zip(names).map(|(sale, name)| sale.named(name)).collect();
        let mut floor = Floor::new(sales, connections, scenario.load.timeout.0);
        floor.twice_every = scenario.load.twice_every;
        floor.ledger.tiers = scenario.crowds.iter().map(|crowd| crowd.tiers.clone()).collect();
        let turns = scenario.crowds.iter().map(|_crowd| AtomicU64::new(0)).collect();
        Self { scenario, floor, turns }
    }

    /// Runs the visit with this number, which is due at `due`.
    pub async fn visit(&self, number: u64, due: Duration) {
        // Relaxed: the counter orders nothing else.
        let next =
            |crowd: u16| self.turns.get(usize::from(crowd)).map_or(0, |turns| turns.fetch_add(1, Ordering::Relaxed));
        if let Some(plan) = plan(&self.scenario, number, next) {
            self.floor.visit(number, plan, due).await;
        }
    }
}

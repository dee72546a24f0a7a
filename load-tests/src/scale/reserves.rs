//! Unary reserves over any number of connections and drops, with the same number in flight.

use std::sync::Arc;

use stockade_proto as pb;

use super::cycle::{self, SKU};
use crate::drive::Caller;
use crate::failure::Failure;
use crate::numbers::place;
use crate::wire::{self, Checkout};

/// Customers, in turn.
const CUSTOMERS: u64 = 100_000;

/// A caller. It uses its part of the connections in turn.
pub struct Reserves {
    clients: Vec<Checkout>,
    drops: Arc<[String]>,
    turn: usize,
    random: fastrand::Rng,
}

impl Reserves {
    /// As many callers as requests in flight at every size.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn callers(endpoint: &str, connections: usize, drops: &[String]) -> Result<Vec<Self>, Failure> {
        Ok(Self::over(&wire::checkouts(endpoint, connections).await?, drops))
    }

    /// The same over existing connections.
    #[must_use]
    pub fn over(clients: &[Checkout], drops: &[String]) -> Vec<Self> {
        let callers = place(cycle::in_flight());
        let drops: Arc<[String]> = drops.into();
        let of = |caller: usize| {
            // Each connection belongs to one caller; if there are fewer connections than callers, they are shared.
            let own: Vec<Checkout> = clients.iter().skip(caller).step_by(callers).cloned().collect();
            let shared = || clients.iter().cycle().skip(caller).take(1).cloned().collect();
            let clients = if own.is_empty() { shared() } else { own };
            Self { clients, drops: Arc::clone(&drops), turn: 0, random: fastrand::Rng::new() }
        };
        (0..callers).map(of).collect()
    }
}

impl Caller for Reserves {
    async fn call(&mut self) -> Result<u64, String> {
        let turn = self.turn.checked_rem(self.clients.len()).unwrap_or(0);
        self.turn = turn.wrapping_add(1);
        let drop = self.random.usize(..self.drops.len().max(1));
        let drop = self.drops.get(drop).ok_or("no drops")?;
        let customer = wire::customer(format!("cust{:08}", self.random.u64(..CUSTOMERS)));
        let request = pb::ReserveRequest {
            hold_id: wire::hold_id(&mut self.random).to_string(),
            drop_id: drop.clone(),
            lines: vec![wire::line(SKU, 1)],
            customer: Some(customer),
            ..pb::ReserveRequest::default()
        };
        let client = self.clients.get_mut(turn).ok_or("no connections")?;
        let outcome = client.reserve(request).await.map_err(|status| status.to_string())?.into_inner().outcome;
        match outcome {
            Some(pb::reserve_response::Outcome::Hold(_)) => Ok(1),
            other => Err(format!("not the answer that this work has: {other:?}")),
        }
    }
}

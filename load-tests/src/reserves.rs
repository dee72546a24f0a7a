//! Unary reserves over any number of connections and drops, with the same number in flight: the work whose rate is
//! measured.

use std::sync::Arc;

use stockade_drill::Failure;
use stockade_drill::drive::Caller;
use stockade_drill::wire::{self, hold_id};
use stockade_proto as pb;
use stockade_proto::reserve_response::Outcome;

use crate::stubs::{Checkout, checkouts};

/// Connections, if nothing else is measured.
pub const CONNECTIONS: usize = 8;
/// Unary calls in flight on each of them.
pub const IN_FLIGHT: usize = 16;
/// The SKU of the work.
pub const SKU: &str = load_test_peers::HOT;

/// What is asked for, and how it must be answered.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The drops, at random.
    pub drops: Arc<[String]>,
    /// The SKU.
    pub sku: &'static str,
    /// Whether the answer must be a refusal.
    pub refused: bool,
}

impl Wish {
    /// A unit of the usual SKU.
    #[must_use]
    pub fn of(drops: &[String]) -> Self {
        Self { drops: drops.into(), sku: SKU, refused: false }
    }
}

/// A caller. It uses its part of the connections in turn.
pub struct Reserves {
    clients: Vec<Checkout>,
    wish: Wish,
    turn: usize,
    random: fastrand::Rng,
}

impl Reserves {
    /// As many callers as requests in flight, over the usual connections.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn callers(endpoint: &str, wish: &Wish) -> Result<Vec<Self>, Failure> {
        Ok(Self::over(&checkouts(endpoint, CONNECTIONS).await?, wish))
    }

    /// The same over existing connections.
    #[must_use]
    pub fn over(clients: &[Checkout], wish: &Wish) -> Vec<Self> {
        let callers = CONNECTIONS.saturating_mul(IN_FLIGHT);
        let of = |caller: usize| {
            // Each connection belongs to one caller; if there are fewer connections than callers, they are shared.
            let own: Vec<Checkout> = clients.iter().skip(caller).step_by(callers).cloned().collect();
            let shared = || clients.iter().cycle().skip(caller).take(1).cloned().collect();
            let clients = if own.is_empty() { shared() } else { own };
            Self { clients, wish: wish.clone(), turn: 0, random: fastrand::Rng::new() }
        };
        (0..callers).map(of).collect()
    }
}

impl Caller for Reserves {
    async fn call(&mut self) -> Result<u64, String> {
        let turn = self.turn.checked_rem(self.clients.len()).unwrap_or(0);
        self.turn = turn.wrapping_add(1);
        let drop = self.random.usize(..self.wish.drops.len().max(1));
        let drop = self.wish.drops.get(drop).ok_or("no drops")?;
        let customer = load_test_peers::customer(self.random.u32(..load_test_peers::CUSTOMERS));
        let hold = hold_id(&mut self.random).to_string();
        let request = wire::reserve(hold, drop, customer, vec![wire::line(self.wish.sku, 1)]);
        let client = self.clients.get_mut(turn).ok_or("no connections")?;
        let outcome = client.reserve(request).await.map_err(|status| status.to_string())?.into_inner().outcome;
        match (&outcome, self.wish.refused) {
            (Some(Outcome::Hold(_)), false) | (Some(Outcome::Refusal(_)), true) => Ok(1),
            (other, _) => Err(unexpected(other)),
        }
    }
}

/// A wrong answer in words.
pub fn unexpected(answer: &impl std::fmt::Debug) -> String {
    format!("not the answer that this work has: {answer:?}")
}

/// Checks that each of these operations was granted.
///
/// # Errors
/// The first that was not, or that some have no result.
pub fn all_granted(results: &[pb::Result], operations: usize) -> Result<(), String> {
    let granted = |result: &&pb::Result| matches!(result.result, Some(pb::result::Result::Hold(_)));
    match results.iter().find(|result| !granted(result)) {
        Some(other) => Err(unexpected(other)),
        None if results.len() == operations => Ok(()),
        None => Err(format!("{} results for {operations} operations", results.len())),
    }
}

/// An operation of a message.
#[must_use]
pub const fn operation(operation: pb::operation::Operation) -> pb::Operation {
    pb::Operation { operation: Some(operation) }
}

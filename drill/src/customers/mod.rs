//! What one customer does: reserve, think, extend, pay, claim or release, or walk away. Every request and answer goes
//! into the ledger.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use tokio::task::JoinSet;
use tonic::{Code, Status};

mod answers;
mod floor;
mod plan;

pub use floor::Floor;
pub use plan::{Fate, Plan, Think};

use crate::Failure;
use crate::ledger::{Call, Said, Visit, at, order};
use crate::numbers::place;
use crate::request::{Request, Verb};
use crate::samples::Ending;
use crate::wire::{self, PAUSE, RETRIES_MAX};

/// The answers to a request that was sent until it was decided.
struct Answers {
    calls: Vec<Call>,
    /// The lines of the hold in the last one, of a drop with rules.
    served: Vec<pb::HoldLine>,
}

/// A visit that is under way.
struct Customer<'a> {
    floor: &'a Floor,
    /// The connection of the reserve, and that of later calls.
    connections: (&'a Client, &'a Client),
    connection: usize,
    plan: Plan,
    visit: Visit,
}

impl Floor {
    /// Runs a visit that is due at `due`. Its number decides its connections.
    pub async fn visit(&self, number: u64, plan: Plan, due: Duration) {
        let connection = place(number).checked_rem(self.clients.len()).unwrap_or(0);
        let checkout = place(number).checked_rem(self.checkouts.len()).unwrap_or(0);
        let (Some(client), Some(checkout)) = (self.clients.get(connection), self.checkouts.get(checkout)) else {
            return;
        };
        self.recorder.begun.increment();
        let visit = plan.visit();
        let mut customer = Customer { floor: self, connections: (client, checkout), connection, plan, visit };
        customer.play(due).await;
        self.ledger.keep(connection, customer.visit);
        self.recorder.over.increment();
    }
}

/// Runs visits in a closed loop: `at_a_time` together, each after one before it. `visit` gets the next number, and
/// returns whether there was such a visit.
///
/// # Errors
/// When a visitor panics.
pub async fn one_after_the_other<F>(
    at_a_time: usize,
    visit: impl Fn(u64) -> F + Clone + Send + Sync + 'static,
) -> Result<(), Failure>
where
    F: Future<Output = bool> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let mut visitors = JoinSet::new();
    for _ in 0..at_a_time {
        let (next, visit) = (Arc::clone(&next), visit.clone());
        // Relaxed: the counter orders nothing else.
        visitors.spawn(async move { while visit(next.fetch_add(1, Ordering::Relaxed)).await {} });
    }
    while let Some(ended) = visitors.join_next().await {
        ended.map_err(|_panic| Failure::Bug("a visitor panicked"))?;
    }
    Ok(())
}

impl Customer<'_> {
    async fn play(&mut self, due: Duration) {
        if !self.reserve(due).await {
            return;
        }
        for (step, stage) in [(self.plan.extends, pb::HoldStage::Unspecified), (self.plan.pays, pb::HoldStage::Paying)]
        {
            if step {
                let (hold_id, drop_id, stage) = (self.plan.hold.to_string(), self.drop(), stage.into());
                let request = pb::ExtendRequest { hold_id, drop_id, stage, ..pb::ExtendRequest::default() };
                let due = self.think().await;
                if !self.ask(due, &Request::Extend(request)).await {
                    return;
                }
            }
        }
        let (hold_id, drop_id) = (self.plan.hold.to_string(), self.drop());
        let last = match self.plan.fate {
            Fate::WalksAway => return,
            Fate::Buys => {
                let order_ref = order(self.plan.hold);
                Request::Claim(pb::ClaimRequest { hold_id, drop_id, order_ref, ..pb::ClaimRequest::default() })
            }
            Fate::GivesBack => {
                let abandon_payment = self.plan.pays;
                Request::Release(pb::ReleaseRequest {
                    hold_id,
                    drop_id,
                    abandon_payment,
                    ..pb::ReleaseRequest::default()
                })
            }
        };
        let due = self.think().await;
        self.ask(due, &last).await;
    }

    /// Reserves. Returns whether units were granted.
    async fn reserve(&mut self, mut due: Duration) -> bool {
        let sale = self.floor.sales.get(usize::from(self.plan.drop));
        let sku = |item: u16| sale.map_or("", |sale| sale.sku(item));
        let lines = self.plan.lines.iter().map(|(item, units)| wire::line(sku(*item), *units)).collect();
        let request = Request::Reserve(pb::ReserveRequest {
            ttl: self.plan.ttl.map(wire::span),
            customer: Some(pb::Customer {
                tiers: self.floor.ledger.tiers.get(usize::from(self.plan.crowd)).cloned().unwrap_or_default(),
                ..wire::customer(self.visit.customer.clone())
            }),
            ..wire::reserve(self.plan.hold.to_string(), &self.drop(), String::new(), lines)
        });
        for _ in 0..self.plan.again {
            if self.ask(due, &request).await {
                break;
            }
            let may_come_back = |call: &Call| matches!(call.said, Said::Refused { may_come_back: true, .. });
            if !self.visit.calls.last().is_some_and(may_come_back) {
                return false;
            }
            tokio::time::sleep(self.plan.again_after).await;
            due = self.floor.watch.elapsed();
        }
        let granted = self.visit.granted(Verb::Reserve).is_some() || self.ask(due, &request).await;
        if granted && self.plan.repeats {
            let answers = self.attempts(&request).await;
            self.keep(answers);
        }
        granted
    }

    fn drop(&self) -> String {
        self.floor.sales.get(usize::from(self.plan.drop)).map(|sale| sale.id.clone()).unwrap_or_default()
    }

    /// Waits. Returns the end of the wait: the next step is due then.
    async fn think(&mut self) -> Duration {
        let thought = self.plan.think.thought();
        if !thought.is_zero() {
            tokio::time::sleep(thought).await;
        }
        self.floor.watch.elapsed()
    }

    /// Sends a request, and some requests twice at once. Returns whether the answer is the hold.
    async fn ask(&mut self, due: Duration, request: &Request) -> bool {
        if self.floor.twice() {
            let (one, other) = tokio::join!(self.measured(due, request), self.measured(due, request));
            self.keep(one);
            self.keep(other);
        } else {
            let answers = self.measured(due, request).await;
            self.keep(answers);
        }
        self.visit.granted(request.verb()).is_some()
    }

    /// Keeps answers. A hold whose units have another pool, window or price than before is not what it was.
    fn keep(&mut self, Answers { mut calls, served }: Answers) {
        if self.visit.served.is_empty() {
            self.visit.served = served;
        } else if let Some(Call { said: Said::Hold { faithful, .. }, .. }) = calls.last_mut() {
            *faithful &= served.is_empty() || served == self.visit.served;
        }
        self.visit.calls.extend(calls);
    }

    async fn measured(&self, due: Duration, request: &Request) -> Answers {
        let answers = self.attempts(request).await;
        let ending = match answers.calls.last().map(|call| call.said) {
            Some(Said::Hold { .. }) => Ending::Done,
            Some(Said::Refused { .. }) => Ending::Refused,
            Some(Said::Unknown { .. }) | None => Ending::Failed,
        };
        self.floor.recorder.record(self.connection, request.verb(), ending, (due, self.floor.watch.elapsed()));
        answers
    }

    /// Sends a request until it is answered with something other than `UNAVAILABLE`, at most `RETRIES_MAX` times.
    async fn attempts(&self, request: &Request) -> Answers {
        let (floor, verb) = (self.floor, request.verb());
        let (client, checkout) = self.connections;
        let mut calls = Vec::with_capacity(1);
        loop {
            let sent = at(floor.watch.elapsed());
            let client = if verb == Verb::Reserve { client } else { checkout };
            let answered = tokio::time::timeout(floor.timeout, request.send(client)).await;
            let received = at(floor.watch.elapsed());
            let answer = answered.unwrap_or_else(|_late| Err(Status::deadline_exceeded("no answer in time")));
            let served = answers::served(answer.as_ref().ok(), &self.visit, floor);
            let said = answers::said(answer, request, &self.visit, floor);
            calls.push(Call { verb, sent, received, said });
            let unavailable = matches!(said, Said::Unknown { code: Code::Unavailable });
            if !unavailable || calls.len() >= place(u64::from(RETRIES_MAX)) {
                return Answers { calls, served };
            }
            floor.again.increment();
            tokio::time::sleep(PAUSE).await;
        }
    }
}

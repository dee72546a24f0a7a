//! One customer from the first request to the last: reserve, think, extend, pay, claim or release, or walk away.

use std::sync::atomic::Ordering;
use std::time::Duration;

use stockade_proto as pb;
use tonic::{Code, Status};

use crate::answers::{Answer, told};
use crate::floor::Floor;
use crate::ledger::{Call, Said, Visit, at, order};
use crate::numbers::place;
use crate::plan::{Fate, Plan};
use crate::samples::{Ending, Verb};
use crate::wire::{self, Checkout};

/// How often a request that was answered with `UNAVAILABLE` is sent again.
pub const RETRIES_MAX: u32 = 40;
/// How long a caller waits before that.
pub const PAUSE: Duration = Duration::from_millis(50);

/// A visit that is under way.
struct Customer<'a> {
    floor: &'a Floor,
    client: Checkout,
    till: Checkout,
    lane: usize,
    plan: Plan,
    visit: Visit,
}

impl Floor {
    /// Runs the visit with this number, which is due at `due`.
    pub async fn visit(&self, number: u64, due: Duration) {
        let lane = place(number).checked_rem(self.clients.len()).unwrap_or(0);
        let till = place(number).checked_rem(self.tills.len()).unwrap_or(0);
        let (Some(client), Some(till)) = (self.clients.get(lane), self.tills.get(till)) else { return };
        let (client, till) = (client.clone(), till.clone());
        let Some(plan) = Plan::of(&self.scenario, number) else { return };
        // Relaxed: the counter orders nothing else.
        let come = self.turns.get(usize::from(plan.crowd)).map_or(0, |turns| turns.fetch_add(1, Ordering::Relaxed));
        let turn = plan.turn(&self.scenario, come);
        let customer = plan.customer(turn);
        let (drop, crowd, lines) = (plan.drop, plan.crowd, plan.lines.clone());
        let visit = Visit { hold: plan.hold, drop, crowd, customer, turn, lines, calls: Vec::new() };
        self.recorder.begun.increment();
        let mut customer = Customer { floor: self, client, till, lane, plan, visit };
        customer.play(due).await;
        self.ledger.keep(lane, customer.visit);
        self.recorder.over.increment();
    }

    /// Whether this request is one of those that are sent twice.
    fn twice(&self) -> bool {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.scenario.load.twice_every.is_some_and(|every| number.checked_rem(every) == Some(0))
    }
}

impl Customer<'_> {
    async fn play(&mut self, due: Duration) {
        if !self.reserve(due).await {
            return;
        }
        if self.plan.extends {
            let due = self.think().await;
            let request = self.extend(pb::HoldStage::Unspecified);
            if !self.ask(due, &request).await {
                return;
            }
        }
        if self.plan.pays {
            let due = self.think().await;
            let request = self.extend(pb::HoldStage::Paying);
            if !self.ask(due, &request).await {
                return;
            }
        }
        let (hold_id, drop_id) = (self.plan.hold.to_string(), self.drop());
        match self.plan.fate {
            Fate::WalksAway => {}
            Fate::Buys => {
                let due = self.think().await;
                let order_ref = order(self.plan.hold);
                let request = pb::ClaimRequest { hold_id, drop_id, order_ref, ..pb::ClaimRequest::default() };
                self.ask(due, &Question::Claim(request)).await;
            }
            Fate::GivesBack => {
                let due = self.think().await;
                let request = pb::ReleaseRequest { hold_id, drop_id, ..pb::ReleaseRequest::default() };
                self.ask(due, &Question::Release(request)).await;
            }
        }
    }

    /// Reserves. Returns whether units were granted.
    async fn reserve(&mut self, mut due: Duration) -> bool {
        let sale = self.floor.scenario.drops.get(usize::from(self.plan.drop));
        let sku = |item: u16| sale.and_then(|sale| sale.items.get(usize::from(item))).map_or("", |goods| &goods.sku);
        let question = Question::Reserve(pb::ReserveRequest {
            hold_id: self.plan.hold.to_string(),
            drop_id: self.drop(),
            lines: self.plan.lines.iter().map(|(item, units)| wire::line(sku(*item), *units)).collect(),
            customer: Some(wire::customer(self.visit.customer.clone())),
            ttl: self.plan.ttl.map(wire::span),
            ..pb::ReserveRequest::default()
        });
        for _ in 0..self.plan.again {
            if self.ask(due, &question).await {
                return true;
            }
            let may_come_back = |call: &Call| matches!(call.said, Said::Refused { may_come_back: true, .. });
            if !self.visit.calls.last().is_some_and(may_come_back) {
                return false;
            }
            tokio::time::sleep(self.plan.again_after).await;
            due = self.floor.watch.elapsed();
        }
        self.ask(due, &question).await
    }

    fn extend(&self, stage: pb::HoldStage) -> Question {
        let (hold_id, drop_id, stage) = (self.plan.hold.to_string(), self.drop(), stage.into());
        Question::Extend(pb::ExtendRequest { hold_id, drop_id, stage, ..pb::ExtendRequest::default() })
    }

    fn drop(&self) -> String {
        self.floor.drops.get(usize::from(self.plan.drop)).cloned().unwrap_or_default()
    }

    /// Waits. Returns the end of the wait: the next step is due then.
    async fn think(&mut self) -> Duration {
        let thought = self.plan.thought();
        if !thought.is_zero() {
            tokio::time::sleep(thought).await;
        }
        self.floor.watch.elapsed()
    }

    /// Sends a request, and some requests twice at once. Returns whether the answer is the hold.
    async fn ask(&mut self, due: Duration, question: &Question) -> bool {
        if self.floor.twice() {
            let (one, other) = tokio::join!(self.attempt(due, question), self.attempt(due, question));
            self.visit.calls.extend(one);
            self.visit.calls.extend(other);
        } else {
            let calls = self.attempt(due, question).await;
            self.visit.calls.extend(calls);
        }
        self.visit.granted(question.verb()).is_some()
    }

    /// Sends a request until it is answered with something other than `UNAVAILABLE`, at most `RETRIES_MAX` times more.
    /// Returns all attempts.
    async fn attempt(&self, due: Duration, question: &Question) -> Vec<Call> {
        let (floor, verb) = (self.floor, question.verb());
        let mut calls = Vec::with_capacity(1);
        loop {
            let sent = floor.watch.elapsed();
            let client = if verb == Verb::Reserve { self.client.clone() } else { self.till.clone() };
            let answered = tokio::time::timeout(floor.scenario.load.timeout.0, question.ask(client)).await;
            let received = floor.watch.elapsed();
            let answer = answered.unwrap_or_else(|_late| Err(Status::deadline_exceeded("no answer in time")));
            let said = told(answer, &self.visit, floor);
            let unavailable = matches!(said, Said::Unknown { code: Code::Unavailable });
            calls.push(Call { verb, sent: at(sent), received: at(received), said });
            if unavailable && calls.len() < place(u64::from(RETRIES_MAX)) {
                floor.again.increment();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let ending = match said {
                Said::Hold { .. } => Ending::Done,
                Said::Refused { .. } => Ending::Refused,
                Said::Unknown { .. } => Ending::Failed,
            };
            floor.recorder.record(self.lane, verb, ending, (due, received));
            return calls;
        }
    }
}

/// A customer's request.
enum Question {
    Reserve(pb::ReserveRequest),
    Extend(pb::ExtendRequest),
    Claim(pb::ClaimRequest),
    Release(pb::ReleaseRequest),
}

impl Question {
    const fn verb(&self) -> Verb {
        match self {
            Self::Reserve(_) => Verb::Reserve,
            Self::Extend(_) => Verb::Extend,
            Self::Claim(_) => Verb::Claim,
            Self::Release(_) => Verb::Release,
        }
    }

    async fn ask(&self, mut client: Checkout) -> Result<Answer, Status> {
        match self {
            Self::Reserve(request) => client.reserve(request.clone()).await.map(|answer| answer.into_inner().into()),
            Self::Extend(request) => client.extend(request.clone()).await.map(|answer| answer.into_inner().into()),
            Self::Claim(request) => client.claim(request.clone()).await.map(|answer| answer.into_inner().into()),
            Self::Release(request) => client.release(request.clone()).await.map(|answer| answer.into_inner().into()),
        }
    }
}

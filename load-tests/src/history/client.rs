//! What one client does: reserves, and comes back to its own holds and to those of others, so that calls on one hold meet.

use std::sync::Arc;
use std::time::Duration;

use super::ask::ask;
use super::event::{Answer, Verb, Why};
use super::floor::{Floor, Goal};
use crate::wire;

/// How long an answer is waited for. Longer than a pause of the server, so that most calls outlive one.
const PATIENCE: Duration = Duration::from_secs(4);
/// And by those who give up early: what they asked for may still be decided.
const HASTE: Duration = Duration::from_micros(700);
/// How often a call without an answer is sent again.
const TRIES: u32 = 40;
/// How long a client waits between two tries.
const PAUSE: Duration = Duration::from_millis(15);
/// Customers at a time.
const CUSTOMERS: u32 = 8;

/// A client that asks until it is told to stop.
pub struct Client {
    /// What all share.
    pub floor: Arc<Floor>,
    /// Which it is.
    pub number: u16,
    /// Decides what it asks.
    pub random: fastrand::Rng,
    /// The longest that it waits between two calls.
    pub think: Duration,
}

impl Client {
    /// Asks until the run's length is over, or the way to the server is closed.
    pub async fn run(mut self, length: Duration) {
        while self.floor.watch.elapsed() < length {
            if self.visit().await.is_none() {
                return;
            }
            let think = self.think.mul_f64(self.random.f64());
            tokio::time::sleep(think).await;
        }
    }

    /// One thing that a client may want. None when the run is over.
    async fn visit(&mut self) -> Option<()> {
        match self.random.u8(..100) {
            0..45 => self.reserve().await,
            45..50 => {
                let nothing = Goal { id: String::new(), customer: 0, lines: Vec::new() };
                self.ask(&nothing, Verb::GetDrop).await.map(drop)
            }
            other => {
                let Some(goal) = self.floor.recent(&mut self.random) else { return self.reserve().await };
                let verb = match other {
                    50..62 => Verb::GetHold,
                    62..74 => Verb::Extend { ttl: self.random.u64(200..1_200), pay: false },
                    74..79 => Verb::Extend { ttl: 0, pay: true },
                    79..88 => Verb::Claim { order: self.random.u8(..2) },
                    _ => Verb::Release,
                };
                let answer = self.until_known(&goal, verb).await?;
                let fresh = matches!(&answer, Answer::Hold(seen) if seen.order.is_some());
                if fresh && matches!(verb, Verb::Claim { .. }) {
                    self.floor.sell(&goal);
                }
                Some(())
            }
        }
    }

    async fn reserve(&mut self) -> Option<()> {
        let random = &mut self.random;
        let items = u8::try_from(self.floor.setup.stock.len()).unwrap_or(u8::MAX).max(1);
        let first = random.u8(..items);
        let mut lines = vec![(first, random.u32(1..=2))];
        if random.u8(..10) < 3 && items > 1 {
            let second = first.wrapping_add(random.u8(1..items)) % items;
            lines.push((second, 1));
            lines.sort_unstable();
        }
        let customer = self.floor.customer(random, CUSTOMERS);
        let goal = Goal { id: wire::hold_id(random).to_string(), customer, lines };
        let verb = Verb::Reserve { ttl: random.u64(150..1_500) };
        // Others may ask for some before they are there.
        let early = self.random.u8(..8) == 0;
        if early {
            self.floor.share(goal.clone());
        }
        if self.random.u8(..10) == 0 {
            // The same request twice at once, as an impatient proxy would.
            let (floor, number) = (Arc::clone(&self.floor), self.number);
            let asked = (number, PATIENCE);
            let (one, other) =
                tokio::join!(ask(&floor, asked, (&goal, verb), false), ask(&floor, asked, (&goal, verb), false));
            one.and(other)?;
        }
        for _ in 0..3 {
            let answer = self.until_known(&goal, verb).await?;
            // A refusal is not remembered: the same id may be tried again.
            if matches!(answer, Answer::Hold(_)) && !early {
                self.floor.share(goal);
                return Some(());
            }
            let again = matches!(answer, Answer::Refused(Why::SoldOut | Why::LimitReached, _));
            if !again || self.random.bool() {
                return Some(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Some(())
    }

    /// Asks until there is an answer, or for as long as a client would.
    async fn until_known(&mut self, goal: &Goal, verb: Verb) -> Option<Answer> {
        let mut answer = self.ask(goal, verb).await?;
        for _ in 0..TRIES {
            if !answer.is_unknown() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            answer = ask(&self.floor, (self.number, PATIENCE), (goal, verb), false).await?;
        }
        Some(answer)
    }

    async fn ask(&mut self, goal: &Goal, verb: Verb) -> Option<Answer> {
        let patience = if self.random.u8(..100) < 2 { HASTE } else { PATIENCE };
        ask(&self.floor, (self.number, patience), (goal, verb), false).await
    }
}

/// Replaces what was sold until the run's length is over.
pub async fn restock(floor: Arc<Floor>, number: u16, mut random: fastrand::Rng, length: Duration) {
    let items = u8::try_from(floor.setup.stock.len()).unwrap_or(u8::MAX);
    while floor.watch.elapsed() < length {
        for item in 0..items {
            let units = floor.replace(item);
            if units == 0 {
                continue;
            }
            let goal = Goal { id: wire::hold_id(&mut random).to_string(), customer: 0, lines: vec![(item, units)] };
            for _ in 0..TRIES {
                match ask(&floor, (number, PATIENCE), (&goal, Verb::Adjust), false).await {
                    None => return,
                    Some(Answer::Unknown(_)) => tokio::time::sleep(PAUSE).await,
                    Some(_) => break,
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
}

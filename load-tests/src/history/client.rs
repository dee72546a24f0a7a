//! One client: it reserves, and then calls on its own holds and on those of others, so that calls on one hold overlap.

use std::sync::Arc;
use std::time::Duration;

use stockade_drill::wire;

use super::ask::ask;
use super::event::{Answer, Verb, Why};
use super::floor::{Floor, Goal};

/// How long a client waits for an answer. Longer than a pause of the server, so that most calls outlive one.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// The same for clients that give up early: their requests may still be decided.
const HASTE: Duration = Duration::from_micros(700);
/// How often a call without an answer is sent again.
const TRIES: u32 = 40;
/// How long a client waits between two tries.
const PAUSE: Duration = Duration::from_millis(15);
/// Customers that are active at a time.
const CUSTOMERS: u32 = 8;

/// A client that sends requests until the run ends.
pub struct Client {
    /// State that all clients share.
    pub floor: Arc<Floor>,
    /// Its number.
    pub number: u16,
    /// Decides what it requests.
    pub random: fastrand::Rng,
    /// The longest wait between two calls.
    pub think: Duration,
}

impl Client {
    /// Runs until the length is over, or the connection to the server is closed.
    pub async fn run(mut self, length: Duration) {
        while self.floor.watch.elapsed() < length {
            if self.visit().await.is_none() {
                return;
            }
            let think = self.think.mul_f64(self.random.f64());
            tokio::time::sleep(think).await;
        }
    }

    /// One visit. None when the run is over.
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
        // Other clients may call on some holds before they exist.
        let early = self.random.u8(..8) == 0;
        if early {
            self.floor.share(goal.clone());
        }
        if self.random.u8(..10) == 0 {
            // The same request twice at once, as an impatient proxy would send it.
            let (floor, number) = (Arc::clone(&self.floor), self.number);
            let asked = (number, CALL_TIMEOUT);
            let (one, other) =
                tokio::join!(ask(&floor, asked, (&goal, verb), false), ask(&floor, asked, (&goal, verb), false));
            one.and(other)?;
        }
        for _ in 0..3 {
            let answer = self.until_known(&goal, verb).await?;
            // A refused reserve is not remembered: its id may be used again.
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

    /// Sends a call until it is answered, at most `TRIES` times.
    async fn until_known(&mut self, goal: &Goal, verb: Verb) -> Option<Answer> {
        let mut answer = self.ask(goal, verb).await?;
        for _ in 0..TRIES {
            if !answer.is_unknown() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            answer = ask(&self.floor, (self.number, CALL_TIMEOUT), (goal, verb), false).await?;
        }
        Some(answer)
    }

    async fn ask(&mut self, goal: &Goal, verb: Verb) -> Option<Answer> {
        let patience = if self.random.u8(..100) < 2 { HASTE } else { CALL_TIMEOUT };
        ask(&self.floor, (self.number, patience), (goal, verb), false).await
    }
}

/// Restocks sold units until the length is over.
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
                match ask(&floor, (number, CALL_TIMEOUT), (&goal, Verb::Adjust), false).await {
                    None => return,
                    Some(Answer::Unknown(_)) => tokio::time::sleep(PAUSE).await,
                    Some(_) => break,
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
}

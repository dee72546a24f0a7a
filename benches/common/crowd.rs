//! An engine with a million live holds of a hundred thousand customers, and customers who reserve more.

use std::sync::Arc;

use stockade_engine::answer::{Fault, Outcome};
use stockade_engine::attempt::{Answer, Decided};
use stockade_engine::command::{CreateDrop, Release, Reserve, Target, WantedUnits};
use stockade_engine::context::Context;
use stockade_engine::inventory::Inventory;
use stockade_engine::{Bounds, Engine};
use stockade_journal::{Journal, Log, Start};
use stockade_types::definition::{Limit, Scope};
use stockade_types::digest::DigestKey;
use stockade_types::ids::{DropId, HoldId, LimitId};
use stockade_types::time::Timestamp;

use crate::common::{customer, hold_id};
use crate::drops::{definition, sku};

/// Live holds of a filled engine.
pub const LIVE: u64 = 1_000_000;
pub const CUSTOMERS: u64 = 100_000;
/// Remembered ended holds: the list is full, so that each cycle forgets one, as on a server that has run for long.
const REMEMBERED: usize = 100_000;
/// Cycles between two calls of [`Engine::evict_ended`], each of which forgets at most this many holds.
const FORGET_EVERY: u64 = 64;

pub fn bounds() -> Bounds {
    Bounds { max_ended_holds: REMEMBERED, ..Bounds::default() }
}

/// An engine over a log in memory; everything else is as in a server.
pub fn engine(log: impl Log + 'static) -> Engine {
    let journal = Journal::start(Arc::new(log), Start::FIRST, Arc::default()).expect("starts");
    Engine::new(Inventory::new(DigestKey::from_bytes([1; 16])), journal, bounds())
}

/// Creates a drop with one limit over the whole of it, which is never reached.
pub fn create(engine: &Engine, id: &str, units: u64, now: Timestamp) {
    let name = LimitId::try_from("per-customer").expect("an id");
    let limit = Limit { max_units: Some(1_000_000), ..Limit::new(name, Scope::Drop) };
    let command = CreateDrop { definition: definition(id, units, vec![limit]), validate_only: false };
    engine.create_drop(&command, Context::anonymous(now)).expect("a drop");
    engine.journal().barrier().wait().expect("a durable drop");
}

/// Makes the drop "knives" and its live holds. Returns the [`Crowd`] that made them.
pub fn fill(engine: &Engine, now: Timestamp) -> Crowd {
    create(engine, "knives", 2 * LIVE, now);
    let mut crowd = Crowd::new("knives", 0..CUSTOMERS, 0);
    for _ in 0..LIVE {
        crowd.reserve(engine, now);
    }
    crowd
}

/// Tries until there is an answer. If the journal is full, waits for it, as a caller must.
fn settle(engine: &Engine, mut ask: impl FnMut() -> Answer<Outcome>) -> Decided<Outcome> {
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(Decided { value: Fault::InDoubt, .. }) => std::thread::yield_now(),
            Err(Decided { value: Fault::Overloaded(_), .. }) => engine.journal().barrier().wait().expect("a journal"),
            Err(Decided { value: fault, .. }) => unreachable!("{fault}"),
        }
    }
}

/// Customers with prepared requests, so that only the engine is measured.
pub struct Crowd {
    requests: Vec<Reserve>,
    release: Release,
    /// The next hold's number.
    next: u64,
}

impl Crowd {
    /// These customers of a drop; the numbers of their holds begin at `next`.
    pub fn new(drop: &str, customers: std::ops::Range<u64>, next: u64) -> Self {
        let lines = vec![WantedUnits { sku: sku(), pool: None, units: 1, place: 0 }];
        let drop = DropId::try_from(drop).expect("an id");
        let request = |n| Reserve::new(hold_id(0), drop.clone(), customer(n), lines.clone());
        let target = Target { hold: hold_id(0), drop: None, customer: None };
        Self {
            requests: customers.map(request).collect(),
            release: Release { target, keep: Vec::new(), abandon_payment: false },
            next,
        }
    }

    /// The next customer requests a unit. Returns the hold's id and the answer.
    pub fn ask(&mut self, engine: &Engine, now: Timestamp) -> (HoldId, Decided<Outcome>) {
        let hold = hold_id(self.next);
        // A prime step: customers that follow each other are not adjacent in memory.
        let customers = u64::try_from(self.requests.len()).expect("few");
        let customer = usize::try_from(self.next.wrapping_mul(7_919) % customers).expect("few");
        self.next += 1;
        let request = self.requests.get_mut(customer).expect("a customer");
        request.hold = hold;
        (hold, settle(engine, || engine.reserve(request, Context::anonymous(now))))
    }

    /// The next customer reserves a unit; it must be granted.
    pub fn reserve(&mut self, engine: &Engine, now: Timestamp) -> HoldId {
        let (hold, answer) = self.ask(engine, now);
        assert!(matches!(answer.value, Outcome::Hold(_)), "refused: {:?}", answer.value);
        hold
    }

    /// Releases a hold.
    pub fn release(&mut self, engine: &Engine, hold: HoldId, now: Timestamp) {
        self.release.target.hold = hold;
        let answer = settle(engine, || engine.release(&self.release, Context::anonymous(now)));
        assert!(matches!(answer.value, Outcome::Hold(_)), "refused: {:?}", answer.value);
    }

    /// Reserves a unit and releases it.
    pub fn cycle(&mut self, engine: &Engine, now: Timestamp) {
        let hold = self.reserve(engine, now);
        self.release(engine, hold, now);
        self.tidy(engine, now);
    }

    /// Work of the background, done on this thread, so that its cost is measured too.
    pub fn tidy(&self, engine: &Engine, now: Timestamp) {
        if self.next.is_multiple_of(FORGET_EVERY) {
            engine.evict_ended(now);
        }
    }
}

//! An engine with some holds, whose journal's writer can be blocked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use stockade_engine::Engine;
use stockade_engine::answer::Outcome;
use stockade_engine::attempt::{Answer, Decided};
use stockade_engine::command::{CreateDrop, Reserve, Target, WantedUnits};
use stockade_engine::context::Context;
use stockade_journal::MemoryLog;
use stockade_types::definition::{
    Audience, Currency, Definition, Item, Limit, Money, Pool, PoolSize, PriceTerms, Scope, Window,
};
use stockade_types::ids::{DropId, HoldId, LimitId, PoolId, TermsId, TierId, WindowId};
use stockade_types::time::{Millis, Timestamp};

use crate::before::Before;
use crate::common::{customer, hold_id};
use crate::crowd;
use crate::drops::{NOW, definition, sku};

/// The drop with plenty of units.
pub const PLENTY: &str = "plenty";
/// The drop whose only unit is taken.
pub const SOLD_OUT: &str = "sold-out";
/// The drop that allows one unit for each customer.
pub const ONE_EACH: &str = "one-each";

/// The drop with a window, a pool and a price of members.
pub const RULED: &str = "ruled";

/// Customers with ten live holds each, from number 0 on.
pub const REGULARS: usize = 1_000;
const HOLDS_OF_A_REGULAR: usize = 10;
/// The number of the first customer without a hold, and of the first hold that is not made.
pub const FRESH: usize = 1_000_000;

/// A gate that blocks the writer.
#[derive(Debug, Default)]
struct Gate {
    way: Mutex<()>,
    /// Whether the writer has reached it.
    reached: AtomicBool,
}

/// The engine, its drops and its holds.
pub struct Stage {
    pub engine: Engine,
    gate: Arc<Gate>,
}

impl Stage {
    /// Four drops, and the regulars' holds in one of them.
    pub fn new() -> Self {
        let gate = Arc::<Gate>::default();
        let before = Arc::clone(&gate);
        let engine = crowd::engine(Before(MemoryLog::ephemeral(), move || {
            before.reached.store(true, Ordering::Release);
            drop(before.way.lock());
        }));
        create(&engine, PLENTY, 1_000_000_000, 1_000_000);
        create(&engine, SOLD_OUT, 1, 1_000_000);
        create(&engine, ONE_EACH, 1_000_000_000, 1);
        create_with(&engine, with_rules());
        let stage = Self { engine, gate };
        stage.make((0..REGULARS * HOLDS_OF_A_REGULAR).map(|n| request(PLENTY, n, n % REGULARS)));
        stage
    }

    /// Makes holds.
    pub fn make(&self, requests: impl Iterator<Item = Reserve>) {
        requests.for_each(|request| held(self.engine.reserve(&request, Context::anonymous(NOW))));
        self.engine.journal().barrier().wait().expect("durable");
    }

    /// Blocks the writer in its log from now on; appended records gather. This is permanent: the engine can't be
    /// dropped.
    pub fn hold_up(self) -> &'static Engine {
        let Self { engine, gate } = self;
        std::mem::forget(gate.way.lock());
        gate.reached.store(false, Ordering::Release);
        held(engine.reserve(&request(PLENTY, 2 * FRESH, 2 * FRESH), Context::anonymous(NOW)));
        while !gate.reached.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Box::leak(Box::new(engine))
    }
}

fn create(engine: &Engine, id: &str, units: u64, each: u32) {
    create_with(engine, plain(id, units, each));
}

fn plain(id: &str, units: u64, each: u32) -> Definition {
    let name = LimitId::try_from("each").expect("an id");
    let limit = Limit { max_units: Some(each), ..Limit::new(name, Scope::Drop) };
    // A life longer than the ttl, so that a deadline can be moved.
    let mut definition = definition(id, units, vec![limit]);
    definition.terms.max_hold_life = Millis::from_secs(3_600);
    definition
}

fn create_with(engine: &Engine, definition: Definition) {
    let command = CreateDrop { definition, validate_only: false };
    engine.create_drop(&command, Context::anonymous(NOW)).expect("a drop");
    engine.journal().barrier().wait().expect("a durable drop");
}

/// The tier of members.
pub fn gold() -> TierId {
    TierId::try_from("gold").expect("a tier")
}

/// A drop with a window for members, a pool of their own, and a price of their own.
fn with_rules() -> Definition {
    let mut definition = plain(RULED, 1_000_000_000, 1_000_000);
    let members = || Audience { tiers: vec![gold()], zones: Vec::new() };
    let general = definition.items.remove(0);
    let own = Pool { size: PoolSize::Units, audience: members(), ..Pool::plain(pool("members"), 1_000_000_000) };
    definition.items = vec![Item::plain(general.sku, [vec![own], general.pools].concat())];
    let window = |id: &str, audience| Window {
        id: WindowId::try_from(id).expect("an id"),
        audience,
        skus: Vec::new(),
        pools: Vec::new(),
        starts: None,
        ends: None,
        hold_ttl: None,
    };
    let terms = |id: &str, audience, minor_units| PriceTerms {
        id: TermsId::try_from(id).expect("an id"),
        audience,
        skus: Vec::new(),
        pools: Vec::new(),
        starts: None,
        ends: None,
        price: Money { currency: Currency::of("EUR").expect("a code"), minor_units },
        steps: Vec::new(),
    };
    definition.rules.windows = vec![window("members", members()), window("all", Audience::default())];
    definition.rules.prices = vec![terms("member", members(), 900), terms("normal", Audience::default(), 1_000)];
    definition
}

fn pool(id: &str) -> PoolId {
    PoolId::try_from(id).expect("an id")
}

/// The n-th hold's id.
pub fn id(n: usize) -> HoldId {
    hold_id(u64::try_from(n).expect("a small number"))
}

/// A reserve of one unit for a customer.
pub fn request(drop: &str, hold: usize, whose: usize) -> Reserve {
    let drop = DropId::try_from(drop).expect("an id");
    let whose = customer(u64::try_from(whose).expect("a small number"));
    Reserve::new(id(hold), drop, whose, vec![WantedUnits { sku: sku(), pool: None, units: 1, place: 0 }])
}

/// A hold, named by its id alone.
pub fn target(hold: usize) -> Target {
    Target { hold: id(hold), drop: None, customer: None }
}

/// Asserts that the answer is a hold.
#[inline]
pub fn held(answered: Answer<Outcome>) {
    match answered {
        Ok(Decided { value: Outcome::Hold(_), durable_after: _ }) => {}
        other => unreachable!("{other:?}"),
    }
}

/// Asserts that the answer is a refusal.
#[inline]
pub fn refused(answered: Answer<Outcome>) {
    match answered {
        Ok(Decided { value: Outcome::Refused(_), durable_after: _ }) => {}
        other => unreachable!("{other:?}"),
    }
}

/// An instant after [`NOW`].
pub const fn after(span: Millis) -> Timestamp {
    Timestamp(NOW.0 + span.0)
}

//! The counted operations, each with its preparation.

use std::hint::black_box;

use stockade_engine::Engine;
use stockade_engine::command::{Claim, ExpiredPolicy, Extend, Release, Reserve};
use stockade_engine::context::Context;
use stockade_types::hold::{ContentHash, Hold, HoldFields, HoldLine, HoldState, Lines};
use stockade_types::ids::{DropNo, ItemNo, Lsn, OrderRef, PoolNo};
use stockade_types::record::Record;
use stockade_types::time::{Millis, Timestamp};

use crate::Work;
use crate::common::customer;
use crate::drops::{NOW, TTL};
use crate::stage::{
    FRESH, ONE_EACH, PLENTY, REGULARS, RULED, SOLD_OUT, Stage, after, gold, held, id, refused, request, target,
};

const WARM: usize = 256;
const COUNTED: usize = 512;
const ALL: usize = WARM + COUNTED;
const _: () = assert!(ALL <= REGULARS, "each regular asks once");
/// Holds that fall due together.
const DUE: usize = 1_000;
/// Shorter than the drop's ttl.
const SHORT: Millis = Millis::from_secs(60);

/// An operation's name, and the function that prepares it.
pub type Operation = (&'static str, fn() -> Work);

/// All operations.
pub fn all() -> Vec<Operation> {
    vec![
        ("reserve, new customer", reserve_new),
        ("reserve, ten holds", reserve_ten),
        ("reserve, with rules", reserve_with_rules),
        ("reserve again", again),
        ("release", release_one),
        ("release, eleven holds", release_eleven),
        ("extend", extend),
        ("claim", claim),
        ("refusal, sold out", sold_out),
        ("refusal, limit", limit),
        ("sweep of 1,000 due", sweep),
        ("record encode", encode),
        ("record decode", decode),
    ]
}

/// One command for each run.
fn each<C: 'static>(engine: &'static Engine, commands: Vec<C>, run: fn(&Engine, &C)) -> Work {
    assert_eq!(commands.len(), ALL, "a command for each turn");
    let turn = move |n| run(engine, commands.get(n).expect("a command for each turn"));
    Work { turn: Box::new(turn), warm: WARM, counted: COUNTED }
}

fn reserves(requests: Vec<Reserve>) -> Work {
    each(Stage::new().hold_up(), requests, |engine, request| held(engine.reserve(request, Context::anonymous(NOW))))
}

/// Reserves of one unit for customers without holds.
fn fresh(drop: &str) -> Vec<Reserve> {
    (FRESH..FRESH + ALL).map(|n| request(drop, n, n)).collect()
}

/// Reserves of one more unit for the regulars.
fn eleventh() -> Vec<Reserve> {
    (0..ALL).map(|n| request(PLENTY, FRESH + n, n)).collect()
}

fn reserve_new() -> Work {
    reserves(fresh(PLENTY))
}

fn reserve_ten() -> Work {
    reserves(eleventh())
}

/// A member's reserve through a window, of an item with two pools, at one of two prices.
fn reserve_with_rules() -> Work {
    reserves(fresh(RULED).into_iter().map(|request| Reserve { tiers: vec![gold()], ..request }).collect())
}

/// The same request again, answered from the hold that it made.
fn again() -> Work {
    let stage = Stage::new();
    stage.make(fresh(PLENTY).into_iter());
    each(stage.hold_up(), fresh(PLENTY), |engine, request| held(engine.reserve(request, Context::anonymous(NOW))))
}

fn releases(made: Vec<Reserve>) -> Work {
    let stage = Stage::new();
    stage.make(made.into_iter());
    let release = |n| Release { target: target(n), keep: Vec::new(), abandon_payment: false };
    let commands = (FRESH..FRESH + ALL).map(release).collect();
    each(stage.hold_up(), commands, |engine, command| held(engine.release(command, Context::anonymous(NOW))))
}

fn release_one() -> Work {
    releases(fresh(PLENTY))
}

fn release_eleven() -> Work {
    releases(eleventh())
}

/// Moves a deadline.
fn extend() -> Work {
    let stage = Stage::new();
    stage.make(fresh(PLENTY).into_iter().map(|request| Reserve { ttl: Some(SHORT), ..request }));
    let commands = (FRESH..FRESH + ALL).map(|n| Extend { target: target(n), ttl: None, stage: None }).collect();
    each(stage.hold_up(), commands, |engine, command| held(engine.extend(command, Context::anonymous(NOW))))
}

fn claim() -> Work {
    let stage = Stage::new();
    stage.make(fresh(PLENTY).into_iter());
    let claim = |n| Claim {
        target: target(n),
        order_ref: OrderRef::try_from(format!("order-{n}").as_str()).expect("a reference"),
        expired: ExpiredPolicy::Refuse,
        lines: Vec::new(),
    };
    let commands = (FRESH..FRESH + ALL).map(claim).collect();
    each(stage.hold_up(), commands, |engine, command| held(engine.claim(command, Context::anonymous(NOW))))
}

/// Reserves after the last unit was taken.
fn sold_out() -> Work {
    let stage = Stage::new();
    stage.make(std::iter::once(request(SOLD_OUT, 3 * FRESH, 3 * FRESH)));
    each(stage.hold_up(), fresh(SOLD_OUT), |engine, request| refused(engine.reserve(request, Context::anonymous(NOW))))
}

/// Reserves of customers who already have the one unit that they may have.
fn limit() -> Work {
    let stage = Stage::new();
    stage.make((FRESH..FRESH + ALL).map(|n| request(ONE_EACH, 3 * FRESH + n, n)));
    each(stage.hold_up(), fresh(ONE_EACH), |engine, request| refused(engine.reserve(request, Context::anonymous(NOW))))
}

/// A sweep of a thousand holds that are due in one millisecond, while another thousand are due later.
fn sweep() -> Work {
    let stage = Stage::new();
    let wave = |turn: usize, ttl: Millis| {
        let first = FRESH + turn * DUE;
        (first..first + DUE).map(move |n| Reserve { ttl: Some(ttl), ..request(PLENTY, n, n) })
    };
    let deadlines = [SHORT, Millis(2 * SHORT.0)];
    for (turn, ttl) in deadlines.into_iter().enumerate() {
        stage.make(wave(turn, ttl));
    }
    let engine = stage.hold_up();
    let turn = move |n: usize| {
        let now = after(*deadlines.get(n).expect("a wave for each turn"));
        let mut expired = 0;
        loop {
            match engine.sweep(now).expect("a sweep") {
                0 => break,
                some => expired += some,
            }
        }
        assert_eq!(expired, DUE, "all that were due");
    };
    Work { turn: Box::new(turn), warm: 1, counted: 1 }
}

/// The record of a reserve of one unit.
fn record(n: usize) -> Record {
    Record::Hold(Hold::from(HoldFields {
        id: id(n),
        drop: DropNo(0),
        state: HoldState::Held,
        customer: customer(7),
        content: ContentHash(0x9e37_79b9_7f4a_7c15),
        created_at: NOW,
        expires_at: Timestamp(NOW.0 + TTL.0),
        settled_at: Timestamp(0),
        has_grace: false,
        revision: Lsn(0),
        lines: Lines::from_slice(&[HoldLine::new(ItemNo(0), PoolNo(0), 1)]),
        extras: None,
    }))
}

fn encode() -> Work {
    let records: Vec<Record> = (0..ALL).map(record).collect();
    let mut bytes = Vec::with_capacity(1_024);
    let turn = move |n: usize| {
        bytes.clear();
        records.get(n).expect("a record for each turn").encode(&mut bytes);
        black_box(&bytes);
    };
    Work { turn: Box::new(turn), warm: WARM, counted: COUNTED }
}

fn decode() -> Work {
    let encoded = |n| {
        let mut bytes = Vec::new();
        record(n).encode(&mut bytes);
        bytes
    };
    let encoded: Vec<Vec<u8>> = (0..ALL).map(encoded).collect();
    let turn = move |n: usize| {
        let bytes = encoded.get(n).expect("bytes for each turn");
        black_box(Record::decode(black_box(bytes)).expect("a record"));
    };
    Work { turn: Box::new(turn), warm: WARM, counted: COUNTED }
}

//! Units and the journal: every prefix of the journal is a legal history, in which no unit is sold again before its
//! release.
//!
//! A releaser and a buyer of the only unit, with the counter next to this module and a journal behind a mutex. The
//! question is the order of each one's two steps. Records are ordered by their appends.

use std::sync::Arc;

use super::super::stock::{Certainty, StockCounter, TakeResult};
use super::SECOND;
use crate::run::{at, joined};
use crate::sync::{Mutex, live_at};

/// The order of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Units are taken, then the reserve is appended; a release is appended, then its units go back.
    TakeAppendGive,
    /// Fault: units go back before their release is appended.
    GiveBeforeAppend,
    /// Fault: a reserve is appended before its units are taken, and struck out if there are none.
    AppendBeforeTake,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Reserved,
    Released,
    StruckOut,
}

struct Engine {
    pool: StockCounter,
    journal: Mutex<Vec<Fact>>,
    order: Order,
}

impl Engine {
    fn append(&self, fact: Fact) {
        self.journal.lock().push(fact);
    }

    fn release(&self) {
        if self.order == Order::GiveBeforeAppend {
            self.pool.give(1);
            self.append(Fact::Released);
        } else {
            self.append(Fact::Released);
            self.pool.give(1);
        }
    }

    fn reserve(&self) {
        if self.order == Order::AppendBeforeTake {
            self.append(Fact::Reserved);
        }
        match self.pool.take(1, Certainty::Certain) {
            TakeResult::Taken(taken) => {
                if self.order != Order::AppendBeforeTake {
                    self.append(Fact::Reserved);
                }
                taken.keep();
            }
            TakeResult::Short { .. } | TakeResult::InDoubt => {
                if self.order == Order::AppendBeforeTake {
                    self.append(Fact::StruckOut);
                }
            }
        }
    }
}

/// A release of the only unit, and a request for it: no prefix of the journal has more out than received.
pub fn every_prefix_is_a_legal_history(order: Order) {
    let engine =
        Arc::new(Engine { pool: StockCounter::with_shape(0, 2, 1), journal: Mutex::new(vec![Fact::Reserved]), order });
    let releaser = engine.clone();
    let releaser = at(super::FIRST, move || releaser.release());
    live_at(SECOND);
    engine.reserve();
    joined(releaser);
    let mut out = 0_i32;
    for (place, fact) in engine.journal.lock().iter().enumerate() {
        out += if *fact == Fact::Reserved { 1 } else { -1 };
        assert!(out <= 1, "cut after record {place}, two have the only unit");
    }
}

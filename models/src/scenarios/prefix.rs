//! Units and the journal: every prefix of the journal is a legal history, in which no unit is sold again before its
//! release.
//!
//! A releaser and a buyer of the only unit, with the counter and a journal behind a mutex. Units are taken, then the
//! reserve is appended; a release is appended, then its units go back. Records are ordered by their appends.

use std::sync::Arc;

use stockade_counter::fault;
use stockade_counter::model::{at, joined};
use stockade_counter::stock::{Certainty, StockCounter, TakeResult};
use stockade_counter::sync::{Mutex, live_at};

use super::{FIRST, SECOND};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Reserved,
    Released,
    StruckOut,
}

struct Engine {
    pool: StockCounter,
    journal: Mutex<Vec<Fact>>,
}

impl Engine {
    fn append(&self, fact: Fact) {
        self.journal.lock().push(fact);
    }

    fn release(&self) {
        fault!(giving_back_before_the_record, {
            self.pool.give(1);
            return self.append(Fact::Released);
        });
        self.append(Fact::Released);
        self.pool.give(1);
    }

    fn reserve(&self) {
        fault!(a_record_before_its_units, return self.append_then_take());
        if let TakeResult::Taken(taken) = self.pool.take(1, Certainty::Certain) {
            self.append(Fact::Reserved);
            taken.keep();
        }
    }

    /// The reserve is struck out if there are no units.
    fn append_then_take(&self) {
        self.append(Fact::Reserved);
        match self.pool.take(1, Certainty::Certain) {
            TakeResult::Taken(taken) => taken.keep(),
            TakeResult::Short { .. } | TakeResult::InDoubt => self.append(Fact::StruckOut),
        }
    }
}

/// A release of the only unit, and a request for it: no prefix of the journal has more out than received.
pub fn every_prefix_is_a_legal_history() {
    let engine =
        Arc::new(Engine { pool: StockCounter::with_shape(0, 2, 1), journal: Mutex::new(vec![Fact::Reserved]) });
    let releaser = engine.clone();
    let releaser = at(FIRST, move || releaser.release());
    live_at(SECOND);
    engine.reserve();
    joined(releaser);
    let mut out = 0_i32;
    for (place, fact) in engine.journal.lock().iter().enumerate() {
        out += if *fact == Fact::Reserved { 1 } else { -1 };
        assert!(out <= 1, "cut after record {place}, two have the only unit");
    }
}

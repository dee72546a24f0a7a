//! Whether facts stand in the journal in an order that can be: no hold is made in a drop that has not opened, is paused or
//! has closed. Memory does not tell: at the end of a journal a drop's state is that of its last record.

use std::collections::HashMap;

use stockade_types::ids::{DropNo, Lsn};
use stockade_types::record::{Lifecycle, Record};

/// Most findings that are reported one by one: the first says what is wrong, the rest are of its kind.
const REPORTED_MAX: usize = 16;

/// Follows the records of a journal.
#[derive(Debug, Default)]
pub(super) struct FactOrder {
    /// Whether a drop takes reserves, as its last record says. Of a drop of whom no record was seen nothing is known.
    open: HashMap<DropNo, bool>,
    findings: Vec<String>,
    unreported: u64,
}

impl FactOrder {
    /// The next record.
    pub(super) fn see(&mut self, lsn: Lsn, record: &Record) {
        if let Record::DropFact(fact) = record {
            let Lifecycle { drop, paused, opened, closed } = fact.lifecycle;
            self.open.insert(drop, opened.is_some() && closed.is_none() && !paused);
        } else if let Record::Made(made) = record {
            self.made(lsn, made.hold.drop);
        } else if let Record::Superseded(superseded) = record {
            self.made(lsn, superseded.made.drop);
        }
    }

    fn made(&mut self, lsn: Lsn, drop: DropNo) {
        if self.open.get(&drop).copied().unwrap_or(true) {
            return;
        }
        if self.findings.len() < REPORTED_MAX {
            self.findings.push(format!("record {lsn} makes a hold in drop number {drop}, which is not open there"));
        } else {
            self.unreported = self.unreported.saturating_add(1);
        }
    }

    /// What is wrong.
    pub(super) fn findings(self) -> Vec<String> {
        let Self { open: _, mut findings, unreported } = self;
        if unreported > 0 {
            findings.push(format!("{unreported} more records make holds in drops that are not open there"));
        }
        findings
    }
}

//! Checks the order of a journal's records: no hold is made in a drop that has not opened, is paused or has closed.
//! Memory can't show this, since it has only the drop's last state.

use std::collections::HashMap;

use stockade_types::ids::{DropNo, Lsn};
use stockade_types::record::{Lifecycle, Record};

/// Most findings that are reported one by one; the others are counted.
const REPORTED_MAX: usize = 16;

/// Follows the records of a journal.
#[derive(Debug, Default)]
pub(crate) struct FactOrder {
    /// Whether the drop takes reserves, by its last record. A drop without a record so far is not checked.
    open: HashMap<DropNo, bool>,
    findings: Vec<String>,
    unreported: u64,
}

impl FactOrder {
    /// Takes the next record.
    pub(crate) fn see(&mut self, lsn: Lsn, record: &Record) {
        if let Record::DropFact(fact) = record {
            let Lifecycle { drop, paused, opened, closed, marks: _ } = &fact.lifecycle;
            self.open.insert(*drop, opened.is_some() && closed.is_none() && !*paused);
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

    /// The findings.
    pub(crate) fn findings(self) -> Vec<String> {
        let Self { open: _, mut findings, unreported } = self;
        if unreported > 0 {
            findings.push(format!("{unreported} more records make holds in drops that are not open there"));
        }
        findings
    }
}

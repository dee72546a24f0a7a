//! The drops of a dump: their names, and the holds of the requested drop.
//!
//! Records have the numbers of drops, items and pools. The names are in the drops' own records or, if the journal has
//! been trimmed, in a snapshot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use stockade_engine::lifecycle::data_folder::DataFolder;
use stockade_journal::snapshot;
use stockade_types::definition::Definition;
use stockade_types::hold::Hold;
use stockade_types::ids::{DropId, DropNo, HoldId};
use stockade_types::record::{Made, OldFact, Record};

use crate::cli::output::Output;

/// Drops by number, and the holds of one of them.
pub(super) struct KnownDrops {
    known: HashMap<DropNo, Arc<Definition>>,
    /// The requested drop; `None` for all.
    wanted: Option<DropId>,
    /// The holds of the requested drop that were seen so far; empty if none is requested.
    holds: HashSet<HoldId>,
}

impl KnownDrops {
    /// Without any drops.
    pub(super) fn new(wanted: Option<DropId>) -> Self {
        Self { known: HashMap::new(), wanted, holds: HashSet::new() }
    }

    /// The drop with this number, if its record was seen.
    pub(super) fn get(&self, number: DropNo) -> Option<&Definition> {
        self.known.get(&number).map(AsRef::as_ref)
    }

    /// Reads the oldest snapshot that can be read. Without one, drops that are older than the journal are shown by
    /// number, and their holds are unknown; a note says so.
    pub(super) fn read_snapshot(&mut self, folder: &DataFolder, output: &mut Output) {
        let snapshots = match snapshot::list(folder.snapshots.as_ref()) {
            Ok(snapshots) => snapshots,
            Err(error) => {
                output.complain(&format!(
                    "note: the snapshots can't be listed, older drops are shown by number: {error}"
                ));
                return;
            }
        };
        // The oldest one that can be read: the journal begins after it and has everything since.
        for from in snapshots.into_iter().rev() {
            let mut enough = false;
            let loaded = snapshot::load(folder.snapshots.as_ref(), from, |_revision, record| {
                // Drops come before holds: by then all names are known.
                enough = self.wanted.is_none() && matches!(record, Record::Hold(_) | Record::Made(_));
                self.meet(&record);
                if enough { Err(String::new()) } else { Ok(()) }
            });
            match loaded {
                Ok(_) => return,
                Err(_stopped) if enough => return,
                Err(error) => output
                    .complain(&format!("note: {error}; drops' names are read from another snapshot, if there is one")),
            }
        }
    }

    /// Learns from a record. Returns whether it is of the requested drop.
    pub(super) fn meet(&mut self, record: &Record) -> bool {
        if let Some(image) = record.drop_image() {
            self.known.insert(image.number, Arc::new(image.definition.clone()));
        }
        let of_drop = record.drop_number().or_else(|| hold_of(record).map(|hold| hold.drop));
        let Some(wanted) = &self.wanted else { return true };
        let matches = of_drop.and_then(|number| self.get(number)).is_some_and(|drop| drop.id == *wanted);
        match (hold_of(record), record) {
            // A forgotten id may have been used again, in another drop.
            (Some(hold), _) => self.note(hold, matches),
            (None, Record::Old(fact)) => match fact.as_ref() {
                OldFact::Change(id, _) => self.holds.contains(id),
                OldFact::Superseded { .. } => matches,
            },
            (None, Record::Facts(facts)) => {
                let is_of = |number: DropNo| self.get(number).is_some_and(|drop| drop.id == *wanted);
                facts.facts.iter().filter_map(|fact| fact.drop).any(is_of)
            }
            (None, _) => matches,
        }
    }

    fn note(&mut self, hold: &Hold, matches: bool) -> bool {
        if matches {
            self.holds.insert(hold.id);
        } else {
            self.holds.remove(&hold.id);
        }
        matches
    }
}

/// The whole hold in a record, if it has one.
fn hold_of(record: &Record) -> Option<&Hold> {
    match record {
        Record::Hold(hold) | Record::Made(Made { actor: _, hold }) => Some(hold),
        Record::Changed(change) => Some(&change.hold),
        Record::Superseded(superseded) => Some(&superseded.made),
        Record::Old(fact) => match fact.as_ref() {
            OldFact::Superseded { hold, .. } => Some(hold),
            OldFact::Change(..) => None,
        },
        Record::Drop(_)
        | Record::Lifecycle(_)
        | Record::DropFact(_)
        | Record::Upgraded(_)
        | Record::Restart(_)
        | Record::Adjusted(_)
        | Record::Stock(_)
        | Record::Adjustments(_)
        | Record::Archived(_)
        | Record::Defined(_)
        | Record::Occurrence(_)
        | Record::Delivered(_)
        | Record::Channel(_)
        | Record::Facts(_)
        | Record::FactsImage(_)
        | Record::Totals(_)
        | Record::Demand(_)
        | Record::Report(_)
        | Record::Usage(_) => None,
    }
}

/// Whether a record is of this hold.
pub(super) fn is_of(record: &Record, id: HoldId) -> bool {
    let another = if let Record::Superseded(superseded) = record {
        Some(superseded.ended.hold.id)
    } else if let Record::Old(fact) = record {
        match fact.as_ref() {
            OldFact::Change(changed, _) => Some(*changed),
            OldFact::Superseded { old, .. } => Some(*old),
        }
    } else {
        None
    };
    another == Some(id) || hold_of(record).is_some_and(|hold| hold.id == id)
}

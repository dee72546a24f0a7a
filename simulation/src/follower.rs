//! Followers of the journal on the disk. A start applies it all at once; a follower that applies it record by record,
//! from any place on, must reach the same state.

use stockade_engine::inventory::{BulkLoad, Inventory, ReplayError};
use stockade_journal::inspect;
use stockade_journal::snapshot;
use stockade_types::ids::Lsn;
use stockade_types::record::{Record, Restart};

use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::machine::Machine;

/// Places at which two followers are compared, in addition to the second one's first place and the end.
const MEETINGS: u64 = 2;

/// The journal as a start found it.
struct Journal<'m> {
    machine: &'m Machine,
    /// The first and the last LSN of the snapshot that the start used.
    snapshot: Option<(Lsn, Lsn)>,
    records: Vec<(Lsn, Record)>,
    last: Lsn,
}

/// A follower at one place of the journal.
struct Follower {
    at: Lsn,
    inventory: Inventory,
}

fn wrong(at: Lsn, error: &ReplayError) -> String {
    format!("a follower at {at}: {error}")
}

impl<'m> Journal<'m> {
    fn read(machine: &'m Machine, snapshot: Option<Lsn>, last: Lsn) -> Result<Self, String> {
        let ending = |from| {
            let loaded = snapshot::load(&machine.snapshots, from, |_, _| Ok(()));
            loaded.map(|loaded| (from, loaded.upto)).map_err(|error| error.to_string())
        };
        let snapshot = snapshot.map(ending).transpose()?;
        let mut records = Vec::new();
        for batch in inspect(&machine.journal).map_err(|error| error.to_string())? {
            // After what the start found, the engine may be writing already.
            let Ok(batch) = batch else { break };
            records.extend(batch.iter().map(|(lsn, record)| (lsn, record.clone())));
        }
        records.retain(|(lsn, _)| *lsn <= last);
        Ok(Self { machine, snapshot, records, last })
    }

    /// Whether it is kept from its first record on.
    fn is_whole(&self) -> bool {
        self.records.first().is_some_and(|(lsn, _)| *lsn == Lsn(1))
    }

    fn between(&self, from: Lsn, upto: Lsn) -> &[(Lsn, Record)] {
        let place = |lsn: Lsn| self.records.partition_point(|(known, _)| *known <= lsn);
        &self.records[place(from)..place(upto).max(place(from))]
    }

    /// The state at a place when everything up to it is loaded at once, with the snapshot or without.
    fn loaded(&self, snapshot: Option<(Lsn, Lsn)>, upto: Lsn) -> Result<Follower, String> {
        let load = BulkLoad::new(self.machine.folder().key);
        let from = snapshot.map_or(Lsn(0), |(from, _)| from);
        if snapshot.is_some() {
            let restore = |lsn, image: Record| load.restore(lsn, &image).map_err(|error| error.to_string());
            snapshot::load(&self.machine.snapshots, from, restore).map_err(|error| error.to_string())?;
        }
        for (lsn, record) in self.between(from, upto) {
            load.apply(*lsn, record).map_err(|error| wrong(*lsn, &error))?;
        }
        let inventory = load.finish(usize::MAX).map_err(|error| wrong(upto, &error))?;
        Ok(Follower { at: upto, inventory })
    }

    fn follow(&self, follower: &mut Follower, upto: Lsn) -> Result<[u8; 32], String> {
        for (lsn, record) in self.between(follower.at, upto) {
            follower.inventory.follow(*lsn, record).map_err(|error| wrong(*lsn, &error))?;
        }
        follower.at = upto;
        Ok(follower.inventory.digest())
    }
}

/// The digest of the journal that a start found, including the restart record if there was one. One follower goes
/// record by record from the journal's beginning or from the end of the snapshot that the start used. Another loads
/// everything up to some record at once and follows the rest. At some places and at the end both must have the same
/// state.
pub fn digest(
    machine: &Machine,
    (snapshot, last): (Option<Lsn>, Lsn),
    restart: Option<Restart>,
    dice: &mut Dice,
    coverage: &mut Coverage,
) -> Result<[u8; 32], String> {
    let journal = Journal::read(machine, snapshot, last)?;
    // A snapshot is consistent once all records up to its end are applied.
    let first = journal.snapshot.map_or(Lsn(0), |(_, upto)| upto);
    let mut one = if journal.snapshot.is_none() || (journal.is_whole() && dice.percent(50)) {
        coverage.count("followed from the beginning");
        journal.loaded(None, Lsn(0))?
    } else {
        coverage.count("followed from a snapshot's end");
        journal.loaded(journal.snapshot, first)?
    };
    coverage.count("followed from a record");
    let mut other = journal.loaded(journal.snapshot, Lsn(dice.between(first.0, last.0)))?;
    let mut places: Vec<Lsn> = (0..MEETINGS).map(|_| Lsn(dice.between(other.at.0, last.0))).collect();
    places.extend([other.at, last]);
    places.sort_unstable();
    places.dedup();
    for place in places {
        if journal.follow(&mut one, place)? != journal.follow(&mut other, place)? {
            return Err(format!("at {place} two followers know different things"));
        }
        coverage.count("followers met");
    }
    if let Some(restart) = restart {
        let next = journal.last.next();
        one.inventory.follow(next, &Record::Restart(restart)).map_err(|error| wrong(next, &error))?;
    }
    Ok(one.inventory.digest())
}

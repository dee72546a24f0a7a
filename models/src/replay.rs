//! Replaying a snapshot and the journal after it restores the state.
//!
//! A small engine: one hold id, a table, a journal, and a snapshot that is taken during requests. The id is reused
//! after its first hold was forgotten, of which there is no record. Each change is appended and entered under the
//! table's lock, as in the server. The question is how a replay knows which changes a snapshot includes: a hold's
//! revision is its record's place in the journal, and a snapshot reads the journal's end before it walks the table.

use std::sync::Arc;

use stockade_counter::model::{at, joined};
use stockade_counter::sync::Mutex;
use stockade_counter::{fault, sound};

/// Units that the hold grows by: a difference, so that applying it twice shows.
const MORE: u32 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Made(u32),
    Grown,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    units: u32,
    live: bool,
    revision: usize,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    step: Step,
    /// The hold's revision if a hold's revisions were 1, 2, 3, and started anew when its id is reused: a fault.
    dense: usize,
}

#[derive(Debug, Clone, Copy)]
struct Snapshot {
    /// The place after which a replay continues.
    from: usize,
    seen: Option<Hold>,
    /// The place that the journal must reach before the snapshot may be used.
    upto: usize,
}

struct Engine {
    table: Mutex<Option<Hold>>,
    journal: Mutex<Vec<Record>>,
}

/// Applies a step, live and in a replay.
fn apply(hold: &mut Option<Hold>, step: Step, revision: usize, guarded: bool) {
    if guarded && hold.is_some_and(|hold| hold.revision >= revision) {
        return;
    }
    match (step, hold.as_mut()) {
        (Step::Made(units), _) => *hold = Some(Hold { units, live: true, revision }),
        (Step::Grown, Some(hold)) => *hold = Hold { units: hold.units + MORE, revision, ..*hold },
        (Step::Ended, Some(hold)) => *hold = Hold { live: false, revision, ..*hold },
        (Step::Grown | Step::Ended, None) => {}
    }
}

impl Engine {
    /// Appends a record. Returns its place, from 1 on.
    fn append(&self, step: Step, dense: usize) -> usize {
        let mut journal = self.journal.lock();
        journal.push(Record { step, dense });
        journal.len()
    }

    fn change(&self, step: Step) {
        let mut table = self.table.lock();
        let dense = table.map_or(1, |hold| hold.revision + 1);
        fault!(a_change_that_is_entered_before_its_record, {
            // The place that its record will have: there is only one writer here.
            let place = self.journal.lock().len() + 1;
            apply(&mut table, step, place, false);
            drop(table);
            self.append(step, dense);
            return;
        });
        let place = self.append(step, dense);
        apply(&mut table, step, sound!(place, dense_revisions, dense), false);
    }

    /// An old ended hold leaves memory, without a record.
    fn forget(&self) {
        let mut table = self.table.lock();
        if table.is_some_and(|hold| !hold.live) {
            *table = None;
        }
    }

    fn snapshot(&self) -> Snapshot {
        let before = self.journal.lock().len();
        let seen = *self.table.lock();
        let upto = self.journal.lock().len();
        Snapshot { from: sound!(before, a_snapshot_that_begins_after_its_walk, upto), seen, upto }
    }

    fn replay(&self, Snapshot { from, seen, .. }: Snapshot) -> Option<Hold> {
        let mut hold = seen;
        for (before, record) in self.journal.lock().iter().enumerate().skip(from) {
            let revision = sound!(before + 1, dense_revisions, record.dense);
            apply(&mut hold, record.step, revision, sound!(true, a_replay_that_looks_at_no_revision, false));
        }
        hold
    }
}

/// A hold is made, ends and is forgotten, and its id is reused, while a snapshot is taken: a replay restores the state.
pub fn a_snapshot_and_what_follows_it_are_what_was_there() {
    let engine = Arc::new(Engine { table: Mutex::new(None), journal: Mutex::new(Vec::new()) });
    engine.change(Step::Made(1));
    let other = engine.clone();
    let snapshot = at(0, move || other.snapshot());
    engine.change(Step::Grown);
    engine.change(Step::Ended);
    engine.forget();
    engine.change(Step::Made(2));
    let snapshot = joined(snapshot);
    let replayed = engine.replay(snapshot);
    let (there, replayed) =
        (engine.table.lock().map(|hold| (hold.units, hold.live)), replayed.map(|hold| (hold.units, hold.live)));
    assert_eq!(replayed, there, "replayed from {snapshot:?}, it is another hold");
}

/// The same while the hold only grows: nothing is applied twice. The snapshot's `upto` covers everything that it
/// includes, so it is never used with a journal that has lost some of it.
pub fn a_change_is_never_applied_twice() {
    let engine = Arc::new(Engine { table: Mutex::new(None), journal: Mutex::new(Vec::new()) });
    engine.change(Step::Made(1));
    let other = engine.clone();
    let snapshot = at(0, move || other.snapshot());
    engine.change(Step::Grown);
    engine.change(Step::Grown);
    let snapshot = joined(snapshot);
    let known = snapshot.seen.map_or(0, |hold| hold.revision);
    assert!(known <= snapshot.upto, "{snapshot:?} knows what the journal does not");
    let replayed = engine.replay(snapshot);
    let (there, replayed) = (engine.table.lock().map(|hold| hold.units), replayed.map(|hold| hold.units));
    assert_eq!(replayed, there, "replayed from {snapshot:?}, it has other units");
}

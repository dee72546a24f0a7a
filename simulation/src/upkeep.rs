//! Background work: time, sweeps, archiving, snapshots.

use stockade_engine::background::agenda::AgendaEntry;
use stockade_engine::background::snapshots::Between;
use stockade_engine::inventory::DropEntry;
use stockade_journal::LogError;
use stockade_types::ids::Lsn;
use stockade_types::time::{Millis, Timestamp};

use crate::compare;
use crate::model::sale::is_of_sale;
use crate::model::state::ModelDrop;
use crate::model::words::drop_id;
use crate::model::{DROPS, HOUR};
use crate::simulation::{Checked, Doom, Plant, Simulation};

/// The journal is tended after a pause of at least this many milliseconds.
const TEND_EVERY: u64 = 250;
/// Shards of holds that a snapshot walks through.
const SHARDS: u64 = 4_096;
/// Levels of stock are looked at after this many milliseconds at the earliest.
const LOOK_EVERY: u64 = 10;
/// And the stock is compared with what was made known of it.
const COMPARE_EVERY: u64 = 100;
/// A drop that may be archived must be after this many milliseconds.
const ARCHIVED_WITHIN: u64 = 1_000;

impl Simulation {
    pub(crate) fn pass(&mut self) {
        let span = match self.dice.below(60) {
            0 => self.dice.below(2 * HOUR),
            1..=9 => self.dice.below(5_000),
            _ => self.dice.below(600),
        };
        self.machine.pass(span);
        self.log(&format!("{span} ms pass"));
        if span >= TEND_EVERY {
            self.tend();
        }
    }

    /// Runs one entry of the agenda for as long as it has more to do at once.
    pub(crate) fn have_turns(&mut self, entry: AgendaEntry, now: Timestamp) {
        let agenda = &mut self.running.as_mut().expect("an engine runs").agenda;
        while agenda.run_entry(entry, now) <= now {}
    }

    /// Applies due moments of drops. Each appends a record that changes no answer. If the journal accepts no records
    /// any more, the next step finds that.
    pub(crate) fn make_moments(&mut self) -> Checked {
        if self.doom.is_some() {
            return Ok(());
        }
        let before = self.engine().journal().appended().0;
        let early = if self.options.plant == Some(Plant::EarlyMark) { 700 } else { 0 };
        self.have_turns(AgendaEntry::Moments, self.machine.instant().plus(Millis(early)));
        self.moments_made(before)
    }

    /// Adds to the history the records that these moments have appended after the LSN `before`, where the history must
    /// end: for each drop of which something is due those of all of that, one but where a closing makes known how the
    /// stock has changed.
    pub(crate) fn moments_made(&mut self, before: u64) -> Checked {
        let after = self.engine().journal().appended().0;
        if self.history.last() != before {
            return self.violated(format!("the journal goes to {before}, the history to {}", self.history.last()));
        }
        self.truth.now = self.machine.now();
        let mut of_drop = Vec::new().into_iter();
        let mut turning = 0;
        for lsn in before + 1..=after {
            if of_drop.len() == 0 {
                let Some(drop) = self.truth.next_due() else {
                    return self.violated(format!("record {lsn} says that a moment has come, and none is due"));
                };
                self.coverage.count("did turn a drop");
                (turning, of_drop) = (drop, self.truth.clone().turn(drop).into_iter());
            }
            let (come, state) = of_drop.next().expect("a record of the drop");
            self.truth = state;
            if come.first().is_some_and(|what| is_of_sale(what)) {
                self.coverage.count("made known: before a closing");
                self.made_known(turning, &come);
            } else if turning >= DROPS.len() {
                self.coverage.count("did open a drop of a series");
                self.log("a drop of a series opens");
            } else {
                self.fired(turning, (&come, "moment"));
            }
            self.history.append(self.machine.now(), &self.truth);
        }
        match self.truth.next_due() {
            Some(drop) if !self.broken() => self.violated(format!("a moment of drop {drop} is due and has no record")),
            Some(_) | None => Ok(()),
        }
    }

    /// Tells what has come of a drop, and counts each kind.
    pub(crate) fn fired(&mut self, drop: usize, (come, by): (&[String], &str)) {
        for what in come.iter().filter(|what| !what.is_empty()) {
            let kinds = [
                ("opens", "window opens"),
                ("closes", "window closes"),
                (" start", "price begins"),
                (" end", "price ends"),
                ("step", "step"),
                ("flows", "flow"),
                ("tranche", "tranche"),
                ("begins", "slot"),
            ];
            let kind = kinds.into_iter().find(|(word, _)| what.contains(word)).map_or("else", |(_, kind)| kind);
            self.coverage.count(&format!("fired by {by}: {kind}"));
            let ModelDrop { closed, fired, .. } = &self.truth.drops[drop];
            if kind == "slot" && closed.is_some_and(|closed| fired.get(what).is_some_and(|at| closed < *at)) {
                self.coverage.count("fired by moment: slot after the closing");
            }
        }
        self.log(&format!("of {drop} has come {come:?}, by {by}"));
    }

    /// Looks at levels of stock. What is reached then fires, once for each drop; nothing fires otherwise, nor between two
    /// looks.
    pub(crate) fn look(&mut self) -> Checked {
        let now = self.machine.now();
        let is_time = self.looked.is_none_or(|looked| looked + LOOK_EVERY <= now);
        self.truth.now = now;
        let watched: Vec<usize> = (0..DROPS.len()).filter(|drop| self.truth.watches(*drop)).collect();
        self.have_turns(AgendaEntry::StockLevels, self.machine.instant());
        if is_time && !watched.is_empty() {
            self.looked = Some(now);
            for drop in watched {
                let reached = self.truth.reached(drop);
                if reached.is_empty() {
                    continue;
                }
                self.truth.fire(drop, &reached);
                self.history.append(now, &self.truth);
                self.fired(drop, (&reached, "level"));
            }
        }
        let appended = self.engine().journal().appended().0;
        if appended == self.history.last() || self.broken() {
            return Ok(());
        }
        self.violated(format!("after a look the journal goes to {appended}, the history to {}", self.history.last()))
    }

    /// Makes known what has changed of the stock, once for each drop on sale; nothing else is, nor sooner.
    pub(crate) fn make_known(&mut self) -> Checked {
        let now = self.machine.now();
        let is_time = self.compared.is_none_or(|compared| compared + COMPARE_EVERY <= now);
        self.truth.now = now;
        let on_sale: Vec<usize> = (0..DROPS.len()).filter(|drop| self.truth.is_on_sale(*drop)).collect();
        self.have_turns(AgendaEntry::Sale, self.machine.instant());
        if is_time && (!on_sale.is_empty() || self.truth.has_open_series()) {
            self.compared = Some(now);
            for drop in on_sale {
                let changes = self.truth.changes_of_sale(drop);
                if changes.is_empty() {
                    continue;
                }
                self.truth.make_known(drop, &changes);
                self.history.append(now, &self.truth);
                self.made_known(drop, &changes);
            }
        }
        let appended = self.engine().journal().appended().0;
        if appended == self.history.last() || self.broken() {
            return Ok(());
        }
        let last = self.history.last();
        self.violated(format!("after the stock was compared the journal goes to {appended}, the history to {last}"))
    }

    /// Tells what was made known of a drop's stock, and counts each kind.
    pub(crate) fn made_known(&mut self, drop: usize, changes: &[String]) {
        for what in changes {
            let words = ["sold out", "back", "band"];
            let kind = words.into_iter().find(|word| what.starts_with(word)).unwrap_or("else");
            self.coverage.count(&format!("made known: {kind}"));
        }
        self.log(&format!("of {drop} was made known {changes:?}"));
    }

    /// Makes the journal's next segment in advance.
    fn tend(&mut self) {
        if self.doom.is_some() {
            return;
        }
        let tended = self.engine().journal().tend();
        self.coverage.count(if tended.is_ok() { "did tend" } else { "fault of tending" });
        if self.machine.crashed() {
            self.coverage.count("crash at an operation of the disk");
            self.doom = Some(Doom::Machine);
        } else if tended.is_err_and(|error| matches!(*error, LogError::Unknown(_) | LogError::Gone(_))) {
            self.coverage.count("fault of the journal");
            self.doom = Some(Doom::Process);
        }
    }

    /// Sets the wall clock.
    pub(crate) fn set_wall(&mut self) {
        let wall = self.machine.wall();
        let by = self.dice.below(20_000);
        let (to, direction) =
            if self.dice.percent(50) { (wall + by, "ahead") } else { (wall.saturating_sub(by), "back") };
        self.coverage.count(&format!("clock jumped {direction}"));
        self.machine.set_wall(to);
        self.log(&format!("the wall clock jumps {direction} by {by}"));
    }

    /// Runs the sweeper on all due holds, and checks that none of them is live afterwards.
    pub(crate) fn sweep(&mut self) -> Checked {
        let before = self.before();
        let due = before.due.len();
        let mut now = self.machine.instant();
        if self.options.plant == Some(Plant::EarlyExpiry) {
            now = now.plus(Millis(700));
        }
        if self.options.plant != Some(Plant::LateExpiry) {
            self.have_turns(AgendaEntry::DueHolds, now);
            self.have_turns(AgendaEntry::Eviction, now);
        }
        self.coverage.count("did sweep");
        self.log(&format!("sweep of {due}"));
        self.explain(before)?;
        let late = self.before().due;
        if !late.is_empty() {
            return self.violated(format!("holds {late:?} live behind their deadline and a sweep"));
        }
        self.check(compare::conserved(&self.engine()))
    }

    /// Runs each entry of the agenda, archiving last, and checks that none has anything left to do.
    pub(crate) fn run_agenda(&mut self) -> Checked {
        self.make_moments()?;
        self.look()?;
        self.make_known()?;
        self.sweep()?;
        self.archive()?;
        self.look_at_series()?;
        if self.options.plant.is_some() {
            return Ok(());
        }
        let now = self.machine.instant();
        let next = self.running.as_mut().expect("an engine runs").agenda.run_due(now);
        if next <= now || self.engine().journal().appended().0 != self.history.last() {
            return self.violated(format!("all was done, and the agenda has more to do at {next}"));
        }
        Ok(())
    }

    /// Archives drops that may be archived, with a record each. During a snapshot their holds stay in memory.
    fn archive(&mut self) -> Checked {
        let before = self.engine().journal().appended();
        self.have_turns(AgendaEntry::Archiving, self.machine.instant());
        let engine = self.engine();
        let archived_at = |drop: &usize| {
            let archived = |lsn: &Lsn| *lsn > before;
            engine.inventory().drops.with_id(&drop_id(DROPS[*drop]), |entry| {
                entry.read().archived.as_ref().map(|(lsn, _)| *lsn).filter(archived)
            })
        };
        let mut archived: Vec<(Lsn, usize)> =
            (0..DROPS.len()).filter_map(|drop| Some((archived_at(&drop)??, drop))).collect();
        archived.sort_unstable();
        let now = self.machine.now();
        self.truth.now = now;
        for (lsn, drop) in archived {
            if !self.truth.archive_one(drop) {
                return self.violated(format!("drop {drop} was archived by {lsn}, which is not expected"));
            }
            self.coverage.count(if self.nested { "did archive in a snapshot" } else { "did archive" });
            self.log(&format!("{drop} archived"));
            self.history.append(now, &self.truth);
        }
        if engine.journal().appended().0 != self.history.last() {
            return self.violated("archiving has appended something else");
        }
        self.see_what_left();
        self.nothing_is_left_for_long()
    }

    /// Updates for each archived drop whether its holds have left memory.
    fn see_what_left(&mut self) {
        let engine = self.engine();
        for (drop, id) in self.truth.drops.iter_mut().zip(DROPS) {
            let left = engine.inventory().drops.with_id(&drop_id(id), DropEntry::has_no_pools);
            drop.leaving = drop.archived.is_some() && left == Some(false);
        }
    }

    /// Checks that no drop stays unarchived for long once it may be archived.
    fn nothing_is_left_for_long(&mut self) -> Checked {
        let now = self.machine.now();
        for drop in 0..DROPS.len() {
            let may_be = self.truth.clone().archive_one(drop) && self.doom.is_none();
            let since = *self.may_be_archived[drop].get_or_insert(now);
            if !may_be {
                self.may_be_archived[drop] = None;
            } else if since + ARCHIVED_WITHIN <= now {
                return self.violated(format!("drop {drop} is not archived, which is expected since {since}"));
            }
        }
        Ok(())
    }

    /// Takes a snapshot, with requests between its parts.
    pub(crate) fn snapshot(&mut self) -> Checked {
        let engine = self.engine();
        let storage = self.machine.snapshots.clone();
        let now = self.machine.now();
        self.times.push(now);
        self.log("snapshot begins");
        self.nested = true;
        let busy = self.dice.percent(70);
        let mut next = if busy { self.dice.below(SHARDS) } else { u64::MAX };
        let (mut shard, mut outcome, mut forced) = (0, Ok(()), 0);
        let taken = engine.snapshot_in_steps(&storage, self.machine.instant(), &mut |between| {
            let steps = match between {
                Between::Shards => {
                    shard += 1;
                    if shard != next {
                        return;
                    }
                    next += 1 + self.dice.below(SHARDS);
                    self.dice.below(6)
                }
                Between::WalkAndSync | Between::NameAndPrune | Between::PruneAndTrim if busy => self.dice.below(4),
                Between::WalkAndSync | Between::NameAndPrune | Between::PruneAndTrim => 0,
            };
            if between == Between::PruneAndTrim {
                self.coverage.count("did trim");
            }
            if outcome.is_ok() {
                outcome = self.between(between, steps);
            }
            if between == Between::WalkAndSync {
                forced = self.written;
            }
        });
        self.nested = false;
        self.coverage.count("did snapshot");
        self.log(&format!(
            "snapshot: {}",
            taken.as_ref().map_or_else(ToString::to_string, |taken| taken.from.to_string())
        ));
        outcome?;
        if taken.is_ok() && self.doom.is_none() {
            // Records up to here were forced for the snapshot, whatever the durability; later ones may not have been.
            self.certain = self.certain.max(forced);
        }
        if taken.is_err() && self.doom.is_none() {
            self.coverage.count("fault of a snapshot");
        }
        if self.machine.crashed() {
            self.coverage.count("crash in a snapshot");
            self.doom = Some(Doom::Machine);
        }
        if self.doom.is_none() && self.broken() {
            // The log can fail during a snapshot's sync or trim: then no ticket resolves any more.
            self.coverage.count("fault of the journal");
            self.doom = Some(Doom::Process);
        }
        Ok(())
    }

    /// Whether the journal accepts no records any more.
    pub(crate) fn broken(&self) -> bool {
        self.engine().journal().permit().is_err()
    }

    fn between(&mut self, between: Between, steps: u64) -> Checked {
        let done = self.meanwhile(steps).and_then(|()| self.let_sync(between));
        if done.is_err() || self.doom.is_some() {
            // The run or the process ends: the writer does not run any more, so nothing may wait for it.
            self.running.as_mut().expect("an engine runs").writer.abandon();
        }
        done
    }

    /// The machine may stop here. Otherwise, before the snapshot waits for durability, runs the writer until everything
    /// is durable or has failed.
    fn let_sync(&mut self, between: Between) -> Checked {
        if self.dice.percent(self.weather.crashes) && self.doom.is_none() {
            self.log("the power goes in a snapshot");
            self.machine.stop();
            self.doom = Some(Doom::Machine);
        }
        if between == Between::WalkAndSync {
            let engine = self.engine();
            while self.doom.is_none() && engine.journal().durable() < engine.journal().appended() {
                self.turn()?;
            }
        }
        Ok(())
    }
}

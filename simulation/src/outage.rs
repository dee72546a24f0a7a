//! Ends and starts of the process and the machine: what survives, and that it equals the model at that place of the
//! journal.

use std::sync::Arc;

use stockade_engine::Engine;
use stockade_engine::background::agenda::{Agenda, AgendaEntry};
use stockade_engine::inventory::OccurrenceTable;
use stockade_engine::lifecycle::recover::{CLOCK_TOLERANCE, RecoverError, Recovered, recover_driven};
use stockade_engine::lifecycle::verify::verify_folder;
use stockade_journal::storage::simulated::StorageOperation;
use stockade_journal::{Durability, Step, Writer};
use stockade_types::record::{Marks, Restart};
use stockade_types::time::{Millis, Timestamp};

use crate::compare;
use crate::dice::Dice;
use crate::follower;
use crate::machine::Part;
use crate::model::DROPS;
use crate::model::state::Model;
use crate::model::words::START;
use crate::simulation::{Checked, Doom, Plant, Running, Simulation};

/// How many starts in a row may fail because of disk faults.
const STARTS_MAX: u64 = 50;

impl Simulation {
    /// Ends the process or the machine now, or the machine in the middle of one of the disk's next operations.
    pub(crate) fn crash(&mut self) {
        match self.dice.below(4) {
            0 => self.doom = Some(Doom::Process),
            1 => self.doom = Some(Doom::Machine),
            _ => {
                let part = if self.dice.percent(70) { Part::Journal } else { Part::Snapshots };
                let reported = self.machine.doom(part, &mut self.dice);
                self.log(&reported);
            }
        }
    }

    pub(crate) fn end_if_doomed(&mut self) -> Checked {
        loop {
            if self.machine.crashed() {
                self.doom = Some(Doom::Machine);
            }
            // A fault that was armed for a start may hit after it: the reader forces the journal then.
            match self.doom.take() {
                None => return Ok(()),
                Some(doom) => self.restart(doom)?,
            }
        }
    }

    /// Checks why the writer has ended although the journal was not closed. It can't be continued.
    pub(crate) fn journal_failed(&mut self, failures: usize) -> Checked {
        let crashed = self.machine.crashed();
        if !crashed && self.machine.failures().len() == failures {
            return self.violated("the journal has failed, and nothing of the disk has");
        }
        self.coverage.count(if crashed { "crash at an operation of the disk" } else { "fault of the journal" });
        let engine = self.engine();
        let durable = engine.journal().durable().0;
        if engine.journal().permit().is_ok() {
            return self.violated("the journal has failed and takes more");
        }
        for mut pending in std::mem::take(&mut self.pending) {
            match pending.poll() {
                Some(true) => self.reported(pending.lsn(), durable)?,
                Some(false) => self.coverage.count("call unknown"),
                None => return self.violated("the journal has failed and a caller still waits"),
            }
        }
        self.doom = Some(if crashed || self.dice.percent(50) { Doom::Machine } else { Doom::Process });
        Ok(())
    }

    pub(crate) fn stop_and_start(&mut self) -> Checked {
        self.stop_in_order()?;
        let doom = if self.dice.percent(50) { Doom::Process } else { Doom::Machine };
        self.restart(doom)
    }

    /// Stops in order: accepts nothing more, writes what is queued, and closes the journal.
    pub(crate) fn stop_in_order(&mut self) -> Checked {
        let engine = self.engine();
        let failures = self.machine.failures().len();
        self.times.push(self.machine.now());
        let asked = engine.journal().close(self.machine.instant());
        let writer = &mut self.running.as_mut().expect("an engine runs").writer;
        self.history.batch_ends(engine.journal().appended().0);
        while writer.step() == Step::Wrote {}
        let closed = asked.and_then(|()| engine.journal().close(self.machine.instant()));
        self.log(&format!("stop: {}", if closed.is_ok() { "in order" } else { "failed" }));
        match closed {
            Ok(()) => {
                self.certain = engine.journal().appended().0;
                self.written = self.certain;
                self.coverage.count("stop in order");
                if engine.journal().durable() != engine.journal().appended() {
                    return self.violated("closed in order, and not all is durable");
                }
                self.answers()
            }
            Err(_) if self.machine.failures().len() > failures || self.machine.crashed() => Ok(()),
            Err(error) => self.violated(format!("the journal could not be closed: {error}")),
        }
    }

    /// Ends the process, or the machine too, and starts again on what is left.
    pub(crate) fn restart(&mut self, doom: Doom) -> Checked {
        let durable = self.engine().journal().durable().0;
        self.running = None;
        for mut pending in std::mem::take(&mut self.pending) {
            match self.heard(&mut pending) {
                Some(true) => self.reported(pending.lsn(), durable)?,
                Some(false) => self.coverage.count("call unknown"),
                None => {
                    self.waits(pending.lsn(), durable)?;
                    self.coverage.count("call unknown");
                }
            }
        }
        self.end(doom);
        if self.options.plant == Some(Plant::LostBatch) {
            self.cut_newest_batch();
        }
        if self.dice.percent(10) && self.weather.durability == Durability::Sync {
            self.verify()?;
        }
        let mut accept_clock = false;
        for _ in 0..STARTS_MAX {
            if self.dice.percent(2 * self.weather.faults) {
                let reported = self.machine.arm(Part::Journal, &mut self.dice);
                self.log(&format!("in the start {reported}"));
            }
            let failures = self.machine.failures().len();
            let wall = self.machine.wall_instant();
            match recover_driven(&self.machine.folder(), &self.start_options(accept_clock), &|| wall) {
                Ok((recovered, writer)) => return self.recovered(recovered, writer, wall),
                Err(RecoverError::Clock { wall, last }) if !accept_clock && last > wall.plus(CLOCK_TOLERANCE) => {
                    self.coverage.count("clock refused a start");
                    accept_clock = true;
                }
                Err(error) if self.machine.failures().len() > failures => {
                    self.coverage.count("fault of a start");
                    self.log(&format!("a start fails: {error}"));
                    let doom = if self.dice.percent(50) { Doom::Machine } else { Doom::Process };
                    self.end(doom);
                }
                Err(error) => return self.violated(format!("a start is refused: {error}")),
            }
        }
        self.violated("no start succeeds")
    }

    /// Counts the machine's failed operations before the process ends.
    pub(crate) fn count_failures(&mut self) {
        for operation in self.machine.failures() {
            let what = match operation {
                StorageOperation::Create => "create",
                StorageOperation::Append => "append",
                StorageOperation::SyncData => "sync",
                StorageOperation::Rename => "rename",
                StorageOperation::Remove => "remove",
                StorageOperation::SyncDir => "sync of names",
            };
            self.coverage.count(&format!("fault {what}"));
        }
    }

    fn end(&mut self, doom: Doom) {
        self.count_failures();
        if doom == Doom::Machine && self.weather.durability == Durability::Os {
            self.coverage.count("crash of the machine with os durability");
            // Acknowledged records may be lost: no more is promised.
            (self.written, self.acknowledged) = (self.certain, self.acknowledged.min(self.certain));
        }
        match doom {
            Doom::Process => {
                self.coverage.count("crash of the process");
                self.machine.reopen();
            }
            Doom::Machine => {
                self.coverage.count("crash of the machine");
                self.machine.reboot(&mut self.dice);
            }
        }
        if self.options.plant == Some(Plant::LyingSync) {
            self.machine.journal.lie();
        }
        self.log(&format!("the {doom:?} ends"));
        let outage = if self.dice.percent(50) { 0 } else { self.dice.below(3_000) };
        self.machine.pass(outage);
    }

    fn verify(&mut self) -> Checked {
        self.coverage.count("verified offline");
        match verify_folder(&self.machine.folder()) {
            Ok(verified) if verified.findings.is_empty() => Ok(()),
            Ok(verified) => self.violated(format!("an offline look finds {:?}", verified.findings)),
            Err(error) => self.violated(format!("an offline look fails: {error}")),
        }
    }

    fn recovered(&mut self, recovered: Recovered, writer: Writer, wall: Timestamp) -> Checked {
        let Recovered { engine, now, last_snapshot: _, report } = recovered;
        let upto = engine.journal().durable().0;
        self.log(&format!("recovered {upto} of {}, {} certain: {report:?}", self.history.last(), self.certain));
        self.count_recovery(&report, upto);
        if upto < self.acknowledged.max(self.certain).max(self.written) {
            let (reported, certain) = (self.acknowledged, self.certain.max(self.written));
            return self.violated(format!("{upto} was recovered, {reported} was acknowledged, {certain} was durable"));
        }
        if !self.history.is_end(upto) {
            return self.violated(format!("{upto} was recovered: no batch ends there"));
        }
        let Some(moment) = self.history.at(upto).cloned() else {
            return self.violated(format!("{upto} was recovered: there was no such record"));
        };
        if now < wall || now.0 < START.0 + moment.at {
            return self.violated(format!("time starts at {now}, before the wall clock or the last record"));
        }
        self.machine.begin(now);
        self.history.cut(upto);
        (self.certain, self.written, self.acknowledged) = (upto, upto, upto.min(self.acknowledged));
        let engine = Arc::new(engine);
        self.running = Some(Running { engine: Arc::clone(&engine), writer, agenda: Agenda::new(Arc::clone(&engine)) });
        let (known, appended) = (engine.inventory().digest(), engine.journal().appended().0);
        self.may_be_archived = [None; DROPS.len()];
        (self.looked, self.compared) = (None, None);
        if self.options.plant == Some(Plant::ForgottenMarks) {
            forget_marks(&engine);
        }
        if self.options.plant == Some(Plant::ForgottenOccurrences) {
            *engine.inventory().occurrences.lock() = OccurrenceTable::default();
        }
        // Moments that passed during the outage are applied now. If the journal can't accept their records, the next
        // step finds that.
        self.have_turns(AgendaEntry::Moments, self.machine.instant());
        let mut wrong = format!("time starts at {now}, but neither a record nor the wall clock says so");
        for last in self.last_times(moment.at, now, wall) {
            let (mut model, moved) = self.with_grace(&moment.model, last, START.until(now).0);
            model.now = self.machine.now();
            let mut turned = model.clone();
            turned.turn_all();
            if moved != (appended > upto) {
                wrong = format!("grace from {last}: the model gives it: {moved}, the journal goes to {appended}");
                continue;
            }
            match compare::all(&engine, &turned, self.machine.instant()) {
                Ok(()) => {
                    let restart = report.grace_until.map(|grace_until| Restart {
                        stopped_at: START.plus(Millis(last)),
                        grace_until,
                        at: None,
                    });
                    if moved {
                        self.coverage.count("recovery gave grace");
                        self.history.append(self.machine.now(), &model);
                    }
                    self.truth = model;
                    self.moments_made(appended)?;
                    // A generator of its own: this check does not change the run.
                    let mut dice = Dice::new(self.seed.rotate_left(32) ^ upto);
                    let found = (report.snapshot, report.last);
                    return match follower::digest(&self.machine, found, restart, &mut dice, &mut self.coverage) {
                        Ok(digest) if digest == known => {
                            self.reader.begin_again();
                            self.read_history()
                        }
                        Ok(_) => self.violated(format!("recovered at {upto}: a follower knows something else")),
                        Err(what) => self.violated(format!("recovered at {upto}: {what}")),
                    };
                }
                Err(what) => wrong = what,
            }
        }
        self.violated(format!("recovered at {upto}: {wrong}"))
    }

    /// The possible instants of the last stop that the disk knows: that of the last record, or of a later snapshot or
    /// stop.
    fn last_times(&self, at: u64, now: Timestamp, wall: Timestamp) -> Vec<u64> {
        let mut times: Vec<u64> = self.times.iter().copied().filter(|time| *time > at).collect();
        times.push(at);
        times.sort_unstable();
        times.dedup();
        // Engine time starts at the later of that instant and the wall clock.
        times.retain(|last| START.0 + last.max(&START.until(wall).0) == now.0);
        times
    }

    /// The model with the outage's grace applied. Also returns whether that moved any hold.
    fn with_grace(&self, model: &Model, last: u64, now: u64) -> (Model, bool) {
        let (mut model, until) = (model.clone(), now + self.weather.grace);
        // A start leaves no holds of archived drops in memory.
        model.drops.iter_mut().for_each(|drop| drop.leaving = false);
        let mut moved = false;
        for hold in model.holds.values_mut().filter(|hold| hold.is_live()) {
            if last < hold.expires_at && hold.expires_at < until {
                (hold.expires_at, hold.grace) = (until, true);
                moved = true;
            }
        }
        (model, moved)
    }

    fn count_recovery(&mut self, report: &stockade_engine::lifecycle::recover::Report, upto: u64) {
        self.coverage.count("recovery");
        let more = if upto > self.certain { "of" } else { "without" };
        if self.history.last() > self.certain {
            self.coverage.count(&format!("recovery {more} unacknowledged records"));
        }
        for (is, what) in [(report.cut.is_some(), "cut a torn tail"), (report.snapshot.is_some(), "from a snapshot")] {
            if is {
                self.coverage.count(&format!("recovery {what}"));
            }
        }
    }

    /// Loses bytes that were forced, as a faulty disk would.
    fn cut_newest_batch(&mut self) {
        let mut files = self.machine.journal.files();
        if let Some(bytes) = files.values_mut().next_back() {
            let cut = bytes.len().saturating_sub(150);
            bytes.truncate(cut.max(64.min(bytes.len())));
        }
        self.machine.journal = stockade_journal::storage::SimulatedStorage::with_files(files);
    }
}

/// Does what a faulty start would do that does not read marks.
fn forget_marks(engine: &Engine) {
    for drop in engine.inventory().drops.all() {
        drop.write().lifecycle.marks = Marks::default();
    }
}

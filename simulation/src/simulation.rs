//! The state of a run, and the choice of the next step.

use std::sync::Arc;

use stockade_engine::background::agenda::Agenda;
use stockade_engine::lifecycle::recover::StartOptions;
use stockade_engine::{Bounds, Engine};
use stockade_journal::{Durability, FileLogOptions, Step as WriterStep, Writer};
use stockade_types::time::Millis;

use crate::calls::{Pending, Sent};
use crate::compare;
use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::history::History;
use crate::machine::{Machine, Part};
use crate::model::state::Model;
use crate::model::stock::Reconcile;
use crate::model::{ARCHIVE_AFTER, DROPS};
use crate::reader::Reader;
use crate::trace::{Trace, Violation};

/// A result that ends the run with a violation.
pub type Checked<T = ()> = Result<T, Box<Violation>>;

/// How to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Steps of a run.
    pub steps: u64,
    /// Whether each step is printed.
    pub trace: bool,
    /// A fault in the engine's surroundings that the checks must find.
    pub plant: Option<Plant>,
}

impl Default for Options {
    fn default() -> Self {
        Self { steps: 220, trace: false, plant: None }
    }
}

/// Faults that no engine can withstand, or that imitate a faulty engine: each must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// The disk reports that it has forced what it has not.
    LyingSync,
    /// The newest batch, acknowledged, is cut out of the journal before a start.
    LostBatch,
    /// Callers get their answers before anything is durable.
    EarlyAcknowledgement,
    /// The sweeper's clock is ahead: holds expire before their deadline.
    EarlyExpiry,
    /// The sweeper does not run: holds live beyond their deadline.
    LateExpiry,
    /// A released unit returns to the stock twice.
    UnitTwice,
    /// Limits are left out of one request in eight.
    LimitPassed,
    /// A start gives no grace.
    NoGrace,
    /// A repeated request is decided anew instead of getting the same answer.
    ForgottenKey,
    /// A refusal that shows a hold is sent before that hold is durable.
    EarlyRefusal,
    /// A call that changes nothing appends a record nevertheless.
    StrayRecord,
    /// Callers never get an answer, whatever is durable.
    NeverTold,
    /// The history shows what was written, even if it is not forced.
    UnforcedHistory,
    /// More of the disk is changed than the checks know, so that a start refuses although they expect it to go on.
    TimidStart,
    /// What a drop plans comes before its instant.
    EarlyMark,
    /// A start forgets what of a drop's rules has fired.
    ForgottenMarks,
    /// A start forgets what came of the occurrences of series.
    ForgottenOccurrences,
    /// What is kept of deliveries is behind what was delivered.
    LateDelivery,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doom {
    /// The process alone: everything written is still on the disk.
    Process,
    /// The machine: what was not forced may be lost.
    Machine,
}

/// The engine while one runs.
#[derive(Debug)]
pub struct Running {
    pub engine: Arc<Engine>,
    pub writer: Writer,
    pub agenda: Agenda,
}

/// How rough this run is, drawn from its seed: some runs have no faults, others very many.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Percent of the steps in which a disk operation is made to fail.
    pub faults: u64,
    /// Percent of the steps in which the process or the machine ends.
    pub crashes: u64,
    /// Percent of the steps in which the writer runs.
    pub turns: u64,
    pub grace: u64,
    pub segment_bytes: u64,
    /// With `os`, a record is acknowledged once it is written; it is forced only at times.
    pub durability: Durability,
}

impl Weather {
    fn draw(dice: &mut Dice) -> Self {
        Self {
            faults: dice.weighted(&[(2, 0), (2, 1), (1, 4)]),
            crashes: dice.weighted(&[(1, 0), (4, 1), (2, 3)]),
            turns: dice.weighted(&[(1, 5), (3, 20), (1, 60)]),
            grace: dice.weighted(&[(1, 0), (1, 300), (2, 2_000), (1, 30_000)]),
            segment_bytes: dice.weighted(&[(2, 700), (2, 4_000), (1, 1 << 20)]),
            durability: dice.weighted(&[(5, Durability::Sync), (1, Durability::Os)]),
        }
    }
}

/// One run.
#[derive(Debug)]
pub struct Simulation {
    pub(crate) seed: u64,
    pub(crate) options: Options,
    pub(crate) weather: Weather,
    pub(crate) dice: Dice,
    pub(crate) machine: Machine,
    pub(crate) running: Option<Running>,
    pub(crate) doom: Option<Doom>,
    /// The model by the engine's records: a due hold is expired only once a record says so.
    pub(crate) truth: Model,
    pub(crate) history: History,
    /// Everything up to this LSN must survive a crash of the machine.
    pub(crate) certain: u64,
    /// Everything up to this LSN must survive a crash of the process alone.
    pub(crate) written: u64,
    /// The highest record of an answer that a caller got.
    pub(crate) acknowledged: u64,
    pub(crate) pending: Vec<Pending>,
    pub(crate) sent: Vec<Sent>,
    /// When snapshots were taken and the journal was closed: a start may take the last instant from there.
    pub(crate) times: Vec<u64>,
    pub(crate) reader: Reader,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    /// Whether a snapshot is being taken; requests are then made between its parts.
    pub(crate) nested: bool,
    /// Since when each drop may be archived and is not.
    pub(crate) may_be_archived: [Option<u64>; DROPS.len()],
    /// When this process has looked at levels of stock last.
    pub(crate) looked: Option<u64>,
    /// When this process has compared the stock last with what was made known of it.
    pub(crate) compared: Option<u64>,
    /// The last reconciliation that was drawn.
    pub(crate) reconciled: Option<Reconcile>,
}

/// The kinds of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Call,
    Again,
    Turn,
    Answers,
    Pass,
    Sweep,
    Look,
    Operator,
    Agenda,
    Snapshot,
    SetWall,
    Compare,
    Rot,
    Stop,
}

impl Simulation {
    pub fn run(mut self) -> Checked<(Coverage, Trace)> {
        for _ in 0..self.options.steps {
            self.step()?;
            self.end_if_doomed()?;
        }
        self.stop_in_order()?;
        self.count_failures();
        self.coverage.add("records", self.history.last());
        self.coverage.add("steps", self.trace.steps());
        Ok((self.coverage, self.trace))
    }

    pub(crate) fn draw_weather(dice: &mut Dice) -> Weather {
        Weather::draw(dice)
    }

    fn step(&mut self) -> Checked {
        self.make_moments()?;
        if !self.nested && self.dice.percent(self.weather.crashes) {
            self.crash();
            return Ok(());
        }
        if self.dice.percent(self.weather.faults) {
            self.arm();
        }
        if self.dice.percent(self.weather.turns) {
            return self.turn();
        }
        let step = self.dice.weighted(&[
            (40, Step::Call),
            (8, Step::Again),
            (4, Step::Turn),
            (10, Step::Answers),
            (14, Step::Pass),
            (10, Step::Sweep),
            (6, Step::Look),
            (8, Step::Operator),
            (3, Step::Agenda),
            (2, Step::Snapshot),
            (1, Step::SetWall),
            (2, Step::Compare),
            (1, Step::Rot),
            (1, Step::Stop),
        ]);
        match step {
            Step::Call => self.call(),
            Step::Again => self.call_again(),
            Step::Turn => self.turn(),
            Step::Answers => self.answers(),
            Step::Sweep => self.sweep(),
            Step::Look => {
                self.look()?;
                self.make_known()?;
                self.look_at_series()
            }
            Step::Operator => self.operate(),
            Step::Agenda => self.run_agenda(),
            Step::Snapshot if !self.nested => self.snapshot(),
            Step::Rot if !self.nested => self.rot(),
            Step::Stop if !self.nested => self.stop_and_start(),
            Step::Snapshot | Step::Rot | Step::Stop => Ok(()),
            Step::Pass => {
                self.pass();
                self.read_history()
            }
            Step::SetWall => {
                self.set_wall();
                Ok(())
            }
            Step::Compare => self.compare(),
        }
    }

    /// Makes some steps between two parts of a snapshot.
    pub(crate) fn meanwhile(&mut self, steps: u64) -> Checked {
        for _ in 0..steps {
            if self.doom.is_some() {
                break;
            }
            self.step()?;
        }
        Ok(())
    }

    pub(crate) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.running.as_ref().expect("an engine runs").engine)
    }

    pub(crate) fn start_options(&self, accept_clock: bool) -> StartOptions {
        let never = Millis::from_secs(10 * 365 * 24 * 3600);
        let grace = if self.options.plant == Some(Plant::NoGrace) { 0 } else { self.weather.grace };
        StartOptions {
            bounds: Bounds { archive_after: Millis(ARCHIVE_AFTER), retry_window: never, ..Bounds::default() },
            log: FileLogOptions { durability: self.weather.durability, segment_bytes: self.weather.segment_bytes },
            outage_grace: Millis(grace),
            accept_clock,
        }
    }

    pub(crate) fn log(&mut self, what: &str) {
        self.trace.log(self.machine.now(), what);
    }

    pub(crate) fn violated<T>(&self, what: impl Into<String>) -> Checked<T> {
        Err(Box::new(self.trace.violation(self.seed, what.into())))
    }

    pub(crate) fn check(&self, found: Result<(), String>) -> Checked {
        found.or_else(|what| self.violated(what))
    }

    fn compare(&mut self) -> Checked {
        self.truth.now = self.machine.now();
        self.check(compare::all(&self.engine(), &self.truth, self.machine.instant()))
    }

    fn arm(&mut self) {
        let part = self.dice.weighted(&[(3, Part::Journal), (2, Part::Snapshots)]);
        let reported = self.machine.arm(part, &mut self.dice);
        self.log(&reported);
    }

    /// Runs the writer on everything that is queued.
    pub(crate) fn turn(&mut self) -> Checked {
        let engine = self.engine();
        let (from, upto) = (engine.journal().durable().0, engine.journal().appended().0);
        if from == upto || self.doom.is_some() {
            return Ok(());
        }
        let failures = self.machine.failures().len();
        // Without a waiter the writer would wait for more records.
        let _pending = Pending::new(engine.journal().barrier()).poll();
        self.history.batch_ends(upto);
        let turn = self.running.as_mut().expect("an engine runs").writer.step();
        let durable = engine.journal().durable().0;
        self.log(&format!("turn {from} to {upto}: {turn:?}"));
        match turn {
            WriterStep::Wrote if durable == upto => {
                self.written = upto;
                if self.weather.durability == Durability::Sync {
                    self.certain = upto;
                }
                self.coverage.count("batch");
                Ok(())
            }
            WriterStep::Wrote => self.violated(format!("the writer wrote {upto} and says that {durable} is durable")),
            WriterStep::Ended => self.journal_failed(failures),
        }
    }
}

//! A run from its seed to its end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use stockade_engine::background::agenda::Agenda;
use stockade_engine::command::CreateDrop;
use stockade_engine::context::Context;
use stockade_engine::lifecycle::recover::recover_driven;

use crate::coverage::Coverage;
use crate::dice::Dice;
use crate::draw;
use crate::history::{History, Moment};
use crate::machine::Machine;
use crate::model::plan::Plan;
use crate::model::state::Model;
use crate::model::{DROPS, sale};
use crate::reader::Reader;
use crate::simulation::{Checked, Options, Plant, Running, Simulation};
use crate::trace::{Trace, Violation};

/// A run without a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The hash of all steps; it depends on the seed alone.
    pub trace: [u8; 32],
    /// What the run has reached.
    pub coverage: Coverage,
}

/// Runs a seed.
///
/// # Errors
/// [`Violation`].
///
/// # Panics
/// When the engine panics, or the simulation itself is wrong.
pub fn run(seed: u64, options: Options) -> Result<Finished, Box<Violation>> {
    let (coverage, trace) = begin(seed, options)?.run()?;
    Ok(Finished { trace: trace.hash(), coverage })
}

/// As [`run`], but a panic is a violation too.
///
/// # Errors
/// [`Violation`].
pub fn run_caught(seed: u64, options: Options) -> Result<Finished, Box<Violation>> {
    catch_unwind(AssertUnwindSafe(|| run(seed, options)))
        .unwrap_or_else(|panic| Err(Box::new(Violation { seed, what: panicked(panic.as_ref()), trace: Vec::new() })))
}

/// The message of a panic.
#[must_use]
pub fn panicked(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("with no text"))
}

/// A started engine with two durable drops.
fn begin(seed: u64, options: Options) -> Checked<Simulation> {
    let mut dice = Dice::new(seed);
    let weather = Simulation::draw_weather(&mut dice);
    let machine = Machine::new(&mut dice);
    let shapes = [draw::shape(&mut dice), draw::shape(&mut dice)];
    let truth = Model::new(&shapes);
    let mut simulation = Simulation {
        seed,
        options,
        weather,
        dice,
        machine,
        running: None,
        doom: None,
        history: History::beginning_with(Moment { lsn: 0, at: 0, model: truth.clone() }),
        truth,
        certain: 0,
        written: 0,
        acknowledged: 0,
        pending: Vec::new(),
        sent: Vec::new(),
        times: Vec::new(),
        reader: Reader::new(),
        coverage: Coverage::default(),
        trace: Trace::new(options.trace),
        nested: false,
        may_be_archived: [None; DROPS.len()],
        looked: None,
        compared: None,
        reconciled: None,
    };
    let wall = simulation.machine.wall_instant();
    let started = recover_driven(&simulation.machine.folder(), &simulation.start_options(false), &|| wall);
    let (recovered, writer) = match started {
        Ok(started) => started,
        Err(error) => return simulation.violated(format!("a first start is refused: {error}")),
    };
    let engine = Arc::new(recovered.engine);
    simulation.running =
        Some(Running { engine: Arc::clone(&engine), writer, agenda: Agenda::new(Arc::clone(&engine)) });
    for (drop, shape) in shapes.iter().enumerate() {
        let command = CreateDrop { definition: sale(drop, shape), validate_only: false };
        if let Err(fault) = engine.create_drop(&command, Context::anonymous(wall)) {
            return simulation.violated(format!("no drop is made: {}", fault.value));
        }
    }
    // Each drop is made, and most are opened at once: up to two records.
    let first = Moment { lsn: engine.journal().appended().0, at: 0, model: simulation.truth.clone() };
    simulation.history = History::beginning_with(first);
    let ruled = shapes.iter().filter(|shape| shape.plan != Plan::default()).count();
    simulation.coverage.count(if ruled > 0 { "seed with rules" } else { "seed without rules" });
    simulation.log(&format!("{weather:?} {shapes:?}"));
    simulation.turn()?;
    // The first records are forced whatever the durability, since the history begins with them.
    if let Err(error) = engine.journal().sync() {
        return simulation.violated(format!("the first records can't be forced: {error}"));
    }
    simulation.certain = simulation.written;
    if options.plant == Some(Plant::LyingSync) {
        simulation.machine.journal.lie();
    }
    Ok(simulation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        let text = |reported: &str| panicked(catch_unwind(|| panic!("{reported}")).expect_err("panics").as_ref());
        assert_eq!(text("no room"), "panicked: no room");
        let plain = catch_unwind(|| panic!("plain")).expect_err("panics");
        assert_eq!(panicked(plain.as_ref()), "panicked: plain");
    }
}

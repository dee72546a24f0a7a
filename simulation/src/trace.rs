//! The steps of a run: all of them hashed, the last ones kept for the report of a violation.

use std::collections::VecDeque;
use std::fmt;

/// Steps that are reported with a violation.
const TOLD: usize = 60;

/// The steps of one run.
#[derive(Debug)]
pub struct Trace {
    hash: blake3::Hasher,
    last: VecDeque<String>,
    steps: u64,
    aloud: bool,
}

impl Trace {
    pub fn new(aloud: bool) -> Self {
        Self { hash: blake3::Hasher::new(), last: VecDeque::new(), steps: 0, aloud }
    }

    pub fn log(&mut self, now: u64, what: &str) {
        self.steps += 1;
        let line = format!("{:>6} {now:>9} {what}", self.steps);
        self.hash.update(line.as_bytes());
        if self.aloud {
            speak(&line);
        }
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// The hash of all steps.
    pub fn hash(&self) -> [u8; 32] {
        self.hash.finalize().into()
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn violation(&self, seed: u64, what: String) -> Violation {
        Violation { seed, what, trace: self.last.iter().cloned().collect() }
    }
}

#[expect(clippy::print_stdout, reason = "the trace is what was asked for")]
fn speak(line: &str) {
    println!("{line}");
}

/// A violation, and the steps that led to it.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The seed of the run.
    pub seed: u64,
    /// What was found and what was expected.
    pub what: String,
    /// The last steps before it.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, what, trace } = self;
        for line in trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "seed {seed}: {what}")?;
        write!(f, "again: cargo run --release -p stockade-simulation -- --seed {seed} --trace")
    }
}

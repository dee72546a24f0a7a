//! What has happened, step by step: hashed as a whole, the last of it kept for telling.

use std::collections::VecDeque;
use std::fmt;

/// Steps told with a violation.
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

    pub fn tell(&mut self, now: u64, what: &str) {
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

    /// Of all steps.
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

/// What must never be, and how it came to it.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Of the run.
    pub seed: u64,
    /// What was seen and what was expected.
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

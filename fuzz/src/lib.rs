//! What must hold for whatever bytes come in: from a disk, from a file that an operator wrote, from a caller.
//!
//! Each target is an ordinary function of bytes that panics where a promise is broken, so the same function is run by
//! `tests/bounded.rs` on any toolchain (kept inputs, and seeded mutations of them) and by libFuzzer (`fuzz/libfuzzer`).
//! Nothing here is part of the server.

#![expect(clippy::expect_used, clippy::panic, reason = "a broken promise is told by a panic, and by nothing else")]
#![expect(clippy::missing_panics_doc, reason = "every function here panics on what it is there to find")]

mod bounds;
mod fields;
mod frames;
mod intake;
mod journal;
mod mutate;
mod record;
mod requests;
mod snapshot;
mod structured;
mod tokens;
mod written;
mod yaml;

pub use frames::{journal_of, snapshot_of};
pub use mutate::Mutator;
pub use requests::{Kind, kinds};

/// Inputs are not longer than this: what follows is left away. Every format repeats itself long before.
pub const MOST_BYTES: usize = 64 * 1024;

/// A target: what is run, and under which name its inputs are kept in `fuzz/corpus`.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Mutations in the bounded run: what fits some two seconds, unoptimized.
    pub mutations: u32,
}

/// All targets.
pub const TARGETS: [Target; 8] = [
    Target { name: "record", run: record::run, mutations: 500_000 },
    Target { name: "journal", run: journal::run, mutations: 2_500 },
    Target { name: "snapshot", run: snapshot::run, mutations: 8_000 },
    Target { name: "yaml", run: yaml::run, mutations: 40_000 },
    Target { name: "request", run: requests::run, mutations: 300_000 },
    Target { name: "structured", run: structured::run, mutations: 40_000 },
    Target { name: "token", run: tokens::run, mutations: 300_000 },
    Target { name: "intake", run: intake::run, mutations: 100_000 },
];

/// Runs a target of [`TARGETS`] by its name.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(input.get(..MOST_BYTES).unwrap_or(input));
}

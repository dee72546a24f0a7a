//! Properties that must hold for any bytes: from a disk, from an operator's file, from a caller.
//!
//! Each target is a function of bytes that panics if a property is violated. `tests/bounded.rs` runs it on any
//! toolchain (with kept inputs, and mutations of them from a seed), and so does libFuzzer (`fuzz/libfuzzer`). Nothing
//! here is part of the server.

#![expect(clippy::expect_used, clippy::panic, reason = "a broken promise is reported by a panic, and by nothing else")]
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
mod yaml_rules;

pub use frames::{journal_of, snapshot_of};
pub use mutate::Mutator;
pub use requests::{Kind, kinds};

/// The maximum length of an input; the rest is cut off. Every format repeats itself long before.
pub const BYTES_MAX: usize = 64 * 1024;

/// A target: its function, and the name under which its inputs are kept in `fuzz/corpus`.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Panics if a property is violated.
    pub run: fn(&[u8]),
    /// Mutations in the bounded run: as many as fit into about two seconds, unoptimized.
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
    (target.run)(input.get(..BYTES_MAX).unwrap_or(input));
}

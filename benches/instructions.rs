//! Instruction counts of the hot path: the work of an operation, independent of other load on the machine.
//!
//! In CI, wall-clock time can't show a growth of 5 %; counted instructions can. `.ci/instructions.py` runs each
//! operation under callgrind, in a process of its own, and compares the counts with `benches/instructions.json`. Only
//! instructions in [`counted_part`] on its thread are counted, not the preparation and not the journal's writer. The
//! writer waits in its log the whole time, so no count depends on its wake-ups.
//!
//! `--list` prints the names, and how many operations are counted. A name runs that operation. Without either, as in
//! `cargo bench`, all are run once, which shows that they work and measures nothing.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]
#![expect(clippy::print_stdout, reason = "the list is read by who counts")]

#[path = "common/before.rs"]
mod before;
mod common;
#[path = "common/drops.rs"]
mod drops;
#[expect(dead_code, reason = "of the herd only its engine is needed here")]
#[path = "common/crowd.rs"]
mod crowd;
#[path = "instructions/operations.rs"]
mod operations;
#[path = "instructions/stage.rs"]
mod stage;

use std::hint::black_box;

/// A prepared operation.
pub struct Work {
    /// Runs it for the n-th time, each time on another object.
    turn: Box<dyn FnMut(usize)>,
    /// How often it runs before it is counted, so that caches, buffer pools and lazy statics are in their final state.
    warm: usize,
    /// How often it is counted: often enough that the rare growth of a table has little weight.
    counted: usize,
}

/// The counted code; the loop itself costs a few instructions an iteration.
#[inline(never)]
fn counted_part(turn: &mut dyn FnMut(usize), turns: std::ops::Range<usize>) {
    for n in turns {
        turn(n);
    }
}

fn run(work: Work) {
    let Work { mut turn, warm, counted } = work;
    (0..warm).for_each(&mut turn);
    counted_part(black_box(&mut *turn), black_box(warm..warm + counted));
}

fn main() {
    let wish = std::env::args().nth(1).filter(|argument| argument == "--list" || !argument.starts_with('-'));
    let all = operations::all();
    match wish.as_deref() {
        None => {
            for (name, prepare) in all {
                run(prepare());
                println!("{name}: runs; its instructions are counted by .ci/instructions.py");
            }
        }
        Some("--list") => {
            for (name, prepare) in all {
                println!("{} {name}", prepare().counted);
            }
        }
        Some(name) => {
            let (_, prepare) = all.into_iter().find(|(known, _)| *known == name).expect("a name of the list");
            run(prepare());
        }
    }
    std::process::exit(0); // The writers wait in their logs forever.
}

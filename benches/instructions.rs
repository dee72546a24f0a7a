//! Instruction counts of the hot path: how much work an operation is, however busy the machine is with other things.
//!
//! Wall clocks can't tell a growth of 5 % in CI; counted instructions can. `.ci/instructions.py` runs each operation here
//! under callgrind, in a process of its own, and compares the counts with `benches/instructions.json`. Collection is on
//! in [`counted_part`] alone and on its thread alone: what is made before, and the journal's writer beside it, count
//! nothing. The writer waits in its log the whole time, so no count depends on when it wakes.
//!
//! With `--list` the names are printed, and how many operations are counted; with a name that one is run. Without either,
//! as `cargo bench` does, all are run once, which shows that they work and measures nothing.

#![expect(clippy::expect_used, reason = "a benchmark that can't run must stop")]
#![expect(clippy::print_stdout, reason = "the list is read by who counts")]

mod common;
#[path = "common/drops.rs"]
mod drops;
#[expect(dead_code, reason = "of the herd only its engine is needed here")]
#[path = "common/herd.rs"]
mod herd;
#[path = "instructions/operations.rs"]
mod operations;
#[path = "instructions/stage.rs"]
mod stage;

use std::hint::black_box;

/// An operation, ready to be run.
pub struct Work {
    /// Runs it for the n-th time, each time on something else.
    turn: Box<dyn FnMut(usize)>,
    /// How often before it is counted: caches, pools of buffers and lazy statics are then as they stay.
    warm: usize,
    /// How often it is counted: often enough that the rare growth of a table is no more than a part of it.
    counted: usize,
}

/// What is counted: the loop costs a handful of instructions a turn.
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
    std::process::exit(0); // writers wait in their logs for ever
}

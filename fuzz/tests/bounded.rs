//! The bounded run: every kept input, and mutations of them from a seed, on any toolchain.
//!
//! `STOCKADE_FUZZ_SEED` and `STOCKADE_FUZZ_MUTATIONS` set another seed and number. An input that violates a property is
//! written to `target/fuzz/`, and the message says how to run it again. Once it is in `fuzz/corpus` it is always run.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on must stop")]

use std::path::{Path, PathBuf};
use std::{env, fs, panic};

use stockade_fuzz::{Mutator, TARGETS, run};

fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).expect("an input"))).collect()
}

#[expect(clippy::disallowed_methods, reason = "what a run is asked for; the product's own settings have their door")]
fn asked(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs an input; one that violates a property is written to a file.
fn tried(target: &str, input: &[u8], what: &str) {
    if panic::catch_unwind(|| run(target, input)).is_ok() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{target}-{}", &blake3::hash(input).to_hex()[..16]));
    fs::write(&file, input).expect("written");
    panic!(
        "{what} violates a property; it is in {}. To run it again: cp it to fuzz/corpus/{target}/ and run \
         cargo test -p stockade-fuzz {target}",
        file.display()
    );
}

fn bounded(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    let kept = kept(name);
    for (file, input) in &kept {
        tried(name, input, &file.display().to_string());
    }
    let seed = asked("STOCKADE_FUZZ_SEED").unwrap_or(1);
    let inputs: Vec<_> = kept.into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(seed, &inputs);
    for n in 0..asked("STOCKADE_FUZZ_MUTATIONS").unwrap_or(target.mutations.into()) {
        tried(name, &mutator.input(), &format!("mutation {n} of seed {seed}"));
    }
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(#[test] fn $target() { bounded(stringify!($target)); })*

        #[test]
        fn every_target_is_run() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($target)),*]);
        }
    };
}

targets! { record journal snapshot yaml request structured token intake }

#[test]
fn the_corpora_stay_small_enough_to_keep() {
    let bytes: usize = TARGETS.iter().flat_map(|target| kept(target.name)).map(|(_, input)| input.len()).sum();
    assert!(bytes < 300_000, "{bytes} bytes");
}

#[test]
fn a_seed_makes_the_same_inputs_again() {
    let kept = [b"one".to_vec(), b"another".to_vec()];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed, &kept);
        (0..100).map(|_| mutator.input()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(3), inputs(3));
    assert_ne!(inputs(3), inputs(4));
}

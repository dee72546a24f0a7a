//! Runs a bounded number of seeds. The same seed must be the same run, everything important must be reached, and each
//! planted fault must be found.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use stockade_simulation::{Coverage, Options, Plant, Violation, run, run_caught};

/// Seeds of a default run.
const SEEDS: u64 = 1_200;
/// Seeds within which a planted fault must be found.
const PLANTED: u64 = 60;

fn merged(coverages: impl Iterator<Item = Coverage>) -> Coverage {
    let mut all = Coverage::default();
    coverages.for_each(|coverage| all.merge(&coverage));
    all
}

#[test]
fn nothing_is_wrong_in_any_seed_and_everything_important_is_reached() {
    let next = AtomicU64::new(0);
    let work = || {
        let mut all = Coverage::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return all;
            }
            match run_caught(seed, Options::default()) {
                Ok(finished) => all.merge(&finished.coverage),
                Err(violation) => panic!("{violation}"),
            }
        }
    };
    let coverages: Vec<Coverage> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no violation")).collect()
    });
    let all = merged(coverages.into_iter());
    assert!(all.missing().is_empty(), "never reached: {:?}\n{all}", all.missing());
}

#[test]
fn the_same_seed_is_the_same_run_on_any_thread() {
    for seed in 0..20 {
        let here = run(seed, Options::default()).expect("nothing wrong");
        let there = thread::spawn(move || run(seed, Options::default()).expect("nothing wrong")).join().expect("ends");
        assert_eq!(here, there, "seed {seed}");
    }
    let other = run(1_000_001, Options::default()).expect("nothing wrong");
    assert_ne!(other.trace, run(1_000_002, Options::default()).expect("nothing wrong").trace);
}

/// Checks that one of the first seeds finds the fault with one of these messages, and finds it again when repeated.
fn seen(plant: Plant, tells: &[&str]) {
    let options = Options { plant: Some(plant), ..Options::default() };
    let violations: Vec<Box<Violation>> = (0..PLANTED).filter_map(|seed| run_caught(seed, options).err()).collect();
    let first = violations.first().unwrap_or_else(|| panic!("{plant:?} is not seen"));
    for violation in &violations {
        assert!(tells.iter().any(|tell| violation.what.contains(tell)), "{plant:?}: {violation}");
    }
    let again = run_caught(first.seed, options).expect_err("the same violation");
    assert_eq!(again.to_string(), first.to_string());
}

/// A test for each planted fault, with what it may be seen by.
macro_rules! planted {
    ($($name:ident: $plant:ident, [$($tell:literal),+];)+) => {
        $(#[test]
        fn $name() {
            seen(Plant::$plant, &[$($tell),+]);
        })+
    };
}

planted! {
    a_disk_that_lies_about_syncs_is_seen: LyingSync,
        ["was durable", "a start is refused", "an offline look finds", "no batch ends there"];
    an_acknowledged_batch_that_is_cut_out_is_seen: LostBatch,
        ["was durable", "a start is refused", "an offline look finds", "no batch ends there"];
    an_acknowledgement_before_the_disk_is_seen: EarlyAcknowledgement, ["was acknowledged"];
    an_expiry_before_its_deadline_is_seen: EarlyExpiry, ["says what nobody asked for", "expected", "time starts at"];
    an_expiry_that_is_late_is_seen: LateExpiry, ["live behind their deadline"];
    a_unit_that_is_given_back_twice_is_seen: UnitTwice, [
        "expected", "drop ", "disagree", "recovered at", "after a look", "after the stock was compared"
    ];
    a_request_that_passes_a_limit_is_seen: LimitPassed, ["expected"];
    a_start_without_grace_is_seen: NoGrace, ["grace from", "hold "];
    // A model with fewer holds than the engine may also have none that an outage's grace concerns.
    a_key_that_is_forgotten_is_seen: ForgottenKey,
        ["expected", "says what nobody asked for", "holds: model", "hold ", "grace from"];
    a_refusal_that_shows_a_hold_and_waits_for_nothing_is_seen: EarlyRefusal, ["an answer waits for"];
    a_record_of_a_call_that_changes_nothing_is_seen: StrayRecord, ["says what nobody asked for"];
    a_caller_who_is_never_told_is_seen: NeverTold, ["a caller waits for record"];
    a_history_that_shows_what_is_not_forced_is_seen: UnforcedHistory, ["was durable", "is another record than it was"];
    a_start_that_refuses_where_it_could_go_on_is_seen: TimidStart, ["a start is refused, but"];
}

#[test]
fn a_mark_that_comes_before_its_moment_is_seen() {
    // A drop that was turned too early counts all later requests as of then.
    let tells = [
        "says that a moment has come, and none is due",
        "is due and has no record",
        "expected",
        "time starts at",
        "after the stock was compared",
        // What a closing makes known has the instant at which it was found.
        "recovered at",
    ];
    seen(Plant::EarlyMark, &tells);
}

#[test]
fn marks_that_are_forgotten_at_a_start_are_seen() {
    seen(Plant::ForgottenMarks, &["recovered at"]);
}

#[test]
fn occurrences_that_are_forgotten_at_a_start_are_seen() {
    seen(Plant::ForgottenOccurrences, &["recovered at", "occurrences of series"]);
}

#[test]
fn a_delivery_that_is_kept_late_is_seen() {
    seen(Plant::LateDelivery, &["webhook"]);
}

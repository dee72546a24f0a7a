//! The journal's hand-off to its writer: the source that ships, and spoilt copies of it that must be caught.

use stockade_schedules::journal::handoff;
use stockade_schedules::mutants;
use stockade_schedules::run::check;

#[test]
fn a_waiter_is_never_forgotten() {
    check(handoff::a_waiter_is_never_forgotten);
}

#[test]
fn durable_never_runs_ahead_of_what_was_written() {
    check(handoff::durable_never_runs_ahead_of_what_was_written);
}

#[test]
fn a_failed_writer_wakes_all() {
    check(handoff::a_failed_writer_wakes_all);
}

#[test]
fn what_was_durable_before_a_failure_is_durable() {
    check(handoff::what_was_durable_before_a_failure_is_durable);
}

#[test]
#[should_panic(expected = "forgotten")]
fn told_before_the_mark() {
    check(mutants::told_before_the_mark::handoff::a_waiter_is_never_forgotten);
}

#[test]
#[should_panic(expected = "forgotten")]
fn no_look_under_the_lock() {
    check(mutants::no_look_under_the_lock::handoff::a_waiter_is_never_forgotten);
}

#[test]
#[should_panic(expected = "forgotten")]
fn woken_before_the_failure() {
    check(mutants::woken_before_the_failure::handoff::a_failed_writer_wakes_all);
}

#[test]
#[should_panic(expected = "told as lost")]
fn failure_before_the_mark() {
    check(mutants::failure_before_the_mark::handoff::what_was_durable_before_a_failure_is_durable);
}

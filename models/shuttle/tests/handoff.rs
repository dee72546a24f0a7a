//! The journal's hand-off to its writer: the shipped source passes, and its mutants are caught.

use stockade_schedules::journal::handoff::{closing, local_wakers, parker, waiting};
use stockade_schedules::mutants;
use stockade_schedules::run::check;

macro_rules! holds {
    ($($part:ident::$scenario:ident)*) => {
        $(#[test] fn $scenario() { check($part::$scenario); })*
    };
}

holds! {
    waiting::a_waiter_is_never_forgotten
    waiting::durable_never_runs_ahead_of_the_log
    waiting::a_failed_writer_wakes_who_waits
    waiting::what_was_durable_before_a_failure_is_durable
    parker::who_waits_is_not_left_to_a_sleeping_writer
    parker::two_who_wait_are_not_left_to_a_sleeping_writer
    parker::who_asks_for_later_hides_nobody
    parker::enough_is_written_whoever_waits
    parker::a_close_is_told_to_a_sleeping_writer
    local_wakers::a_local_waker_forgets_nobody
    local_wakers::a_local_waker_wakes_all_whose_records_are_durable
    local_wakers::a_dropped_local_waker_leaves_nobody_behind
    local_wakers::a_failure_wakes_all_lists
    closing::what_is_admitted_is_journaled
    closing::an_impatient_close_loses_nothing_in_silence
    closing::a_log_that_refuses_is_told_to_all
    closing::permits_return
}

macro_rules! mutants_are_caught {
    ($($mutant:ident by $part:ident::$scenario:ident: $finding:literal)*) => {
        $(#[test] #[should_panic(expected = $finding)] fn $mutant() {
            check(mutants::$mutant::handoff::$part::$scenario);
        })*
    };
}

mutants_are_caught! {
    doze_after_the_look by parker::who_waits_is_not_left_to_a_sleeping_writer: "deadlock"
    up_before_it_sleeps by parker::who_waits_is_not_left_to_a_sleeping_writer: "deadlock"
    want_that_wakes_nobody by parker::who_waits_is_not_left_to_a_sleeping_writer: "deadlock"
    wanted_that_is_not_said by parker::who_waits_is_not_left_to_a_sleeping_writer: "deadlock"
    want_that_overlooks_the_sleeper by parker::who_asks_for_later_hides_nobody: "deadlock"
    enough_that_does_not_ring by parker::enough_is_written_whoever_waits: "deadlock"
    close_that_does_not_ring by parker::a_close_is_told_to_a_sleeping_writer: "deadlock"
    closed_before_all_is_written by parker::a_close_is_told_to_a_sleeping_writer: "closed, and not all written"
    told_before_the_mark by waiting::a_waiter_is_never_forgotten: "deadlock"
    no_look_under_the_lock by waiting::a_waiter_is_never_forgotten: "deadlock"
    woken_before_the_failure by waiting::a_failed_writer_wakes_who_waits: "deadlock"
    failure_before_the_mark by waiting::what_was_durable_before_a_failure_is_durable: "told as lost"
    mark_before_the_log by waiting::durable_never_runs_ahead_of_the_log: "durable before the log was given it"
    tip_after_the_mark by waiting::durable_never_runs_ahead_of_the_log: "durable past the tip"
    local_waker_stored_after_the_look by local_wakers::a_local_waker_forgets_nobody: "deadlock"
    local_waker_that_looks_before_the_lock by local_wakers::a_local_waker_forgets_nobody: "deadlock"
    closed_list_that_takes_waiters by local_wakers::a_dropped_local_waker_leaves_nobody_behind: "deadlock"
    dropped_local_waker_that_tells_nobody by local_wakers::a_dropped_local_waker_leaves_nobody_behind: "deadlock"
    failure_told_to_strays_alone by local_wakers::a_failure_wakes_all_lists: "deadlock"
    push_after_the_close by closing::an_impatient_close_loses_nothing_in_silence: "permits lost"
    close_that_awaits_no_permits by closing::what_is_admitted_is_journaled: "admitted, and lost"
    enter_that_looks_first by closing::what_is_admitted_is_journaled: "admitted, and lost"
    refused_that_stays_inside by closing::permits_return: "permits lost"
}

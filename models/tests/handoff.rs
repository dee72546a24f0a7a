//! The journal's hand-off to its writer: the source as it ships holds, and planted faults are caught.

#![cfg(any(loom, shuttle))]

use stockade_journal::scenarios::{closing, local_wakers, parker, waiting};
use stockade_models::{caught, holds};

holds! { waiting:
    a_waiter_is_never_forgotten
    durable_never_runs_ahead_of_the_log
    a_failed_writer_wakes_who_waits
    what_was_durable_before_a_failure_is_durable
}

holds! { parker:
    who_waits_is_not_left_to_a_sleeping_writer
    who_asks_for_later_hides_nobody
    enough_is_written_whoever_waits
    a_close_is_told_to_a_sleeping_writer
}

holds! { local_wakers:
    a_local_waker_forgets_nobody
    a_local_waker_wakes_all_whose_records_are_durable
    a_dropped_local_waker_leaves_nobody_behind
    a_failure_wakes_all_lists
}

holds! { closing: permits_return }

holds! { parker within two preemptions: two_who_wait_are_not_left_to_a_sleeping_writer }

holds! { closing within two preemptions:
    what_is_admitted_is_journaled
    an_impatient_close_loses_nothing_in_silence
    a_log_that_refuses_is_told_to_all
}

caught! {
    doze_after_the_look by parker::who_waits_is_not_left_to_a_sleeping_writer => "deadlock"
    up_before_it_sleeps by parker::who_waits_is_not_left_to_a_sleeping_writer => "deadlock"
    want_that_wakes_nobody by parker::who_waits_is_not_left_to_a_sleeping_writer => "deadlock"
    wanted_that_is_not_said by parker::who_waits_is_not_left_to_a_sleeping_writer => "deadlock"
    want_that_overlooks_the_sleeper by parker::who_asks_for_later_hides_nobody => "deadlock"
    enough_that_does_not_ring by parker::enough_is_written_whoever_waits => "deadlock"
    close_that_does_not_ring by parker::a_close_is_told_to_a_sleeping_writer => "deadlock"
    closed_before_all_is_written by parker::a_close_is_told_to_a_sleeping_writer => "closed, and not all written"
    told_before_the_mark by waiting::a_waiter_is_never_forgotten => "deadlock"
    no_look_under_the_lock by waiting::a_waiter_is_never_forgotten => "deadlock"
    woken_before_the_failure by waiting::a_failed_writer_wakes_who_waits => "deadlock"
    failure_before_the_mark by waiting::what_was_durable_before_a_failure_is_durable => "reported as lost"
    mark_before_the_log by waiting::durable_never_runs_ahead_of_the_log => "durable before the log was given it"
    tip_after_the_mark by waiting::durable_never_runs_ahead_of_the_log => "durable past the tip"
    local_waker_stored_after_the_look by local_wakers::a_local_waker_forgets_nobody => "deadlock"
    local_waker_that_looks_before_the_lock by local_wakers::a_local_waker_forgets_nobody => "deadlock"
    closed_list_that_takes_waiters by local_wakers::a_dropped_local_waker_leaves_nobody_behind => "deadlock"
    dropped_local_waker_that_tells_nobody by local_wakers::a_dropped_local_waker_leaves_nobody_behind => "deadlock"
    failure_told_to_strays_alone by local_wakers::a_failure_wakes_all_lists => "deadlock"
    push_after_the_close by closing::an_impatient_close_loses_nothing_in_silence => "permits lost"
    close_that_awaits_no_permits by closing::what_is_admitted_is_journaled => "admitted, and lost"
    enter_that_looks_first by closing::what_is_admitted_is_journaled => "admitted, and lost"
    refused_that_stays_inside by closing::permits_return => "permits lost"
}

// Needs a weak memory.
#[cfg(loom)]
caught! {
    relaxed_mark by waiting::a_waiter_is_never_forgotten => "reported before it was written"
}

//! Faults that random schedules find: each mutant whose fault shows under sequential consistency, by the crowd and by
//! its scenario; and sweepers with a wrong order of steps.

use stockade_schedules::inventory::scenarios::due::{self, Protocol};
use stockade_schedules::inventory::scenarios::prefix::{self, Order};
use stockade_schedules::inventory::scenarios::several;
use stockade_schedules::inventory::scenarios::stripes;
use stockade_schedules::mutants;
use stockade_schedules::replay::{self, Rule};
use stockade_schedules::run::check;

macro_rules! mutants_are_caught {
    ($($mutant:ident by $scenario:ident: $finding:literal, by a crowd: $crowd:literal)*) => {
        mod by_their_scenario {
            use super::*;
            $(#[test] #[should_panic(expected = $finding)] fn $mutant() {
                check(mutants::$mutant::scenarios::$scenario);
            })*
        }
        mod by_a_crowd {
            use super::*;
            $(#[test] #[should_panic(expected = $crowd)] fn $mutant() {
                check(|| {
                    mutants::$mutant::scenarios::crowd::a_crowd_is_never_refused_wrongly();
                    mutants::$mutant::scenarios::crowd::nobody_settles_for_less_while_there_is_enough();
                    mutants::$mutant::scenarios::crowd::carts_that_fail_over_and_over_sell_nobody_out();
                });
            })*
        }
    };
}

mutants_are_caught! {
    doubt_ends_before_giving by a_failing_cart_never_makes_a_false_sold_out: "a false sold out", by a crowd: "a false sold out"
    doubt_begins_after_taking by a_failing_cart_never_makes_a_false_sold_out: "a false sold out", by a crowd: "a false sold out"
    kept_doubt_never_ends by of_two_carts_one_fails_and_the_other_gets_the_unit: "a doubt that never ends", by a crowd: "exceeded max_steps"
    refusal_ignores_doubts by a_failing_cart_never_makes_a_false_sold_out: "a false sold out", by a crowd: "a false sold out"
    less_is_taken_beside_doubts by nobody_settles_for_less_while_a_unit_is_in_doubt: "settled for less", by a crowd: "a false sold out"
    refusal_ignores_the_mark by a_look_never_misses_a_moving_unit: "a false sold out", by a crowd: "a false sold out"
    mark_before_units by a_moving_unit_is_never_missed: "a false sold out", by a crowd: "a false sold out"
    shard_read_then_shut by a_moving_unit_is_never_missed: "a false sold out", by a crowd: "units lost or made"
    shards_open_under_the_mark by fold_and_spread_lose_nothing: "units lost or made", by a crowd: "a false sold out"
    giving_to_a_shut_shard by a_moving_unit_is_never_missed: "a false sold out", by a crowd: "a false sold out"
}

#[test]
#[should_panic(expected = "a false sold out")]
fn raising_next_due_before_giving() {
    check(|| due::a_due_hold_is_never_a_sold_out(Protocol::RaiseThenGive));
}

#[test]
#[should_panic(expected = "a false sold out")]
fn reading_core_before_next_due() {
    check(|| due::a_due_hold_is_never_a_sold_out(Protocol::CoreFirst));
}

#[test]
#[should_panic(expected = "a false sold out")]
fn giving_after_the_hold_is_unlocked() {
    check(|| due::a_release_at_the_deadline_is_never_a_sold_out(Protocol::GiveUnlocked));
}

macro_rules! spoilt_stripes_are_caught {
    ($($mutant:ident by $scenario:ident: $finding:literal)*) => {
        $(#[test] #[should_panic(expected = $finding)] fn $mutant() {
            use mutants::$mutant::scenarios::stripes;
            check(|| stripes::$scenario(stripes::Protocol::Sound));
        })*
    };
}

spoilt_stripes_are_caught! {
    shown_after_the_list_is_unlocked by an_earlier_deadline_is_not_lost_beside_a_rising_one: "not the first of all"
    a_stripe_is_left_out by the_only_deadline_is_found_in_each_stripe: "a false sold out"
}

macro_rules! spoilt_counts_of_gives_are_caught {
    ($($mutant:ident by $scenario:ident: $finding:literal)*) => {
        $(#[test] #[should_panic(expected = $finding)] fn $mutant() {
            use mutants::$mutant::scenarios::several;
            check(|| several::$scenario(several::Protocol::Sound));
        })*
    };
}

spoilt_counts_of_gives_are_caught! {
    counted_before_the_give_alone by a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed: "a false sold out"
    counted_after_the_give_alone by whoever_takes_the_last_has_seen_what_came_back: "a false sold out"
    read_while_a_give_is_in_flight by whoever_takes_the_last_has_seen_what_came_back: "a false sold out"
    the_end_of_a_doubt_gives_uncounted by what_comes_back_by_the_end_of_a_doubt_is_not_missed: "a false sold out"
}

#[test]
#[should_panic(expected = "a false sold out")]
fn looking_at_one_pool_after_the_other_alone() {
    check(|| {
        several::a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed(several::Protocol::LookAlone);
    });
}

#[test]
#[should_panic(expected = "a false sold out")]
fn refusing_at_once_what_could_not_be_drawn() {
    check(|| several::a_draw_that_falls_short_is_no_refusal(several::Protocol::RefuseAtOnce));
}

#[test]
#[should_panic(expected = "a false sold out")]
fn raising_a_stripe_before_giving() {
    check(|| stripes::a_due_hold_beside_a_later_one_is_never_a_sold_out(stripes::Protocol::RaiseThenGive));
}

#[test]
#[should_panic(expected = "a false sold out")]
fn raising_both_stripes_before_giving() {
    check(|| stripes::two_sweepers_in_two_stripes_never_make_a_false_sold_out(stripes::Protocol::RaiseThenGive));
}

#[test]
#[should_panic(expected = "a false sold out")]
fn reading_the_counter_before_the_stripes_next_due() {
    check(|| stripes::two_sweepers_in_two_stripes_never_make_a_false_sold_out(stripes::Protocol::CounterFirst));
}

#[test]
#[should_panic(expected = "a false sold out")]
fn leaving_a_stripe_before_coming_to_the_other() {
    check(|| stripes::a_hold_that_changes_its_stripe_is_never_overlooked(stripes::Protocol::TwoSteps));
}

#[test]
#[should_panic(expected = "units lost or made")]
fn moving_with_one_stripe_locked_after_the_other() {
    check(|| stripes::a_hold_that_changes_its_stripe_is_counted_once(stripes::Protocol::OneLockAtATime));
}

#[test]
#[should_panic(expected = "two have the only unit")]
fn giving_back_before_the_record() {
    check(|| prefix::every_prefix_is_a_legal_history(Order::GiveBeforeAppend));
}

#[test]
#[should_panic(expected = "two have the only unit")]
fn a_record_before_its_units() {
    check(|| prefix::every_prefix_is_a_legal_history(Order::AppendBeforeTake));
}

#[test]
#[should_panic(expected = "it is another hold")]
fn dense_revisions() {
    check(|| replay::a_snapshot_and_what_follows_it_are_what_was_there(Rule::Dense));
}

#[test]
#[should_panic(expected = "it is another hold")]
fn a_snapshot_that_begins_after_its_walk() {
    check(|| replay::a_snapshot_and_what_follows_it_are_what_was_there(Rule::EndReadLate));
}

#[test]
#[should_panic(expected = "knows what the journal does not")]
fn a_change_that_is_entered_before_its_record() {
    check(|| replay::a_change_is_never_applied_twice(Rule::EnteredFirst));
}

#[test]
#[should_panic(expected = "it has other units")]
fn a_replay_that_looks_at_no_revision() {
    check(|| replay::a_change_is_never_applied_twice(Rule::Unguarded));
}

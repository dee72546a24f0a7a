//! Faults that the models find: naive counters, mutants of the shipped one, and sweepers with a wrong order of steps.
//! If one of these passed, its scenario would test nothing.

use std::sync::Arc;

use stockade_models::inventory::scenarios::due::{self, Protocol};
use stockade_models::inventory::scenarios::prefix::{self, Order};
use stockade_models::inventory::scenarios::several;
use stockade_models::inventory::scenarios::stripes;
use stockade_models::mutants;
use stockade_models::naive::{Gathering, SoldOutFlag};
use stockade_models::replay::{self, Rule};
use stockade_models::run::{at, check, joined};

macro_rules! mutants_are_caught {
    ($($mutant:ident by $scenario:ident: $finding:literal)*) => {
        $(#[test] #[should_panic(expected = $finding)] fn $mutant() { check(mutants::$mutant::scenarios::$scenario); })*
    };
}

mutants_are_caught! {
    doubt_ends_before_giving by a_failing_cart_never_makes_a_false_sold_out: "a false sold out"
    doubt_begins_after_taking by a_failing_cart_never_makes_a_false_sold_out: "a false sold out"
    kept_doubt_never_ends by of_two_carts_one_fails_and_the_other_gets_the_unit: "a doubt that never ends"
    refusal_ignores_doubts by a_failing_cart_never_makes_a_false_sold_out: "a false sold out"
    less_is_taken_beside_doubts by nobody_settles_for_less_while_a_unit_is_in_doubt: "settled for less"
    refusal_ignores_the_mark by a_look_never_misses_a_moving_unit: "a false sold out"
    mark_before_units by a_moving_unit_is_never_missed: "a false sold out"
    shard_read_then_shut by a_moving_unit_is_never_missed: "units lost or made"
    relaxed_shutting by what_was_appended_before_a_give_is_seen_by_the_taker: "taken before the record"
    relaxed_change_of_a_shard by what_was_appended_before_a_give_is_seen_by_the_taker: "taken before the record"
    relaxed_giving_to_core by an_appended_record_follows_its_units_from_word_to_word: "taken before the record"
    shards_open_under_the_mark by fold_and_spread_lose_nothing: "units lost or made"
    giving_to_a_shut_shard by a_moving_unit_is_never_missed: "a false sold out"
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

#[test]
#[should_panic(expected = "a false sold out")]
fn a_next_due_without_ordering() {
    check(|| due::a_due_hold_is_never_a_sold_out(Protocol::RelaxedNextDue));
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
    shown_relaxed by a_due_hold_beside_a_later_one_is_never_a_sold_out: "a false sold out"
    read_relaxed by a_due_hold_beside_a_later_one_is_never_a_sold_out: "a false sold out"
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
    a_give_lands_relaxed by a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed: "a false sold out"
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
#[should_panic(expected = "both refused")]
fn gathering_with_give_back_refuses_both() {
    check(|| {
        let pool = Arc::new(Gathering::new(1, 1, SoldOutFlag::None));
        let other = pool.clone();
        let other = at(0, move || other.take(0, 2));
        let here = pool.take(1, 2);
        assert!(joined(other) || here, "both refused");
    });
}

#[test]
#[should_panic(expected = "a unit was free all the time")]
fn walking_over_the_shards_misses_a_moving_unit() {
    check(|| {
        let pool = Arc::new(Gathering::new(0, 1, SoldOutFlag::None));
        let mover = pool.clone();
        let mover = at(0, move || {
            mover.give(0, 1);
            mover.take(1, 1)
        });
        let here = pool.take(0, 1);
        assert!(joined(mover) && here, "a unit was free all the time");
    });
}

#[test]
#[should_panic(expected = "sold out for ever")]
fn a_flag_for_sold_out_sticks() {
    check(|| {
        let pool = Arc::new(Gathering::new(0, 0, SoldOutFlag::Sticky));
        let giver = pool.clone();
        let giver = at(0, move || giver.give(0, 1));
        let during = pool.take(1, 1);
        joined(giver);
        assert!(during || pool.take(1, 1), "sold out for ever with a unit free");
    });
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

//! Planted faults of the stock counter and of the small engines around it: each is caught by the scenario beside it. If
//! one of these passed, its scenario would test nothing.

#![cfg(any(loom, shuttle))]

use stockade_models::scenarios::due::Protocol::GiveThenRaise;
use stockade_models::scenarios::{self, due, prefix, several, stripes};
use stockade_models::{caught, replay};

caught! {
    doubt_ends_before_giving by scenarios::a_failing_cart_never_makes_a_false_sold_out => "a false sold out"
    doubt_begins_after_taking by scenarios::a_failing_cart_never_makes_a_false_sold_out => "a false sold out"
    kept_doubt_never_ends by scenarios::of_two_carts_one_fails_and_the_other_gets_the_unit => "a doubt that never ends"
    refusal_ignores_doubts by scenarios::a_failing_cart_never_makes_a_false_sold_out => "a false sold out"
    less_is_taken_beside_doubts by scenarios::nobody_settles_for_less_while_a_unit_is_in_doubt => "settled for less"
    refusal_ignores_the_mark by scenarios::a_look_never_misses_a_moving_unit => "a false sold out"
    mark_before_units by scenarios::a_moving_unit_is_never_missed => "a false sold out"
    shards_open_under_the_mark by scenarios::fold_and_spread_lose_nothing => "units lost or made"
    giving_to_a_shut_shard by scenarios::a_moving_unit_is_never_missed => "a false sold out"
}

caught! {
    shown_after_the_list_is_unlocked by stripes::an_earlier_deadline_is_not_lost_beside_a_rising_one => "not the first of all"
    a_stripe_is_left_out by stripes::the_only_deadline_is_found_in_each_stripe => "a false sold out"
    raising_a_stripe_before_giving by stripes::a_due_hold_beside_a_later_one_is_never_a_sold_out => "a false sold out"
    raising_both_stripes_before_giving by stripes::two_sweepers_in_two_stripes_never_make_a_false_sold_out => "a false sold out"
    reading_the_counter_before_the_stripes_next_due by stripes::two_sweepers_in_two_stripes_never_make_a_false_sold_out => "a false sold out"
    leaving_a_stripe_before_coming_to_the_other by stripes::a_hold_that_changes_its_stripe_is_never_overlooked => "a false sold out"
    moving_with_one_stripe_locked_after_the_other by stripes::a_hold_that_changes_its_stripe_is_counted_once => "units lost or made"
}

caught! {
    counted_before_the_give_alone by several::a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed => "a false sold out"
    the_end_of_a_doubt_gives_uncounted by several::what_comes_back_by_the_end_of_a_doubt_is_not_missed => "a false sold out"
    looking_at_one_pool_after_the_other_alone by several::a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed => "a false sold out"
    refusing_at_once_what_could_not_be_drawn by several::a_draw_that_falls_short_is_no_refusal => "a false sold out"
}

caught! {
    raising_next_due_before_giving by || due::a_due_hold_is_never_a_sold_out(GiveThenRaise) => "a false sold out"
    reading_core_before_next_due by || due::a_due_hold_is_never_a_sold_out(GiveThenRaise) => "a false sold out"
    giving_after_the_hold_is_unlocked by || due::a_release_at_the_deadline_is_never_a_sold_out(GiveThenRaise) => "a false sold out"
}

caught! {
    giving_back_before_the_record by prefix::every_prefix_is_a_legal_history => "two have the only unit"
    a_record_before_its_units by prefix::every_prefix_is_a_legal_history => "two have the only unit"
    dense_revisions by replay::a_snapshot_and_what_follows_it_are_what_was_there => "it is another hold"
    a_snapshot_that_begins_after_its_walk by replay::a_snapshot_and_what_follows_it_are_what_was_there => "it is another hold"
    a_change_that_is_entered_before_its_record by replay::a_change_is_never_applied_twice => "knows what the journal does not"
    a_replay_that_looks_at_no_revision by replay::a_change_is_never_applied_twice => "it has other units"
}

/// What needs a weak memory or shows first as something else in other schedules, and naive counters.
#[cfg(loom)]
mod in_every_interleaving {
    use stockade_models::naive;

    use super::*;

    caught! {
        shard_read_then_shut by scenarios::a_moving_unit_is_never_missed => "units lost or made"
        relaxed_shutting by scenarios::what_was_appended_before_a_give_is_seen_by_the_taker => "taken before the record"
        relaxed_change_of_a_shard by scenarios::what_was_appended_before_a_give_is_seen_by_the_taker => "taken before the record"
        relaxed_giving_to_core by scenarios::an_appended_record_follows_its_units_from_word_to_word => "taken before the record"
        shown_relaxed by stripes::a_due_hold_beside_a_later_one_is_never_a_sold_out => "a false sold out"
        read_relaxed by stripes::a_due_hold_beside_a_later_one_is_never_a_sold_out => "a false sold out"
        a_give_lands_relaxed by several::a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed => "a false sold out"
        a_next_due_without_ordering by || due::a_due_hold_is_never_a_sold_out(GiveThenRaise) => "a false sold out"
    }

    // These counters are wrong as they are: nothing is planted in them.
    caught! {
        gathering_with_give_back_refuses_both by naive::gathering_with_give_back_refuses_both => "both refused"
        walking_over_the_shards_misses_a_moving_unit by naive::walking_over_the_shards_misses_a_moving_unit => "a unit was free all the time"
        a_flag_for_sold_out_sticks by naive::a_flag_for_sold_out_sticks => "sold out for ever"
    }
}

/// What takes more preemptions than every interleaving allows, or shows first as something else, and each fault once more, by a crowd.
#[cfg(shuttle)]
mod in_random_schedules {
    use stockade_models::scenarios::crowd;

    use super::*;

    caught! {
        shard_read_then_shut by scenarios::a_moving_unit_is_never_missed => "a false sold out"
        counted_after_the_give_alone by several::whoever_takes_the_last_has_seen_what_came_back => "a false sold out"
        read_while_a_give_is_in_flight by several::whoever_takes_the_last_has_seen_what_came_back => "a false sold out"
    }

    mod by_a_crowd {
        use super::*;

        fn all() {
            crowd::a_crowd_is_never_refused_wrongly();
            crowd::nobody_settles_for_less_while_there_is_enough();
            crowd::carts_that_fail_over_and_over_sell_nobody_out();
        }

        caught! {
            doubt_ends_before_giving by all => "a false sold out"
            doubt_begins_after_taking by all => "a false sold out"
            kept_doubt_never_ends by all => "exceeded max_steps"
            refusal_ignores_doubts by all => "a false sold out"
            less_is_taken_beside_doubts by all => "a false sold out"
            refusal_ignores_the_mark by all => "a false sold out"
            mark_before_units by all => "a false sold out"
            shard_read_then_shut by all => "units lost or made"
            shards_open_under_the_mark by all => "a false sold out"
            giving_to_a_shut_shard by all => "a false sold out"
        }
    }
}

//! The stock counter as it ships holds in every scenario.

#![cfg(any(loom, shuttle))]

use stockade_models::scenarios::{self, due, prefix, several, stripes};
use stockade_models::{holds, replay};

holds! { scenarios:
    two_gatherers_of_two_with_one_unit_in_each_shard
    a_moving_unit_is_never_missed
    a_look_never_misses_a_moving_unit
    a_failing_cart_never_makes_a_false_sold_out
    of_two_carts_one_fails_and_the_other_gets_the_unit
    a_failing_cart_a_giver_and_a_taker_of_two
    nobody_settles_for_less_while_a_unit_is_in_doubt
    two_who_take_what_there_is_share_it
    a_restock_meets_a_refusal
    fold_and_spread_lose_nothing
    a_sum_is_not_disturbed_by_folding_and_spreading
    what_was_appended_before_a_give_is_seen_by_the_taker
    an_appended_record_follows_its_units_from_word_to_word
}

macro_rules! holds_with_due_holds {
    ($($module:ident: $protocol:ident)*) => {
        $(mod $module {
            use super::*;

            holds! { due(due::Protocol::$protocol):
                a_due_hold_is_never_a_sold_out
                two_refusers_share_one_due_hold
                a_claim_in_time_meets_a_sweep
                a_late_claim_gives_the_unit_to_the_one_who_waits
                a_release_at_the_deadline_is_never_a_sold_out
                after_a_release_nobody_is_refused
            }
        })*
    };
}

holds_with_due_holds! {
    due_when_units_are_given_first: GiveThenRaise
    due_under_a_doubt: Doubt
}

holds! { several:
    a_unit_that_comes_back_to_a_pool_that_was_read_is_not_missed
    whoever_takes_the_last_has_seen_what_came_back
    what_comes_back_by_the_end_of_a_doubt_is_not_missed
    what_a_guard_gives_back_is_not_missed
    a_draw_that_falls_short_is_no_refusal
    what_is_short_is_refused
}

holds! { stripes:
    a_due_hold_beside_a_later_one_is_never_a_sold_out
    two_sweepers_in_two_stripes_never_make_a_false_sold_out
    an_earlier_deadline_is_not_lost_beside_a_rising_one
    the_only_deadline_is_found_in_each_stripe
    a_hold_that_changes_its_stripe_is_never_overlooked
    a_hold_that_changes_its_stripe_is_counted_once
}

holds! { prefix: every_prefix_is_a_legal_history }

holds! { replay:
    a_snapshot_and_what_follows_it_are_what_was_there
    a_change_is_never_applied_twice
}

#[cfg(shuttle)]
use stockade_models::scenarios::crowd;

#[cfg(shuttle)]
holds! { crowd:
    a_crowd_is_never_refused_wrongly
    carts_that_fail_over_and_over_sell_nobody_out
    nobody_settles_for_less_while_there_is_enough
}

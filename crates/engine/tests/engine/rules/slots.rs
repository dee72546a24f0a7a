//! Pickup slots that begin after the sale has closed, as a table each.

use super::definitions::{slots, slots_at};
use super::play;

#[test]
fn a_slot_behind_the_scheduled_closing_is_sold_and_begins_after_it() {
    play(
        "slots behind the closing",
        &slots_at([4_000, 5_000], true),
        "
        10   reserve 1 ada 1*A 1*six -> held: 1*A/general; 1*six/general, for 300 s
        10   reserve 2 bob 1*A 1*six -> held: 1*A/general; 1*six/general, for 300 s
        10   reserve 3 cid 1*A 1*seven -> held: 1*A/general; 1*seven/general, for 300 s
        3610 reserve 4 dan 1*A 1*six -> closed
        3610 show -> closed: A/general 6+3+0-0 six/general 0+2+0-0 seven/general 1+1+0-0 sold_out:six band_changed:six=sold_out
        4009 claim 1 late -> claimed: 1*A/general; 1*six/general
        4010 claim 2 late -> closed; six closed 0 of 1
        4010 show -> closed: A/general 7+1+1-0 six/general 0+0+1-1 seven/general 1+1+0-0 slot_started sold_out:six band_changed:six=sold_out
        4011 restart ->
        4011 claim 2 late -> closed; six closed 0 of 1
        4012 claim 3 late -> claimed: 1*A/general; 1*seven/general
        5010 return 1 1*six restock -> claimed: 1*A/general; 0*six/general
        5010 show -> closed: A/general 7+0+2-0 six/general 0+0+0-2 seven/general 0+0+1-1 slot_started slot_started sold_out:six band_changed:six=sold_out
    ",
    );
}

#[test]
fn a_slot_begins_also_after_a_closing_by_hand_or_one_that_was_moved_before_it_and_after_an_outage() {
    play(
        "closed by hand",
        &slots(false),
        "
        10  reserve 1 ada 1*A 1*six ttl=20 -> held: 1*A/general; 1*six/general, for 20 s
        10  reserve 2 bob 1*A 1*seven ttl=20 -> held: 1*A/general; 1*seven/general, for 20 s
        20  close -> closed: A/general 7+2+0-0 six/general 1+1+0-0 seven/general 1+1+0-0
        105 claim 2 -> hold_expired
        110 claim 1 late -> closed; six closed 0 of 1
        110 show -> closed: A/general 9+0+0-0 six/general 0+0+0-2 seven/general 2+0+0-0 slot_started
        111 outage 500 ->
        500 show -> closed: A/general 9+0+0-0 six/general 0+0+0-2 seven/general 0+0+0-2 slot_started slot_started
        500 claim 2 late -> closed; seven closed 0 of 1
    ",
    );
    play(
        "closing before the slots",
        &slots(false),
        "
        10  reserve 1 ada 1*A 1*six ttl=20 -> held: 1*A/general; 1*six/general, for 20 s
        20  update slot-before-opening -> invalid drop.items[3].slot.starts
        20  update slot-ends-first -> invalid drop.items[3].slot.ends
        20  update closes-at-50 -> open: A/general 8+1+0-0 six/general 1+1+0-0 seven/general 2+0+0-0
        50  show -> closed: A/general 8+1+0-0 six/general 1+1+0-0 seven/general 2+0+0-0
        109 show -> closed: A/general 8+1+0-0 six/general 1+1+0-0 seven/general 2+0+0-0
        110 claim 1 late -> closed; six closed 0 of 1
    ",
    );
}

#[test]
fn nothing_of_a_cancelled_drop_begins() {
    play(
        "cancelled",
        &slots(false),
        "
        5   close -> cancelled: A/general 9+0+0-0 six/general 2+0+0-0 seven/general 2+0+0-0
        500 show -> cancelled: A/general 9+0+0-0 six/general 2+0+0-0 seven/general 2+0+0-0
    ",
    );
}

#[test]
fn a_drop_is_archived_a_week_after_its_last_slot_and_400_days_after_its_closing_at_the_latest() {
    // A week is 604,800 s, a day 86,400 s.
    play(
        "a slot a day after the closing",
        &slots_at([4_000, 90_000], false),
        "
        10     reserve 1 ada 1*A 1*six -> held: 1*A/general; 1*six/general, for 300 s
        10     claim 1 -> claimed: 1*A/general; 1*six/general
        694859 archive -> Ok(0)
        694859 show -> closed: A/general 8+0+1-0 six/general 0+0+1-1 seven/general 0+0+0-2 slot_started slot_started
        694860 archive -> Ok(1)
        694861 show -> archived: A/general 8+0+1-0 six/general 0+0+1-1 seven/general 0+0+0-2 slot_started slot_started
    ",
    );
    play(
        "a slot in a wrong year",
        &slots_at([4_000, 3_000_000_000], false),
        "
        35168409 archive -> Ok(0)
        35168410 archive -> Ok(1)
    ",
    );
}

#[test]
fn slots_that_are_required_from_now_on_leave_older_holds_without_one_alone() {
    play(
        "slots required by an update",
        &slots(false),
        "
        10 reserve 1 ada 3*A ttl=20 -> held: 3*A/general, for 20 s
        10 reserve 2 bob 2*A 1*six -> held: 2*A/general; 1*six/general, for 300 s
        11 update slots-required -> open: A/general 4+5+0-0 six/general 1+1+0-0 seven/general 2+0+0-0
        12 reserve 3 cid 1*A -> slot_required
        12 reserve 3 ada 1*A for=1 -> slot_required
        13 release 1 2*A -> held: 2*A/general, for 17 s
        14 release 2 1*A -> slot_required
        14 claim 2 1*A -> slot_required
        40 claim 1 1*A late -> claimed: 1*A/general
    ",
    );
}

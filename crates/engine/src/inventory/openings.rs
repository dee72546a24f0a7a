//! Openings of drops before they were moved: a list of drops goes on in the order in which it began. So a drop that
//! exists during the whole list is listed once, however its opening and those of others are moved.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use stockade_types::ids::{DropNo, Lsn};
use stockade_types::time::Timestamp;

/// Most moves that are remembered: some megabytes.
const MOVES_MAX: usize = if cfg!(test) { 4 } else { 65_536 };

/// The last moves of openings.
#[derive(Debug, Default)]
pub struct Openings(Mutex<Moves>);

#[derive(Debug, Default)]
struct Moves {
    /// The opening of a drop before the change with this LSN moved it.
    before: BTreeMap<(DropNo, Lsn), Timestamp>,
    /// In the order of the moves.
    order: VecDeque<(DropNo, Lsn)>,
    /// All moves after this record are here.
    since: Lsn,
}

impl Openings {
    /// Moves up to this record are not known.
    pub(super) fn begin(&self, since: Lsn) {
        let mut moves = self.0.lock();
        moves.since = moves.since.max(since);
    }

    /// The change with this LSN has moved an opening from `before`. The drop's gate is closed, so a thread that passes
    /// it later finds this move.
    pub fn moved(&self, drop: DropNo, lsn: Lsn, before: Timestamp) {
        let mut moves = self.0.lock();
        moves.before.insert((drop, lsn), before);
        moves.order.push_back((drop, lsn));
        if moves.order.len() > MOVES_MAX
            && let Some(oldest) = moves.order.pop_front()
        {
            moves.before.remove(&oldest);
            moves.since = moves.since.max(oldest.1);
        }
    }

    /// The opening of a drop as of a record, if it was moved after that.
    #[must_use]
    pub fn as_of(&self, drop: DropNo, place: Lsn) -> Option<Timestamp> {
        let moves = self.0.lock();
        let later = (drop, place.next())..=(drop, Lsn(u64::MAX));
        moves.before.range(later).next().map(|(_, before)| *before)
    }

    /// Whether all moves after this record are known.
    #[must_use]
    pub fn reach_back_to(&self, place: Lsn) -> bool {
        place >= self.0.lock().since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_what_it_was_before_the_first_move_behind_a_place_and_old_moves_go() {
        let openings = Openings::default();
        let (one, two) = (DropNo(1), DropNo(2));
        openings.moved(one, Lsn(10), Timestamp(100));
        openings.moved(two, Lsn(11), Timestamp(200));
        openings.moved(one, Lsn(20), Timestamp(110));
        let as_of = |drop, place| openings.as_of(drop, Lsn(place)).map(|at| at.0);
        assert_eq!([9, 10, 19, 20].map(|place| as_of(one, place)), [Some(100), Some(110), Some(110), None]);
        assert_eq!((as_of(two, 0), as_of(DropNo(0), 0)), (Some(200), None));
        openings.moved(two, Lsn(21), Timestamp(210));
        assert!(openings.reach_back_to(Lsn(0)));
        openings.moved(two, Lsn(22), Timestamp(220));
        assert!(!openings.reach_back_to(Lsn(9)) && openings.reach_back_to(Lsn(10)));
        openings.begin(Lsn(15));
        assert!(!openings.reach_back_to(Lsn(14)) && openings.reach_back_to(Lsn(15)));
    }
}

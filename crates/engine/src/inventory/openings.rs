//! When drops opened before their opening was moved: for lists that are under way, which go on in the order that they
//! began with. So a drop that is there all the while comes once, wherever its opening or that of others has moved to.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;
use stockade_types::ids::{DropNo, Lsn};
use stockade_types::time::Timestamp;

/// Moves that are remembered, at most: some megabytes.
const MOVES_MAX: usize = if cfg!(test) { 4 } else { 65_536 };

/// The last moves of openings.
#[derive(Debug, Default)]
pub struct Openings(Mutex<Moves>);

#[derive(Debug, Default)]
struct Moves {
    /// When a drop opened before the change with this LSN moved that.
    before: BTreeMap<(DropNo, Lsn), Timestamp>,
    /// In the order in which they came.
    order: VecDeque<(DropNo, Lsn)>,
    /// All moves behind this place of the journal are here.
    since: Lsn,
}

impl Openings {
    /// Nothing is known of moves up to this place.
    pub(super) fn begin(&self, since: Lsn) {
        let mut moves = self.0.lock();
        moves.since = moves.since.max(since);
    }

    /// A change with this LSN has moved an opening, which was at `before`. The drop's gate is closed: whoever passes it
    /// later finds this here.
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

    /// When a drop opened as of a place of the journal, if its opening was moved behind that.
    #[must_use]
    pub fn as_of(&self, drop: DropNo, place: Lsn) -> Option<Timestamp> {
        let moves = self.0.lock();
        let later = (drop, place.next())..=(drop, Lsn(u64::MAX));
        moves.before.range(later).next().map(|(_, before)| *before)
    }

    /// Whether all moves behind this place are known.
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

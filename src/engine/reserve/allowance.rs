//! What limits leave a request: the one place of a reserve that asks them.
//!
//! The hold that is to be superseded does not count: its units go over to the new one, or back.

use smallvec::SmallVec;

use super::Request;
use crate::ids::ItemNo;
use crate::inventory::{Broken, Subject};

/// So many units, line by line.
pub(super) type Units = SmallVec<[u32; 4]>;

impl Request<'_> {
    /// The lines that limits would refuse; none: all may be had.
    pub(in crate::engine) fn broken(&self, subject: &Subject) -> Broken<'_> {
        let limits = &self.running.definition.limits;
        match &self.old {
            None => subject.broken(self.drop.number, limits, &self.lines),
            Some(old) => subject.without(&old.hold).broken(self.drop.number, limits, &self.lines),
        }
    }

    /// What limits leave of so many units of each line, which stock has. They are shared in the order of the request:
    /// what an earlier line gets, a later one can't have.
    pub(super) fn allotted(&self, subject: &Subject, there: &[(ItemNo, u32)]) -> Units {
        let definition = &self.running.definition;
        let mut counted = match &self.old {
            None => subject.copied(),
            Some(old) => subject.without(&old.hold),
        };
        let mut order: SmallVec<[usize; 4]> = (0..there.len()).collect();
        order.sort_by_key(|place| there.get(*place).map(|(item, _)| self.place_of(definition.sku(*item))));
        let mut allotted: Units = there.iter().map(|_| 0).collect();
        for place in order {
            let (Some(line), Some(left)) = (there.get(place), allotted.get_mut(place)) else { continue };
            let broken = counted.broken(self.drop.number, &definition.limits, std::slice::from_ref(line));
            *left = broken.first().map_or(line.1, |broken| broken.left);
            counted.count(self.drop.number, line.0, 0, u64::from(*left));
        }
        allotted
    }
}

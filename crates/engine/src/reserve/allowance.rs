//! What limits leave a request that takes what there is.

use smallvec::SmallVec;
use stockade_types::ids::ItemNo;
use stockade_types::refusal::Reason;

use super::Request;
use crate::inventory::Subject;

/// What a line may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allotment {
    pub(super) units: u32,
    /// Why limits leave it no more, where they do.
    pub(super) cut_by: Option<Reason>,
}

/// Line by line.
pub(super) type Allotments = SmallVec<[Allotment; 4]>;

impl Request<'_> {
    /// What limits leave of so many units of each line, which stock has. They are shared in the order of the request:
    /// what an earlier line gets, a later one can't have.
    pub(super) fn allotted(&self, subjects: &[Subject], there: &[(ItemNo, u32)]) -> Allotments {
        let whole = |(_, units): &(ItemNo, u32)| Allotment { units: *units, cut_by: None };
        let mut allotted: Allotments = there.iter().map(whole).collect();
        if self.is_unlimited() {
            return allotted;
        }
        let definition = &self.running.definition;
        let mut order: SmallVec<[usize; 4]> = (0..there.len()).collect();
        order.sort_by_key(|place| there.get(*place).map(|(item, _)| self.place_of(definition.sku(*item))));
        let ask = self.ask();
        let mut granted: SmallVec<[(ItemNo, u32); 4]> = SmallVec::new();
        for place in order {
            let (Some(line), Some(allotment)) = (there.get(place), allotted.get_mut(place)) else { continue };
            if line.1 == 0 {
                continue;
            }
            let (units, cut_by) = ask.room(subjects, &granted, *line);
            *allotment = Allotment { units, cut_by };
            if units > 0 {
                granted.push((line.0, units));
            }
        }
        allotted
    }
}

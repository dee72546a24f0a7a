//! How many units limits allow each line of a reserve with `allow_partial`.

use smallvec::SmallVec;
use stockade_types::ids::ItemNo;
use stockade_types::refusal::Reason;

use super::ReserveRequest;
use crate::inventory::Subject;
use crate::inventory::limits::add_units;

/// Units granted to one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allotment {
    pub(super) units: u32,
    /// The limit's reason, if limits grant fewer units than stock has for the line.
    pub(super) cut_by: Option<Reason>,
}

/// One for each line, in the order of the lines.
pub(super) type Allotments = SmallVec<[Allotment; 4]>;

impl ReserveRequest<'_> {
    /// What limits allow of `there`, the units that stock has for each line. Lines are served in the request's order:
    /// what an earlier line gets, a later one can't have.
    pub(super) fn allotted(&self, subjects: &[Subject], there: &[(ItemNo, u32)]) -> Allotments {
        let whole = |(_, units): &(ItemNo, u32)| Allotment { units: *units, cut_by: None };
        let mut allotted: Allotments = there.iter().map(whole).collect();
        if self.is_unlimited() {
            return allotted;
        }
        let definition = &self.inner.definition;
        let mut order: SmallVec<[usize; 4]> = (0..there.len()).collect();
        order.sort_by_key(|place| there.get(*place).map(|(item, _)| self.place_of(definition.sku(*item))));
        let query = self.query();
        let mut granted: SmallVec<[(ItemNo, u32); 4]> = SmallVec::new();
        for place in order {
            let (Some(line), Some(allotment)) = (there.get(place), allotted.get_mut(place)) else { continue };
            if line.1 == 0 {
                continue;
            }
            let (units, cut_by) = query.room(subjects, &granted, *line);
            *allotment = Allotment { units, cut_by };
            if units > 0 {
                add_units(&mut granted, (line.0, units));
            }
        }
        allotted
    }
}

//! What facts tell of a subject's orders: which were cancelled, charged back or returned, and when.
//!
//! Each order is there once, whatever facts tell of it and in whatever order they are entered, and a fact that is entered
//! again changes nothing. An order counts as returned by a fact only until `ReturnUnits` is called for its hold, for the
//! hold counts from then on; so it is noted whether the hold was found.

use stockade_types::definition::{CONDUCT_AT_LEAST_MAX, Conduct};
use stockade_types::ids::OrderKey;
use stockade_types::record::{FactConduct, FactKind, OrderInstants};
use stockade_types::time::Timestamp;

/// Most orders of one kind that are kept of a subject: as many as a rule can ask for.
pub(super) fn orders_max() -> usize {
    usize::try_from(CONDUCT_AT_LEAST_MAX).unwrap_or(usize::MAX)
}

/// The orders that a rule counts; none if facts tell nothing of that.
pub(super) fn orders(facts: &FactConduct, counts: Conduct) -> &[(Timestamp, OrderKey)] {
    match counts {
        Conduct::UnclaimedHolds => &[],
        Conduct::Cancellations => &facts.cancelled,
        Conduct::Chargebacks => &facts.charged_back,
        Conduct::Returns => &facts.returned,
    }
}

/// Enters what a fact tells of an order. Of two facts about one order the later counts; one that found no hold of it
/// counts before one that did.
pub(super) fn enter(facts: &mut FactConduct, kind: FactKind, at: Timestamp, order: OrderKey) {
    let Some(orders) = facts.of_mut(kind) else { return };
    if let Some(place) = orders.iter().position(|(_, known)| known.is_order(order)) {
        let rank = |(at, order): &(Timestamp, OrderKey)| (!order.has_hold(), *at);
        if orders.get(place).is_some_and(|known| rank(known) >= rank(&(at, order))) {
            return;
        }
        orders.remove(place);
    }
    insert(orders, (at, order));
}

fn insert(orders: &mut OrderInstants, entry: (Timestamp, OrderKey)) {
    let place = orders.partition_point(|known| *known < entry);
    orders.insert(place, entry);
    if orders.len() > orders_max() {
        orders.remove(0);
    }
}

/// `ReturnUnits` was called for the hold of an order: a fact does not count any more.
pub(super) fn forget_return(facts: &mut FactConduct, order: OrderKey) {
    facts.returned.retain(|(_, known)| !(known.has_hold() && known.is_order(order)));
}

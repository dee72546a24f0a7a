//! Listing: holds and drops, page by page, in an order that changes don't disturb, but for a drop's opening that moves.
//!
//! Holds come shard by shard and in the order of ids within one: a hold that is there all the while comes exactly once,
//! whatever comes and goes meanwhile. Every shard is locked by itself, for as long as it takes to look through it.

use std::sync::Arc;

use super::Engine;
use super::answer::{DropState, DropView, Fault, HoldView};
use crate::hold::{Hold, HoldState};
use crate::ids::{CustomerId, DropId, DropNo, HoldId, ItemNo, Lsn, OrderRef, SeriesId, ShopId, Sku};
use crate::inventory::DropEntry;
use crate::inventory::holds::SHARDS;
use crate::journal::Ticket;
use crate::time::{Millis, Timestamp};

/// Which holds to list. Everything that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldFilter {
    /// Of this drop.
    pub drop: Option<DropId>,
    /// Of this customer.
    pub customer: Option<CustomerId>,
    /// Claimed for this order.
    pub order_ref: Option<OrderRef>,
    /// With a line of this SKU.
    pub sku: Option<Sku>,
    /// In this state.
    pub state: Option<HoldState>,
    /// Made so long ago, or longer.
    pub older_than: Option<Millis>,
}

/// Where a page of holds begins: after this hold of this shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldPlace {
    /// Shard of the table.
    pub shard: u32,
    /// The last hold that was told.
    pub after: HoldId,
}

/// Holds, and where the next page begins.
pub type HoldPage = (Vec<HoldView>, Option<HoldPlace>);

/// Which drops to list. Everything that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropFilter {
    /// Of this shop.
    pub shop: Option<ShopId>,
    /// Of this series.
    pub series: Option<SeriesId>,
    /// In this state.
    pub state: Option<DropState>,
}

/// Where a page of drops begins: after the drop that opens then and has this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropPlace {
    /// When the last drop that was told opens.
    pub opens_at: Timestamp,
    /// Its id.
    pub after: DropId,
}

impl Engine {
    /// One page of holds, once all that it shows is durable. Blocks for as long as it takes to look through the table:
    /// for threads that may.
    ///
    /// # Errors
    /// [`Fault::NoDrop`], and faults of the journal.
    pub fn list_holds(
        &self,
        filter: &HoldFilter,
        from: Option<HoldPlace>,
        size: usize,
        now: Timestamp,
    ) -> Result<(HoldPage, Ticket), Fault> {
        // What is due is told as what it is: expired.
        while self.sweep(now)? > 0 {}
        let drop = match &filter.drop {
            None => None,
            Some(id) => {
                let number = self.inventory.drops.with_id(id, |entry| entry.number);
                Some(number.ok_or_else(|| Fault::NoDrop(id.clone()))?)
            }
        };
        let drops = self.inventory.drops.all();
        // Looked up before any shard is locked: a drop's gate stands before the shards in the order of locks.
        let items: Option<Vec<Option<ItemNo>>> = filter
            .sku
            .as_ref()
            .map(|sku| drops.iter().map(|entry| entry.running().definition.item(sku).map(|(item, _)| item)).collect());
        let archived: Vec<bool> = drops.iter().map(|entry| entry.running().archived.is_some()).collect();
        let gone = |hold: &Hold| archived.get(hold.drop.index()).copied().unwrap_or(false);
        let mut holds: Vec<(u32, Hold)> = Vec::new();
        let first = from.map_or(0, |place| place.shard);
        for shard in first..u32::try_from(SHARDS).unwrap_or(u32::MAX) {
            let after = from.filter(|place| place.shard == shard).map(|place| place.after);
            let mut found: Vec<Hold> = self.inventory.holds.with_number(shard, |locked| {
                let fits = |hold: &&Hold| {
                    after.is_none_or(|after| hold.id > after) && fits(hold, filter, drop, items.as_deref(), now)
                };
                locked.iter().map(|(_, hold)| hold).filter(|hold| !gone(hold)).filter(fits).cloned().collect()
            });
            found.sort_unstable_by_key(|hold| hold.id);
            holds.extend(found.into_iter().map(|hold| (shard, hold)));
            if holds.len() > size {
                break;
            }
        }
        let more = holds.len() > size;
        holds.truncate(size);
        let next = holds.last().filter(|_| more).map(|(shard, hold)| HoldPlace { shard: *shard, after: hold.id });
        let newest = holds.iter().map(|(_, hold)| hold.revision).max().unwrap_or_default();
        let views = holds.into_iter().filter_map(|(_, hold)| {
            let definition = Arc::clone(&drops.get(hold.drop.index())?.running().definition);
            Some(HoldView { hold, definition })
        });
        Ok(((views.collect(), next), self.journal.ticket(newest)))
    }

    /// One page of drops in the order of their opening, and where the next begins.
    pub fn list_drops(
        &self,
        filter: &DropFilter,
        from: Option<&DropPlace>,
        size: usize,
        now: Timestamp,
    ) -> (Vec<DropView>, Option<DropPlace>, Ticket) {
        let entries = self.inventory.drops.all();
        let mut found: Vec<(Timestamp, DropId, &Arc<DropEntry>)> = entries
            .iter()
            .filter_map(|entry| {
                let running = entry.running();
                let fits = filter.shop.as_ref().is_none_or(|shop| *shop == running.definition.shop)
                    && (filter.series.is_none() || filter.series == running.definition.series)
                    && filter.state.is_none_or(|state| state == running.state(entry, now));
                fits.then(|| (running.opens_at(entry), running.definition.id.clone(), entry))
            })
            .filter(|(opens_at, id, _)| from.is_none_or(|from| (*opens_at, id) > (from.opens_at, &from.after)))
            .collect();
        found.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| more).map(|(at, id, _)| DropPlace { opens_at: *at, after: id.clone() });
        let mut newest = Lsn::default();
        let views = found.iter().map(|(_, _, entry)| {
            let running = entry.running();
            newest = newest.max(running.known_at());
            self.show_drop(entry, &running, now).0
        });
        let views = views.collect();
        (views, next, self.journal.ticket(newest))
    }
}

/// `items` has, by drop, the item that the filter's SKU is there.
fn fits(
    hold: &Hold,
    filter: &HoldFilter,
    drop: Option<DropNo>,
    items: Option<&[Option<ItemNo>]>,
    now: Timestamp,
) -> bool {
    let HoldFilter { drop: _, customer, order_ref, sku: _, state, older_than } = filter;
    let has = |items: &[Option<ItemNo>]| {
        let item = items.get(hold.drop.index()).copied().flatten();
        item.is_some_and(|item| hold.lines().iter().any(|line| line.item == item))
    };
    drop.is_none_or(|drop| hold.drop == drop)
        && customer.as_ref().is_none_or(|customer| *customer == hold.customer)
        && order_ref.as_ref().is_none_or(|order_ref| hold.order_ref() == Some(order_ref))
        && state.is_none_or(|state| hold.state == state)
        && older_than.is_none_or(|span| hold.created_at().plus(span) <= now)
        && items.is_none_or(has)
}

//! Listing: holds and drops, page by page, in an order that changes don't disturb: drops stand where their opening was
//! when the list began.
//!
//! Holds come shard by shard and in the order of ids within one: a hold that is there all the while comes exactly once,
//! whatever comes and goes meanwhile. Every shard is locked by itself, for as long as it takes to look through it.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::{CustomerId, DropId, DropNo, HoldId, ItemNo, Lsn, OrderRef, SeriesId, ShopId, Sku};
use stockade_types::time::{Millis, Timestamp};

use super::Engine;
use super::answer::{DropState, DropView, Fault, HoldView, Violation};
use super::attempt::{Answer, Decided};
use super::context::Context;
use super::drops::show_drop;
use super::page::Page;
use crate::inventory::holds::SHARDS;
use crate::inventory::{DropEntry, Running};

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

/// Which drops to list. Everything that is set must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropFilter {
    /// Of this shop.
    pub shop: Option<ShopId>,
    /// Of this series.
    pub series: Option<SeriesId>,
    /// In this state; none: in any but archived.
    pub state: Option<DropState>,
}

/// Where a page of drops begins: after the drop that opens then and has this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropPlace {
    /// The place of the journal where the list began: openings count as they were then.
    pub as_of: Lsn,
    /// When the last drop that was told opened.
    pub opens_at: Timestamp,
    /// Its id.
    pub after: DropId,
}

impl Engine {
    /// Fills a page with holds, and says where the next one begins, if there is more; once all that it shows is durable.
    /// Blocks for as long as it takes to look through the table: for threads that may.
    ///
    /// # Errors
    /// [`Fault::NoDrop`], and faults of the journal.
    pub fn list_holds<T>(
        &self,
        filter: &HoldFilter,
        from: Option<HoldPlace>,
        page: &mut Page<HoldView, T>,
        Context { now, .. }: Context<'_>,
    ) -> Answer<Option<HoldPlace>> {
        // What is due is told as what it is: expired.
        while self.sweep(now)? > 0 {}
        let wanted = self.wanted(filter, now)?;
        let (mut last, mut durable_after) = (from, Lsn::default());
        for shard in from.map_or(0, |place| place.shard)..u32::try_from(SHARDS).unwrap_or(u32::MAX) {
            loop {
                let after = last.filter(|place| place.shard == shard).map(|place| place.after);
                // One more than there is room for, so that it is known whether there is more.
                let most = page.left().saturating_add(1);
                let ids = self.next_ids(shard, after, most, &wanted);
                for id in &ids {
                    let place = HoldPlace { shard, after: *id };
                    // Looked up one by one: whatever they are like, one lock copies one hold.
                    let Some(view) = self.listed(place, &wanted) else {
                        last = Some(place);
                        continue;
                    };
                    if !page.put(&view) {
                        return Ok(Decided { value: last, durable_after });
                    }
                    durable_after = durable_after.max(view.hold.revision);
                    last = Some(place);
                }
                if ids.len() < most {
                    break;
                }
            }
        }
        Ok(Decided { value: None, durable_after })
    }

    /// What of the drops a list has to know, looked up before any shard is locked: a drop's gate stands before the shards
    /// in the order of locks.
    fn wanted<'f>(&self, filter: &'f HoldFilter, now: Timestamp) -> Result<Wanted<'f>, Fault> {
        let drop = match &filter.drop {
            None => None,
            Some(id) => {
                let number = self.inventory.drops.with_id(id, |entry| entry.number);
                Some(number.ok_or_else(|| Fault::NoDrop(id.clone()))?)
            }
        };
        let drops = self.inventory.drops.all();
        let drops = || drops.iter().filter(|entry| drop.is_none_or(|drop| drop == entry.number));
        let going = |entry: &&Arc<DropEntry>| !entry.has_no_pools() && entry.running().archived.is_some();
        let archived = drops().filter(going).map(|entry| entry.number).collect();
        let item = |entry: &Arc<DropEntry>, sku| Some((entry.number, entry.running().definition.item(sku)?.0));
        let items = filter.sku.as_ref().map(|sku| drops().filter_map(|entry| item(entry, sku)).collect());
        Ok(Wanted { filter, drop, items, archived, now })
    }

    /// The first ids after one, in their order, of a shard's holds that fit: at most `most`.
    fn next_ids(&self, shard: u32, after: Option<HoldId>, most: usize, wanted: &Wanted<'_>) -> Vec<HoldId> {
        let mut ids: Vec<HoldId> = self.inventory.holds.with_number(shard, |locked| {
            let later = |hold: &&Hold| after.is_none_or(|after| hold.id > after);
            locked.iter().map(|(_, hold)| hold).filter(later).filter(|hold| wanted.fits(hold)).map(|h| h.id).collect()
        });
        if ids.len() > most {
            ids.select_nth_unstable(most);
            ids.truncate(most);
        }
        ids.sort_unstable();
        ids
    }

    /// A hold as it is listed, if it is still there and still fits.
    fn listed(&self, place: HoldPlace, wanted: &Wanted<'_>) -> Option<HoldView> {
        let hold = self.inventory.holds.with_number(place.shard, |locked| {
            let hold = locked.get(locked.find(&place.after)?)?;
            wanted.fits(hold).then(|| hold.clone())
        })?;
        let definition = |entry: &DropEntry| Arc::clone(&entry.running().definition);
        let definition = self.inventory.drops.with_number(hold.drop, definition)?;
        Some(HoldView { hold, definition })
    }

    /// Fills a page with drops in the order of their opening as it was when the list began, and says where the next one
    /// begins, if there is more. Blocks for as long as it takes to look at every drop.
    ///
    /// # Errors
    /// [`Fault::Invalid`] when the list began so long ago that it is not known any more where drops stood then.
    pub fn list_drops<T>(
        &self,
        filter: &DropFilter,
        from: Option<&DropPlace>,
        page: &mut Page<DropView, T>,
        Context { now, .. }: Context<'_>,
    ) -> Answer<Option<DropPlace>> {
        // What is not durable yet may be gone after a crash, and another record may stand there.
        let as_of = from.map_or_else(|| self.journal.durable(), |from| from.as_of);
        if as_of > self.journal.appended() || !self.inventory.openings.reach_back_to(as_of) {
            let description = "is of a list that began too long ago: begin it anew".to_owned();
            return Err(Fault::Invalid(vec![Violation { field: "page_token".to_owned(), description }]).into());
        }
        // A drop is listed by the facts. Moments that have just come are made some first, a bounded number; a list does not
        // fail for what the agenda is about to do.
        let _turned = self.turn_due(now);
        let entries = self.inventory.drops.all();
        // As many as may be on the page and one more; of those the last is on top.
        let mut first: BinaryHeap<(Timestamp, DropId, usize)> = BinaryHeap::new();
        for (place, entry) in entries.iter().enumerate() {
            let running = entry.running();
            let (opens_at, id) = (self.opened(entry, &running, as_of), &running.definition.id);
            let later = from.is_none_or(|from| (opens_at, id) > (from.opens_at, &from.after));
            if later && filter.fits(&running) {
                first.push((opens_at, id.clone(), place));
                if first.len() > page.left().saturating_add(1) {
                    first.pop();
                }
            }
        }
        let (mut last, mut durable_after) = (None, Lsn::default());
        for (opens_at, after, place) in first.into_sorted_vec() {
            let Some(entry) = entries.get(place) else { continue };
            let shown = show_drop(entry, &entry.running());
            if !page.put(&shown.value) {
                return Ok(Decided { value: last, durable_after });
            }
            durable_after = durable_after.max(shown.durable_after);
            last = Some(DropPlace { as_of, opens_at, after });
        }
        Ok(Decided { value: None, durable_after })
    }

    /// When a drop opened as of a place of the journal; of one that was made behind it, as it was made.
    fn opened(&self, entry: &DropEntry, running: &Running, as_of: Lsn) -> Timestamp {
        let moved = if running.revision > as_of { self.inventory.openings.as_of(entry.number, as_of) } else { None };
        moved.unwrap_or_else(|| running.opens_at(entry))
    }
}

impl DropFilter {
    fn fits(&self, running: &Running) -> bool {
        let Self { shop, series, state } = self;
        shop.as_ref().is_none_or(|shop| *shop == running.definition.shop)
            && (series.is_none() || *series == running.definition.series)
            && match (state, running.state()) {
                (Some(wanted), is) => *wanted == is,
                (None, is) => is != DropState::Archived,
            }
    }
}

/// Which holds are listed, with what had to be looked up for that.
struct Wanted<'f> {
    filter: &'f HoldFilter,
    /// The filter's drop.
    drop: Option<DropNo>,
    /// The item that the filter's SKU is, by drop.
    items: Option<HashMap<DropNo, ItemNo>>,
    /// Drops that are just being archived: their holds are gone, also where they are still in the table.
    archived: HashSet<DropNo>,
    now: Timestamp,
}

impl Wanted<'_> {
    fn fits(&self, hold: &Hold) -> bool {
        let Self { filter, drop, items, archived, now } = self;
        let HoldFilter { drop: _, customer, order_ref, sku: _, state, older_than } = filter;
        let has = |items: &HashMap<DropNo, ItemNo>| {
            items.get(&hold.drop).is_some_and(|item| hold.lines().iter().any(|line| line.item == *item))
        };
        drop.is_none_or(|drop| hold.drop == drop)
            && customer.as_ref().is_none_or(|customer| *customer == hold.customer)
            && order_ref.as_ref().is_none_or(|order_ref| hold.order_ref() == Some(order_ref))
            && state.is_none_or(|state| hold.state == state)
            && older_than.is_none_or(|span| hold.created_at().plus(span) <= *now)
            && items.as_ref().is_none_or(has)
            && !archived.contains(&hold.drop)
    }
}

//! Lists holds and drops, page by page, in an order that changes don't disturb.
//!
//! Drops are ordered by their opening as it was when the list began. Holds are listed shard by shard, in the order of
//! ids within a shard: a hold that exists during the whole list is listed exactly once. Each shard is locked by itself,
//! for one scan of it.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use stockade_types::hold::{Hold, HoldState};
use stockade_types::ids::{CustomerId, DropId, DropNo, HoldId, ItemNo, Lsn, OrderRef, SeriesId, ShopId, Sku, ZoneId};
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::answer::{DropState, DropView, Fault, HoldView, InvalidField};
use crate::attempt::{Answer, Decided};
use crate::context::Context;
use crate::inventory::holds::SHARDS;
use crate::inventory::{DropEntry, DropInner};
use crate::operators::view::show_drop;
use crate::verbs::page::Page;

/// Which holds to list: those that match everything that is set.
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
    /// Made at least this long ago.
    pub older_than: Option<Millis>,
    /// Of a drop of this shop.
    pub shop: Option<ShopId>,
}

/// Where a page of holds begins: after this hold in this shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldPlace {
    /// The shard's number.
    pub shard: u32,
    /// The last hold that was listed.
    pub after: HoldId,
}

/// Which drops to list: those that match everything that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DropFilter {
    /// Of this shop.
    pub shop: Option<ShopId>,
    /// Of this series.
    pub series: Option<SeriesId>,
    /// In this state; none: in any but archived.
    pub state: Option<DropState>,
    /// That open at this instant or later.
    pub opens_from: Option<Timestamp>,
    /// That open before this instant.
    pub opens_until: Option<Timestamp>,
    /// That are for this place, or for all.
    pub zone: Option<ZoneId>,
}

/// Where a page of drops begins: after the drop with this opening and this id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropPlace {
    /// The record at which the list began: drops are ordered by their openings as of it.
    pub as_of: Lsn,
    /// The opening of the last drop that was listed.
    pub opens_at: Timestamp,
    /// Its id.
    pub after: DropId,
}

impl Engine {
    /// Fills a page with holds and returns where the next page begins, if there is more; the answer waits until all
    /// that it shows is durable. Blocks while it scans the table: only for threads that may block.
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
        // Due holds are expired first, so they are listed as expired.
        while self.sweep(now)? > 0 {}
        let wanted = self.wanted(filter, now)?;
        let (mut last, mut durable_after) = (from, Lsn::default());
        for shard in from.map_or(0, |place| place.shard)..u32::try_from(SHARDS).unwrap_or(u32::MAX) {
            loop {
                let after = last.filter(|place| place.shard == shard).map(|place| place.after);
                // One more than there is room for, to know whether there is more.
                let most = page.left().saturating_add(1);
                let ids = self.next_ids(shard, after, most, &wanted);
                for id in &ids {
                    let place = HoldPlace { shard, after: *id };
                    // Looked up one by one, so that only one hold is copied under each lock.
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

    /// What a list must know of the drops, read before any shard is locked: in the order of locks a drop's gate comes
    /// first.
    fn wanted<'f>(&self, filter: &'f HoldFilter, now: Timestamp) -> Result<HoldSelection<'f>, Fault> {
        let drop = match &filter.drop {
            None => None,
            Some(id) => {
                let number = self.inventory.drops.with_id(id, |entry| entry.number);
                Some(number.ok_or_else(|| Fault::NoDrop(id.clone()))?)
            }
        };
        let drops = self.inventory.drops.all();
        let drops = || drops.iter().filter(|entry| drop.is_none_or(|drop| drop == entry.number));
        let going = |entry: &&Arc<DropEntry>| !entry.has_no_pools() && entry.read().archived.is_some();
        let archived = drops().filter(going).map(|entry| entry.number).collect();
        let of_shop = |shop: &ShopId| {
            drops().filter(|entry| entry.read().definition.shop == *shop).map(|entry| entry.number).collect()
        };
        let shop = filter.shop.as_ref().map(of_shop);
        let item = |entry: &Arc<DropEntry>, sku| Some((entry.number, entry.read().definition.item(sku)?.0));
        let items = filter.sku.as_ref().map(|sku| drops().filter_map(|entry| item(entry, sku)).collect());
        Ok(HoldSelection { filter, drop, shop, items, archived, now })
    }

    /// The least `most` ids after `after`, ascending, of a shard's holds that match.
    fn next_ids(&self, shard: u32, after: Option<HoldId>, most: usize, wanted: &HoldSelection<'_>) -> Vec<HoldId> {
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

    /// A hold as it is listed, if it still exists and still matches.
    fn listed(&self, place: HoldPlace, wanted: &HoldSelection<'_>) -> Option<HoldView> {
        let hold = self.inventory.holds.with_number(place.shard, |locked| {
            let hold = locked.get(locked.find(&place.after)?)?;
            wanted.fits(hold).then(|| hold.clone())
        })?;
        let definition = |entry: &DropEntry| Arc::clone(&entry.read().definition);
        let definition = self.inventory.drops.with_number(hold.drop, definition)?;
        Some(HoldView { hold, definition })
    }

    /// Fills a page with drops, ordered by their opening as of the list's begin, and returns where the next page
    /// begins, if there is more. Blocks while it reads every drop.
    ///
    /// # Errors
    /// [`Fault::Invalid`] when the list began so long ago that the openings of then are no longer known.
    pub fn list_drops<T>(
        &self,
        filter: &DropFilter,
        from: Option<&DropPlace>,
        page: &mut Page<DropView, T>,
        Context { now, .. }: Context<'_>,
    ) -> Answer<Option<DropPlace>> {
        // Records that are not durable may be lost in a crash, and others may take their numbers.
        let as_of = from.map_or_else(|| self.journal.durable(), |from| from.as_of);
        if as_of > self.journal.appended() || !self.inventory.openings.reach_back_to(as_of) {
            let description = "is of a list that began too long ago: begin a new list".to_owned();
            return Err(Fault::Invalid(vec![InvalidField { field: "page_token".to_owned(), description }]).into());
        }
        // Drops are listed by their records. A bounded number of openings and closings that are due are recorded
        // first; if that fails, the list goes on, since the agenda will do it.
        let _turned = self.turn_due(now);
        let entries = self.inventory.drops.all();
        // The first `page.left() + 1` drops; the heap's top is the last of them.
        let mut first: BinaryHeap<(Timestamp, DropId, usize)> = BinaryHeap::new();
        for (place, entry) in entries.iter().enumerate() {
            let inner = entry.read();
            let (opens_at, id) = (self.opened(entry, &inner, as_of), &inner.definition.id);
            let later = from.is_none_or(|from| (opens_at, id) > (from.opens_at, &from.after));
            if later && filter.fits(&inner, inner.opens_at(entry)) {
                first.push((opens_at, id.clone(), place));
                if first.len() > page.left().saturating_add(1) {
                    first.pop();
                }
            }
        }
        let (mut last, mut durable_after) = (None, Lsn::default());
        for (opens_at, after, place) in first.into_sorted_vec() {
            let Some(entry) = entries.get(place) else { continue };
            let shown = show_drop(entry, &entry.read());
            if !page.put(&shown.value) {
                return Ok(Decided { value: last, durable_after });
            }
            durable_after = durable_after.max(shown.durable_after);
            last = Some(DropPlace { as_of, opens_at, after });
        }
        Ok(Decided { value: None, durable_after })
    }

    /// When the drop opens, as of this record; for a drop that was made after it, as it was made.
    fn opened(&self, entry: &DropEntry, inner: &DropInner, as_of: Lsn) -> Timestamp {
        let moved = if inner.revision > as_of { self.inventory.openings.as_of(entry.number, as_of) } else { None };
        moved.unwrap_or_else(|| inner.opens_at(entry))
    }
}

impl DropFilter {
    fn fits(&self, inner: &DropInner, opens_at: Timestamp) -> bool {
        let Self { shop, series, state, opens_from, opens_until, zone } = self;
        let zones = &inner.definition.rules.zones;
        shop.as_ref().is_none_or(|shop| *shop == inner.definition.shop)
            && (series.is_none() || *series == inner.definition.series)
            && opens_from.is_none_or(|from| opens_at >= from)
            && opens_until.is_none_or(|until| opens_at < until)
            && zone.as_ref().is_none_or(|zone| zones.is_empty() || zones.contains(zone))
            && match (state, inner.state()) {
                (Some(wanted), is) => *wanted == is,
                (None, is) => is != DropState::Archived,
            }
    }
}

/// The filter, with what was looked up for it.
struct HoldSelection<'f> {
    filter: &'f HoldFilter,
    /// The filter's drop.
    drop: Option<DropNo>,
    /// The drops of the filter's shop.
    shop: Option<HashSet<DropNo>>,
    /// The item that has the filter's SKU, by drop.
    items: Option<HashMap<DropNo, ItemNo>>,
    /// Drops that are being archived: their holds count as gone, also those that are still in the table.
    archived: HashSet<DropNo>,
    now: Timestamp,
}

impl HoldSelection<'_> {
    fn fits(&self, hold: &Hold) -> bool {
        let Self { filter, drop, shop, items, archived, now } = self;
        let HoldFilter { drop: _, customer, order_ref, sku: _, state, older_than, shop: _ } = filter;
        let has = |items: &HashMap<DropNo, ItemNo>| {
            items.get(&hold.drop).is_some_and(|item| hold.lines().iter().any(|line| line.item == *item))
        };
        drop.is_none_or(|drop| hold.drop == drop)
            && customer.as_ref().is_none_or(|customer| *customer == hold.customer)
            && order_ref.as_ref().is_none_or(|order_ref| hold.order_ref() == Some(order_ref))
            && state.is_none_or(|state| hold.state == state)
            && older_than.is_none_or(|span| hold.created_at().plus(span) <= *now)
            && shop.as_ref().is_none_or(|drops| drops.contains(&hold.drop))
            && items.as_ref().is_none_or(has)
            && !archived.contains(&hold.drop)
    }
}

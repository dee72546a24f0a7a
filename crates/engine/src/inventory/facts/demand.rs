//! Demand by shop, zone and hour, as views and marks of interest tell it.

use std::collections::BTreeMap;
use std::ops::Bound;

use stockade_types::ids::{Lsn, ShopId, ZoneId};
use stockade_types::record::{Demand, FACT_ENTRIES_MAX, FACT_KEPT, Fact, FactsImage, hour_of};
use stockade_types::time::Timestamp;

/// Most hours of demand that are kept, of all shops and zones together: about 64 MiB.
pub const DEMAND_HOURS_MAX: usize = if cfg!(test) { 100 } else { 1_000_000 };

/// A shop, and where demand comes from, if that is known.
type Place = (ShopId, Option<ZoneId>);
/// The next hour of a copy.
pub(super) type DemandCursor = (Place, u32);

/// Demand by shop and zone, then by hour since the epoch.
#[derive(Debug, Default)]
pub(super) struct DemandTable {
    hours: BTreeMap<Place, BTreeMap<u32, (Lsn, Demand)>>,
    count: usize,
    /// No hour is older.
    oldest: Option<u32>,
}

impl DemandTable {
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Whether the demand of these facts has room, at most if each is another hour's. Frees what is old.
    pub(super) fn has_room(&mut self, facts: &[Fact], now: Timestamp) -> bool {
        let more = facts.iter().filter(|fact| fact.kind.is_demand() && !self.has(fact)).count();
        if self.count.saturating_add(more) > DEMAND_HOURS_MAX {
            self.forget(now);
        }
        self.count.saturating_add(more) <= DEMAND_HOURS_MAX
    }

    fn has(&self, fact: &Fact) -> bool {
        let hours = self.hours.get(&(fact.shop.clone(), fact.zone.clone()));
        hours.is_some_and(|hours| hours.contains_key(&fact.hour()))
    }

    pub(super) fn apply(&mut self, lsn: Lsn, facts: &[Fact], now: Timestamp) {
        let mut sums: BTreeMap<(Place, u32), Demand> = BTreeMap::new();
        for fact in facts.iter().filter(|fact| fact.kind.is_demand()) {
            let place = ((fact.shop.clone(), fact.zone.clone()), fact.hour());
            sums.entry(place).or_default().add(fact.kind, fact.value);
        }
        for (((shop, zone), hour), more) in sums {
            let (seen, known) = self.get(&shop, zone.as_ref(), hour).unwrap_or_default();
            if lsn > seen {
                let views = known.views.saturating_add(more.views);
                let interest = known.interest.saturating_add(more.interest);
                self.put((&shop, zone.as_ref()), hour, (lsn, Demand { views, interest }));
            }
        }
        // Once a day is enough: what is old is not shown.
        if self.oldest.is_some_and(|oldest| oldest.saturating_add(24) < oldest_kept(now)) {
            self.forget(now);
        }
    }

    fn get(&self, shop: &ShopId, zone: Option<&ZoneId>, hour: u32) -> Option<(Lsn, Demand)> {
        self.hours.get(&(shop.clone(), zone.cloned()))?.get(&hour).copied()
    }

    /// Puts an hour there, unless it is there as a newer record left it.
    pub(super) fn put(&mut self, (shop, zone): (&ShopId, Option<&ZoneId>), hour: u32, of: (Lsn, Demand)) {
        let hours = self.hours.entry((shop.clone(), zone.cloned())).or_default();
        let before = hours.len();
        let known = hours.entry(hour).or_insert(of);
        if of.0 > known.0 {
            *known = of;
        }
        self.count = self.count.saturating_sub(before).saturating_add(hours.len());
        self.oldest = Some(self.oldest.map_or(hour, |oldest| oldest.min(hour)));
    }

    fn forget(&mut self, now: Timestamp) {
        let from = oldest_kept(now);
        self.hours.retain(|_, hours| {
            *hours = hours.split_off(&from);
            !hours.is_empty()
        });
        self.count = self.hours.values().map(BTreeMap::len).sum();
        self.oldest = self.hours.values().filter_map(|hours| hours.first_key_value()).map(|(hour, _)| *hour).min();
    }

    pub(super) fn of<'a>(
        &'a self,
        shop: &'a ShopId,
        zone: Option<&'a ZoneId>,
        from: u32,
    ) -> impl Iterator<Item = (Option<&'a ZoneId>, u32, Demand)> {
        let of_shop = self.hours.range((shop.clone(), None)..).take_while(move |((of, _), _)| of == shop);
        let of_zone = of_shop.filter(move |((_, known), _)| zone.is_none() || known.as_ref() == zone);
        of_zone.flat_map(move |((_, zone), hours)| {
            hours.range(from..).map(move |(hour, (_, demand))| (zone.as_ref(), *hour, *demand))
        })
    }

    /// Some of it from a cursor on, and the cursor behind that, if there is more. Hours before `oldest` are left out.
    pub(super) fn images(&self, from: Option<&DemandCursor>, oldest: u32) -> (Vec<FactsImage>, Option<DemandCursor>) {
        let (mut images, mut room) = (Vec::new(), FACT_ENTRIES_MAX);
        let begin = from.map_or(Bound::Unbounded, |(place, _)| Bound::Included(place));
        for (place, hours) in self.hours.range::<Place, _>((begin, Bound::Unbounded)) {
            let first = from.filter(|(known, _)| known == place).map_or(oldest, |(_, hour)| oldest.max(*hour));
            if room == 0 {
                return (images, Some((place.clone(), first)));
            }
            let of = |(hour, (revision, demand)): (&u32, &(Lsn, Demand))| (*hour, *revision, *demand);
            let some: Vec<_> = hours.range(first..).take(room).map(of).collect();
            let Some((last, ..)) = some.last().copied() else { continue };
            room = room.saturating_sub(some.len());
            let (shop, zone) = place.clone();
            images.push(FactsImage::Demand { shop, zone, hours: some });
            if let Some((hour, _)) = hours.range(last.saturating_add(1)..).next() {
                return (images, Some((place.clone(), *hour)));
            }
        }
        (images, None)
    }
}

/// The oldest hour that is kept at `now`.
fn oldest_kept(now: Timestamp) -> u32 {
    hour_of(now.minus(FACT_KEPT))
}

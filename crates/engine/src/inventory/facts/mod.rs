//! What is kept of the facts of other systems: which are known by their ids, what they tell of each drop, and demand by
//! shop, zone and hour.
//!
//! One lock guards all of it; it is taken before the registry of drops, and no request of a customer takes it. Each
//! tally and each hour of demand has the LSN of the last record that changed it, so that a record which a snapshot
//! contains in part is applied to the rest alone. What is old by the newest record counts as forgotten for every reader
//! of the journal, whenever its memory is freed. What facts tell of a subject's conduct is kept with the subject.

mod demand;
mod enter;
mod known;

use std::collections::BTreeMap;

use stockade_types::ids::{DropNo, FactKey, Lsn, ShopId, ZoneId};
use stockade_types::record::{
    Demand, FACT_ENTRIES_MAX, FACT_KEPT, Fact, FactTally, Facts, FactsImage, KnownFact, Record, hour_of,
};
use stockade_types::time::Timestamp;

pub use demand::DEMAND_HOURS_MAX;
use demand::{DemandCursor, DemandTable};
use known::KnownFacts;

/// What is kept of facts.
#[derive(Debug, Default)]
pub struct FactTable {
    known: KnownFacts,
    /// Of drops that are remembered.
    tallies: BTreeMap<DropNo, (Lsn, FactTally)>,
    demand: DemandTable,
    /// The last record.
    revision: Lsn,
    /// The latest instant of a record: what is old by then is forgotten.
    newest_at: Timestamp,
}

/// Where the copy of a table goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactsPart {
    /// With the tallies of drops.
    Tallies,
    /// With demand, from a cursor on.
    Demand(Option<DemandCursor>),
    /// With the ids in this shard.
    Known(usize),
}

impl FactTable {
    /// The last record of facts.
    #[must_use]
    pub const fn revision(&self) -> Lsn {
        self.revision
    }

    /// The digest of the fact with this id, if it is known at `now`.
    #[must_use]
    pub fn content(&self, key: FactKey, now: Timestamp) -> Option<u64> {
        self.known.get(key).filter(|known| !is_old(known.at, now)).map(|known| known.content)
    }

    /// Makes room for this many more ids, if there can be: by freeing what is old at `now`.
    pub fn has_room(&mut self, more: usize, most: usize, now: Timestamp) -> bool {
        if self.known.len().saturating_add(more) > most {
            self.known.forget(now);
        }
        self.known.len().saturating_add(more) <= most
    }

    /// Makes room for the demand of these facts, if there can be.
    pub fn has_room_for_demand(&mut self, facts: &[Fact], now: Timestamp) -> bool {
        self.demand.has_room(facts, now)
    }

    /// What facts tell of a drop.
    #[must_use]
    pub fn tally(&self, drop: DropNo) -> FactTally {
        self.tallies.get(&drop).map_or_else(FactTally::default, |(_, tally)| *tally)
    }

    /// Demand of a shop by hours since the epoch, from an hour on, in the order of zones and hours; of one zone, or of
    /// all.
    pub fn demand<'a>(
        &'a self,
        shop: &'a ShopId,
        zone: Option<&'a ZoneId>,
        from: u32,
    ) -> impl Iterator<Item = (Option<&'a ZoneId>, u32, Demand)> {
        self.demand.of(shop, zone, from)
    }

    /// The number of ids that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether no id is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of hours of demand that are kept, of all shops and zones together.
    #[must_use]
    pub const fn demand_hours(&self) -> usize {
        self.demand.len()
    }

    /// Applies a record. `is_there` returns whether a drop is remembered.
    pub(super) fn apply(&mut self, lsn: Lsn, facts: &Facts, is_there: impl Fn(DropNo) -> bool) {
        let Facts { at, origin: _, facts } = facts;
        self.revision = self.revision.max(lsn);
        self.newest_at = self.newest_at.max(*at);
        for Fact { key, content, .. } in facts {
            self.known.put(KnownFact { key: *key, content: *content, at: *at }, self.newest_at);
        }
        let mut of_drops: BTreeMap<DropNo, FactTally> = BTreeMap::new();
        for Fact { kind, drop, value, .. } in facts {
            let Some(drop) = *drop else { continue };
            let (_, known) = self.tallies.get(&drop).copied().unwrap_or_default();
            of_drops.entry(drop).or_insert(known).add(*kind, *value);
        }
        for (drop, tally) in of_drops {
            let seen = self.tallies.get(&drop).is_some_and(|(revision, _)| *revision >= lsn);
            if !seen && is_there(drop) {
                self.tallies.insert(drop, (lsn, tally));
            }
        }
        self.demand.apply(lsn, facts, self.newest_at);
    }

    /// Forgets what was told of a drop that is forgotten.
    pub(super) fn forget_drop(&mut self, drop: DropNo) {
        self.tallies.remove(&drop);
    }

    /// Keeps what was told of remembered drops.
    pub(super) fn keep_drops(&mut self, is_there: impl Fn(DropNo) -> bool) {
        self.tallies.retain(|drop, _| is_there(*drop));
    }

    /// Restores a part from a snapshot; conduct is not kept here. An entry that is newer already is left as it is.
    pub(super) fn restore(&mut self, image: &FactsImage) {
        match image {
            FactsImage::Known(known) => {
                for known in known {
                    self.newest_at = self.newest_at.max(known.at);
                    self.known.put(*known, self.newest_at);
                }
            }
            FactsImage::Tallies(tallies) => {
                for (drop, revision, tally) in tallies {
                    let known = self.tallies.entry(*drop).or_default();
                    if *revision > known.0 {
                        *known = (*revision, *tally);
                    }
                    self.revision = self.revision.max(*revision);
                }
            }
            FactsImage::Demand { shop, zone, hours } => {
                for (hour, revision, demand) in hours {
                    self.demand.put((shop, zone.as_ref()), *hour, (*revision, *demand));
                    self.revision = self.revision.max(*revision);
                }
            }
            FactsImage::Conduct(..) => {}
        }
    }

    /// Some of it as records of a snapshot, from a part on; and the next part, if there is more. Each is short, so that
    /// the lock is held for a short time.
    #[must_use]
    pub fn images(&self, from: FactsPart) -> (Vec<Record>, Option<FactsPart>) {
        let (images, next): (Vec<FactsImage>, _) = match from {
            FactsPart::Tallies => {
                let all: Vec<_> =
                    self.tallies.iter().map(|(drop, (revision, tally))| (*drop, *revision, *tally)).collect();
                let images = all.chunks(FACT_ENTRIES_MAX).map(|some| FactsImage::Tallies(some.to_vec()));
                (images.collect(), Some(FactsPart::Demand(None)))
            }
            FactsPart::Demand(cursor) => {
                let (images, more) = self.demand.images(cursor.as_ref(), hour_of(self.newest_at.minus(FACT_KEPT)));
                (images, Some(more.map_or(FactsPart::Known(0), |cursor| FactsPart::Demand(Some(cursor)))))
            }
            FactsPart::Known(shard) => {
                let known = self.known.shard(shard);
                let next = known.is_some().then(|| FactsPart::Known(shard.saturating_add(1)));
                let mut known: Vec<KnownFact> = known.into_iter().flatten().collect();
                known.retain(|known| !is_old(known.at, self.newest_at));
                known.sort_unstable();
                (known.chunks(FACT_ENTRIES_MAX).map(|some| FactsImage::Known(some.to_vec())).collect(), next)
            }
        };
        (images.into_iter().map(Record::FactsImage).collect(), next)
    }

    /// All of it in a fixed order, for comparing two inventories.
    pub(super) fn all_images(&self) -> Vec<Record> {
        let (mut all, mut next) = (Vec::new(), Some(FactsPart::Tallies));
        while let Some(part) = next {
            let (images, rest) = self.images(part);
            all.extend(images);
            next = rest;
        }
        all
    }
}

/// Whether what was recorded at `at` is forgotten at `now`.
fn is_old(at: Timestamp, now: Timestamp) -> bool {
    at.plus(FACT_KEPT) <= now
}

#[cfg(test)]
mod tests;

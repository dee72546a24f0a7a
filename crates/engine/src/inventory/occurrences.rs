//! What came of the occurrences of series, and when each series is looked at next.
//!
//! The results of an occurrence are forgotten a while after its opening, by the record that comes then, so that every
//! reader of the journal forgets the same. Its lock is taken after that of the series, and before the registry of drops.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::DateTime;
use parking_lot::Mutex;
use stockade_counter::sync::{AtomicU64, Ordering};
use stockade_types::ids::{Lsn, SeriesId};
use stockade_types::record::{OccurrenceFact, OccurrenceVerb, Record};
use stockade_types::time::{Millis, Timestamp};

use super::apply::ReplayError;

/// How long after its opening the result of an occurrence is remembered.
pub(super) const REMEMBERED: Millis = Millis::from_secs(45 * 24 * 60 * 60);
/// Most results that are remembered; if there are more, no occurrence gets another one.
pub const OCCURRENCES_MAX: usize = 200_000;

/// The last record of an occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurred {
    /// The record.
    pub fact: Box<OccurrenceFact>,
    /// Its LSN.
    pub lsn: Lsn,
}

/// What came of occurrences, by series and local time.
#[derive(Debug, Default)]
pub struct OccurrenceTable {
    known: BTreeMap<SeriesId, BTreeMap<DateTime, Occurred>>,
    count: usize,
}

impl OccurrenceTable {
    /// The results of a series, in the order of local times.
    pub fn of(&self, series: &SeriesId) -> impl Iterator<Item = &Occurred> {
        self.known.get(series).into_iter().flat_map(BTreeMap::values)
    }

    /// The result of one occurrence.
    #[must_use]
    pub fn get(&self, series: &SeriesId, local: DateTime) -> Option<&Occurred> {
        self.known.get(series)?.get(&local)
    }

    /// Whether there is room for another result.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.count < OCCURRENCES_MAX
    }

    /// Each last record, with its LSN.
    #[must_use]
    pub fn images(&self) -> Vec<(Lsn, Record)> {
        let all = self.known.values().flat_map(BTreeMap::values);
        all.map(|occurred| (occurred.lsn, Record::Occurrence(occurred.fact.clone()))).collect()
    }

    /// Applies a record, and forgets what it makes old. Returns false if it was applied already.
    pub(super) fn apply(&mut self, lsn: Lsn, fact: &OccurrenceFact) -> bool {
        let of_series = self.known.entry(fact.series.clone()).or_default();
        let is_new = of_series.get(&fact.local).is_none_or(|known| known.lsn < lsn);
        let before = of_series.len();
        if is_new {
            of_series.insert(fact.local, Occurred { fact: Box::new(fact.clone()), lsn });
        }
        of_series.retain(|_, known| known.fact.opens_at.plus(REMEMBERED) > fact.at);
        self.count = self.count.saturating_sub(before).saturating_add(of_series.len());
        is_new
    }

    /// Applies a record of a journal, or an image of a snapshot.
    ///
    /// # Errors
    /// [`ReplayError`] when a drop is made twice for one occurrence.
    pub(super) fn follow(&mut self, lsn: Lsn, fact: &OccurrenceFact) -> Result<(), ReplayError> {
        let known = self.get(&fact.series, fact.local).filter(|known| known.lsn < lsn);
        if fact.verb == OccurrenceVerb::Create
            && let Some(known) = known.filter(|known| known.fact.verb.has_drop())
        {
            let OccurrenceFact { series, local, .. } = known.fact.as_ref();
            let what = format!("a drop of series {series} is made twice for {local}");
            return Err(ReplayError::Record { lsn, what });
        }
        self.apply(lsn, fact);
        Ok(())
    }
}

/// When each series is looked at next.
#[derive(Debug)]
pub struct SeriesLooks {
    known: Mutex<LookQueue>,
    /// The earliest of them, in milliseconds, so that reading it costs nothing before that.
    earliest: AtomicU64,
}

#[derive(Debug, Default)]
struct LookQueue {
    in_order: BTreeSet<(Timestamp, SeriesId)>,
    of_series: HashMap<SeriesId, Timestamp>,
}

impl Default for SeriesLooks {
    fn default() -> Self {
        Self { known: Mutex::default(), earliest: AtomicU64::new(Timestamp::NEVER.0) }
    }
}

impl SeriesLooks {
    /// Sets when a series is looked at next; [`Timestamp::NEVER`] for not at all.
    pub fn expect(&self, series: &SeriesId, at: Timestamp) {
        let mut known = self.known.lock();
        if let Some(before) = known.of_series.remove(series) {
            known.in_order.remove(&(before, series.clone()));
        }
        if at < Timestamp::NEVER {
            known.of_series.insert(series.clone(), at);
            known.in_order.insert((at, series.clone()));
        }
        // Under the lock, so that the value is never older than the list. Relaxed: [`SeriesLooks::due`] reads the list
        // under the lock.
        let earliest = known.in_order.first().map_or(Timestamp::NEVER, |(at, _)| *at);
        self.earliest.store(earliest.0, Ordering::Relaxed);
    }

    /// The series that is due first, if one is due.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Option<SeriesId> {
        if self.next() > now {
            return None;
        }
        self.known.lock().in_order.first().filter(|(at, _)| *at <= now).map(|(_, series)| series.clone())
    }

    /// When the first series is due; [`Timestamp::NEVER`] without one.
    #[must_use]
    pub fn next(&self) -> Timestamp {
        Timestamp(self.earliest.load(Ordering::Relaxed))
    }
}

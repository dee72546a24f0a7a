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
pub const OCCURRENCES_MAX: usize = if cfg!(test) { 100 } else { 200_000 };

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
    /// All of them by their openings, so that those of a series of which no record comes any more are forgotten, too.
    by_opening: BTreeSet<(Timestamp, SeriesId, DateTime)>,
    /// The latest instant of a record: what is old by then is forgotten.
    latest: Timestamp,
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

    /// Whether there is room for another result, which makes room itself by what it makes old.
    #[must_use]
    pub fn has_room(&self, now: Timestamp) -> bool {
        self.by_opening.len() < OCCURRENCES_MAX || self.by_opening.first().is_some_and(|(at, ..)| is_old(*at, now))
    }

    /// Each last record, with its LSN.
    #[must_use]
    pub fn images(&self) -> Vec<(Lsn, Record)> {
        let all = self.known.values().flat_map(BTreeMap::values);
        all.map(|occurred| (occurred.lsn, Record::Occurrence(occurred.fact.clone()))).collect()
    }

    /// Applies a record, and forgets what it makes old, of all series. Returns false if it was applied already.
    pub(super) fn apply(&mut self, lsn: Lsn, fact: &OccurrenceFact) -> bool {
        let OccurrenceFact { series, local, opens_at, at, .. } = fact;
        let of_series = self.known.entry(series.clone()).or_default();
        let is_new = of_series.get(local).is_none_or(|known| known.lsn < lsn);
        if is_new {
            if let Some(before) = of_series.insert(*local, Occurred { fact: Box::new(fact.clone()), lsn }) {
                self.by_opening.remove(&(before.fact.opens_at, series.clone(), *local));
            }
            self.by_opening.insert((*opens_at, series.clone(), *local));
        }
        self.latest = self.latest.max(*at);
        while let Some((opens_at, series, local)) = self.by_opening.first().cloned() {
            if !is_old(opens_at, self.latest) {
                break;
            }
            self.by_opening.pop_first();
            if let Some(of_series) = self.known.get_mut(&series) {
                of_series.remove(&local);
                if of_series.is_empty() {
                    self.known.remove(&series);
                }
            }
        }
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

/// Whether what came of an occurrence that opened then is forgotten by now.
fn is_old(opens_at: Timestamp, now: Timestamp) -> bool {
    opens_at.plus(REMEMBERED) <= now
}

/// When each series is looked at next.
#[derive(Debug)]
pub struct SeriesLooks {
    known: Mutex<LookQueue>,
    /// The earliest of them, in milliseconds, so that reading it costs nothing before that.
    earliest: AtomicU64,
    /// How often a drop was made, changed or closed by an operator: what guards judge may be another since.
    drop_changes: AtomicU64,
}

#[derive(Debug, Default)]
struct LookQueue {
    in_order: BTreeSet<(Timestamp, SeriesId)>,
    of_series: HashMap<SeriesId, Timestamp>,
    /// From when on the skipped occurrences of each series are judged again.
    judged: HashMap<SeriesId, Timestamp>,
}

impl Default for SeriesLooks {
    fn default() -> Self {
        Self { known: Mutex::default(), earliest: AtomicU64::new(Timestamp::NEVER.0), drop_changes: AtomicU64::new(0) }
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
        } else {
            known.judged.remove(series);
        }
        // Under the lock, so that the value is never older than the list. Relaxed: [`SeriesLooks::due`] reads the list
        // under the lock.
        let earliest = known.in_order.first().map_or(Timestamp::NEVER, |(at, _)| *at);
        self.earliest.store(earliest.0, Ordering::Relaxed);
    }

    /// A drop was made, changed or closed by an operator. Called behind that.
    pub fn drop_changed(&self) {
        // Relaxed: who reads drops takes their gates, which order what they have.
        self.drop_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    #[must_use]
    pub fn drop_changes(&self) -> u64 {
        self.drop_changes.load(Ordering::Relaxed)
    }

    /// Whether the skipped occurrences of a series are judged again.
    #[must_use]
    pub fn judges_again(&self, series: &SeriesId, now: Timestamp) -> bool {
        self.known.lock().judged.get(series).is_none_or(|at| *at <= now)
    }

    /// They were judged, and are judged again from then on.
    pub fn judged(&self, series: &SeriesId, again_at: Timestamp) {
        self.known.lock().judged.insert(series.clone(), again_at);
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

#[cfg(test)]
mod tests {
    use stockade_types::record::Origin;

    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    /// An occurrence of a series so many days from the first, of which a record comes at its opening.
    fn fact(series: &str, day: u64) -> OccurrenceFact {
        let first = jiff::civil::date(2026, 1, 1).at(18, 0, 0, 0);
        let local = first.checked_add(jiff::Span::new().days(i64::try_from(day).expect("few"))).expect("a day");
        OccurrenceFact {
            series: series.parse().expect("an id"),
            shop: "s".parse().expect("an id"),
            local,
            verb: OccurrenceVerb::Create,
            at: Timestamp(day * DAY),
            origin: Origin::ENGINE,
            opens_at: Timestamp(day * DAY),
            by: Lsn(1),
            reason: "".into(),
        }
    }

    fn of(table: &OccurrenceTable, series: &str) -> usize {
        table.of(&series.parse().expect("an id")).count()
    }

    #[test]
    fn what_is_old_is_forgotten_of_all_series_by_whichever_record_comes() {
        let mut table = OccurrenceTable::default();
        let most = u64::try_from(OCCURRENCES_MAX).expect("few");
        for n in 0..most {
            assert!(table.has_room(Timestamp(DAY)));
            let series = format!("ended-{n}");
            assert!(table.apply(Lsn(n + 1), &fact(&series, n % 2)));
        }
        let until = REMEMBERED.0 / DAY;
        assert!(!table.has_room(Timestamp(until * DAY - 1)), "none is old");
        assert!(table.has_room(Timestamp(until * DAY)), "the record that comes then makes room");
        assert!(table.apply(Lsn(most + 1), &fact("other", until)));
        assert_eq!(table.by_opening.len(), OCCURRENCES_MAX / 2 + 1);
        assert_eq!((of(&table, "ended-0"), of(&table, "ended-1"), of(&table, "other")), (0, 1, 1));
        let mut of_snapshot = OccurrenceTable::default();
        for (lsn, record) in table.images().into_iter().rev() {
            let Record::Occurrence(fact) = record else { panic!("an occurrence") };
            of_snapshot.follow(lsn, &fact).expect("sound");
        }
        assert_eq!(of_snapshot.known, table.known);
        assert_eq!(of_snapshot.by_opening, table.by_opening);
    }

    #[test]
    fn an_occurrence_that_moves_counts_once_from_its_last_opening() {
        let mut table = OccurrenceTable::default();
        table.apply(Lsn(1), &fact("moved", 0));
        let moved = OccurrenceFact { opens_at: Timestamp(3 * DAY), verb: OccurrenceVerb::Change, ..fact("moved", 0) };
        table.apply(Lsn(2), &moved);
        assert!(!table.apply(Lsn(1), &fact("moved", 0)), "applied already");
        assert_eq!(table.by_opening.len(), 1);
        table.apply(Lsn(3), &fact("other", 47));
        assert_eq!(of(&table, "moved"), 1, "not old yet");
        table.apply(Lsn(4), &fact("other", 48));
        assert_eq!((of(&table, "moved"), of(&table, "other")), (0, 2));
    }
}

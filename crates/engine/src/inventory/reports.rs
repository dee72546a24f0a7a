//! What came of drops whose sale is over: their reports, as they were recorded. The oldest are forgotten by age and bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use stockade_types::ids::{DropId, DropNo, Lsn};
use stockade_types::record::{Record, ReportFact, ReportPart};
use stockade_types::time::{Millis, Timestamp};

/// Most bytes of all figures, and of all that was asked by interval.
const FIGURES_BYTES_MAX: usize = 256 * 1024 * 1024;
const DEMAND_BYTES_MAX: usize = 256 * 1024 * 1024;

/// The reports, by drop.
#[derive(Debug, Default)]
pub struct Reports {
    parts: BTreeMap<(DropNo, ReportPart), (Lsn, Arc<ReportFact>)>,
    /// An id may be given to another drop once its drop is forgotten: the last one counts.
    numbers: BTreeMap<DropId, DropNo>,
    /// The instant at which each was recorded, and its bytes.
    by_age: BTreeMap<(ReportPart, Timestamp, DropNo), usize>,
    bytes: [usize; 2],
}

impl Reports {
    /// Keeps a part, unless it is known. The oldest parts that are too many go.
    pub fn keep(&mut self, lsn: Lsn, fact: Arc<ReportFact>) {
        let key = (fact.drop, fact.part);
        if self.parts.contains_key(&key) {
            return;
        }
        let bytes = fact.bytes.len().saturating_add(size_of::<ReportFact>());
        self.add(fact.part, bytes);
        self.by_age.insert((fact.part, fact.at, fact.drop), bytes);
        self.numbers.insert(fact.id.clone(), fact.drop);
        let part = fact.part;
        self.parts.insert(key, (lsn, fact));
        while self.bytes_of(part) > bytes_max(part) && self.forget_oldest(part, Timestamp::NEVER) {}
    }

    /// Forgets what was recorded up to this long ago: figures, and what was asked by interval.
    pub fn forget(&mut self, now: Timestamp, figures: Millis, demand: Millis) {
        for (part, age) in [(ReportPart::Figures, figures), (ReportPart::Demand, demand)] {
            while self.forget_oldest(part, now.minus(age)) {}
        }
    }

    /// A part of a drop's report.
    #[must_use]
    pub fn get(&self, drop: DropNo, part: ReportPart) -> Option<Arc<ReportFact>> {
        self.parts.get(&(drop, part)).map(|(_, fact)| Arc::clone(fact))
    }

    /// The number of the last drop with this id that has a report.
    #[must_use]
    pub fn number(&self, drop: &DropId) -> Option<DropNo> {
        self.numbers.get(drop).copied()
    }

    /// The figures of all drops.
    pub fn figures(&self) -> impl Iterator<Item = &Arc<ReportFact>> {
        self.parts.values().map(|(_, fact)| fact).filter(|fact| fact.part == ReportPart::Figures)
    }

    /// All of them as records of a snapshot.
    #[must_use]
    pub fn images(&self) -> Vec<(Lsn, Record)> {
        self.parts.values().map(|(lsn, fact)| (*lsn, Record::Report(Box::new(fact.as_ref().clone())))).collect()
    }

    fn forget_oldest(&mut self, part: ReportPart, before: Timestamp) -> bool {
        let oldest = self.by_age.range((part, Timestamp::default(), DropNo(0))..).next();
        let Some((&(found, at, drop), &bytes)) = oldest else { return false };
        if found != part || at >= before {
            return false;
        }
        self.by_age.remove(&(found, at, drop));
        let gone = self.parts.remove(&(drop, part));
        if let Some((_, gone)) = gone.filter(|_| part == ReportPart::Figures)
            && self.number(&gone.id) == Some(drop)
        {
            self.numbers.remove(&gone.id);
        }
        if let Some(sum) = self.bytes.get_mut(place(part)) {
            *sum = sum.saturating_sub(bytes);
        }
        true
    }

    fn add(&mut self, part: ReportPart, bytes: usize) {
        if let Some(sum) = self.bytes.get_mut(place(part)) {
            *sum = sum.saturating_add(bytes);
        }
    }

    fn bytes_of(&self, part: ReportPart) -> usize {
        self.bytes.get(place(part)).copied().unwrap_or_default()
    }
}

const fn place(part: ReportPart) -> usize {
    match part {
        ReportPart::Figures => 0,
        ReportPart::Demand => 1,
    }
}

const fn bytes_max(part: ReportPart) -> usize {
    match part {
        ReportPart::Figures => FIGURES_BYTES_MAX,
        ReportPart::Demand => DEMAND_BYTES_MAX,
    }
}

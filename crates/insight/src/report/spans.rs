//! Spans of time, counted: the span by which a number of units, or half of all, had come. A span is kept with ten binary
//! digits, so it is shown at most 0.1 % too short, and memory is bounded however many are counted.

use std::collections::BTreeMap;

use stockade_types::time::Millis;

/// Binary digits of a span that are kept.
const DIGITS: u32 = 10;

/// Counts by span. There are at most 2^10 for each of the 55 powers of two.
#[derive(Debug, Clone, Default)]
pub(super) struct Spans(BTreeMap<u64, u64>);

impl Spans {
    /// Counts units at a span.
    pub(super) fn add(&mut self, span: Millis, units: u64) {
        let counted = self.0.entry(rounded(span.0)).or_default();
        *counted = counted.saturating_add(units);
    }

    /// The span by which at least this many units had come; nothing where fewer came, or none is asked for.
    pub(super) fn reached(&self, units: u64) -> Option<Millis> {
        let mut come: u64 = 0;
        let mut counted = self.0.iter().filter(|_| units > 0);
        counted
            .find(|(_, units_there)| {
                come = come.saturating_add(**units_there);
                come >= units
            })
            .map(|(span, _)| Millis(*span))
    }

    /// The median: the lower one of two.
    pub(super) fn median(&self) -> Option<Millis> {
        let all = self.0.values().fold(0, |sum: u64, units| sum.saturating_add(*units));
        self.reached(all.div_ceil(2))
    }
}

/// Without the digits that are not kept.
const fn rounded(span: u64) -> u64 {
    let used = u64::BITS - span.leading_zeros();
    let cut = used.saturating_sub(DIGITS);
    span >> cut << cut
}

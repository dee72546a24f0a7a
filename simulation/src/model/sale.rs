//! What the naive model makes known of a drop's stock: that nothing is free or something is again, and the band that the
//! public sees. Its drops define no bands.

use stockade_types::definition::{BandNo, Definition};
use stockade_types::record::MarkKind;

use super::ITEMS;
use super::marks::Figures;
use super::plan;
use super::state::Model;

/// The least milliseconds between two records of one drop that does not close,
const SPACING: u64 = 1_000;
/// and between two bands of one item, but that nothing is left.
const BAND_LASTS: u64 = 5_000;

/// All goods, or an item by its place.
type Whose = Option<usize>;

fn named(what: &str, of: Whose) -> String {
    of.map_or_else(|| format!("{what} all"), |item| format!("{what} {item}"))
}

fn sold_out(of: Whose) -> String {
    named("sold out", of)
}

fn back(of: Whose) -> String {
    named("back", of)
}

fn band(item: usize, is_available: bool) -> String {
    format!("band {item} {}", if is_available { "available" } else { "sold_out" })
}

/// Whether it is made known of the stock.
pub fn is_of_sale(what: &str) -> bool {
    ["sold out ", "back ", "band "].iter().any(|start| what.starts_with(start))
}

/// A mark of the stock in the words of the model; none for others.
pub fn in_words(kind: MarkKind, definition: &Definition) -> Option<String> {
    let place = |item: Option<stockade_types::ids::ItemNo>| item.map(stockade_types::ids::ItemNo::index);
    assert_eq!(definition.rules.scarcity, None, "the model's drops have no bands");
    if let MarkKind::SoldOut(of) = kind {
        Some(sold_out(place(of)))
    } else if let MarkKind::BackInStock(of) = kind {
        Some(back(place(of)))
    } else if let MarkKind::Band(item, of) = kind {
        Some(band(item.index(), of == BandNo(0)))
    } else {
        None
    }
}

impl Model {
    /// Whether a drop has opened and not closed.
    pub fn is_on_sale(&self, drop: usize) -> bool {
        let known = &self.drops[drop];
        known.opened.is_some() && known.closed.is_none() && known.archived.is_none()
    }

    /// What is made known by a look at a drop's stock.
    pub fn changes_of_sale(&self, drop: usize) -> Vec<String> {
        let fired = &self.drops[drop].fired;
        let last = fired.iter().filter(|(what, _)| is_of_sale(what)).map(|(_, at)| *at).max();
        if last.is_some_and(|last| last + SPACING > self.now) { Vec::new() } else { self.last_changes(drop) }
    }

    /// What is made known of a drop that closes next.
    pub fn last_changes(&self, drop: usize) -> Vec<String> {
        if !self.is_on_sale(drop) {
            return Vec::new();
        }
        let known = &self.drops[drop];
        let mut changes = Vec::new();
        let mut goods = Figures::default();
        for item in 0..ITEMS[drop].len().min(known.pools.len()) {
            if self.has_begun(drop, item) {
                continue;
            }
            let (all, public) = self.of_item(drop, item);
            if known.plan.items.get(item).is_none_or(|item| item.slot.is_none()) {
                goods.free += all.free;
                goods.received += all.received;
            }
            changes.extend(self.sold_out_or_back(drop, Some(item), all));
            let since = |is_available| known.fired.get(&band(item, is_available)).copied();
            let is = public.free > 0;
            let (was, may) = match (since(true), since(false)) {
                (Some(at), None) => (true, !is || at + BAND_LASTS <= self.now),
                (None, Some(at)) => (false, at + BAND_LASTS <= self.now),
                (None, None) => (all.received > 0, true),
                (Some(_), Some(_)) => unreachable!("one band is shown"),
            };
            if is != was && may {
                changes.push(band(item, is));
            }
        }
        changes.extend(self.sold_out_or_back(drop, None, goods));
        changes
    }

    /// Enters what was made known.
    pub fn make_known(&mut self, drop: usize, changes: &[String]) {
        for what in changes {
            let fired = &mut self.drops[drop].fired;
            let of = what.rsplit(' ').next().expect("a word");
            if what.starts_with("sold out") {
                fired.remove(&format!("back {of}"));
            } else if what.starts_with("back") {
                fired.remove(&format!("sold out {of}"));
            } else {
                let item: usize = what.split(' ').nth(1).expect("an item").parse().expect("a number");
                fired.remove(&band(item, of != "available"));
            }
            fired.insert(what.clone(), self.now);
        }
    }

    fn sold_out_or_back(&self, drop: usize, of: Whose, units: Figures) -> Option<String> {
        match (units.free, self.drops[drop].has_fired(&sold_out(of))) {
            (0, false) if units.received > 0 => Some(sold_out(of)),
            (1.., true) => Some(back(of)),
            _ => None,
        }
    }

    /// The units of an item, and those that somebody without a tier and a zone may draw on.
    fn of_item(&self, drop: usize, item: usize) -> (Figures, Figures) {
        let known = &self.drops[drop];
        let is_for_all = |pool: u16| known.plan.pool((item, pool)).crowd.has(false, &[]);
        let (mut all, mut public) = (Figures::default(), Figures::default());
        for pool in 0..u16::try_from(known.pools[item].len()).expect("few") {
            let units = self.figures(drop, (item, pool));
            let flows = known.plan.pool((item, pool)).flows;
            let has_opened = |to: u16| is_for_all(to) && known.has_fired(&plan::flows(drop, (item, pool), to));
            let is_public = is_for_all(pool) || flows.iter().any(|(to, _)| has_opened(*to));
            for sum in [Some(&mut all), is_public.then_some(&mut public)].into_iter().flatten() {
                sum.free += units.free;
                sum.received += units.received;
            }
        }
        (all, public)
    }
}

//! What is made known of a drop's stock: that nothing of an item is free or something is again, and the band that the
//! public is shown.
//!
//! "Nothing free" is judged over all pools; a band over those that somebody without a tier and a zone may draw on.

use stockade_types::definition::{BandNo, Definition, Item, Scarcity};
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::record::{FlowPlace, Mark, MarkKind, Marks, PoolFigures};
use stockade_types::time::{Millis, Timestamp};

/// The least time between two looks at a drop that make such changes known, but that it closes.
const SPACING: Millis = Millis::from_secs(1);

/// Units of an item that are free, and those that were received and not withdrawn.
#[derive(Debug, Clone, Copy, Default)]
struct Units {
    free: u64,
    received: u64,
    sellable: u64,
}

impl Units {
    fn of<'a>(pools: impl Iterator<Item = &'a PoolFigures>) -> Self {
        pools.fold(Self::default(), |sum, pool| {
            let PoolFigures { basis, withdrawn, .. } = pool;
            let out = withdrawn.saturating_add(basis.taken_out);
            Self {
                free: sum.free.saturating_add(pool.free()),
                received: sum.received.saturating_add(basis.received),
                sellable: sum.sellable.saturating_add(basis.received.saturating_sub(out)),
            }
        })
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            free: self.free.saturating_add(other.free),
            received: self.received.saturating_add(other.received),
            sellable: self.sellable.saturating_add(other.sellable),
        }
    }
}

/// A drop's items with the figures of their pools.
fn items<'a>(
    definition: &'a Definition,
    mut stock: &'a [PoolFigures],
) -> impl Iterator<Item = (ItemNo, &'a Item, &'a [PoolFigures])> {
    (0..).map(ItemNo).zip(&definition.items).map(move |(number, item)| {
        let (of_item, rest) = stock.split_at_checked(item.pools.len()).unwrap_or((stock, &[]));
        stock = rest;
        (number, item, of_item)
    })
}

/// Whether somebody without a tier and a zone may draw on a pool: it is for everyone, or has opened to one that is.
fn is_public(item: &Item, (number, place): (ItemNo, PoolNo), marks: &Marks) -> bool {
    let is_for_all = |pool: PoolNo| item.pools.get(pool.index()).is_some_and(|pool| pool.audience.is_everyone());
    is_for_all(place)
        || item.flows().any(|((from, to), _)| {
            from == place && is_for_all(to) && marks.has(MarkKind::Flow(FlowPlace { item: number, from, to }))
        })
}

/// The band of an item, as its figures are.
fn band(scarcity: &Scarcity, (number, item): (ItemNo, &Item), pools: &[PoolFigures], marks: &Marks) -> BandNo {
    // What is free of a slot that has begun is not for sale any more.
    if marks.has(MarkKind::SlotStarts(number)) {
        return scarcity.last();
    }
    let public = (0..).map(PoolNo).zip(pools).filter(|(place, _)| is_public(item, (number, *place), marks));
    let Units { free, sellable, .. } = Units::of(public.map(|(_, figures)| figures));
    scarcity.band(free, sellable)
}

/// The band that the public is shown of an item: the one that was made known last; before the first, the one of its
/// figures.
#[must_use]
pub fn shown_band<'d>(
    definition: &'d Definition,
    (number, item): (ItemNo, &Item),
    pools: &[PoolFigures],
    marks: &Marks,
) -> &'d str {
    static USUAL: Scarcity = Scarcity::USUAL;
    let scarcity = definition.rules.scarcity.as_ref().unwrap_or(&USUAL);
    let made_known = marks.band(number).map(|(band, _)| band).filter(|_| !marks.has(MarkKind::SlotStarts(number)));
    scarcity.name(made_known.unwrap_or_else(|| band(scarcity, (number, item), pools, marks)))
}

/// Whether what has changed of a drop's stock may be made known by now: at most once a second for a drop.
#[must_use]
pub fn may_make_known(marks: &Marks, now: Timestamp) -> bool {
    let last = marks.iter().filter(|mark| mark.kind.is_of_stock()).map(|mark| mark.scheduled_for).max();
    last.is_none_or(|last| last.plus(SPACING) <= now)
}

/// What has changed of the stock of a drop on sale since it was made known last: a band no sooner than the drop's
/// interval behind the one before, but that nothing is left. That nothing is left comes first, then what was made known
/// longest ago.
#[must_use]
pub fn stock_changes(definition: &Definition, marks: &Marks, stock: &[PoolFigures], now: Timestamp) -> Vec<MarkKind> {
    let usual = Scarcity::USUAL;
    let scarcity = definition.rules.scarcity.as_ref().unwrap_or(&usual);
    let mut found: Vec<Mark> = Vec::new();
    let mut goods = Units::default();
    for (number, item, pools) in items(definition, stock) {
        if marks.has(MarkKind::SlotStarts(number)) {
            continue;
        }
        let units = Units::of(pools.iter());
        if item.slot.is_none() {
            goods = goods.plus(units);
        }
        found.extend(sold_out(Some(number), units, marks));
        let is = band(scarcity, (number, item), pools, marks);
        let (was, since) = marks.band(number).unwrap_or_else(|| (first(scarcity, units), Timestamp::default()));
        let may = is == scarcity.last() || since == Timestamp::default() || since.plus(scarcity.min_interval) <= now;
        if is != was && may {
            found.push(Mark { kind: MarkKind::Band(number, is), scheduled_for: since });
        }
    }
    found.extend(sold_out(None, goods, marks));
    let says_none_left = |kind: MarkKind| {
        matches!(kind, MarkKind::SoldOut(_)) || matches!(kind, MarkKind::Band(_, band) if band == scarcity.last())
    };
    found.sort_by_key(|mark| (!says_none_left(mark.kind), mark.scheduled_for, mark.kind));
    found.into_iter().map(|mark| mark.kind).collect()
}

/// The band of an item of which nothing was made known yet.
fn first(scarcity: &Scarcity, units: Units) -> BandNo {
    if units.received == 0 { scarcity.last() } else { BandNo(0) }
}

/// Whether nothing is free any more, or something is again, with the instant at which the other was made known. Nothing
/// is said of what never had a unit.
fn sold_out(of: Option<ItemNo>, units: Units, marks: &Marks) -> Option<Mark> {
    let [out, back] = [MarkKind::SoldOut(of), MarkKind::BackInStock(of)];
    let since = marks.at(out);
    let kind = match (units.free, since) {
        (0, None) if units.received > 0 => out,
        (1.., Some(_)) => back,
        (_, _) => return None,
    };
    Some(Mark { kind, scheduled_for: since.or_else(|| marks.at(back)).unwrap_or_default() })
}

/// Whether a mark of the stock contradicts the figures that it was written with.
#[must_use]
pub fn contradicts_stock(definition: &Definition, marks: &Marks, stock: &[PoolFigures], kind: MarkKind) -> bool {
    let usual = Scarcity::USUAL;
    let scarcity = definition.rules.scarcity.as_ref().unwrap_or(&usual);
    let free = |of: Option<ItemNo>| {
        let counts = |number: ItemNo, item: &Item| {
            of.map_or(item.slot.is_none() && !marks.has(MarkKind::SlotStarts(number)), |of| of == number)
        };
        let counted = items(definition, stock).filter(|(number, item, _)| counts(*number, item));
        Units::of(counted.flat_map(|(_, _, pools)| pools)).free
    };
    if let MarkKind::SoldOut(of) = kind {
        free(of) > 0
    } else if let MarkKind::BackInStock(of) = kind {
        free(of) == 0
    } else if let MarkKind::Band(number, shown) = kind {
        let mut of_item = items(definition, stock).filter(|(known, ..)| *known == number);
        of_item.next().is_none_or(|(number, item, pools)| band(scarcity, (number, item), pools, marks) != shown)
    } else {
        false
    }
}

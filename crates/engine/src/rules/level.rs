//! Rules that fire at a level of stock.

use stockade_types::definition::{Definition, LevelUnits, SignalNo, StockLevel, Trigger};
use stockade_types::ids::{ItemNo, PoolNo};
use stockade_types::record::{FlowPlace, Lifecycle, MarkKind, PoolFigures};
use stockade_types::time::Timestamp;

/// A rule that fires at a level of stock, and has not fired or may fire again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockTrigger<'a> {
    /// What fires.
    pub kind: MarkKind,
    /// If it is a signal that has fired and may fire again: which, and from when on. It must have ceased before.
    pub again: Option<(SignalNo, Timestamp)>,
    /// At which level.
    level: &'a StockLevel,
    /// Of which items.
    items: Vec<ItemNo>,
    /// Those of them that are pickup slots that have begun: what is free of them is withdrawn.
    begun: Vec<ItemNo>,
}

/// The rules of a drop that fire at a level of stock, and have not fired or may fire again, in the order in which they
/// fire: signals, price steps, flows, tranches.
#[must_use]
pub fn stock_triggers<'a>(definition: &'a Definition, lifecycle: &Lifecycle) -> Vec<StockTrigger<'a>> {
    if !definition.has_rules() {
        return Vec::new();
    }
    let items = || (0..).map(ItemNo).zip(&definition.items);
    let mut all = Vec::new();
    let mut add = |kind, when: &'a Trigger, again: Option<(SignalNo, Timestamp)>, usual: Vec<ItemNo>| {
        if let Trigger::Stock(level) = when
            && (again.is_some() || !lifecycle.has(kind))
        {
            let named = |sku| definition.item(sku).map(|(number, _)| number).into_iter().collect();
            let items = level.sku.as_ref().map_or(usual, named);
            let begun = items.iter().copied().filter(|item| lifecycle.has(MarkKind::SlotStarts(*item))).collect();
            all.push(StockTrigger { kind, again, level, items, begun });
        }
    };
    let goods = || items().filter(|(_, item)| item.slot.is_none()).map(|(number, _)| number).collect();
    for signal in &definition.rules.signals {
        let Some(number) = definition.rules.names.signal_no(&signal.id) else { continue };
        let kind = MarkKind::Signal(number);
        let again = lifecycle.marks.at(kind).zip(signal.repeat_after).map(|(fired, span)| (number, fired.plus(span)));
        add(kind, &signal.on, again, goods());
    }
    for terms in &definition.rules.prices {
        let Some(number) = definition.rules.names.terms_no(&terms.id) else { continue };
        for (place, step) in (0..).zip(&terms.steps) {
            let of_terms = items().filter(|(_, item)| terms.covers(&item.sku)).map(|(number, _)| number).collect();
            add(MarkKind::PriceStep(number, place), &step.when, None, of_terms);
        }
    }
    for (number, item) in items() {
        for ((from, to), flow) in item.flows() {
            if let Some(when) = &flow.when {
                add(MarkKind::Flow(FlowPlace { item: number, from, to }), when, None, vec![number]);
            }
        }
    }
    for tranche in &definition.rules.tranches {
        let Some(number) = definition.rules.names.tranche_no(&tranche.id) else { continue };
        add(MarkKind::Tranche(number), &tranche.when, None, goods());
    }
    all
}

impl StockTrigger<'_> {
    /// Whether its level is reached, by figures of the drop's pools: `of` returns those of a pool, none if there is no
    /// such pool.
    pub fn is_reached(&self, definition: &Definition, of: impl Fn(ItemNo, PoolNo) -> Option<PoolFigures>) -> bool {
        let mut sum = LevelUnits::default();
        for item in &self.items {
            let Some(defined) = definition.items.get(item.index()) else { continue };
            for (place, pool) in (0..).map(PoolNo).zip(&defined.pools) {
                if self.level.pool.as_ref().is_none_or(|named| *named == pool.id)
                    && let Some(figures) = of(*item, place)
                {
                    sum = sum.plus(units(&figures, self.begun.contains(item)));
                }
            }
        }
        self.level.level.is_reached(sum)
    }
}

/// What is free of a slot that has begun is withdrawn.
fn units(figures: &PoolFigures, has_begun: bool) -> LevelUnits {
    let PoolFigures { basis, held, paying, claimed, withdrawn, returned_total: _ } = figures;
    let withdrawn = withdrawn.saturating_add(basis.taken_out);
    let live = held.saturating_add(*paying);
    let out = live.saturating_add(*claimed).saturating_add(withdrawn);
    let free = basis.received.saturating_sub(out);
    let (free, withdrawn) = if has_begun { (0, withdrawn.saturating_add(free)) } else { (free, withdrawn) };
    LevelUnits { received: basis.received, withdrawn, free, claimed: *claimed, live }
}

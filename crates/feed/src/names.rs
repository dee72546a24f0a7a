//! The names of drops: the parts of a definition that never change.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use stockade_types::definition::{Definition, Rules, Schedule};
use stockade_types::ids::DropNo;
use stockade_types::record::{DropVerb, Record};

/// A drop's names: its id, shop, series, SKUs and pool ids. The other fields may be from any time.
pub(crate) type Named = Arc<Definition>;

/// A source of drops' names.
pub trait Names: Send + Sync {
    /// The names of a drop; none if it was archived and removed from memory.
    fn definition(&self, number: DropNo) -> Option<Named>;
}

impl<F: Fn(DropNo) -> Option<Named> + Send + Sync> Names for F {
    fn definition(&self, number: DropNo) -> Option<Named> {
        self(number)
    }
}

/// Most items of removed drops whose names are cached: about 2 MiB.
const ITEMS_MAX: usize = 8_192;

/// A cache of names of drops that the engine has removed.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    known: HashMap<DropNo, Named>,
    /// In the order in which they were read.
    order: VecDeque<DropNo>,
    items: usize,
}

impl Forgotten {
    /// The names of this drop, if they are cached.
    pub(crate) fn get(&self, number: DropNo) -> Option<Named> {
        self.known.get(&number).cloned()
    }

    /// Caches a drop's names from the record that archives it. Evicts the oldest.
    pub(crate) fn learn(&mut self, record: &Record) {
        let Record::DropFact(fact) = record else { return };
        if fact.verb != DropVerb::Archive || self.known.contains_key(&fact.number()) {
            return;
        }
        let Definition { id, shop, series, items, .. } = &fact.image.definition;
        let (id, shop, series, items) = (id.clone(), shop.clone(), series.clone(), items.clone());
        let named = Definition {
            id,
            title: String::new(),
            shop,
            series,
            labels: std::collections::BTreeMap::new(),
            schedule: Schedule::default(),
            items,
            limits: Vec::new(),
            terms: fact.image.definition.terms,
            rules: Rules { names: fact.image.definition.rules.names.clone(), ..Rules::default() },
        };
        self.items = self.items.saturating_add(named.items.len());
        self.order.push_back(fact.number());
        self.known.insert(fact.number(), Arc::new(named));
        // The newest entry stays, however large it is.
        while self.items > ITEMS_MAX && self.order.len() > 1 {
            let Some(gone) = self.order.pop_front().and_then(|oldest| self.known.remove(&oldest)) else { return };
            self.items = self.items.saturating_sub(gone.items.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stockade_types::definition::{Item, Terms};
    use stockade_types::ids::{DropId, ShopId, Sku};
    use stockade_types::record::{DropFact, DropImage, Lifecycle, Origin};
    use stockade_types::time::{Millis, Timestamp};

    use super::*;

    fn fact(verb: DropVerb, number: u32, items: usize) -> Record {
        let item = |n: usize| Item::plain(Sku::try_from(format!("{n}").as_str()).expect("a sku"), Vec::new());
        let definition = Definition {
            id: DropId::try_from("d").expect("an id"),
            title: "Knives".into(),
            shop: ShopId::try_from("s").expect("an id"),
            series: None,
            labels: BTreeMap::new(),
            schedule: Schedule { opens_at: None, closes_at: None },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: (0..items).map(item).collect(),
            limits: Vec::new(),
            rules: Rules::default(),
        };
        let number = DropNo(number);
        let image = DropImage { number, created_at: Timestamp(1), definition, request: [0; 32], update: None };
        let (at, origin, lifecycle) = (Timestamp(1), Origin::ENGINE, Lifecycle::new(number));
        Record::DropFact(Box::new(DropFact {
            verb,
            at,
            origin,
            image,
            lifecycle,
            marks: Vec::new(),
            stock: Vec::new(),
        }))
    }

    #[test]
    fn names_of_archived_drops_are_learned_and_the_oldest_go_for_new_ones() {
        let mut forgotten = Forgotten::default();
        forgotten.learn(&fact(DropVerb::Close, 0, 1));
        assert!(forgotten.get(DropNo(0)).is_none(), "the engine still has it");
        for number in 1..=100 {
            forgotten.learn(&fact(DropVerb::Archive, number, 256));
            forgotten.learn(&fact(DropVerb::Archive, number, 256));
            let named = forgotten.get(DropNo(number)).expect("the one that was just met");
            assert_eq!((named.items.len(), named.title.as_str()), (256, ""));
            assert!(forgotten.items <= ITEMS_MAX && forgotten.known.len() == forgotten.order.len());
        }
        assert!(forgotten.get(DropNo(1)).is_none() && forgotten.known.len() == ITEMS_MAX / 256);
        forgotten.learn(&fact(DropVerb::Archive, 101, ITEMS_MAX + 1));
        assert!(forgotten.get(DropNo(101)).is_some(), "however large");
    }
}

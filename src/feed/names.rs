//! The names of drops: what never changes of a definition, and of what is added to it, what stays.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::definition::{Definition, Schedule};
use crate::ids::DropNo;
use crate::record::{DropVerb, Record};

/// A drop's names: id, shop, series, SKUs and ids of pools. All else in it may be as it is today.
pub type Named = Arc<Definition>;

/// Who knows the names of drops.
pub trait Names: Send + Sync {
    /// Those of a drop; nothing once it was archived and forgotten.
    fn definition(&self, number: DropNo) -> Option<Named>;
}

impl<F: Fn(DropNo) -> Option<Named> + Send + Sync> Names for F {
    fn definition(&self, number: DropNo) -> Option<Named> {
        self(number)
    }
}

/// Items of forgotten drops whose names are remembered, at most: about 2 MiB.
const ITEMS_MAX: usize = 8_192;

/// Names of drops that the engine has forgotten, as they were met last.
#[derive(Debug, Default)]
pub struct Forgotten {
    known: HashMap<DropNo, Named>,
    /// In the order in which they were met.
    order: VecDeque<DropNo>,
    items: usize,
}

impl Forgotten {
    /// Those of this drop, if they were met.
    pub fn get(&self, number: DropNo) -> Option<Named> {
        self.known.get(&number).cloned()
    }

    /// Remembers what a record says, where it archives a drop. The oldest go for it.
    pub fn learn(&mut self, record: &Record) {
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
            ..fact.image.definition
        };
        self.items = self.items.saturating_add(named.items.len());
        self.order.push_back(fact.number());
        self.known.insert(fact.number(), Arc::new(named));
        // The one that was just met stays, however large it is.
        while self.items > ITEMS_MAX && self.order.len() > 1 {
            let Some(gone) = self.order.pop_front().and_then(|oldest| self.known.remove(&oldest)) else { return };
            self.items = self.items.saturating_sub(gone.items.len());
        }
    }
}

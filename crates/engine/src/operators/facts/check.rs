//! What the engine checks of a fact: its time, and the drop that it names.

use std::collections::HashMap;
use std::sync::Arc;

use stockade_types::definition::Definition;
use stockade_types::ids::{DropId, DropNo};
use stockade_types::record::FACT_KEPT;
use stockade_types::time::{Millis, Timestamp};

use super::{FactFault, ReportedFact};
use crate::Engine;

/// How far a fact may be ahead.
const AHEAD_MAX: Millis = Millis::from_secs(5 * 60);

/// The drops that the facts of one request name, each looked up once.
#[derive(Default)]
pub(super) struct Checks<'a> {
    drops: HashMap<&'a DropId, Option<(DropNo, Arc<Definition>)>>,
}

impl<'a> Checks<'a> {
    /// Returns the number of the drop that the fact names.
    pub(super) fn check(
        &mut self,
        engine: &Engine,
        reported: &'a ReportedFact,
        now: Timestamp,
    ) -> Result<Option<DropNo>, Vec<FactFault>> {
        let mut faults = Vec::new();
        let mut fault = |field, message| faults.push(FactFault { index: reported.index, field, message });
        if reported.time > now.plus(AHEAD_MAX) {
            fault("time", format!("{} is over 5 minutes ahead", reported.time));
        } else if reported.time < now.minus(FACT_KEPT) {
            fault("time", format!("{} is over 400 days back", reported.time));
        }
        let drop = reported.drop.as_ref().map(|id| (id, self.drop(engine, id)));
        match &drop {
            None => {}
            Some((id, None)) => fault("drop_id", format!("drop {id} is not known")),
            Some((id, Some((_, definition)))) => {
                let Definition { shop, items, .. } = definition.as_ref();
                if *shop != reported.shop {
                    fault("drop_id", format!("drop {id} is of shop {shop}, not of {}", reported.shop));
                }
                if let Some(sku) = reported.sku.as_ref().filter(|sku| items.iter().all(|item| item.sku != **sku)) {
                    fault("sku", format!("{sku} is no item of drop {id}"));
                }
            }
        }
        let number = drop.and_then(|(_, drop)| drop.map(|(number, _)| number));
        if faults.is_empty() { Ok(number) } else { Err(faults) }
    }

    fn drop(&mut self, engine: &Engine, id: &'a DropId) -> Option<(DropNo, Arc<Definition>)> {
        let look = || engine.inventory.drops.with_id(id, |entry| (entry.number, Arc::clone(&entry.read().definition)));
        self.drops.entry(id).or_insert_with(look).clone()
    }
}

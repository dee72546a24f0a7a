//! Facts of other systems about orders and demand: each is taken once by its id.
//!
//! A list is recorded in pieces of at most [`FACTS_MAX`] facts, each one record. Between two pieces others may record.
//! If one can't be recorded, those before it are: when the list is sent again, they are known.

mod check;
mod orders;

use std::collections::HashMap;

use stockade_types::ids::{CustomerId, DropId, FactId, FactKey, OrderRef, ShopId, Sku, ZoneId};
use stockade_types::record::{Demand, FACTS_MAX, Fact, FactKind, FactTally, Facts, Record};
use stockade_types::time::Timestamp;

use crate::Engine;
use crate::answer::Fault;
use crate::attempt::{Answer, Decided};
use crate::commit::Prepared;
use crate::context::Context;
use crate::inventory::{FactTable, Locked};

pub(crate) use orders::OrderIndex;

use check::Checks;

/// A fact as a caller reports it. Its parts have their form, and what its kind needs is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedFact {
    /// Its place in the request.
    pub index: u32,
    /// Its id.
    pub id: FactId,
    /// What it tells.
    pub kind: FactKind,
    /// When it happened.
    pub time: Timestamp,
    /// In which shop.
    pub shop: ShopId,
    /// Of which drop.
    pub drop: Option<DropId>,
    /// Of which order.
    pub order: Option<OrderRef>,
    /// Of which item.
    pub sku: Option<Sku>,
    /// Where from.
    pub zone: Option<ZoneId>,
    /// Whose order.
    pub customer: Option<CustomerId>,
    /// Units, points, views or marks of interest; 1 for what is counted once.
    pub value: u32,
}

/// What is wrong with a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactFault {
    /// The fact's place in the request.
    pub index: u32,
    /// Its field, in proto spelling.
    pub field: &'static str,
    /// What is wrong.
    pub message: String,
}

/// What became of a list of facts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedFacts {
    /// How many were recorded.
    pub recorded: u32,
    /// How many had been recorded before.
    pub known: u32,
    /// What is wrong with the others, by their places.
    pub faults: Vec<FactFault>,
}

/// A fact that was not known when the request came.
struct NewFact<'a> {
    reported: &'a ReportedFact,
    fact: Fact,
}

impl Engine {
    /// Records facts, each once by its id. Those that are faulty are named; the others are taken.
    ///
    /// Looks for the holds of cancelled, charged back and returned orders, which may take a walk over all holds: not to
    /// be called where requests are served.
    ///
    /// # Errors
    /// [`Fault::Exhausted`] when too many are kept, and faults of the journal; the facts before may be recorded.
    pub fn record_facts(&self, reported: &[ReportedFact], context: Context<'_>) -> Answer<RecordedFacts> {
        let mut recorded = RecordedFacts::default();
        let mut new = self.new_facts(reported, &mut recorded, context.now);
        if !new.is_empty() {
            self.has_memory()?;
        }
        self.find_subjects(&mut new);
        for piece in new.chunks_mut(FACTS_MAX) {
            self.record_piece(piece, &mut recorded, context)?;
        }
        recorded.faults.sort_by_key(|fault| fault.index);
        Ok(Decided { value: recorded, durable_after: self.inventory.facts.lock().revision() })
    }

    /// The facts that are not known and can be recorded.
    fn new_facts<'a>(
        &self,
        reported: &'a [ReportedFact],
        recorded: &mut RecordedFacts,
        now: Timestamp,
    ) -> Vec<NewFact<'a>> {
        let keyed: Vec<(FactKey, u64)> = reported.iter().map(|fact| self.keyed(fact)).collect();
        let known: Vec<Option<u64>> = {
            let table = self.inventory.facts.lock();
            keyed.iter().map(|(key, _)| table.content(*key, now)).collect()
        };
        let (mut checks, mut here) = (Checks::default(), HashMap::new());
        let mut new = Vec::new();
        for ((reported, (key, content)), known) in reported.iter().zip(keyed).zip(known) {
            if let Some(known) = known.or_else(|| here.get(&key).copied()) {
                recorded.note_known(reported, known == content);
                continue;
            }
            match checks.check(self, reported, now) {
                Ok(drop) => {
                    here.insert(key, content);
                    new.push(NewFact { reported, fact: fact_of(reported, (key, content), drop) });
                }
                Err(faults) => recorded.faults.extend(faults),
            }
        }
        new
    }

    /// Records facts in one record, without those that another request has recorded meanwhile.
    fn record_piece(
        &self,
        piece: &mut [NewFact<'_>],
        recorded: &mut RecordedFacts,
        context: Context<'_>,
    ) -> Result<(), Fault> {
        let Context { now, origin } = context;
        let mut table = self.inventory.facts.lock();
        let mut facts = Vec::with_capacity(piece.len());
        for NewFact { reported, fact } in piece {
            match table.content(fact.key, now) {
                Some(known) => recorded.note_known(reported, known == fact.content),
                None => facts.push(fact.clone()),
            }
        }
        if facts.is_empty() {
            return Ok(());
        }
        self.has_room_for(&mut table, &facts, now)?;
        let count = u32::try_from(facts.len()).unwrap_or(u32::MAX);
        let prepared = Prepared { permit: self.journal.permit()?, locked: Locked::Facts(&mut table), taken: None };
        let record = Record::Facts(Facts { at: now, origin: origin.clone(), facts });
        self.commit(record, prepared, now)?;
        recorded.recorded = recorded.recorded.saturating_add(count);
        Ok(())
    }

    fn has_room_for(&self, table: &mut FactTable, facts: &[Fact], now: Timestamp) -> Result<(), Fault> {
        if !table.has_room(facts.len(), self.bounds.max_facts, now) {
            return Err(Fault::Exhausted("too many facts of the last 400 days are known: no more are taken"));
        }
        if !table.has_room_for_demand(facts, now) {
            return Err(Fault::Exhausted("views and interest of too many shops, zones and hours are kept"));
        }
        let subjects = &self.inventory.subjects;
        let has_conduct = facts.iter().any(|fact| !fact.subjects.is_empty());
        if has_conduct && (!subjects.has_room() || subjects.old() >= self.bounds.max_holds) {
            return Err(Fault::Exhausted("too many customers are remembered for what they bought or did"));
        }
        Ok(())
    }

    fn keyed(&self, reported: &ReportedFact) -> (FactKey, u64) {
        let ReportedFact { index: _, id, kind, time, shop, drop, order, sku, zone, customer, value } = reported;
        let key = &self.inventory.key;
        let content = key.fact_content(|parts| {
            parts.push(kind.number());
            parts.extend_from_slice(&time.0.to_le_bytes());
            parts.extend_from_slice(&value.to_le_bytes());
            let texts = [
                drop.as_ref().map(DropId::as_str),
                order.as_ref().map(OrderRef::as_str),
                sku.as_ref().map(Sku::as_str),
                zone.as_ref().map(ZoneId::as_str),
                customer.as_ref().map(CustomerId::as_str),
            ];
            for text in texts {
                // No text has a zero byte.
                parts.extend_from_slice(text.unwrap_or_default().as_bytes());
                parts.push(0);
            }
        });
        (key.fact(shop, id), content)
    }

    /// What facts tell of a drop; none if it is not remembered.
    #[must_use]
    pub fn fact_tally(&self, drop: &DropId) -> Option<FactTally> {
        let number = self.inventory.drops.with_id(drop, |entry| entry.number)?;
        Some(self.inventory.facts.lock().tally(number))
    }

    /// Demand of a shop by zone and hour since the epoch, from an hour on; of one zone, or of all. At most `most`
    /// entries, in the order of zones and hours.
    #[must_use]
    pub fn demand(
        &self,
        shop: &ShopId,
        zone: Option<&ZoneId>,
        from: u32,
        most: usize,
    ) -> Vec<(Option<ZoneId>, u32, Demand)> {
        let table = self.inventory.facts.lock();
        let owned = |(zone, hour, demand): (Option<&ZoneId>, u32, Demand)| (zone.cloned(), hour, demand);
        table.demand(shop, zone, from).take(most).map(owned).collect()
    }
}

impl RecordedFacts {
    /// A fact with this id was recorded before.
    fn note_known(&mut self, reported: &ReportedFact, is_same: bool) {
        if is_same {
            self.known = self.known.saturating_add(1);
        } else {
            let message = format!("{} was recorded before with other content", reported.id);
            self.faults.push(FactFault { index: reported.index, field: "id", message });
        }
    }
}

fn fact_of(reported: &ReportedFact, (key, content): (FactKey, u64), drop: Option<stockade_types::ids::DropNo>) -> Fact {
    let ReportedFact { index: _, id: _, kind, time, shop, drop: _, order, sku, zone, customer: _, value } = reported;
    Fact {
        key,
        content,
        kind: *kind,
        time: *time,
        shop: shop.clone(),
        drop,
        order: order.clone(),
        sku: sku.clone(),
        zone: zone.clone(),
        value: *value,
        subjects: Vec::new(),
        holds: Vec::new(),
    }
}

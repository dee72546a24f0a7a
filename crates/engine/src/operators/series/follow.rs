//! Made drops follow a change of their series, as long as they have not opened, have no hold, and were not changed by
//! hand: they are changed as the template is, move with their occurrence within its local day, and are cancelled if the
//! series does not have the occurrence any more.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use stockade_types::definition::{Definition, Item};
use stockade_types::ids::{AdjustmentId, DropId, Lsn, PoolId, Sku};
use stockade_types::record::{Adjustment, OccurrenceVerb, StockChange};
use stockade_types::series::Plan;
use stockade_types::time::Timestamp;

use super::look::{Look, refused_for_good, same_day};
use super::occurrence::{Occurrence, drop_of, made_on};
use super::{Note, OccurrenceState, OccurrenceView};
use crate::Engine;
use crate::answer::{DropView, Fault};
use crate::command::{AdjustStock, Steer, UpdateDrop};
use crate::context::Context;
use crate::inventory::{DropState, Occurred};
use crate::operators::create::{define_signals, plan};

/// Why an occurrence's drop was cancelled.
const NOT_IN_SERIES: &str = "the series does not have it any more";

impl Look<'_> {
    /// Lets the drops follow that were made by an earlier revision. Returns whether that was all.
    pub(super) fn follow(&mut self) -> Result<bool, Fault> {
        if !self.plan.series.made_follow {
            return Ok(true);
        }
        let now = self.context.now;
        let results = self.results.of(&self.plan.series.id);
        let behind = results.filter(|known| known.fact.verb.has_drop() && known.fact.by < self.revision);
        let days: BTreeSet<_> =
            behind.filter(|known| known.fact.opens_at > now).map(|known| known.fact.local.date()).collect();
        for day in days {
            if self.is_to_rest() {
                return Ok(false);
            }
            let occurrences = same_day(&self.plan, self.results, day);
            for made in made_on(&self.plan, self.results, day).into_iter().skip(occurrences.len()) {
                if made.fact.by < self.revision {
                    self.cancel(&made)?;
                }
            }
            for occurrence in &occurrences {
                match &occurrence.made {
                    Some(made) if made.fact.by < self.revision => self.change(occurrence, made)?,
                    Some(_) | None => {}
                }
            }
        }
        Ok(true)
    }

    fn cancel(&mut self, made: &Occurred) -> Result<(), Fault> {
        let id = self.plan.series.drop_id(made.fact.local);
        let permit = self.engine.journal.permit()?;
        // Cancelled before, by hand or by a look that ended before it could say so.
        let is_cancelled = self.engine.get_drop(&id, self.context).map(|drop| drop.value.state);
        if is_cancelled != Ok(DropState::Cancelled) {
            if self.engine.stays(&id, made.lsn).is_some() {
                return Ok(());
            }
            if let Err(fault) = self.engine.steer(&id, Steer::Close, self.context) {
                self.stays_for(id, refused_for_good(fault.value)?);
                return Ok(());
            }
        }
        self.write_at(permit, (made.fact.local, made.fact.opens_at), OccurrenceVerb::Cancel, NOT_IN_SERIES)
    }

    fn change(&mut self, occurrence: &Occurrence, made: &Occurred) -> Result<(), Fault> {
        // Its opening, too, may have been reached by the old rule or lie in the past by the new one.
        if occurrence.opens_at <= self.context.now {
            return Ok(());
        }
        let id = self.plan.series.drop_id(made.fact.local);
        let Ok(before) = self.engine.get_drop(&id, self.context) else { return Ok(()) };
        let Ok(wanted) = drop_of(&self.plan, id.clone(), occurrence.local, occurrence.opens_at) else { return Ok(()) };
        // A look may have ended between its records of a drop: the rest of them follows now.
        let is_half_changed = self.engine.is_half_changed(&before.value, &wanted, made);
        if !is_half_changed && self.engine.stays(&id, made.lsn).is_some() {
            return Ok(());
        }
        let permit = self.engine.journal.permit()?;
        match self.bring_to(&before.value, wanted, made.lsn) {
            Ok(differs) if differs || is_half_changed => self.write(permit, occurrence, OccurrenceVerb::Change, ""),
            Ok(_) => Ok(()),
            // It stays as it is: the answer to the change says so.
            Err(fault) => {
                self.stays_for(id, refused_for_good(fault)?);
                Ok(())
            }
        }
    }

    fn stays_for(&mut self, id: DropId, refused: ControlFlow<String>) {
        if let ControlFlow::Break(reason) = refused {
            self.refused.insert(id, reason);
        }
    }

    /// Changes a drop to what is wanted: its definition, then its stock. Returns whether anything differed. `written` is
    /// the last record that its series wrote of it.
    fn bring_to(&mut self, before: &DropView, wanted: Definition, written: Lsn) -> Result<bool, Fault> {
        let (definition, deltas) = with_stock_of(wanted, before);
        let revision = before.revision;
        let command =
            UpdateDrop { wanted: definition, seen: revision, revision, named: Vec::new(), validate_only: false };
        let updated = self.engine.update_drop(&command, self.context).map_err(|fault| fault.value)?;
        let mut differs = updated.value.revision != revision;
        for (sku, pool, delta) in deltas {
            let drop = before.definition.id.clone();
            let id = adjustment_id((&drop, written), (&sku, &pool), delta);
            let command = AdjustStock { drop, sku, pool: Some(pool), id, change: StockChange::Delta(delta) };
            self.engine.adjust_stock(&command, self.context).map_err(|fault| fault.value)?;
            differs = true;
        }
        Ok(differs)
    }
}

/// Why a drop stays that was changed by hand.
const CHANGED_BY_HAND: &str = "was changed by hand";

impl Engine {
    /// Why a made drop stays as it is; none if it may follow. `written` is the last record that its series wrote of it.
    fn stays(&self, id: &DropId, written: Lsn) -> Option<&'static str> {
        let why = self.inventory.drops.with_id(id, |entry| {
            let inner = entry.read();
            let by_hand = inner.revision > written || inner.adjusted.iter().any(|item| item.revision > written);
            let (stock, _) = entry.stock(&inner);
            if inner.state() != DropState::Scheduled {
                Some("is not scheduled any more")
            } else if by_hand {
                Some(CHANGED_BY_HAND)
            } else if stock.iter().flatten().any(|pool| pool.held > 0 || pool.paying > 0 || pool.claimed > 0) {
                Some("has holds")
            } else {
                None
            }
        });
        why.unwrap_or(Some("is not there any more"))
    }

    /// Whether a change of a drop to what is wanted was begun and not finished: its definition is as wanted, and its stock
    /// was adjusted by its series alone since its series wrote of it.
    fn is_half_changed(&self, drop: &DropView, wanted: &Definition, made: &Occurred) -> bool {
        let id = &drop.definition.id;
        if self.stays(id, made.lsn) != Some(CHANGED_BY_HAND) || !is_defined_as(drop, wanted) {
            return false;
        }
        let is_of_series = |item: &Item, adjustment: Adjustment| {
            let (Some(pool), StockChange::Delta(delta)) = (item.pools.get(adjustment.pool.index()), adjustment.change)
            else {
                return false;
            };
            adjustment.id == adjustment_id((id, made.lsn), (&item.sku, &pool.id), delta)
        };
        let all_of_series = self.inventory.drops.with_id(id, |entry| {
            let inner = entry.read();
            let items = inner.definition.items.iter().zip(&inner.adjusted);
            let mut since = items.flat_map(|(item, adjusted)| {
                let since = adjusted.iter().filter(|(_, at)| at.is_some_and(|at| at > made.fact.at));
                since.map(move |(adjustment, _)| (item, adjustment))
            });
            since.all(|(item, adjustment)| is_of_series(item, adjustment))
        });
        all_of_series == Some(true)
    }

    /// What would become of made drops if their series were changed to this.
    pub(super) fn would_change(&self, plan: &Plan, now: Timestamp) -> Vec<OccurrenceView> {
        if !plan.series.made_follow {
            return Vec::new();
        }
        let results = self.inventory.occurrences.lock();
        let ahead = results.of(&plan.series.id).filter(|of| of.fact.verb.has_drop() && of.fact.opens_at > now);
        let days: BTreeSet<_> = ahead.map(|known| known.fact.local.date()).collect();
        let mut changed = Vec::new();
        let mut add = |made: &Occurred, (local, opens_at), state, reason: &str| {
            let (drop, reason) = (plan.series.drop_id(made.fact.local), reason.to_owned());
            changed.push(OccurrenceView { local, opens_at, drop, state, reason, notes: Vec::new() });
        };
        for day in days {
            let occurrences = same_day(plan, &results, day);
            for made in made_on(plan, &results, day).into_iter().skip(occurrences.len()) {
                if self.stays(&plan.series.drop_id(made.fact.local), made.lsn).is_none() {
                    let at = (made.fact.local, made.fact.opens_at);
                    add(&made, at, OccurrenceState::Cancelled, NOT_IN_SERIES);
                }
            }
            for Occurrence { local, opens_at, made, .. } in &occurrences {
                let Some(made) = made.as_ref().filter(|_| *opens_at > now) else { continue };
                let id = plan.series.drop_id(made.fact.local);
                let Ok(is) = self.get_drop(&id, Context::engine(now)) else { continue };
                let Ok(wanted) = drop_of(plan, id.clone(), *local, *opens_at) else { continue };
                let may = self.stays(&id, made.lsn).is_none() || self.is_half_changed(&is.value, &wanted, made);
                if may && !is_as_wanted(&is.value, &wanted) {
                    add(made, (*local, *opens_at), OccurrenceState::Created, "");
                }
            }
        }
        changed
    }

    /// What is noticed about made drops that did not follow the last change of their series.
    pub(super) fn left_as_they_are(
        &self,
        plan: &Plan,
        revision: Lsn,
        refused: &BTreeMap<DropId, String>,
        now: Timestamp,
    ) -> Vec<Note> {
        if !plan.series.made_follow {
            return Vec::new();
        }
        let results = self.inventory.occurrences.lock();
        let behind = results.of(&plan.series.id).filter(|known| known.fact.verb.has_drop() && known.fact.by < revision);
        let behind: Vec<Occurred> = behind.filter(|known| known.fact.opens_at > now).cloned().collect();
        let note = |known: &Occurred| {
            let day = known.fact.local.date();
            let id = plan.series.drop_id(known.fact.local);
            let occurrence = same_day(plan, &results, day).into_iter().find(|other| other.made.as_ref() == Some(known));
            let wanted = occurrence.map(|other| drop_of(plan, id.clone(), other.local, other.opens_at));
            let is = self.get_drop(&id, Context::engine(now)).ok()?.value;
            if is.state == DropState::Cancelled || matches!(&wanted, Some(Ok(wanted)) if is_as_wanted(&is, wanted)) {
                return None;
            }
            let message = match (refused.get(&id), self.stays(&id, known.lsn)) {
                (Some(reason), _) => format!("drop {id} stays as it is: {reason}"),
                (None, Some(why)) => format!("drop {id} stays as it is: it {why}"),
                (None, None) => format!("drop {id} is not changed yet"),
            };
            Some(Note { code: "drop_stays", field: "made_drops".to_owned(), message })
        };
        behind.iter().filter_map(note).collect()
    }
}

/// Changes of stock: of which item and pool, and by how many units.
type Deltas = Vec<(Sku, PoolId, i64)>;

/// The definition with the first stock of the drop, and what its stock lacks.
fn with_stock_of(mut wanted: Definition, drop: &DropView) -> (Definition, Deltas) {
    let mut deltas = Deltas::new();
    for (place, item) in wanted.items.iter_mut().enumerate() {
        let Some(known) = drop.definition.items.get(place).filter(|known| known.sku == item.sku) else { continue };
        let stock = drop.stock.get(place).map(Vec::as_slice).unwrap_or_default();
        for ((pool, known), stock) in item.pools.iter_mut().zip(&known.pools).zip(stock) {
            if pool.id != known.id {
                continue;
            }
            let signed = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
            // What was taken away stays among what was received.
            let is = stock.received.saturating_sub(stock.withdrawn);
            let delta = signed(pool.units).saturating_sub(signed(is));
            if delta != 0 {
                deltas.push((item.sku.clone(), pool.id.clone(), delta));
            }
            pool.units = known.units;
        }
    }
    // What is taken away comes first, so that an item never has more than it may.
    deltas.sort_by_key(|(_, _, delta)| *delta);
    (wanted, deltas)
}

/// Whether a drop is as its series wants it.
fn is_as_wanted(drop: &DropView, wanted: &Definition) -> bool {
    with_stock_of(wanted.clone(), drop).1.is_empty() && is_defined_as(drop, wanted)
}

/// The same but for its stock.
fn is_defined_as(drop: &DropView, wanted: &Definition) -> bool {
    let (mut definition, _) = with_stock_of(wanted.clone(), drop);
    definition.rules.names = drop.definition.rules.names.clone();
    let resolved = plan(&mut definition, drop.opens_at, |_| {});
    define_signals(Some(&drop.definition), &mut definition, drop.opens_at);
    resolved.is_ok() && drop.definition.differences(&definition).is_empty()
}

/// The id of an adjustment that a series makes of a drop after a record of it: always the same, so that it is made once.
fn adjustment_id((drop, written): (&DropId, Lsn), (sku, pool): (&Sku, &PoolId), delta: i64) -> AdjustmentId {
    // Ids have no space.
    let hash = blake3::hash(format!("series {drop} {written} {} {pool} {delta}", sku.as_str()).as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.as_bytes()).for_each(|(byte, of)| *byte = *of);
    AdjustmentId::from_bytes(bytes)
}

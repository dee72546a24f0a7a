//! What each pool of a drop has after each record, added up from holds and adjustments alone.

use std::collections::HashMap;

use stockade_proto as pb;

use super::{Fact, Figures, Line};
use crate::rules::{rest, sizes};

/// A pool, by its SKU and name.
type Place = (String, String);

/// The books of a drop.
pub(super) struct Books {
    /// The pools in the drop's order.
    pools: Vec<(Place, Figures)>,
    /// What each hold has now.
    holds: HashMap<String, (String, Vec<Line>)>,
}

impl Figures {
    /// Units that are free; none if more are out than were received.
    #[must_use]
    pub fn free(&self) -> Option<u64> {
        let Self { received, taken_out, held, paying, claimed, withdrawn } = *self;
        let out = [taken_out, held, paying, claimed, withdrawn].into_iter().try_fold(0_u64, u64::checked_add)?;
        received.checked_sub(out)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            received: self.received.saturating_add(other.received),
            taken_out: self.taken_out.saturating_add(other.taken_out),
            held: self.held.saturating_add(other.held),
            paying: self.paying.saturating_add(other.paying),
            claimed: self.claimed.saturating_add(other.claimed),
            withdrawn: self.withdrawn.saturating_add(other.withdrawn),
        }
    }
}

impl Books {
    /// The books of a drop that has just been defined.
    pub(super) fn of(drop: &pb::Drop) -> Self {
        let names = |item: &pb::Item| match item.pools.as_slice() {
            [] => vec!["general".to_owned()],
            pools => pools.iter().map(|pool| pool.id.clone()).collect(),
        };
        let pool = |sku: &String, (name, received): (String, u64)| {
            ((sku.clone(), name), Figures { received, ..Figures::default() })
        };
        let pools = drop.items.iter().flat_map(|item| {
            let pools = names(item).into_iter().zip(sizes(item));
            pools.map(|named| pool(&item.sku, named)).collect::<Vec<_>>()
        });
        Self { pools: pools.collect(), holds: HashMap::new() }
    }

    fn pool(&mut self, sku: &str, pool: &str) -> Option<&mut Figures> {
        let found = self.pools.iter_mut().find(|((of, name), _)| of == sku && name == pool);
        found.map(|(_, figures)| figures)
    }

    /// Takes over what a hold has after a record, instead of what it had before it.
    pub(super) fn hold(&mut self, id: &str, state: &str, lines: &[Line]) -> Result<(), String> {
        if let Some((before, had)) = self.holds.insert(id.to_owned(), (state.to_owned(), lines.to_vec())) {
            self.count(&before, &had, u64::checked_sub)?;
        }
        self.count(state, lines, u64::checked_add)
    }

    /// Whether a record has made a hold.
    pub(super) fn has(&self, id: &str) -> bool {
        self.holds.contains_key(id)
    }

    /// Takes away all that a hold has.
    pub(super) fn end(&mut self, id: &str) -> Result<(), String> {
        let (state, had) = self.holds.remove(id).unwrap_or_default();
        self.count(&state, &had, u64::checked_sub)
    }

    fn count(&mut self, state: &str, lines: &[Line], by: fn(u64, u64) -> Option<u64>) -> Result<(), String> {
        for Line { sku, pool, quantity, withdrawn, .. } in lines {
            let Some(figures) = self.pool(sku, pool) else { return Err(format!("no pool {pool:?} of {sku}")) };
            let part = match state {
                "held" => &mut figures.held,
                "paying" => &mut figures.paying,
                "claimed" => &mut figures.claimed,
                _ => continue,
            };
            *part = by(*part, *quantity).ok_or("more units leave a pool than it has")?;
            figures.withdrawn = by(figures.withdrawn, *withdrawn).ok_or("more units leave a pool than it has")?;
        }
        Ok(())
    }

    /// A tranche has joined its pool.
    pub(super) fn tranche(&mut self, drop: &pb::Drop, id: &str) -> Result<(), String> {
        let known = drop.tranches.iter().find(|tranche| tranche.id == id);
        let pb::Tranche { sku, pool, units, .. } = known.ok_or_else(|| format!("no tranche {id}"))?;
        let item = drop.items.iter().find(|item| item.sku == *sku);
        let usual = item.and_then(|item| item.pools.get(rest(item))).map_or("general", |pool| pool.id.as_str());
        let pool = if pool.is_empty() { usual } else { pool.as_str() };
        let figures = self.pool(sku, pool).ok_or_else(|| format!("no pool {pool:?} of {sku}"))?;
        figures.received = figures.received.saturating_add(*units);
        Ok(())
    }

    /// A pool's stock was adjusted.
    pub(super) fn adjusted(&mut self, fact: &Fact) -> Result<(), String> {
        let (sku, pool) = (fact.sku.as_deref().unwrap_or_default(), fact.pool.as_deref().unwrap_or_default());
        let figures = self.pool(sku, pool).ok_or_else(|| format!("no pool {pool:?} of {sku}"))?;
        let (received, taken_out) = (fact.received.unwrap_or_default(), fact.taken_out.unwrap_or_default());
        if received < figures.received || taken_out < figures.taken_out {
            return Err(format!("pool {pool} of {sku}: what it received, or what was taken out, sinks"));
        }
        (figures.received, figures.taken_out) = (received, taken_out);
        Ok(())
    }

    /// Pools that have more units out than they received.
    pub(super) fn overdrawn(&self) -> impl Iterator<Item = String> {
        let over = self.pools.iter().filter(|(_, figures)| figures.free().is_none());
        over.map(|((sku, pool), figures)| format!("pool {pool} of {sku} has more out than it received: {figures:?}"))
    }

    /// Pools whose figures in a record are others than those added up.
    pub(super) fn compared(&self, fact: &Fact) -> Vec<String> {
        let shown = fact.stock.as_deref().unwrap_or_default();
        let here = |(sku, _): &Place| fact.sku.as_ref().is_none_or(|of| of == sku);
        let pools: Vec<_> = self.pools.iter().filter(|(place, _)| here(place)).collect();
        if shown.is_empty() {
            return Vec::new();
        }
        if shown.len() != pools.len() {
            return vec![format!("{} pools are shown, {} are defined", shown.len(), pools.len())];
        }
        let others = pools.into_iter().zip(shown).filter(|((_, added_up), shown)| added_up != *shown);
        others
            .map(|(((sku, pool), sum), shown)| format!("pool {pool} of {sku}: {shown:?}, and {sum:?} add up"))
            .collect()
    }

    /// Whether a level of stock is reached by what the pools have. `usual` names the SKUs that count where it names
    /// none.
    pub(super) fn reaches(&self, level: &pb::StockLevel, usual: impl Fn(&str) -> bool) -> bool {
        use pb::stock_level::Level;
        let counts = |(sku, pool): &Place| {
            (if level.sku.is_empty() { usual(sku) } else { level.sku == *sku })
                && (level.pool.is_empty() || level.pool == *pool)
        };
        let sum = self.pools.iter().filter(|(place, _)| counts(place));
        let sum = sum.fold(Figures::default(), |sum, (_, figures)| sum.plus(*figures));
        let left = sum.received.saturating_sub(sum.taken_out).saturating_sub(sum.withdrawn);
        let part = |units: u64, points: u32| {
            left > 0 && units.saturating_mul(10_000) >= left.saturating_mul(u64::from(points))
        };
        match level.level {
            Some(Level::FreeAtMost(most)) => sum.received > 0 && sum.free().is_some_and(|free| free <= most),
            Some(Level::SoldBasisPoints(points)) => part(sum.claimed, points),
            Some(Level::TakenBasisPoints(points)) => {
                part(sum.held.saturating_add(sum.paying).saturating_add(sum.claimed), points)
            }
            None => false,
        }
    }
}

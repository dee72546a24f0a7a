//! A drop: definition, running state, pools, and its gate.
//!
//! A request holds its drop's gate for reading from check to append; a change of the drop holds it for writing. Items
//! and pools are never removed while the drop may change. Once it is archived and its holds are gone, it is replaced by
//! an entry without pools and with a small gate, which has only figures.

use std::sync::{Arc, OnceLock, PoisonError};

use crossbeam_utils::sync::ShardedLock;
use parking_lot::RwLock;
use smallvec::SmallVec;
use stockade_types::definition::{ITEMS_MAX, NamedTiers};
use stockade_types::hold::HoldLine;
use stockade_types::ids::{DropNo, ItemNo, Lsn, PoolNo, Sku};
use stockade_types::invariant;
use stockade_types::metrics::Counter;
use stockade_types::record::{
    Adjusted, Adjustment, AdjustmentsImage, Archived, DropFact, DropImage, DropVerb, Lifecycle, MarkKind, PoolBasis,
    PoolFigures, Record, StockImage,
};
use stockade_types::refusal::Reason;
use stockade_types::time::Timestamp;

use super::adjustments::ItemAdjustments;
use super::apply::ReplayError;
use super::drop_guard::{DropReadGuard, DropWriteGuard};
use super::drop_inner::DropInner;
use super::drop_scope::DropScope;
use super::fits;
use super::item_stock::{DropStock, ItemStock};
use super::pool::{Pool, Stock};
use super::totals::{Measured, TotalsBase};

/// Adjustments in one record of a snapshot: at most 75 KiB.
const ADJUSTMENTS_A_RECORD: usize = 1_000;

/// A drop's gate, and what it guards.
#[derive(Debug)]
enum InnerLock {
    /// For many requests at once: this lock takes a kilobyte.
    Live(ShardedLock<DropInner>),
    /// For few requests.
    Archived(RwLock<DropInner>),
}

/// A drop in the engine.
#[derive(Debug)]
pub struct DropEntry {
    /// Its number.
    pub number: DropNo,
    /// When it was created.
    pub created_at: Timestamp,
    /// Digest of the definition that it was created with.
    pub request: [u8; 32],
    /// The parts of it that never change.
    pub scope: DropScope,
    /// Refusals by reason, in the order of [`Reason::ALL`]. A counter takes a kilobyte, and most drops never refuse for
    /// most reasons: each is made when it is first needed.
    refusals: [OnceLock<Box<Counter>>; Reason::ALL.len()],
    pub(super) measured: Measured,
    inner: InnerLock,
    items: DropStock,
}

/// What follows from a record about a drop, in addition to the drop's own change.
#[derive(Debug)]
pub(super) enum DropChange<'d> {
    /// Nothing.
    Itself,
    /// It opens at another instant than before.
    Opening { before: Timestamp },
    /// Pools' bases change: the units received and taken out in total.
    Basis(SmallVec<[(&'d Pool, PoolBasis); 1]>),
}

impl DropEntry {
    /// A drop as its record describes it.
    #[must_use]
    pub fn new(revision: Lsn, image: DropImage) -> Self {
        let DropImage { number, created_at, definition, request, update } = image;
        let items = DropStock::new(&definition.items);
        let adjusted = definition.items.iter().map(|_| ItemAdjustments::default()).collect();
        let scope = DropScope::of(&definition);
        let mut inner = DropInner {
            definition: Arc::new(definition),
            revision,
            lifecycle: Lifecycle::new(number),
            lived: Lsn::default(),
            turned_at: Timestamp::default(),
            next_moment: Timestamp::NEVER,
            standing: None,
            named_tiers: NamedTiers::default(),
            update,
            adjusted,
            archived: None,
            basis: None,
            totals: TotalsBase::default(),
        };
        inner.stand(created_at);
        let (inner, refusals) = (InnerLock::Live(ShardedLock::new(inner)), Default::default());
        Self { number, created_at, request, scope, refusals, measured: Measured::default(), inner, items }
    }

    /// The same drop without pools: for an archived drop whose holds have left memory, or will at the end of a replay.
    /// Its figures are those of the record that archived it.
    #[must_use]
    pub(super) fn without_pools(&self) -> Self {
        let inner = self.read();
        let DropInner {
            definition,
            revision,
            lifecycle,
            lived,
            turned_at,
            next_moment,
            standing: _,
            named_tiers: _,
            update,
            adjusted,
            archived,
            basis: _,
            totals: _,
        } = &*inner;
        let still = DropInner {
            definition: Arc::clone(definition),
            revision: *revision,
            lifecycle: lifecycle.clone(),
            lived: *lived,
            turned_at: *turned_at,
            next_moment: *next_moment,
            standing: None,
            named_tiers: NamedTiers::default(),
            update: *update,
            // Its stock can't change any more, so adjustments need not be recognised.
            adjusted: adjusted.iter().map(ItemAdjustments::without_ids).collect(),
            archived: archived.clone(),
            basis: Some(self.basis(&inner)),
            totals: self.totals(&inner),
        };
        Self {
            number: self.number,
            created_at: self.created_at,
            request: self.request,
            scope: self.scope.clone(),
            refusals: Default::default(),
            measured: Measured::default(),
            inner: InnerLock::Archived(RwLock::new(still)),
            items: DropStock::without_pools(&definition.items),
        }
    }

    /// Whether its pools have left memory: it is archived, and none of its holds is left.
    #[must_use]
    pub const fn has_no_pools(&self) -> bool {
        matches!(self.inner, InnerLock::Archived(_))
    }

    /// Holds the gate for reading: the running state does not change while the guard lives.
    #[inline]
    pub fn read(&self) -> DropReadGuard<'_> {
        match &self.inner {
            InnerLock::Live(inner) => DropReadGuard::Live(inner.read().unwrap_or_else(PoisonError::into_inner)),
            InnerLock::Archived(inner) => DropReadGuard::Archived(inner.read()),
        }
    }

    /// Holds the gate for reading if that is possible at once: for callers with a lock that comes after it in the
    /// order.
    pub fn try_read(&self) -> Option<DropReadGuard<'_>> {
        match &self.inner {
            InnerLock::Live(inner) => inner.try_read().ok().map(DropReadGuard::Live),
            InnerLock::Archived(inner) => inner.try_read().map(DropReadGuard::Archived),
        }
    }

    /// Closes the gate: no request moves units while the guard lives.
    pub fn write(&self) -> DropWriteGuard<'_> {
        match &self.inner {
            InnerLock::Live(inner) => DropWriteGuard::Live(inner.write().unwrap_or_else(PoisonError::into_inner)),
            InnerLock::Archived(inner) => DropWriteGuard::Archived(inner.write()),
        }
    }

    /// Checks whether this record about the drop is possible.
    pub(super) fn fits(&self, inner: &DropInner, lsn: Lsn, record: &Record) -> Result<(), ReplayError> {
        if let Record::Adjusted(adjusted) = record {
            fits::units(lsn, adjusted.basis)?;
        }
        let Some(image) = record.drop_image().filter(|_| lsn > inner.revision) else { return Ok(()) };
        let (is, wanted) = (&inner.definition, &image.definition);
        let (known, items) = (self.items.len(), wanted.items.len());
        let what = if wanted.id != is.id || items < known {
            format!("drop {} is no change of {}", wanted.id, is.id)
        } else if items > known.max(ITEMS_MAX) {
            format!("drop {} has {items} items, and may have {ITEMS_MAX}", is.id)
        } else {
            return Ok(());
        };
        Err(ReplayError::Record { lsn, what })
    }

    /// Applies a record to this drop's own state, unless the drop has seen it already or it is no record about a drop.
    /// Returns what else follows. `inner` is this drop's, with the gate closed.
    pub(super) fn change(&self, inner: &mut DropInner, lsn: Lsn, record: &Record) -> Option<DropChange<'_>> {
        match record {
            Record::Drop(image) if lsn > inner.revision => return Some(self.redefine(inner, lsn, image)),
            Record::Lifecycle(lifecycle) if lsn > inner.lived => self.live(inner, lsn, lifecycle.clone()),
            Record::DropFact(fact) => return self.change_by_fact(inner, lsn, fact),
            Record::Adjusted(adjusted) => {
                let Adjusted { drop: _, item, adjustment, basis, at, by: _ } = adjusted.as_ref();
                let known = inner.adjusted.get_mut(item.index()).filter(|known| lsn > known.revision)?;
                known.remember(lsn, adjustment, *at);
                return Some(self.set_basis(inner, (*item, adjustment.pool), *basis));
            }
            Record::Archived(archived) if inner.archived.is_none() => {
                self.archive(inner, lsn, archived.clone());
            }
            Record::Upgraded(at) => inner.mark_before(self, lsn, *at),
            Record::Totals(image) if lsn > inner.totals.as_of => {
                inner.totals = TotalsBase { as_of: lsn, totals: image.totals };
            }
            Record::Demand(fact) => self.demand_recorded(lsn, fact),
            Record::Drop(_)
            | Record::Lifecycle(_)
            | Record::Archived(_)
            | Record::Hold(_)
            | Record::Made(_)
            | Record::Changed(_)
            | Record::Superseded(_)
            | Record::Old(_)
            | Record::Restart(_)
            | Record::Stock(_)
            | Record::Adjustments(_)
            | Record::Defined(_)
            | Record::Occurrence(_)
            | Record::Delivered(_)
            | Record::Channel(_)
            | Record::Facts(_)
            | Record::FactsImage(_)
            | Record::Totals(_)
            | Record::Report(_)
            | Record::Usage(_) => return None,
        }
        Some(DropChange::Itself)
    }

    /// Applies a fact, unless the drop has seen it already.
    fn change_by_fact(&self, inner: &mut DropInner, lsn: Lsn, fact: &DropFact) -> Option<DropChange<'_>> {
        match fact.verb {
            DropVerb::Update if lsn > inner.revision => return Some(self.redefine(inner, lsn, &fact.image)),
            DropVerb::Pause | DropVerb::Resume | DropVerb::Close | DropVerb::Turn | DropVerb::Fire
                if lsn > inner.lived =>
            {
                inner.turned_at = inner.turned_at.max(fact.at);
                inner.totals.see(lsn, fact);
                self.live(inner, lsn, fact.lifecycle.clone());
                if fact.marks.iter().any(|mark| matches!(mark.kind, MarkKind::Tranche(_))) {
                    return Some(DropChange::Basis(self.released(inner, lsn, fact)));
                }
            }
            DropVerb::Archive if inner.archived.is_none() => {
                self.archive(inner, lsn, fact.archived()?);
            }
            DropVerb::Create
            | DropVerb::Update
            | DropVerb::Pause
            | DropVerb::Resume
            | DropVerb::Close
            | DropVerb::Turn
            | DropVerb::Fire
            | DropVerb::Archive => return None,
        }
        Some(DropChange::Itself)
    }

    /// The bases of the pools that tranches of a fact join.
    fn released(&self, inner: &mut DropInner, lsn: Lsn, fact: &DropFact) -> SmallVec<[(&Pool, PoolBasis); 1]> {
        let mut bases = SmallVec::new();
        let of_items = (0..).map(ItemNo).zip(&fact.image.definition.items);
        let places =
            of_items.flat_map(|(item, of)| (0..).map(PoolNo).zip(&of.pools).map(move |(pool, _)| (item, pool)));
        for ((item, place), figures) in places.zip(&fact.stock) {
            if let Some(pool) = self.pool(item, place).filter(|pool| pool.basis() != figures.basis) {
                bases.push((pool, figures.basis));
                if let Some(adjusted) = inner.adjusted.get_mut(item.index()) {
                    adjusted.revision = lsn;
                }
            }
        }
        bases
    }

    fn live(&self, inner: &mut DropInner, lsn: Lsn, lifecycle: Lifecycle) {
        (inner.lifecycle, inner.lived) = (lifecycle, lsn);
        inner.stand(self.created_at);
    }

    fn archive(&self, inner: &mut DropInner, lsn: Lsn, archived: Archived) {
        inner.archived = Some((lsn, archived));
        inner.stand(self.created_at);
    }

    /// Enters a change of the definition. Items are only added.
    fn redefine(&self, inner: &mut DropInner, revision: Lsn, image: &DropImage) -> DropChange<'_> {
        let before = inner.opens_at(self);
        let DropImage { number: _, created_at: _, definition, request: _, update } = image;
        for item in definition.items.iter().skip(self.items.len()) {
            self.items.add(item);
        }
        inner.adjusted.resize_with(definition.items.len(), ItemAdjustments::default);
        inner.lifecycle.redefine(&inner.definition, definition);
        inner.definition = Arc::new(definition.clone());
        inner.revision = revision;
        inner.update = *update;
        inner.stand(self.created_at);
        if inner.opens_at(self) == before { DropChange::Itself } else { DropChange::Opening { before } }
    }

    /// Sets a pool's basis if the drop is kept without pools; otherwise returns the pool in which the caller must set
    /// it.
    pub(super) fn set_basis(
        &self,
        inner: &mut DropInner,
        (item, pool): (ItemNo, PoolNo),
        basis: PoolBasis,
    ) -> DropChange<'_> {
        if let Some(known) = inner.basis.as_mut().and_then(|all| all.get_mut(item.index())?.get_mut(pool.index())) {
            *known = basis;
        }
        self.pool(item, pool).map_or(DropChange::Itself, |pool| DropChange::Basis(SmallVec::from_buf([(pool, basis)])))
    }

    /// The stock of an item of this drop.
    ///
    /// # Panics
    /// When there is none. Item numbers only come from this drop's definition, so that is a bug.
    #[inline]
    #[must_use]
    pub fn item_stock(&self, item: ItemNo) -> &ItemStock {
        invariant!(let Some(stock) = self.items.get(item.index()), "drop {} has no item {item}", self.number);
        stock
    }

    /// A pool of this drop.
    #[must_use]
    pub fn pool(&self, item: ItemNo, pool: PoolNo) -> Option<&Pool> {
        self.items.get(item.index())?.pool(pool)
    }

    /// The pool of a line's units. Every line of this drop's holds has one.
    ///
    /// # Panics
    /// When there is none: a bug.
    #[must_use]
    pub fn pool_of(&self, line: &HoldLine) -> &Pool {
        let found = self.pool(line.item, line.pool);
        invariant!(let Some(pool) = found, "drop {} has no pool {} of item {}", self.number, line.pool, line.item);
        pool
    }

    /// The SKU of an item of this drop.
    #[must_use]
    pub fn sku(&self, item: ItemNo) -> Option<&Sku> {
        Some(self.items.get(item.index())?.sku())
    }

    /// Whether an item is goods and no pickup slot.
    #[must_use]
    pub fn is_goods(&self, item: ItemNo) -> bool {
        self.items.get(item.index()).is_none_or(ItemStock::is_goods)
    }

    /// Each pool, in the definition's order.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.items.iter().flat_map(ItemStock::pools)
    }

    /// Stock by item and pool, and the last record that moved any of it. `inner` is this drop's.
    #[must_use]
    pub fn stock(&self, inner: &DropInner) -> (Vec<Vec<Stock>>, Lsn) {
        if let (Some(basis), Some((lsn, archived))) = (&inner.basis, &inner.archived) {
            let mut sold = archived.pools.iter().copied();
            let mut stock = |basis: &PoolBasis| Stock::archived(*basis, sold.next().unwrap_or_default());
            return (basis.iter().map(|item| item.iter().map(&mut stock).collect()).collect(), *lsn);
        }
        let mut as_of = Lsn::default();
        let mut read = |pool: &Pool| {
            let (stock, lsn) = pool.stock();
            as_of = as_of.max(lsn);
            stock
        };
        let stock = self.items.iter().map(|item| item.pools().map(&mut read).collect()).collect();
        (stock, as_of)
    }

    /// Each pool's figures, in the definition's order. Exact while the gate is closed.
    #[must_use]
    pub fn figures(&self) -> Vec<PoolFigures> {
        self.pools().map(Pool::figures).collect()
    }

    /// The figures of one item's pools.
    #[must_use]
    pub fn item_figures(&self, item: ItemNo) -> Vec<PoolFigures> {
        self.items.get(item.index()).map_or_else(Vec::new, |item| item.pools().map(Pool::figures).collect())
    }

    /// Each pool's basis, by item.
    fn basis(&self, inner: &DropInner) -> Vec<Vec<PoolBasis>> {
        let of_pools = || self.items.iter().map(|item| item.pools().map(Pool::basis).collect()).collect();
        inner.basis.clone().unwrap_or_else(of_pools)
    }

    /// Bytes of its encoded definition, as a measure of what it takes in memory. `inner` is this drop's.
    #[must_use]
    pub fn weight(&self, inner: &DropInner) -> usize {
        self.image(inner).encoded_len()
    }

    /// The drop as a record of its definition.
    #[must_use]
    pub fn image(&self, inner: &DropInner) -> DropImage {
        DropImage {
            number: self.number,
            created_at: self.created_at,
            definition: inner.definition.as_ref().clone(),
            request: self.request,
            update: inner.update,
        }
    }

    /// Units by which counters and ledgers disagree: always 0. Closes the gate meanwhile.
    #[must_use]
    pub fn conservation_error(&self) -> u64 {
        let _closed = self.write();
        self.pools().map(Pool::conservation_error).fold(0, u64::saturating_add)
    }

    /// Counts a refusal.
    pub fn count_refusal(&self, reason: Reason) {
        if let Some(counter) = self.refusals.get(reason.place()) {
            counter.get_or_init(Box::default).increment();
        }
    }

    /// Refusals so far, in the order of [`Reason::ALL`].
    #[must_use]
    pub fn refusals(&self) -> [u64; Reason::ALL.len()] {
        self.refusals.each_ref().map(|counter| counter.get().map_or(0, |counter| counter.get()))
    }

    /// The records that describe this drop in a snapshot, each with its LSN: the definition, the lifecycle if it has
    /// changed, the stock of items that were adjusted, and the archiving.
    #[must_use]
    pub fn images(&self) -> Vec<(Lsn, Record)> {
        // Closed, so that the sums of holds are those of one record.
        let inner = self.write();
        let mut images = vec![(inner.revision, Record::Drop(Box::new(self.image(&inner))))];
        if inner.lived > Lsn::default() {
            images.push((inner.lived, Record::Lifecycle(inner.lifecycle.clone())));
        }
        let basis = self.basis(&inner);
        for ((item, adjusted), pools) in (0..).map(ItemNo).zip(&inner.adjusted).zip(basis) {
            if adjusted.revision > Lsn::default() {
                let image = StockImage { drop: self.number, item, pools, adjustments: Vec::new() };
                images.push((adjusted.revision, Record::Stock(image)));
                images.extend(self.adjustments(item, adjusted));
            }
        }
        images.extend(self.measured_images(&inner));
        if let Some((lsn, archived)) = &inner.archived {
            images.push((*lsn, Record::Archived(archived.clone())));
        }
        images
    }

    /// An item's remembered adjustments, in parts that fit into a record.
    fn adjustments(&self, item: ItemNo, adjusted: &ItemAdjustments) -> Vec<(Lsn, Record)> {
        let remembered: Vec<_> = adjusted.iter().collect();
        let image = |part: &[(Adjustment, Option<Timestamp>)]| {
            let (drop, forgotten, adjustments) = (self.number, adjusted.forgotten(), part.to_vec());
            (adjusted.revision, Record::Adjustments(AdjustmentsImage { drop, item, forgotten, adjustments }))
        };
        remembered.chunks(ADJUSTMENTS_A_RECORD).map(image).collect()
    }

    /// The stock of each item.
    pub(super) fn items(&self) -> impl Iterator<Item = &ItemStock> {
        self.items.iter()
    }

    pub(super) fn pools_mut(&mut self) -> impl Iterator<Item = &mut Pool> {
        self.items.iter_mut().flat_map(ItemStock::pools_mut)
    }
}

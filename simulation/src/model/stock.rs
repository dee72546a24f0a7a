//! Adjustments of stock, reconciliations, and pausing, resuming and closing, in the naive model.

use std::collections::BTreeMap;

use stockade_engine::Engine;
use stockade_engine::answer::{DropView, Fault, Reconciled, Reconciling, Stock, StockCount};
use stockade_engine::attempt::{Answer, Decided};
use stockade_engine::command::{AdjustStock, ReconcileStock, Steer};
use stockade_engine::context::Context;
use stockade_types::ids::Lsn;
use stockade_types::record::{Reconciliation, StockChange};
use stockade_types::time::Timestamp;

use super::marks::{Figures, shown_marks};
use super::says::Said;
use super::state::Model;
use super::words::{adjust, drop_id, pool_id};
use super::{DROPS, ITEMS, Place};

/// Adjustments of a drop's stock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adjustments {
    taken_out: BTreeMap<Place, u64>,
    /// The pool and the change, by item and the caller's number of the adjustment.
    made: BTreeMap<(usize, u64), (u16, StockChange)>,
    /// What reconciliations have corrected.
    corrected: BTreeMap<Place, i64>,
}

impl Adjustments {
    pub fn taken_out(&self, place: Place) -> u64 {
        self.taken_out.get(&place).copied().unwrap_or(0)
    }
}

/// A change of an item's stock, with the caller's number.
#[derive(Debug, Clone, Copy)]
pub struct Adjust {
    pub drop: usize,
    pub item: usize,
    /// The one that has the rest if none is named.
    pub pool: Option<u16>,
    pub number: u64,
    pub change: StockChange,
}

/// A system of record's count, as of a record, with the caller's number.
#[derive(Debug, Clone)]
pub struct Reconcile {
    pub drop: usize,
    pub item: usize,
    /// All of the item if none is named.
    pub pool: Option<u16>,
    pub number: u64,
    pub as_of: u64,
    pub on_hand: u64,
    pub dry_run: bool,
}

impl Model {
    /// Whether a drop has an item.
    pub fn has_item(&self, drop: usize, item: usize) -> bool {
        item < self.drops[drop].pools.len()
    }

    /// The units of an item, or of one of its pools, that are not sold, and what reconciliations corrected of them.
    fn on_hand(&self, drop: usize, item: usize, pool: Option<u16>) -> (i64, i64) {
        let pools = self.drops[drop].pools.get(item).map_or(0, |pools| u16::try_from(pools.len()).expect("few"));
        let places = (0..pools).filter(|place| pool.is_none_or(|pool| pool == *place)).map(|pool| (item, pool));
        let corrected = |place: Place| self.drops[drop].adjustments.corrected.get(&place).copied().unwrap_or(0);
        places.fold((0, 0), |(units, corrections), place| {
            let Figures { received, claimed, withdrawn, .. } = self.figures(drop, place);
            let more = i64::try_from(received - claimed - withdrawn).expect("few");
            (units + more, corrections + corrected(place))
        })
    }

    /// What a system of record should have on hand that has taken in what happened up to then.
    pub fn should_have(&self, then: &Self, Reconcile { drop, item, pool, .. }: &Reconcile) -> i64 {
        let ((units, before), (_, now)) = (then.on_hand(*drop, *item, *pool), self.on_hand(*drop, *item, *pool));
        units + now - before
    }

    /// Compares a count, and corrects the stock, once for each number.
    pub fn reconcile(&mut self, then: &Self, ask: &Reconcile) -> String {
        let Reconcile { drop, item, pool, number, as_of, on_hand, dry_run } = ask;
        let pools = self.drops[*drop].pools.get(*item).map_or(0, |pools| u16::try_from(pools.len()).expect("few"));
        let place = pool.unwrap_or_else(|| self.drops[*drop].plan.usual_pool(*item, pools));
        if place >= pools {
            return "invalid".to_owned();
        }
        if self.drops[*drop].archived.is_some() || self.has_begun(*drop, *item) {
            return "precondition".to_owned();
        }
        let asked = (pool.is_none(), Lsn(*as_of), *on_hand);
        if let Some((of, change)) = self.drops[*drop].adjustments.made.get(&(*item, *number)) {
            let StockChange::Reconcile(made) = change else { return "exists change".to_owned() };
            let Reconciliation { whole_item, as_of, on_hand, .. } = *made;
            return match (*of, whole_item, as_of, on_hand) {
                (of, whole, ..) if (of, whole) != (place, asked.0) => "exists pool".to_owned(),
                (_, _, as_of, _) if as_of != asked.1 => "exists as_of".to_owned(),
                (_, _, _, on_hand) if on_hand != asked.2 => "exists on_hand".to_owned(),
                _ => reconciliation_text(&self.state(*drop), (made.drift, made.applied, made.shortage())),
            };
        }
        let drift = i64::try_from(*on_hand).expect("few") - self.should_have(then, ask);
        let free = i64::try_from(self.free_in(*drop, (*item, place))).expect("few");
        let applied = drift.max(-free);
        let shortage = drift.abs_diff(applied);
        if !dry_run {
            let (whole_item, as_of, on_hand) = asked;
            let change = StockChange::Reconcile(Reconciliation { whole_item, as_of, on_hand, drift, applied });
            self.adjust(&Adjust { drop: *drop, item: *item, pool: Some(place), number: *number, change });
        }
        let applied = if *dry_run { 0 } else { applied };
        reconciliation_text(&self.state(*drop), (drift, applied, shortage))
    }

    /// Changes stock, once for each number.
    pub fn adjust(&mut self, Adjust { drop, item, pool, number, change }: &Adjust) -> String {
        if self.drops[*drop].archived.is_some() {
            return "precondition".to_owned();
        }
        let pools = self.drops[*drop].pools.get(*item).map_or(0, |pools| u16::try_from(pools.len()).expect("few"));
        let pool = pool.unwrap_or_else(|| self.drops[*drop].plan.usual_pool(*item, pools));
        if pool >= pools {
            return "invalid".to_owned();
        }
        match self.drops[*drop].adjustments.made.get(&(*item, *number)) {
            Some(made) if made.0 != pool => return "exists pool".to_owned(),
            Some(made) if made.1 != *change => return "exists change".to_owned(),
            Some(_) => return self.state(*drop),
            None => {}
        }
        let (place, at) = ((*item, pool), usize::from(pool));
        let (free, received) = (self.free_in(*drop, place), self.drops[*drop].pools[*item][at]);
        let (received, less, out) = match change {
            StockChange::Delta(by) if *by >= 0 => (received + by.unsigned_abs(), 0, 0),
            StockChange::Delta(by) => (received, by.unsigned_abs(), by.unsigned_abs()),
            StockChange::SetReceived { expected, .. } if *expected != received => return "stale".to_owned(),
            StockChange::SetReceived { units, .. } => (*units, received.saturating_sub(*units), 0),
            StockChange::Reconcile(Reconciliation { applied, .. }) => {
                (received.checked_add_signed(*applied).expect("few"), applied.min(&0).unsigned_abs(), 0)
            }
        };
        if less > free {
            return "precondition".to_owned();
        }
        let known = &mut self.drops[*drop];
        known.pools[*item][at] = received;
        *known.adjustments.taken_out.entry(place).or_default() += out;
        if let StockChange::Reconcile(made) = change {
            *known.adjustments.corrected.entry(place).or_default() += made.applied;
        }
        known.adjustments.made.insert((*item, *number), (pool, *change));
        self.state(*drop)
    }

    /// Pauses, resumes or closes.
    pub fn steer(&mut self, drop: usize, steer: Steer) -> String {
        let closed = self.closed_since(drop).is_some();
        match steer {
            Steer::Pause | Steer::Resume if closed => return "precondition".to_owned(),
            Steer::Pause => self.drops[drop].paused = true,
            Steer::Resume => self.drops[drop].paused = false,
            Steer::Close if closed => {}
            Steer::Close => self.drops[drop].closed = Some(self.now),
        }
        self.state(drop)
    }

    /// A drop's state, the units of each pool of each item, and what of its plan has come.
    pub fn stock(&self, drop: usize) -> String {
        let item = |(item, pools): (usize, &Vec<u64>)| -> Vec<Figures> {
            (0..).zip(pools).map(|(pool, _)| self.figures(drop, (item, pool))).collect()
        };
        let stock: Vec<_> = self.drops[drop].pools.iter().enumerate().map(item).collect();
        stock_text(&self.state(drop), &stock, &self.marks(drop))
    }
}

fn stock_text(state: &str, stock: &[Vec<Figures>], marks: &[String]) -> String {
    let pool = |of: &Figures| {
        let Figures { received, free, held, paying, claimed, withdrawn } = of;
        format!("{received}={free}+{held}+{paying}+{claimed}+{withdrawn}")
    };
    let stock: Vec<Vec<String>> = stock.iter().map(|pools| pools.iter().map(pool).collect()).collect();
    format!("{state} {stock:?} {marks:?}")
}

/// The engine's answer to an adjustment.
pub fn adjusted(engine: &Engine, Adjust { drop, item, pool, number, change }: &Adjust, now: Timestamp) -> Said {
    let command = adjust(DROPS[*drop], ITEMS[*drop][*item], *number, *change);
    let command = AdjustStock { pool: pool.map(pool_id), ..command };
    said(engine, engine.adjust_stock(&command, Context::anonymous(now)))
}

/// A reconciliation as the engine is asked for it.
pub fn reconcile_command(
    Reconcile { drop, item, pool, number, as_of, on_hand, dry_run }: &Reconcile,
) -> ReconcileStock {
    let AdjustStock { drop, sku, id, .. } = adjust(DROPS[*drop], ITEMS[*drop][*item], *number, StockChange::Delta(0));
    let pool = pool.map(pool_id);
    ReconcileStock { drop, sku, pool, id, as_of: Lsn(*as_of), on_hand: *on_hand, dry_run: *dry_run }
}

/// The engine's answer to a reconciliation, in the form of [`Model::reconcile`]; or the stock that it has counted.
pub fn reconciled(engine: &Engine, answer: Answer<Reconciling>) -> Result<Said, StockCount> {
    let mut result = None;
    let view = match answer {
        Ok(Decided { value: Reconciling::Counted(counted), .. }) => return Err(counted),
        Ok(Decided { value: Reconciling::Done(Reconciled { drift, applied, shortage, view }), durable_after }) => {
            result = Some((drift, applied, shortage));
            Ok(Decided { value: view, durable_after })
        }
        Err(fault) => Err(fault),
    };
    let said = said(engine, view);
    Ok(match result {
        Some(result) => Said { text: reconciliation_text(&said.text, result), ..said },
        None => said,
    })
}

fn reconciliation_text(state: &str, (drift, applied, shortage): (i64, i64, u64)) -> String {
    format!("{state} drift {drift} applied {applied} shortage {shortage}")
}

/// The engine's answer to a pause, resume or close.
pub fn steered(engine: &Engine, drop: usize, steer: Steer, now: Timestamp) -> Said {
    said(engine, engine.steer(&drop_id(DROPS[drop]), steer, Context::anonymous(now)))
}

/// A drop's state and stock as the engine shows them, in the form of [`Model::stock`].
pub fn shown(engine: &Engine, drop: usize, now: Timestamp) -> String {
    match engine.get_drop(&drop_id(DROPS[drop]), Context::anonymous(now)) {
        Ok(Decided { value: view, .. }) => {
            let pool = |pool: &Stock| Figures {
                received: pool.received,
                free: pool.free,
                held: pool.held,
                paying: pool.paying,
                claimed: pool.claimed,
                withdrawn: pool.withdrawn,
            };
            let stock: Vec<Vec<Figures>> = view.stock.iter().map(|pools| pools.iter().map(pool).collect()).collect();
            stock_text(&format!("{:?}", view.state), &stock, &shown_marks(drop, &view))
        }
        Err(fault) => format!("{fault:?}"),
    }
}

pub(super) fn said(engine: &Engine, answer: Answer<DropView>) -> Said {
    let (answer, durable_after) = match answer {
        Ok(Decided { value, durable_after }) => (Ok(value), Some(durable_after)),
        Err(fault) => (Err(fault.value), None),
    };
    let text = match answer {
        Ok(view) => format!("{:?}", view.state),
        Err(Fault::Precondition(_)) => "precondition".to_owned(),
        Err(Fault::Invalid(_)) => "invalid".to_owned(),
        Err(Fault::Stale(_)) => "stale".to_owned(),
        Err(Fault::Exists { field, .. }) => format!("exists {field}"),
        Err(fault) => format!("{fault:?}"),
    };
    Said { text, ticket: durable_after.map(|lsn| engine.journal().ticket(lsn)), shown: None }
}

//! What an occurrence must not do: sell what another drop of its shop sells at the time, or be one drop too many in a
//! week.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use stockade_types::calendar::local;
use stockade_types::definition::Definition;
use stockade_types::ids::{DropId, ShopId};
use stockade_types::series::{Guard, GuardKind, Plan};
use stockade_types::time::Timestamp;

use super::Note;
use crate::Engine;
use crate::inventory::DropState;

/// Another drop of the shop that was not cancelled, or one that is still to be made.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    drop: Arc<Definition>,
    opens_at: Timestamp,
    /// [`Timestamp::NEVER`] if it does not close by itself.
    closes_at: Timestamp,
}

/// The drops of each shop that were not cancelled. They are gathered in one walk over all drops, and again once a drop
/// was made, changed or closed by another.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    shops: HashMap<ShopId, Vec<Neighbour>>,
    /// How many changes of drops there had been; none before the first walk.
    as_of: Option<u64>,
}

impl Neighbours {
    /// Those of the series' shop; none if the series has no guard that needs them.
    pub(super) fn of(&mut self, engine: &Engine, plan: &Plan) -> &mut Vec<Neighbour> {
        let changes = engine.inventory.series_looks.drop_changes();
        if !plan.series.guards.is_empty() && self.as_of != Some(changes) {
            (self.shops, self.as_of) = (engine.all_neighbours(), Some(changes));
        }
        self.shops.entry(plan.series.shop.clone()).or_default()
    }

    /// The series has made a drop and added it.
    pub(super) fn made(&mut self) {
        self.as_of = self.as_of.map(|changes| changes.saturating_add(1));
    }
}

/// What a guard found.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    /// Whether the occurrence is skipped for it.
    pub(super) skips: bool,
    /// In words.
    pub(super) note: Note,
}

impl Neighbour {
    pub(super) fn of(drop: Arc<Definition>, opens_at: Timestamp, closes_at: Option<Timestamp>) -> Self {
        let closes_at = closes_at.or(drop.schedule.closes_at).unwrap_or(Timestamp::NEVER);
        Self { drop, opens_at, closes_at }
    }

    /// Whether it is the drop with this id.
    pub(super) fn is_of(&self, id: &DropId) -> bool {
        self.drop.id == *id
    }
}

impl Engine {
    /// The drops that were not cancelled, by shop.
    fn all_neighbours(&self) -> HashMap<ShopId, Vec<Neighbour>> {
        let mut shops: HashMap<ShopId, Vec<Neighbour>> = HashMap::new();
        for entry in self.inventory.drops.all() {
            let inner = entry.read();
            if inner.state() == DropState::Cancelled {
                continue;
            }
            let closed_at = inner.lifecycle.closed.map(|closed| closed.at);
            let neighbour = Neighbour::of(Arc::clone(&inner.definition), inner.opens_at(&entry), closed_at);
            match shops.get_mut(&inner.definition.shop) {
                Some(of_shop) => of_shop.push(neighbour),
                None => {
                    shops.insert(inner.definition.shop.clone(), vec![neighbour]);
                }
            }
        }
        shops
    }
}

/// What the series' guards find in a drop among its neighbours.
pub(super) fn judge(plan: &Plan, drop: &Definition, opens_at: Timestamp, neighbours: &[Neighbour]) -> Vec<Finding> {
    let closes_at = drop.schedule.closes_at.unwrap_or(Timestamp::NEVER);
    let others = || neighbours.iter().filter(|other| other.drop.id != drop.id);
    let finding = |(place, guard): (usize, &Guard)| {
        let (code, message) = match guard.kind {
            GuardKind::Overlap => {
                let meanwhile = |other: &&Neighbour| other.opens_at < closes_at && opens_at < other.closes_at;
                let common = |other: &Neighbour| drop.items.iter().find(|item| other.drop.item(&item.sku).is_some());
                let (other, item) = others().filter(meanwhile).find_map(|other| Some((other, common(other)?)))?;
                ("overlap", format!("drop {} sells {} at the same time", other.drop.id, item.sku))
            }
            GuardKind::DropsAWeek(most) => {
                let week = week_of(plan, opens_at)?;
                let same = others().filter(|other| week_of(plan, other.opens_at) == Some(week)).count();
                let with_this = u32::try_from(same).unwrap_or(u32::MAX).saturating_add(1);
                if with_this <= most {
                    return None;
                }
                ("many_drops", format!("it is drop {with_this} of the shop in the week of {week}, of at most {most}"))
            }
        };
        let note = Note { code, field: format!("series.guards[{place}]"), message };
        Some(Finding { skips: guard.skips, note })
    };
    plan.series.guards.iter().enumerate().filter_map(finding).collect()
}

/// The Monday of an instant's week.
fn week_of(plan: &Plan, at: Timestamp) -> Option<Date> {
    let day = local(&plan.zone, at)?.date();
    let back = i64::from(day.weekday().to_monday_zero_offset());
    day.checked_sub(jiff::Span::new().try_days(back).ok()?).ok()
}

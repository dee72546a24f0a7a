//! What an occurrence must not do: sell what another drop of its shop sells at the time, or be one drop too many in a
//! week.

use jiff::civil::Date;
use stockade_types::calendar::local;
use stockade_types::definition::Definition;
use stockade_types::ids::{DropId, ShopId, Sku};
use stockade_types::series::{Guard, GuardKind, Plan};
use stockade_types::time::Timestamp;

use super::Note;
use crate::Engine;
use crate::inventory::DropState;

/// Another drop of the shop that was not cancelled, or one that is still to be made.
#[derive(Debug, Clone)]
pub(super) struct Neighbour {
    id: DropId,
    opens_at: Timestamp,
    /// [`Timestamp::NEVER`] if it does not close by itself.
    closes_at: Timestamp,
    skus: Vec<Sku>,
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
    pub(super) fn of(definition: &Definition, opens_at: Timestamp, closes_at: Option<Timestamp>) -> Self {
        Self {
            id: definition.id.clone(),
            opens_at,
            closes_at: closes_at.or(definition.schedule.closes_at).unwrap_or(Timestamp::NEVER),
            skus: definition.items.iter().map(|item| item.sku.clone()).collect(),
        }
    }
}

impl Engine {
    /// The drops of a shop that were not cancelled; none if the series has no guard that needs them.
    pub(super) fn neighbours(&self, plan: &Plan) -> Vec<Neighbour> {
        let shop: &ShopId = &plan.series.shop;
        if plan.series.guards.is_empty() {
            return Vec::new();
        }
        let drops = self.inventory.drops.all();
        let neighbour = |entry: &std::sync::Arc<crate::inventory::DropEntry>| {
            let inner = entry.read();
            let is_one = inner.definition.shop == *shop && inner.state() != DropState::Cancelled;
            let closed_at = inner.lifecycle.closed.map(|closed| closed.at);
            is_one.then(|| Neighbour::of(&inner.definition, inner.opens_at(entry), closed_at))
        };
        drops.iter().filter_map(neighbour).collect()
    }
}

/// What the series' guards find in a drop among its neighbours.
pub(super) fn judge(plan: &Plan, drop: &Definition, opens_at: Timestamp, neighbours: &[Neighbour]) -> Vec<Finding> {
    let this = Neighbour::of(drop, opens_at, None);
    let others = || neighbours.iter().filter(|other| other.id != this.id);
    let finding = |(place, guard): (usize, &Guard)| {
        let (code, message) = match guard.kind {
            GuardKind::Overlap => {
                let meanwhile = |other: &&Neighbour| other.opens_at < this.closes_at && this.opens_at < other.closes_at;
                let (other, sku) = others()
                    .filter(meanwhile)
                    .find_map(|other| Some((other, this.skus.iter().find(|sku| other.skus.contains(sku))?)))?;
                ("overlap", format!("drop {} sells {sku} at the same time", other.id))
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

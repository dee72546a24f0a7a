//! A drop on the wire.

use prost::Message;
use stockade_engine::answer::{DropState, DropView};
use stockade_proto as pb;
use stockade_types::definition::{Definition, Limit, Rules, Schedule, Terms};
use stockade_types::ids::ItemNo;
use stockade_types::time::Timestamp;

use super::answer::{duration, kind_of_subject, limit_scope, timestamp};
use super::rules_view::{
    Live, conduct_view, is_general, item_view, scarcity_view, signal_view, terms_view, tranche_view, window_view,
};

/// A drop with its state and stock.
#[must_use]
pub fn drop_view(view: &DropView) -> pb::Drop {
    // Closing by hand shows in the state; the schedule stays as defined.
    let DropView { definition, opens_at, closed_at: _, announced: _, state, revision, as_of, stock: _, marks: _ } =
        view;
    pb::Drop {
        opens_at: Some(timestamp(*opens_at)),
        state: drop_state(*state).into(),
        revision: revision.0,
        as_of_lsn: as_of.0,
        ..defined(definition, Some(Live::of(view)))
    }
}

/// Bytes of an encoded drop without its output-only fields and without the default pool of an item. A new drop and
/// the same drop, read and sent back, have the same size.
#[must_use]
pub(super) fn encoded_len(definition: &Definition) -> usize {
    let mut drop = defined(definition, None);
    drop.opens_at = Some(timestamp(definition.schedule.opens_at.unwrap_or(Timestamp::NEVER)));
    for (item, shown) in definition.items.iter().zip(&mut drop.items) {
        if is_general(item) {
            shown.pools.clear();
        }
    }
    drop.encoded_len()
}

/// A drop as it was defined, and what is output only of its items and rules.
pub(super) fn defined(definition: &Definition, live: Option<Live<'_>>) -> pb::Drop {
    let Definition {
        id,
        title,
        shop,
        series,
        labels,
        schedule: Schedule { opens_at: _, closes_at },
        terms: Terms { hold_ttl, max_hold_life, payment_ttl },
        items,
        limits,
        rules:
            Rules {
                windows,
                prices,
                tranches,
                conduct,
                signals,
                scarcity,
                slot_required,
                time_zone,
                location,
                zones,
                names: _,
            },
    } = definition;
    pb::Drop {
        id: id.to_string(),
        title: title.clone(),
        shop: shop.to_string(),
        series: series.as_ref().map(ToString::to_string).unwrap_or_default(),
        closes_at: closes_at.map(timestamp),
        hold_ttl: Some(duration(*hold_ttl)),
        max_hold_life: Some(duration(*max_hold_life)),
        payment_ttl: Some(duration(*payment_ttl)),
        items: (0..).map(ItemNo).zip(items).map(|(place, item)| item_view(place, item, live)).collect(),
        windows: windows.iter().map(|window| window_view(window, live)).collect(),
        limits: limits.iter().map(limit_view).collect(),
        terms: prices.iter().map(|terms| terms_view(terms, live)).collect(),
        slot_required: *slot_required,
        labels: labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        time_zone: time_zone.clone(),
        location: location.clone(),
        tranches: tranches.iter().map(|tranche| tranche_view(tranche, live)).collect(),
        zones: zones.iter().map(ToString::to_string).collect(),
        conduct: conduct.iter().map(conduct_view).collect(),
        signals: signals.iter().map(|signal| signal_view(signal, live)).collect(),
        scarcity: scarcity.as_ref().map(scarcity_view),
        ..pb::Drop::default() // fields that are not built yet, its opening and its state
    }
}

pub(super) const fn drop_state(state: DropState) -> pb::DropState {
    match state {
        DropState::Scheduled => pb::DropState::Scheduled,
        DropState::Open => pb::DropState::Open,
        DropState::Paused => pb::DropState::Paused,
        DropState::Closed => pb::DropState::Closed,
        DropState::Cancelled => pb::DropState::Cancelled,
        DropState::Archived => pb::DropState::Archived,
    }
}

fn limit_view(limit: &Limit) -> pb::Limit {
    let Limit {
        id,
        scope,
        skus,
        identity_kind,
        max_units,
        max_units_by_tier,
        max_live_units,
        max_live_holds,
        rolling,
        cooldown,
    } = limit;
    pb::Limit {
        id: id.to_string(),
        scope: limit_scope(*scope).into(),
        identity_kind: kind_of_subject(identity_kind.as_ref()),
        skus: skus.iter().map(ToString::to_string).collect(),
        max_units: *max_units,
        max_units_by_tier: max_units_by_tier.iter().map(|(tier, most)| (tier.to_string(), *most)).collect(),
        max_live_units: *max_live_units,
        max_live_holds: *max_live_holds,
        rolling: rolling.map(duration),
        cooldown: cooldown.map(duration),
    }
}

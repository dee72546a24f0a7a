//! The parts of a drop's file, as they go over the wire.

use serde_saphyr::Spanned;
use stockade_proto as pb;

use super::entries::{
    AudienceEntry, BandEntry, ConductEntry, FlowEntry, ItemEntry, LimitEntry, PoolEntry, ScarcityEntry, SignalEntry,
    SlotEntry, StepEntry, TermsEntry, TrancheEntry, WindowEntry,
};
use super::values::FileFaults;

impl FileFaults<'_> {
    pub(super) fn item(&mut self, entry: ItemEntry) -> pb::Item {
        let ItemEntry { sku, quantity, pools, kind, slot, price_floor, unit_cost } = entry;
        pb::Item {
            sku,
            quantity: self.whole(&quantity, "quantity", 0),
            pools: pools.into_iter().map(|entry| self.pool(entry)).collect(),
            kind: kind.map_or(pb::ItemKind::Unspecified, |kind| self.kind(&kind)).into(),
            slot: slot.map(|entry| self.slot(&entry)),
            price_floor: self.money(price_floor.as_ref(), "price_floor"),
            unit_cost: self.money(unit_cost.as_ref(), "unit_cost"),
            stock: None,
        }
    }

    fn kind(&mut self, given: &Spanned<String>) -> pb::ItemKind {
        match given.value.as_str() {
            "goods" => return pb::ItemKind::Goods,
            "slot" => return pb::ItemKind::Slot,
            other => self.add(given.referenced, format_args!("kind must be goods or slot, not {other:?}")),
        }
        pb::ItemKind::Unspecified
    }

    fn slot(&mut self, SlotEntry { place, starts, ends }: &SlotEntry) -> pb::Slot {
        pb::Slot {
            place: place.clone(),
            starts: self.moment(Some(starts), "starts"),
            ends: self.moment(Some(ends), "ends"),
            ..pb::Slot::default()
        }
    }

    fn pool(&mut self, PoolEntry { id, audience: whom, units, share, flows, place }: PoolEntry) -> pb::Pool {
        use pb::pool::Size;
        if let (Some(_), Some(share)) = (&units, &share) {
            self.add(share.referenced, "a pool must have units or share, not both");
        }
        let units = units.map(|units| Size::Units(self.whole(&units, "units", 0)));
        let size = units.or_else(|| share.map(|share| Size::ShareBasisPoints(self.share(&share, "share"))));
        let flows = flows.into_iter().map(|FlowEntry { to, when }| pb::Flow {
            to,
            when: when.map(|when| self.trigger(&when, "when")),
            fired_at: None,
        });
        pb::Pool { id, audience: whom.map(audience), size, flows: flows.collect(), place, stock: None }
    }

    pub(super) fn window(&mut self, entry: WindowEntry) -> pb::Window {
        let WindowEntry { id, audience: whom, skus, pools, starts, ends, hold_ttl } = entry;
        pb::Window {
            id,
            audience: whom.map(audience),
            skus,
            pools,
            starts: self.moment(starts.as_ref(), "starts"),
            ends: self.moment(ends.as_ref(), "ends"),
            hold_ttl: self.span(hold_ttl.as_ref(), "hold_ttl"),
            ..pb::Window::default()
        }
    }

    pub(super) fn terms(&mut self, entry: TermsEntry) -> pb::Terms {
        let TermsEntry { id, audience: whom, skus, pools, starts, ends, price, steps } = entry;
        let step = |StepEntry { when, price }: StepEntry| pb::PriceStep {
            when: Some(self.trigger(&when, "when")),
            price: self.money(Some(&price), "price"),
            fired_at: None,
        };
        let steps = steps.into_iter().map(step).collect();
        pb::Terms {
            id,
            audience: whom.map(audience),
            skus,
            pools,
            starts: self.moment(starts.as_ref(), "starts"),
            ends: self.moment(ends.as_ref(), "ends"),
            price: self.money(Some(&price), "price"),
            steps,
        }
    }

    pub(super) fn tranche(&mut self, TrancheEntry { id, sku, pool, units, when }: TrancheEntry) -> pb::Tranche {
        let units = self.whole(&units, "units", 0);
        pb::Tranche { id, sku, pool, units, when: Some(self.trigger(&when, "when")), fired_at: None }
    }

    pub(super) fn signal(&mut self, entry: SignalEntry) -> pb::Signal {
        let SignalEntry { id, on, audience: whom, channels, repeat_after, valid_for, labels } = entry;
        pb::Signal {
            id,
            on: Some(self.trigger(&on, "on")),
            audience: whom.map(audience),
            channels,
            repeat_after: self.span(repeat_after.as_ref(), "repeat_after"),
            valid_for: self.span(valid_for.as_ref(), "valid_for"),
            labels: labels.into_iter().collect(),
            fired_at: None,
        }
    }

    pub(super) fn scarcity(&mut self, ScarcityEntry { bands, min_interval }: ScarcityEntry) -> pb::Scarcity {
        let band = |BandEntry { id, min_free }: BandEntry| {
            let share = min_free.map_or(0, |share| self.share(&share, "min_free"));
            pb::Band { id, min_free_basis_points: share }
        };
        let bands = bands.into_iter().map(band).collect();
        pb::Scarcity { bands, min_interval: self.span(min_interval.as_ref(), "min_interval") }
    }

    pub(super) fn limit(&mut self, entry: LimitEntry) -> pb::Limit {
        let by_tier = entry.max_units_by_tier.into_iter();
        pb::Limit {
            id: entry.id,
            scope: self.scope(&entry.scope).into(),
            skus: entry.skus,
            identity_kind: entry.identity_kind,
            max_units: self.most(entry.max_units.as_ref(), "max_units"),
            max_units_by_tier: by_tier.map(|(tier, most)| (tier, self.whole(&most, "max_units_by_tier", 0))).collect(),
            max_live_units: self.most(entry.max_live_units.as_ref(), "max_live_units"),
            max_live_holds: self.most(entry.max_live_holds.as_ref(), "max_live_holds"),
            rolling: self.span(entry.rolling.as_ref(), "rolling"),
            cooldown: self.span(entry.cooldown.as_ref(), "cooldown"),
        }
    }

    pub(super) fn conduct(&mut self, entry: ConductEntry) -> pb::ConductRule {
        pb::ConductRule {
            id: entry.id,
            identity_kind: entry.identity_kind,
            counts: self.counted(&entry.counts).into(),
            at_least: self.whole(&entry.at_least, "at_least", 1),
            within: self.span(Some(&entry.within), "within"),
            audience: entry.audience.map(audience),
            hold_ttl: self.span(entry.hold_ttl.as_ref(), "hold_ttl"),
            max_live_units: self.most(entry.max_live_units.as_ref(), "max_live_units"),
            max_units: self.most(entry.max_units.as_ref(), "max_units"),
            cooldown: self.span(entry.cooldown.as_ref(), "cooldown"),
        }
    }

    fn counted(&mut self, given: &Spanned<String>) -> pb::Conduct {
        match given.value.as_str() {
            "unclaimed_holds" => return pb::Conduct::UnclaimedHolds,
            "returns" => return pb::Conduct::Returns,
            "cancellations" => return pb::Conduct::Cancellations,
            "chargebacks" => return pb::Conduct::Chargebacks,
            other => {
                let wanted = "counts must be unclaimed_holds, returns, cancellations or chargebacks";
                self.add(given.referenced, format_args!("{wanted}, not {other:?}"));
            }
        }
        pb::Conduct::Unspecified
    }

    fn most(&mut self, given: Option<&Spanned<String>>, key: &str) -> Option<u32> {
        Some(self.whole(given?, key, 0))
    }

    fn scope(&mut self, given: &Spanned<String>) -> pb::LimitScope {
        match given.value.as_str() {
            "item" => return pb::LimitScope::Item,
            "drop" => return pb::LimitScope::Drop,
            "series" => return pb::LimitScope::Series,
            "shop" => return pb::LimitScope::Shop,
            other => {
                self.add(given.referenced, format_args!("scope must be item, drop, series or shop, not {other:?}"));
            }
        }
        pb::LimitScope::Unspecified
    }
}

fn audience(AudienceEntry { tiers, zones }: AudienceEntry) -> pb::Audience {
    pb::Audience { tiers, zones }
}

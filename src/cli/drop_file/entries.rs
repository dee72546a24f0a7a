//! The parts of a drop's file, as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::money::MoneyEntry;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ItemEntry {
    pub(super) sku: String,
    pub(super) quantity: Spanned<String>,
    #[serde(default)]
    pub(super) pools: Vec<PoolEntry>,
    pub(super) kind: Option<Spanned<String>>,
    pub(super) slot: Option<SlotEntry>,
    pub(super) price_floor: Option<Spanned<MoneyEntry>>,
    pub(super) unit_cost: Option<Spanned<MoneyEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoolEntry {
    pub(super) id: String,
    pub(super) audience: Option<AudienceEntry>,
    pub(super) units: Option<Spanned<String>>,
    pub(super) share: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) flows: Vec<FlowEntry>,
    #[serde(default)]
    pub(super) place: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FlowEntry {
    pub(super) to: String,
    pub(super) when: Option<Spanned<TriggerEntry>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlotEntry {
    #[serde(default)]
    pub(super) place: String,
    pub(super) starts: Spanned<MomentEntry>,
    pub(super) ends: Spanned<MomentEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AudienceEntry {
    #[serde(default)]
    pub(super) tiers: Vec<String>,
    #[serde(default)]
    pub(super) zones: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowEntry {
    pub(super) id: String,
    pub(super) audience: Option<AudienceEntry>,
    #[serde(default)]
    pub(super) skus: Vec<String>,
    #[serde(default)]
    pub(super) pools: Vec<String>,
    pub(super) starts: Option<Spanned<MomentEntry>>,
    pub(super) ends: Option<Spanned<MomentEntry>>,
    pub(super) hold_ttl: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TermsEntry {
    pub(super) id: String,
    pub(super) audience: Option<AudienceEntry>,
    #[serde(default)]
    pub(super) skus: Vec<String>,
    #[serde(default)]
    pub(super) pools: Vec<String>,
    pub(super) starts: Option<Spanned<MomentEntry>>,
    pub(super) ends: Option<Spanned<MomentEntry>>,
    pub(super) price: Spanned<MoneyEntry>,
    #[serde(default)]
    pub(super) steps: Vec<StepEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepEntry {
    pub(super) when: Spanned<TriggerEntry>,
    pub(super) price: Spanned<MoneyEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrancheEntry {
    pub(super) id: String,
    pub(super) sku: String,
    #[serde(default)]
    pub(super) pool: String,
    pub(super) units: Spanned<String>,
    pub(super) when: Spanned<TriggerEntry>,
}

/// One of these keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MomentEntry {
    pub(super) at: Option<Spanned<String>>,
    pub(super) after_open: Option<Spanned<String>>,
    pub(super) before_close: Option<Spanned<String>>,
    pub(super) local: Option<LocalEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalEntry {
    pub(super) days_after_open: Option<Spanned<String>>,
    pub(super) time: String,
}

/// The keys of a moment, or a level of stock.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TriggerEntry {
    pub(super) at: Option<Spanned<String>>,
    pub(super) after_open: Option<Spanned<String>>,
    pub(super) before_close: Option<Spanned<String>>,
    pub(super) local: Option<LocalEntry>,
    pub(super) free_at_most: Option<Spanned<String>>,
    pub(super) sold: Option<Spanned<String>>,
    pub(super) taken: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) sku: String,
    #[serde(default)]
    pub(super) pool: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConductEntry {
    pub(super) id: String,
    #[serde(default)]
    pub(super) identity_kind: String,
    pub(super) counts: Spanned<String>,
    pub(super) at_least: Spanned<String>,
    pub(super) within: Spanned<String>,
    pub(super) audience: Option<AudienceEntry>,
    pub(super) hold_ttl: Option<Spanned<String>>,
    pub(super) max_live_units: Option<Spanned<String>>,
    pub(super) max_units: Option<Spanned<String>>,
    pub(super) cooldown: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignalEntry {
    pub(super) id: String,
    pub(super) on: Spanned<TriggerEntry>,
    pub(super) audience: Option<AudienceEntry>,
    #[serde(default)]
    pub(super) channels: Vec<String>,
    pub(super) repeat_after: Option<Spanned<String>>,
    pub(super) valid_for: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScarcityEntry {
    #[serde(default)]
    pub(super) bands: Vec<BandEntry>,
    pub(super) min_interval: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandEntry {
    pub(super) id: String,
    pub(super) min_free: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitEntry {
    pub(super) id: String,
    pub(super) scope: Spanned<String>,
    #[serde(default)]
    pub(super) skus: Vec<String>,
    #[serde(default)]
    pub(super) identity_kind: String,
    pub(super) max_units: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) max_units_by_tier: BTreeMap<String, Spanned<String>>,
    pub(super) max_live_units: Option<Spanned<String>>,
    pub(super) max_live_holds: Option<Spanned<String>>,
    pub(super) rolling: Option<Spanned<String>>,
    pub(super) cooldown: Option<Spanned<String>>,
}

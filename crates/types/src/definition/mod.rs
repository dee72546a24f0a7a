//! The definition of a drop: its schedule, terms, items, pools and limits, as typed values.
//!
//! The code that builds a definition from a request checks it. Each part has a file with its values and their encoding.

use std::collections::BTreeMap;

mod audience;
mod conduct;
mod item;
mod limit;
mod moment;
mod money;
mod named_tiers;
mod names;
mod price_terms;
mod rules;
mod scarcity;
mod schedule;
mod signal;
mod terms;
mod tranche;
mod trigger;
mod window;

pub use audience::{AUDIENCE_NAMES_MAX, Audience};
pub use conduct::{
    CONDUCT_AT_LEAST_MAX, CONDUCT_RULES_MAX, CONDUCT_WITHIN_MIN, Conduct, ConductRule, ORDERS_WITHIN_MAX,
    UNCLAIMED_WITHIN_MAX,
};
pub use item::{
    DROP_POOLS_MAX, FLOWS_MAX, Flow, GENERAL_POOL, ITEM_POOLS_MAX, ITEM_UNITS_MAX, ITEMS_MAX, Item, PLACE_MAX, Pool,
    PoolSize, Slot,
};
pub use limit::{LIMIT_SKUS_MAX, LIMIT_TIERS_MAX, LIMITS_MAX, Limit, Scope};
pub use moment::{LOCAL_DAYS_MAX, Moment, Named};
pub use money::{Currency, Money};
pub use named_tiers::NamedTiers;
pub use names::{OFFERS_MAX, Offer, OfferNo, RuleNames, TermsNo, TooManyNames, TrancheNo, WINDOW_NAMES_MAX, WindowNo};
pub use price_terms::{PRICE_STEPS_MAX, PRICE_TERMS_MAX, PriceStep, PriceTerms};
pub use rules::{LOCATION_MAX, RULE_POOLS_MAX, RULE_SKUS_MAX, Rules, ZONES_MAX};
pub use scarcity::{
    AVAILABLE, BAND_INTERVAL_MAX, BAND_INTERVAL_MIN, BAND_INTERVAL_USUAL, BANDS_MAX, Band, BandNo, SOLD_OUT, Scarcity,
};
pub use schedule::Schedule;
pub use signal::{
    CHANNEL_BYTES_MAX, CHANNELS_MAX, SIGNAL_LABELS_MAX, SIGNAL_NAMES_MAX, SIGNAL_SPAN_MAX, SIGNALS_MAX, Signal,
    SignalNo, VALID_FOR_USUAL,
};
pub use terms::Terms;
pub use tranche::{TRANCHES_MAX, Tranche};
pub use trigger::{BASIS_POINTS, Level, LevelUnits, StockLevel, Trigger};
pub use window::{WINDOWS_MAX, Window};

use crate::codec::{DecodeError, Reader, put_text, put_u64};
use crate::ids::{DropId, ItemNo, PoolId, PoolNo, SeriesId, ShopId, Sku};

/// Most bytes in a title.
pub const TITLE_MAX: usize = 200;
/// Most labels of a drop.
pub const LABELS_MAX: usize = 16;
/// The shop of a drop that names none.
pub const DEFAULT_SHOP: &str = "default";

/// Tags of the parts that follow a definition's first fields.
mod tag {
    pub(super) const END: u8 = 0;
    pub(super) const SERIES: u8 = 1;
    pub(super) const RULES: u8 = 2;
}

/// A drop as it was defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Unique in the engine.
    pub id: DropId,
    /// For display; at most 200 bytes.
    pub title: String,
    /// The shop that it belongs to.
    pub shop: ShopId,
    /// The series that it belongs to.
    pub series: Option<SeriesId>,
    /// The caller's labels; at most 16.
    pub labels: BTreeMap<String, String>,
    /// When it sells.
    pub schedule: Schedule,
    /// How long units are set aside.
    pub terms: Terms,
    /// 1–256, each SKU once.
    pub items: Vec<Item>,
    /// All of them apply.
    pub limits: Vec<Limit>,
    /// Windows, prices, tranches and what else most drops don't have.
    pub rules: Rules,
}

/// A field of a definition, as far as the rules for updates distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract's names")]
pub enum Field {
    Title,
    Labels,
    OpensAt,
    ClosesAt,
    HoldTtl,
    MaxHoldLife,
    PaymentTtl,
    Limits,
    Conduct,
    /// Items appended after the existing ones.
    NewItems,
    /// Existing items: their order, SKUs, initial stock and pools.
    KnownItems,
    Shop,
    Series,
    Windows,
    PriceTerms,
    Tranches,
    Signals,
    Scarcity,
    SlotRequired,
    TimeZone,
    Location,
    Zones,
    /// Of an existing item: audiences and flows of its pools, its price floor and cost.
    ItemRules,
}

/// A field, its path in proto spelling, and whether it differs.
type FieldDifference = (Field, &'static str, bool);

impl Definition {
    /// Whether it has parts beyond the first fields. Parts are written only if there are any, so that definitions
    /// without keep the bytes and the digest of older versions.
    pub(crate) fn has_parts(&self) -> bool {
        self.series.is_some() || self.has_rules()
    }

    /// Whether it or an item of it says more than builds without rules could.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty() || !self.items.iter().all(Item::is_plain)
    }

    /// Whether what a customer is offered depends on anything but the stock.
    #[must_use]
    pub fn has_offers(&self) -> bool {
        self.rules.have_offers() || !self.items.iter().all(Item::is_plain)
    }

    /// Appends its bytes; `in_parts` says whether the parts' end tag is written.
    pub(crate) fn encode(&self, in_parts: bool, out: &mut Vec<u8>) {
        let Self { id, title, shop, series, labels, schedule, terms, items, limits, rules } = self;
        put_text(out, id.as_str());
        put_text(out, title);
        put_text(out, shop.as_str());
        put_count(out, labels.len());
        for (key, value) in labels {
            put_text(out, key);
            put_text(out, value);
        }
        schedule.encode(out);
        terms.encode(out);
        put_count(out, items.len());
        for item in items {
            item::encode(item, out);
        }
        put_count(out, limits.len());
        for limit in limits {
            limit::encode(limit, out);
        }
        if let Some(series) = series {
            out.push(tag::SERIES);
            put_text(out, series.as_str());
        }
        if self.has_rules() {
            out.push(tag::RULES);
            rules.encode(items, out);
        }
        if in_parts {
            out.push(tag::END);
        }
    }

    /// Reads one, with its parts if `in_parts`.
    pub(crate) fn decode(reader: &mut Reader<'_>, in_parts: bool) -> Result<Self, DecodeError> {
        let mut definition = Self {
            id: reader.id("drop id")?,
            title: reader.text()?.to_owned(),
            shop: reader.id("shop id")?,
            series: None,
            labels: labels(reader)?,
            schedule: Schedule::decode(reader)?,
            terms: Terms::decode(reader)?,
            items: several(reader, 2, item::decode)?,
            limits: several(reader, 3, limit::decode)?,
            rules: Rules::default(),
        };
        if !in_parts {
            return Ok(definition);
        }
        loop {
            match reader.u8()? {
                tag::END => return Ok(definition),
                tag::SERIES => definition.series = Some(reader.id("series id")?),
                tag::RULES => definition.rules = Rules::decode(&mut definition.items, reader)?,
                _ => return Err(DecodeError::Bad("definition tag")),
            }
        }
    }

    /// All fields but the id, and whether they differ in another definition. Items are compared as a whole.
    fn fields(&self, other: &Self) -> impl Iterator<Item = FieldDifference> {
        let Self { id: _, title, shop, series, labels, schedule, terms, items, limits, rules } = self;
        let Rules {
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
        } = rules;
        let first = [
            (Field::Title, "drop.title", *title != other.title),
            (Field::Shop, "drop.shop", *shop != other.shop),
            (Field::Series, "drop.series", *series != other.series),
            (Field::Labels, "drop.labels", *labels != other.labels),
        ];
        let last = [
            (Field::KnownItems, "drop.items", *items != other.items),
            (Field::Limits, "drop.limits", *limits != other.limits),
            (Field::Windows, "drop.windows", *windows != other.rules.windows),
            (Field::PriceTerms, "drop.terms", *prices != other.rules.prices),
            (Field::Tranches, "drop.tranches", *tranches != other.rules.tranches),
            (Field::Conduct, "drop.conduct", *conduct != other.rules.conduct),
            (Field::Signals, "drop.signals", *signals != other.rules.signals),
            (Field::Scarcity, "drop.scarcity", *scarcity != other.rules.scarcity),
            (Field::SlotRequired, "drop.slot_required", *slot_required != other.rules.slot_required),
            (Field::TimeZone, "drop.time_zone", *time_zone != other.rules.time_zone),
            (Field::Location, "drop.location", *location != other.rules.location),
            (Field::Zones, "drop.zones", *zones != other.rules.zones),
        ];
        let (schedule, terms) = (schedule.differences(other.schedule), terms.differences(other.terms));
        first.into_iter().chain(schedule).chain(terms).chain(last)
    }

    /// The path of the first field in which another definition differs, in proto spelling.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<&'static str> {
        self.fields(other).find(|(_, _, differs)| *differs).map(|(_, path, _)| path)
    }

    /// Every field in which another definition of the drop differs, with its path in proto spelling.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(Field, String)> {
        let plain = self.fields(other).filter(|(field, _, differs)| *differs && *field != Field::KnownItems);
        let mut differing: Vec<_> = plain.map(|(field, path, _)| (field, path.to_owned())).collect();
        for (place, (known, item)) in self.items.iter().zip(&other.items).enumerate() {
            if known.sku == item.sku {
                item_differences(place, known, item, &mut differing);
            } else {
                differing.push((Field::KnownItems, format!("drop.items[{place}].sku")));
            }
        }
        match other.items.len() {
            fewer if fewer < self.items.len() => differing.push((Field::KnownItems, "drop.items".to_owned())),
            more if more > self.items.len() => differing.push((Field::NewItems, "drop.items".to_owned())),
            _as_many => {}
        }
        differing
    }

    /// Gives numbers to the names of its rules that have none: see [`RuleNames`].
    ///
    /// # Errors
    /// [`TooManyNames`].
    pub fn number_names(&mut self) -> Result<(), TooManyNames> {
        let mut names = std::mem::take(&mut self.rules.names);
        let numbered = names.number(&self.rules);
        self.rules.names = names;
        numbered
    }

    /// The item with this SKU. A linear search: drops have few items, and a hash would cost more than it saves.
    #[must_use]
    pub fn item(&self, sku: &Sku) -> Option<(ItemNo, &Item)> {
        let place = self.items.iter().position(|item| item.sku == *sku)?;
        Some((ItemNo(u16::try_from(place).ok()?), self.items.get(place)?))
    }

    /// The place of a pool among all pools of the drop, in the order of items and pools, if there is such a pool.
    #[must_use]
    pub fn pool_place(&self, item: ItemNo, pool: PoolNo) -> Option<usize> {
        self.items.get(item.index()).filter(|item| pool.index() < item.pools.len())?;
        let before: usize = self.items.iter().take(item.index()).map(|item| item.pools.len()).sum();
        before.checked_add(pool.index())
    }

    /// The tranche with this number.
    #[must_use]
    pub fn tranche(&self, number: TrancheNo) -> Option<&Tranche> {
        let Rules { tranches, names, .. } = &self.rules;
        tranches.iter().find(|tranche| names.tranche_no(&tranche.id) == Some(number))
    }

    /// The window with this number.
    #[must_use]
    pub fn window(&self, number: WindowNo) -> Option<&Window> {
        let id = self.rules.names.window(number)?;
        self.rules.windows.iter().find(|window| window.id == *id)
    }

    /// The terms with this number.
    #[must_use]
    pub fn price_terms(&self, number: TermsNo) -> Option<&PriceTerms> {
        let id = self.rules.names.terms(number)?;
        self.rules.prices.iter().find(|terms| terms.id == *id)
    }

    /// The signal with this number.
    #[must_use]
    pub fn signal(&self, number: SignalNo) -> Option<&Signal> {
        let id = self.rules.names.signal(number)?;
        self.rules.signals.iter().find(|signal| signal.id == *id)
    }

    /// The place of the pool that a tranche joins.
    #[must_use]
    pub fn tranche_place(&self, tranche: &Tranche) -> Option<usize> {
        self.tranche_pool(tranche).and_then(|(item, pool)| self.pool_place(item, pool))
    }

    /// The item and the pool that a tranche joins.
    #[must_use]
    pub fn tranche_pool(&self, tranche: &Tranche) -> Option<(ItemNo, PoolNo)> {
        let (item, of) = self.item(&tranche.sku)?;
        let usual = || u16::try_from(of.usual_pool()?).ok().map(PoolNo);
        Some((item, tranche.pool.as_ref().map_or_else(usual, |id| of.pool_no(id))?))
    }

    /// The SKU of an item of this drop.
    ///
    /// # Panics
    /// When the drop has no such item. Item numbers are only made from the definition, so that is a bug.
    #[must_use]
    pub fn sku(&self, item: ItemNo) -> &Sku {
        self.items.get(item.index()).map_or_else(|| bug("item"), |found| &found.sku)
    }

    /// The id of a pool of this drop.
    ///
    /// # Panics
    /// When the drop has no such pool: a bug, as with [`Definition::sku`].
    #[must_use]
    pub fn pool(&self, item: ItemNo, pool: PoolNo) -> &PoolId {
        self.items
            .get(item.index())
            .and_then(|found| found.pools.get(pool.index()))
            .map_or_else(|| bug("pool"), |found| &found.id)
    }
}

#[cold]
#[expect(clippy::panic, reason = "a number that the definition did not make is a bug, and a bug ends the process")]
fn bug(what: &str) -> ! {
    panic!("a hold refers to an unknown {what} of its drop")
}

/// The fields in which two items with one SKU differ.
fn item_differences(place: usize, known: &Item, item: &Item, differing: &mut Vec<(Field, String)>) {
    let Item { sku: _, pools, slot, price_floor, unit_cost } = known;
    let mut differs = |field, name: &str, differs: bool| {
        if differs {
            differing.push((field, format!("drop.items[{place}].{name}")));
        }
    };
    // Units that follow from the quantity differ with it.
    let size = |pool: &Pool| (pool.size, (pool.size == PoolSize::Units).then_some(pool.units));
    let sizes = |pools: &[Pool]| pools.iter().map(|pool| (pool.id.clone(), size(pool))).collect::<Vec<_>>();
    let same_pools = sizes(pools) == sizes(&item.pools);
    differs(Field::KnownItems, "quantity", known.units() != item.units());
    differs(Field::KnownItems, "pools", !same_pools);
    let named = |slot: &Option<Slot>| slot.as_ref().map(|s| (s.place.clone(), s.starts.named, s.ends.named));
    differs(Field::KnownItems, "slot", named(slot) != named(&item.slot));
    differs(Field::ItemRules, "price_floor", *price_floor != item.price_floor);
    differs(Field::ItemRules, "unit_cost", *unit_cost != item.unit_cost);
    if same_pools {
        for (pool, (is, wanted)) in pools.iter().zip(&item.pools).enumerate() {
            let Pool { id: _, units: _, size: _, audience, place, flows } = is;
            differs(Field::ItemRules, &format!("pools[{pool}].audience"), *audience != wanted.audience);
            differs(Field::KnownItems, &format!("pools[{pool}].place"), *place != wanted.place);
            differs(Field::ItemRules, &format!("pools[{pool}].flows"), *flows != wanted.flows);
        }
    }
}

fn labels(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, DecodeError> {
    let count = reader.count(2)?;
    (0..count).map(|_| Ok((reader.text()?.to_owned(), reader.text()?.to_owned()))).collect()
}

/// Reads a count and that many elements, each of at least `bytes` bytes.
fn several<T>(
    reader: &mut Reader<'_>,
    bytes: usize,
    one: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count(bytes)?;
    (0..count).map(|_| one(reader)).collect()
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_u64(out, u64::try_from(count).unwrap_or(u64::MAX));
}

/// Appends a list of ids.
fn encode_ids<'a>(ids: impl ExactSizeIterator<Item = &'a str>, out: &mut Vec<u8>) {
    put_count(out, ids.len());
    ids.for_each(|id| put_text(out, id));
}

/// Reads a list of ids.
fn decode_ids<T>(reader: &mut Reader<'_>, what: &'static str) -> Result<Vec<T>, DecodeError>
where
    T: for<'a> TryFrom<&'a str>,
{
    several(reader, 1, |reader| reader.id(what))
}

/// Appends a number that may be negative: zigzag, so that small ones stay short.
fn encode_signed(value: i64, out: &mut Vec<u8>) {
    put_u64(out, (value << 1 ^ value >> 63).cast_unsigned());
}

/// Reads one.
fn decode_signed(reader: &mut Reader<'_>) -> Result<i64, DecodeError> {
    let value = reader.u64()?;
    Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

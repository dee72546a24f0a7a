//! Converts a drop of a request to a definition.

use std::collections::{BTreeMap, HashMap};

use stockade_engine::command::CreateDrop;
use stockade_proto as pb;
use stockade_types::definition::{
    DEFAULT_SHOP, Definition, GENERAL_POOL, ITEM_UNITS_MAX, ITEMS_MAX, Item, LABELS_MAX, Pool, Schedule, TITLE_MAX,
    Terms,
};
use stockade_types::ids::{PoolId, Sku};
use stockade_types::time::Millis;

use super::drop_view::encoded_len;
use super::faults::{Faults, Rejection};
use super::fields::{enumeration, id, instant, optional_id, span};
use super::limits::limits;
use crate::text;

const TTL_MIN: Millis = Millis::from_secs(1);
const TTL_MAX: Millis = Millis::from_secs(24 * 60 * 60);
const USUAL_TTL: Millis = Millis::from_secs(5 * 60);
/// The default time for a payment.
const USUAL_PAYMENT_TTL: Millis = Millis::from_secs(15 * 60);
const HOLD_LIFE_MAX: Millis = Millis::from_secs(7 * 24 * 60 * 60);
/// Most bytes of an encoded drop without its output-only fields. It then fits into a record, and several fit into a
/// page of a list.
const DROP_BYTES_MAX: usize = 96 * 1024;
const LABEL_KEY_MAX: usize = 64;
const LABEL_VALUE_MAX: usize = 256;

/// Whether a field of a drop is set.
type IsSet = fn(&pb::Drop) -> bool;

/// Fields that are not built yet. A request that sets one is refused with its name.
pub(super) const UNBUILT: [(&str, IsSet); 12] = [
    ("windows", |drop| !drop.windows.is_empty()),
    ("terms", |drop| !drop.terms.is_empty()),
    ("slot_required", |drop| drop.slot_required),
    ("time_zone", |drop| !drop.time_zone.is_empty()),
    ("location", |drop| !drop.location.is_empty()),
    ("tranches", |drop| !drop.tranches.is_empty()),
    ("signals", |drop| !drop.signals.is_empty()),
    ("scarcity", |drop| drop.scarcity.is_some()),
    ("conduct", |drop| !drop.conduct.is_empty()),
    ("zones", |drop| !drop.zones.is_empty()),
    ("waiting_room", |drop| drop.waiting_room.is_some()),
    ("waitlist", |drop| drop.waitlist.is_some()),
];

/// Converts a request to create a drop.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built.
pub fn create_drop(request: &pb::CreateDropRequest) -> Result<CreateDrop, Rejection> {
    let pb::CreateDropRequest { drop, validate_only } = request;
    let mut faults = Faults::default();
    let definition = drop.as_ref().and_then(|drop| definition(&mut faults, drop));
    if drop.is_none() {
        faults.invalid("drop", "must be set");
    }
    let command = definition.map(|definition| CreateDrop { definition, validate_only: *validate_only });
    faults.finish(command)
}

/// Converts a whole drop; `None` with the faults recorded. Output-only fields are ignored.
pub(super) fn definition(faults: &mut Faults, drop: &pb::Drop) -> Option<Definition> {
    let pb::Drop {
        id: name,
        title,
        shop,
        series,
        opens_at,
        closes_at,
        hold_ttl,
        max_hold_life,
        payment_ttl,
        items: goods,
        limits: rules,
        labels: notes,
        .. // output only, or in `UNBUILT`: a test compares the table with the contract
    } = drop;
    for (field, is_set) in UNBUILT {
        faults.unbuilt(is_set(drop), format_args!("drop.{field}"));
    }
    let name = id(faults, "drop.id", name);
    if title.len() > TITLE_MAX {
        faults.invalid("drop.title", format_args!("must be at most {TITLE_MAX} bytes"));
    }
    if !text::is_plain(title) {
        faults.invalid("drop.title", text::PLAIN);
    }
    let shop = id(faults, "drop.shop", if shop.is_empty() { DEFAULT_SHOP } else { shop });
    let series = optional_id(faults, "drop.series", series);
    let labels = labels(faults, notes);
    let opens_at = instant(faults, "drop.opens_at", opens_at.as_ref());
    let closes_at = instant(faults, "drop.closes_at", closes_at.as_ref());
    if let (Some(opens), Some(closes)) = (opens_at, closes_at)
        && closes <= opens
    {
        faults.invalid("drop.closes_at", "must be after opens_at");
    }
    let spans = spans(faults, hold_ttl.as_ref(), max_hold_life.as_ref());
    let payment = span(faults, "drop.payment_ttl", payment_ttl.as_ref());
    let payment_ttl = if payment_ttl.is_some() { payment } else { Some(USUAL_PAYMENT_TTL) };
    if payment_ttl.is_some_and(|ttl| !(TTL_MIN..=TTL_MAX).contains(&ttl)) {
        faults.invalid("drop.payment_ttl", "must be 1s to 24h");
    }
    let items = items(faults, goods);
    let limits = limits(faults, rules, drop);
    let (hold_ttl, max_hold_life) = spans?;
    let definition = Definition {
        id: name?,
        title: title.clone(),
        shop: shop?,
        series,
        labels,
        schedule: Schedule { opens_at, closes_at },
        terms: Terms { hold_ttl, max_hold_life, payment_ttl: payment_ttl? },
        items: items?,
        limits: limits?,
    };
    let size = encoded_len(&definition);
    if size > DROP_BYTES_MAX {
        faults.invalid("drop", format_args!("takes {size} bytes as encoded: must be at most {DROP_BYTES_MAX}"));
    }
    Some(definition)
}

fn spans(
    faults: &mut Faults,
    hold_ttl: Option<&prost_types::Duration>,
    max_hold_life: Option<&prost_types::Duration>,
) -> Option<(Millis, Millis)> {
    let ttl = span(faults, "drop.hold_ttl", hold_ttl);
    let ttl = if hold_ttl.is_some() { ttl } else { Some(USUAL_TTL) };
    let ttl_fits = ttl.is_some_and(|ttl| (TTL_MIN..=TTL_MAX).contains(&ttl));
    if ttl.is_some() && !ttl_fits {
        faults.invalid("drop.hold_ttl", "must be 1s to 24h");
    }
    let ttl = ttl.filter(|_| ttl_fits);
    let life = span(faults, "drop.max_hold_life", max_hold_life);
    let life = if max_hold_life.is_some() { life? } else { ttl?.doubled() };
    let least = ttl.unwrap_or(TTL_MIN);
    if !(least..=HOLD_LIFE_MAX).contains(&life) {
        faults.invalid("drop.max_hold_life", "must be hold_ttl to 7 days");
    }
    Some((ttl?, life))
}

fn labels(faults: &mut Faults, notes: &HashMap<String, String>) -> BTreeMap<String, String> {
    if notes.len() > LABELS_MAX {
        faults.invalid("drop.labels", format_args!("must be at most {LABELS_MAX}, not {}", notes.len()));
        return BTreeMap::new();
    }
    let labels: BTreeMap<String, String> = notes.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in &labels {
        let shown: String = key.chars().take(LABEL_KEY_MAX).collect();
        let field = format!("drop.labels[{}]", text::escaped(&shown));
        if key.is_empty() || key.len() > LABEL_KEY_MAX {
            faults.invalid(field, format_args!("key must be 1-{LABEL_KEY_MAX} bytes"));
        } else if value.len() > LABEL_VALUE_MAX {
            faults.invalid(field, format_args!("must be at most {LABEL_VALUE_MAX} bytes"));
        } else if !text::is_plain(key) || !text::is_plain(value) {
            faults.invalid(field, text::PLAIN);
        }
    }
    labels
}

fn items(faults: &mut Faults, goods: &[pb::Item]) -> Option<Vec<Item>> {
    if goods.is_empty() || goods.len() > ITEMS_MAX {
        faults.invalid("drop.items", format_args!("must be 1-{ITEMS_MAX}, not {}", goods.len()));
        return None;
    }
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(goods.len());
    let mut items = Vec::with_capacity(goods.len());
    for (place, item) in goods.iter().enumerate() {
        let sku = id::<Sku>(faults, format_args!("drop.items[{place}].sku"), &item.sku);
        let first = *seen.entry(item.sku.as_str()).or_insert(place);
        if sku.is_some() && first != place {
            let description = format_args!("duplicates items[{first}].sku");
            faults.invalid(format_args!("drop.items[{place}].sku"), description);
        }
        let pool = general_pool(faults, place, item);
        if let (Some(sku), Some(pool)) = (sku, pool) {
            items.push(Item { sku, pools: vec![pool] });
        }
    }
    (items.len() == goods.len()).then_some(items)
}

/// The single pool of an item, with all its stock.
fn general_pool(faults: &mut Faults, place: usize, item: &pb::Item) -> Option<Pool> {
    let pb::Item { sku: _, quantity, pools, stock: _, kind, slot, price_floor, unit_cost } = item;
    if *quantity > ITEM_UNITS_MAX {
        faults.invalid(format_args!("drop.items[{place}].quantity"), format_args!("must be at most {ITEM_UNITS_MAX}"));
    }
    faults.unbuilt(!is_general(pools, *quantity), format_args!("drop.items[{place}].pools"));
    match enumeration(faults, format_args!("drop.items[{place}].kind"), *kind) {
        Some(pb::ItemKind::Slot) => faults.unbuilt(true, format_args!("drop.items[{place}].kind")),
        Some(pb::ItemKind::Unspecified | pb::ItemKind::Goods) | None => {}
    }
    faults.unbuilt(slot.is_some(), format_args!("drop.items[{place}].slot"));
    faults.unbuilt(price_floor.is_some(), format_args!("drop.items[{place}].price_floor"));
    faults.unbuilt(unit_cost.is_some(), format_args!("drop.items[{place}].unit_cost"));
    let id = PoolId::try_from(GENERAL_POOL).ok()?;
    Some(Pool { id, units: *quantity })
}

/// Whether these are the pools of an item that names none: no pool, or the general pool, as a drop that was read
/// shows it.
fn is_general(pools: &[pb::Pool], quantity: u64) -> bool {
    let general = |pool: &pb::Pool| {
        let pb::Pool { id, audience, size, flows, place, stock: _ } = pool;
        let all = size.is_none_or(|size| size == pb::pool::Size::Units(quantity));
        id == GENERAL_POOL && audience.is_none() && flows.is_empty() && place.is_empty() && all
    };
    pools.len() <= 1 && pools.iter().all(general)
}

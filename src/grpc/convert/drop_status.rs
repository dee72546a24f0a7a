//! A drop as the public may see it: without figures, limits and customers.

use prost::Message;
use stockade_engine::answer::DropState;
use stockade_proto as pb;
use stockade_types::definition::Definition;
use stockade_types::record::PoolFigures;
use stockade_types::time::Timestamp;

use super::answer::timestamp;
use super::drop_view::drop_state;

/// Labels whose key begins with this are public.
const PUBLIC: &str = "public.";
/// The bands of a drop without a definition of scarcity: for at least one free unit,
const AVAILABLE: &str = "available";
/// and for none.
const SOLD_OUT: &str = "sold_out";
/// Digits of a version.
const VERSION_DIGITS: usize = 16;

/// The public status of a drop, with its opening time, state and the stock of its pools in the definition's order.
#[must_use]
pub(super) fn drop_status(
    definition: &Definition,
    opens_at: Timestamp,
    state: DropState,
    stock: &[PoolFigures],
) -> pb::DropStatus {
    let Definition { id, title, shop, series, labels, schedule, items, .. } = definition;
    let mut pools = stock.iter();
    let mut band = |pools_of_item: usize| {
        let free = pools.by_ref().take(pools_of_item).map(PoolFigures::free).fold(0, u64::saturating_add);
        if free > 0 { AVAILABLE } else { SOLD_OUT }
    };
    let items = items.iter().map(|item| pb::ItemStatus {
        sku: item.sku.to_string(),
        kind: pb::ItemKind::Goods.into(),
        band: band(item.pools.len()).to_owned(),
        ..pb::ItemStatus::default() // fields that are not built yet
    });
    let public = labels.iter().filter(|(key, _)| key.starts_with(PUBLIC));
    let mut status = pb::DropStatus {
        drop_id: id.to_string(),
        shop: shop.to_string(),
        series: series.as_ref().map(ToString::to_string).unwrap_or_default(),
        title: title.clone(),
        state: drop_state(state).into(),
        opens_at: Some(timestamp(opens_at)),
        closes_at: schedule.closes_at.map(timestamp),
        items: items.collect(),
        labels: public.map(|(key, value)| (key.clone(), value.clone())).collect(),
        ..pb::DropStatus::default() // fields that are not built yet
    };
    status.version = version(&status);
    status
}

/// A hash of everything that is shown.
fn version(status: &pb::DropStatus) -> String {
    // A map has no order: the labels are sorted.
    let mut labels: Vec<_> = status.labels.iter().collect();
    labels.sort();
    let mut hash = blake3::Hasher::new();
    hash.update(&pb::DropStatus { labels: std::collections::HashMap::new(), ..status.clone() }.encode_to_vec());
    for (key, value) in labels {
        for text in [key, value] {
            hash.update(text.as_bytes());
            hash.update(&[0]);
        }
    }
    hash.finalize().to_hex().chars().take(VERSION_DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use stockade_types::definition::{Item, Pool, Schedule, Terms};
    use stockade_types::ids::{DropId, PoolId, ShopId, Sku};
    use stockade_types::record::PoolBasis;
    use stockade_types::time::Millis;

    use super::*;

    fn item(sku: &str, pools: &[&str]) -> Item {
        let pool = |id: &&str| Pool::plain(PoolId::try_from(*id).expect("an id"), 5);
        Item::plain(Sku::try_from(sku).expect("a sku"), pools.iter().map(pool).collect())
    }

    fn definition() -> Definition {
        Definition {
            id: DropId::try_from("knife").expect("an id"),
            title: "Knives".into(),
            shop: ShopId::try_from("s").expect("an id"),
            series: None,
            labels: [("public.hero", "1"), ("cost", "9"), ("public.b", "2")].map(|(k, v)| (k.into(), v.into())).into(),
            schedule: Schedule { opens_at: None, closes_at: None },
            terms: Terms { hold_ttl: Millis(1), max_hold_life: Millis(1), payment_ttl: Millis(1) },
            items: vec![item("A", &["one", "two"]), item("B", &["one"])],
            limits: Vec::new(),
            rules: stockade_types::definition::Rules::default(),
        }
    }

    fn pool(received: u64, held: u64) -> PoolFigures {
        PoolFigures { basis: PoolBasis { received, taken_out: 0 }, held, ..PoolFigures::default() }
    }

    #[test]
    fn the_public_sees_bands_and_its_own_labels_and_no_figure() {
        let stock = [pool(5, 5), pool(5, 4), pool(5, 5)];
        let status = drop_status(&definition(), Timestamp(1), DropState::Open, &stock);
        let bands: Vec<_> = status.items.iter().map(|item| (item.sku.as_str(), item.band.as_str())).collect();
        assert_eq!(bands, [("A", "available"), ("B", "sold_out")]);
        let mut labels: Vec<_> = status.labels.keys().map(String::as_str).collect();
        labels.sort_unstable();
        assert_eq!((labels, status.state()), (vec!["public.b", "public.hero"], pb::DropState::Open));
    }

    #[test]
    fn the_version_changes_with_what_is_shown_alone() {
        let of = |definition: &Definition, stock: &[PoolFigures]| {
            drop_status(definition, Timestamp(1), DropState::Open, stock).version
        };
        let stock = [pool(5, 5), pool(5, 4), pool(5, 5)];
        let first = of(&definition(), &stock);
        assert_eq!(first.len(), VERSION_DIGITS);
        assert_eq!(of(&definition(), &[pool(5, 5), pool(5, 3), pool(5, 5)]), first, "figures are not shown");
        assert_ne!(of(&definition(), &[pool(5, 5), pool(5, 4), pool(5, 4)]), first);
        let mut relabelled = definition();
        relabelled.labels.insert("cost".into(), "10".into());
        assert_eq!(of(&relabelled, &stock), first);
        relabelled.labels.insert("public.b".into(), "3".into());
        assert_ne!(of(&relabelled, &stock), first);
    }
}

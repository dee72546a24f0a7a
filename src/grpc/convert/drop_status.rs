//! A drop as the public may see it: without figures, limits and customers.

use prost::Message;
use stockade_engine::answer::DropState;
use stockade_engine::rules::shown_band;
use stockade_proto as pb;
use stockade_types::definition::{Definition, Item, Money, PriceTerms, Window};
use stockade_types::ids::ItemNo;
use stockade_types::record::{MarkKind, Marks, PoolFigures};
use stockade_types::time::Timestamp;

use super::answer::timestamp;
use super::drop_view::drop_state;
use super::rules_view::{audience_view, money_view};

/// Labels whose key begins with this are public.
const PUBLIC: &str = "public.";
/// Digits of a version.
const VERSION_DIGITS: usize = 16;

/// What the public status of a drop depends on.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) opens_at: Timestamp,
    pub(super) state: DropState,
    /// Of its pools, in the definition's order.
    pub(super) stock: &'a [PoolFigures],
    pub(super) marks: &'a Marks,
}

/// The public status of a drop: what somebody without a tier and a zone finds.
#[must_use]
pub(super) fn drop_status(definition: &Definition, shown: Shown<'_>) -> pb::DropStatus {
    let Definition { id, title, shop, series, labels, schedule, items, rules, .. } = definition;
    let mut pools = shown.stock;
    let item = |(number, item): (ItemNo, &Item)| {
        let slot = item.slot.as_ref();
        let kind = if slot.is_some() { pb::ItemKind::Slot } else { pb::ItemKind::Goods };
        let (of_item, rest) = pools.split_at_checked(item.pools.len()).unwrap_or((pools, &[]));
        pools = rest;
        pb::ItemStatus {
            sku: item.sku.to_string(),
            kind: kind.into(),
            band: shown_band(definition, (number, item), of_item, shown.marks).to_owned(),
            price: price(definition, item, shown.marks).map(money_view),
            place: slot.map(|slot| slot.place.clone()).unwrap_or_default(),
            starts_at: slot.map(|slot| timestamp(slot.starts.at)),
            ends_at: slot.map(|slot| timestamp(slot.ends.at)),
        }
    };
    let items = (0..).map(ItemNo).zip(items).map(item).collect();
    let window = |window: &Window| pb::WindowStatus {
        id: window.id.to_string(),
        audience: audience_view(&window.audience),
        starts_at: Some(timestamp(window.starts.map_or(shown.opens_at, |starts| starts.at))),
        ends_at: window.ends.map(|ends| ends.at).or(schedule.closes_at).map(timestamp),
    };
    let public = labels.iter().filter(|(key, _)| key.starts_with(PUBLIC));
    let mut status = pb::DropStatus {
        drop_id: id.to_string(),
        shop: shop.to_string(),
        series: series.as_ref().map(ToString::to_string).unwrap_or_default(),
        title: title.clone(),
        state: drop_state(shown.state).into(),
        opens_at: Some(timestamp(shown.opens_at)),
        closes_at: schedule.closes_at.map(timestamp),
        time_zone: rules.time_zone.clone(),
        location: rules.location.clone(),
        zones: rules.zones.iter().map(ToString::to_string).collect(),
        windows: rules.windows.iter().map(window).collect(),
        items,
        labels: public.map(|(key, value)| (key.clone(), value.clone())).collect(),
        version: String::new(),
    };
    status.version = version(&status);
    status
}

/// The price of an item for somebody without a tier and a zone; none if it has none.
fn price(definition: &Definition, item: &Item, marks: &Marks) -> Option<Money> {
    let names = &definition.rules.names;
    let is_offered = |terms: &&PriceTerms| {
        let Some(number) = names.terms_no(&terms.id) else { return false };
        let has_begun = terms.starts.is_none() || marks.has(MarkKind::TermsStart(number));
        let pools = item.pools.iter().filter(|pool| pool.audience.is_everyone());
        let is_for_any = pools.map(|pool| &pool.id).any(|pool| terms.reaches(pool));
        let is_public = terms.audience.is_everyone() && terms.covers(&item.sku) && is_for_any;
        is_public && has_begun && !marks.has(MarkKind::TermsEnd(number))
    };
    let terms = definition.rules.prices.iter().find(is_offered)?;
    let number = names.terms_no(&terms.id)?;
    let steps = (0..).zip(&terms.steps).filter(|(place, _)| marks.has(MarkKind::PriceStep(number, *place)));
    Some(steps.last().map_or(terms.price, |(_, step)| step.price))
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

    fn pool_of(received: u64, held: u64) -> PoolFigures {
        PoolFigures { basis: PoolBasis { received, taken_out: 0 }, held, ..PoolFigures::default() }
    }

    fn status(definition: &Definition, stock: &[PoolFigures], marks: &Marks) -> pb::DropStatus {
        drop_status(definition, Shown { opens_at: Timestamp(1), state: DropState::Open, stock, marks })
    }

    #[test]
    fn the_public_sees_what_somebody_without_a_tier_finds() {
        use stockade_types::definition::{Audience, Currency, Flow, PriceStep, Trigger};
        use stockade_types::ids::PoolNo;
        use stockade_types::record::{FlowPlace, Lifecycle, Mark};
        let mut drop = definition();
        let members = Audience { tiers: vec!["member".parse().expect("a tier")], zones: Vec::new() };
        let second = drop.items[0].pools[1].id.clone();
        let pool = &mut drop.items[0].pools[0];
        (pool.audience, pool.flows) = (members.clone(), vec![Flow { to: second, when: None }]);
        let euros = |minor_units| Money { currency: Currency::of("EUR").expect("a currency"), minor_units };
        let step = PriceStep {
            when: Trigger::Moment(stockade_types::definition::Named::AfterOpening(1).into()),
            price: euros(3),
        };
        let usual = PriceTerms {
            id: "usual".parse().expect("an id"),
            audience: Audience::default(),
            skus: vec!["A".parse().expect("a sku")],
            pools: Vec::new(),
            starts: None,
            ends: None,
            price: euros(2),
            steps: vec![step],
        };
        let own = PriceTerms { id: "own".parse().expect("an id"), audience: members, price: euros(1), ..usual.clone() };
        drop.rules.prices = vec![own, usual];
        drop.number_names().expect("few names");
        let stock = [pool_of(5, 0), pool_of(5, 5), pool_of(5, 0)];
        let mut life = Lifecycle::new(stockade_types::ids::DropNo(0));
        let shown = |marks: &Marks| {
            let of = status(&drop, &stock, marks);
            let price = of.items[0].price.as_ref().map(|price| price.minor_units);
            (of.items[0].band.clone(), price, of.items[1].price.is_some())
        };
        assert_eq!(shown(&life.marks), ("sold_out".into(), Some(2), false), "five are for members");
        let flow = FlowPlace { item: ItemNo(0), from: PoolNo(0), to: PoolNo(1) };
        let usual = drop.rules.names.terms_no(&drop.rules.prices[1].id).expect("a number");
        for kind in [MarkKind::Flow(flow), MarkKind::PriceStep(usual, 0)] {
            life.mark(Mark { kind, scheduled_for: Timestamp(2) });
        }
        assert_eq!(shown(&life.marks), ("available".into(), Some(3), false));
    }

    #[test]
    fn the_public_sees_bands_and_its_own_labels_and_no_figure() {
        let stock = [pool_of(5, 5), pool_of(5, 4), pool_of(5, 5)];
        let status = status(&definition(), &stock, &Marks::default());
        let bands: Vec<_> = status.items.iter().map(|item| (item.sku.as_str(), item.band.as_str())).collect();
        assert_eq!(bands, [("A", "available"), ("B", "sold_out")]);
        let mut labels: Vec<_> = status.labels.keys().map(String::as_str).collect();
        labels.sort_unstable();
        assert_eq!((labels, status.state()), (vec!["public.b", "public.hero"], pb::DropState::Open));
    }

    #[test]
    fn a_band_that_was_made_known_is_shown_until_another_is() {
        use stockade_types::definition::{Band, BandNo, Scarcity};
        use stockade_types::record::{Lifecycle, Mark};
        let band = |id: &str, min_free| Band { id: id.parse().expect("an id"), min_free };
        let bands = vec![band("plenty", 5_000), band("few", 1), band("gone", 0)];
        let mut drop = definition();
        drop.rules.scarcity = Some(Scarcity { bands, ..Scarcity::USUAL });
        let mut life = Lifecycle::new(stockade_types::ids::DropNo(0));
        let shown = |stock: [PoolFigures; 3], marks: &Marks| {
            status(&drop, &stock, marks).items.iter().map(|item| item.band.clone()).collect::<Vec<_>>()
        };
        let (full, half, none) = (pool_of(5, 0), pool_of(5, 3), pool_of(5, 5));
        assert_eq!(shown([full, half, none], &life.marks), ["plenty", "gone"], "both pools of an item together");
        assert_eq!(shown([half, half, half], &life.marks), ["few", "few"]);
        life.mark(Mark { kind: MarkKind::Band(ItemNo(0), BandNo(1)), scheduled_for: Timestamp(1) });
        assert_eq!(shown([full, full, full], &life.marks), ["few", "plenty"]);
        life.mark(Mark { kind: MarkKind::Band(ItemNo(0), BandNo(2)), scheduled_for: Timestamp(2) });
        assert_eq!(shown([full, full, full], &life.marks), ["gone", "plenty"]);
    }

    #[test]
    fn the_version_changes_with_what_is_shown_alone() {
        let of = |definition: &Definition, stock: &[PoolFigures]| status(definition, stock, &Marks::default()).version;
        let stock = [pool_of(5, 5), pool_of(5, 4), pool_of(5, 5)];
        let first = of(&definition(), &stock);
        assert_eq!(first.len(), VERSION_DIGITS);
        assert_eq!(of(&definition(), &[pool_of(5, 5), pool_of(5, 3), pool_of(5, 5)]), first, "figures are not shown");
        assert_ne!(of(&definition(), &[pool_of(5, 5), pool_of(5, 4), pool_of(5, 4)]), first);
        let mut relabelled = definition();
        relabelled.labels.insert("cost".into(), "10".into());
        assert_eq!(of(&relabelled, &stock), first);
        relabelled.labels.insert("public.b".into(), "3".into());
        assert_ne!(of(&relabelled, &stock), first);
    }
}

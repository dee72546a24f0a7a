//! Prices and their steps.

use stockade_proto as pb;
use stockade_types::definition::{Money, PRICE_STEPS_MAX, PRICE_TERMS_MAX, PriceStep, PriceTerms};

use super::super::faults::Faults;
use super::moments::{Currencies, TriggerScope, moment, money, trigger};
use super::reach::{Listed, Reach, audience, entry_id, reach};

const LIST: &str = "drop.terms";

/// All terms of a drop; `None` with the faults recorded.
pub(super) fn prices(
    faults: &mut Faults,
    drop: &pb::Drop,
    listed: &Listed<'_>,
    currencies: &mut Currencies,
) -> Option<Vec<PriceTerms>> {
    let given = &drop.terms;
    if given.len() > PRICE_TERMS_MAX {
        faults.invalid(LIST, format_args!("must be at most {PRICE_TERMS_MAX}, not {}", given.len()));
        return None;
    }
    let closes = drop.closes_at.is_some();
    let mut prices = Vec::with_capacity(given.len());
    for (place, terms) in given.iter().enumerate() {
        let pb::Terms { id: name, audience: whom, skus: named, starts, ends, price, steps, pools } = terms;
        let path = format!("{LIST}[{place}]");
        let name = entry_id(faults, (LIST, place), (name, given.iter().map(|terms| &terms.id)));
        let audience = audience(faults, &format!("{path}.audience"), whom.as_ref());
        let Reach { skus, pools } = reach(faults, &path, (named, pools), listed);
        let starts = moment(faults, &format!("{path}.starts"), starts.as_ref(), closes);
        let ends = moment(faults, &format!("{path}.ends"), ends.as_ref(), closes);
        let mut price_of = |faults: &mut Faults, path: &str, given: Option<&pb::Money>| {
            if given.is_none() {
                faults.invalid(path, "must be set");
            }
            let price = money(faults, path, given, currencies)?;
            above_floors(faults, path, price, (drop, named));
            Some(price)
        };
        let price = price_of(faults, &format!("{path}.price"), price.as_ref());
        let scope = TriggerScope { listed, usual: named, closes, before_opening: false };
        let steps = self::steps(faults, &format!("{path}.steps"), steps, scope, &mut price_of);
        let whole =
            (|| Some(PriceTerms { id: name?, audience, skus, pools, starts, ends, price: price?, steps: steps? }))();
        prices.extend(whole);
    }
    (prices.len() == given.len()).then_some(prices)
}

fn steps(
    faults: &mut Faults,
    list: &str,
    given: &[pb::PriceStep],
    scope: TriggerScope<'_>,
    price_of: &mut impl FnMut(&mut Faults, &str, Option<&pb::Money>) -> Option<Money>,
) -> Option<Vec<PriceStep>> {
    if given.len() > PRICE_STEPS_MAX {
        faults.invalid(list, format_args!("must be at most {PRICE_STEPS_MAX}, not {}", given.len()));
        return None;
    }
    let mut steps = Vec::with_capacity(given.len());
    for (place, pb::PriceStep { when, price, fired_at: _ }) in given.iter().enumerate() {
        let path = format!("{list}[{place}]");
        if when.is_none() {
            faults.invalid(format_args!("{path}.when"), "must be set");
        }
        let when = trigger(faults, &format!("{path}.when"), when.as_ref(), scope);
        let price = price_of(faults, &format!("{path}.price"), price.as_ref());
        steps.extend((|| Some(PriceStep { when: when?, price: price? }))());
    }
    (steps.len() == given.len()).then_some(steps)
}

/// A price may not be below the floor of any item that it is for.
fn above_floors(faults: &mut Faults, path: &str, price: Money, (drop, skus): (&pb::Drop, &[String])) {
    let is_for = |item: &pb::Item| skus.is_empty() || skus.contains(&item.sku);
    let is_above =
        |item: &pb::Item| item.price_floor.as_ref().is_some_and(|floor| floor.minor_units > price.minor_units);
    if let Some(place) = drop.items.iter().position(|item| is_for(item) && is_above(item)) {
        faults.invalid(path, format_args!("is below drop.items[{place}].price_floor"));
    }
}

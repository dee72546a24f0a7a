//! Facts of other systems as facts of the journal with named fields.

use serde_json::{Map, Value, json};
use stockade_types::ids::{DropNo, Lsn, OrderKey, OrderRef};
use stockade_types::record::{
    Demand, Fact as Reported, FactConduct, FactTally, Facts, FactsImage, KnownFact, OrderInstants,
};

use super::drops::KnownDrops;
use super::fact::by;
use super::fields::{Fact, time};

/// The facts of one record.
pub(super) fn facts(facts: &Facts, drops: &KnownDrops) -> Fact {
    let Facts { at, origin, facts } = facts;
    let all = facts.iter().map(|fact| reported(fact, drops)).collect::<Value>();
    by(Fact::new("facts").with("at", time(*at)), origin).with("facts", all)
}

/// One of them, without fields that it does not have.
fn reported(fact: &Reported, drops: &KnownDrops) -> Value {
    let Reported { key, content, kind, time: at, shop, drop, order, sku, zone, value, subjects, holds } = fact;
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            fields.insert(name.to_owned(), value);
        }
    };
    put("id_digest", format!("{:032x}", key.0).into());
    put("content_digest", format!("{content:016x}").into());
    put("kind", kind.label().to_lowercase().into());
    put("time", time(*at));
    put("shop", shop.as_str().into());
    put("drop_number", drop.map(|drop| drop.0).into());
    put("drop_id", drop.and_then(|drop| drops.get(drop)).map(|known| known.id.to_string()).into());
    put("order_ref", order.as_ref().map(OrderRef::as_str).into());
    put("sku", sku.as_ref().map(ToString::to_string).into());
    put("zone", zone.as_ref().map(ToString::to_string).into());
    put("value", (*value).into());
    if !subjects.is_empty() {
        put("subject_digests", subjects.iter().map(|subject| Value::from(format!("{:032x}", subject.0))).collect());
    }
    if !holds.is_empty() {
        put("hold_ids", holds.iter().map(|hold| Value::from(hold.to_string())).collect());
    }
    Value::Object(fields)
}

/// A part of what a snapshot has of them.
pub(super) fn kept(image: &FactsImage) -> Fact {
    match image {
        FactsImage::Known(known) => {
            let of = |KnownFact { key, content, at }: &KnownFact| json!({"id_digest": format!("{:032x}", key.0), "content_digest": format!("{content:016x}"), "at": time(*at)});
            Fact::new("known_facts").with("facts", known.iter().map(of).collect::<Value>())
        }
        FactsImage::Tallies(tallies) => {
            let of = |(drop, revision, tally): &(DropNo, Lsn, FactTally)| json!({"drop_number": drop.0, "revision": revision.0, "tally": tally_of(tally)});
            Fact::new("fact_tallies").with("drops", tallies.iter().map(of).collect::<Value>())
        }
        FactsImage::Demand { shop, zone, hours } => {
            let of = |(hour, revision, Demand { views, interest }): &(u32, Lsn, Demand)| json!({"hour": hour, "revision": revision.0, "views": views, "interest": interest});
            let zone = zone.as_ref().map(ToString::to_string);
            let fact = Fact::new("demand").with("shop", shop.as_str()).with("zone", zone);
            fact.with("hours", hours.iter().map(of).collect::<Value>())
        }
        FactsImage::Conduct(subject, FactConduct { cancelled, charged_back, returned }) => {
            let of = |orders: &OrderInstants| {
                let order =
                    |(at, order): &(_, OrderKey)| json!({"at": time(*at), "order_digest": format!("{:016x}", order.0)});
                orders.iter().map(order).collect::<Value>()
            };
            Fact::new("fact_conduct")
                .with("subject_digest", format!("{:032x}", subject.0))
                .with("cancelled", of(cancelled))
                .with("charged_back", of(charged_back))
                .with("returned", of(returned))
        }
    }
}

fn tally_of(tally: &FactTally) -> Value {
    let FactTally {
        cancelled,
        chargebacks,
        returned_units,
        promoters,
        passives,
        detractors,
        support_contacts,
        views,
        interest,
    } = tally;
    json!({
        "cancelled": cancelled, "chargebacks": chargebacks, "returned_units": returned_units, "promoters": promoters,
        "passives": passives, "detractors": detractors, "support_contacts": support_contacts, "views": views,
        "interest": interest,
    })
}

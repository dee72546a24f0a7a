//! Facts on the wire: each is checked by itself, so that the good ones of a list are taken.

use stockade_engine::answer::InvalidField;
use stockade_engine::operators::facts::{FactFault, RecordedFacts, ReportedFact};
use stockade_proto as pb;
use stockade_types::ids::ShopId;
use stockade_types::record::{FACT_VALUE_MAX, FactKind, NPS_MAX};

use super::faults::{Faults, Rejection};
use super::fields::{enumeration, id, instant, optional_id};

/// Most facts of a request.
pub const REPORTED_FACTS_MAX: usize = 5_000;
/// The shop of a fact that names none.
const DEFAULT_SHOP: &str = "default";

/// Converts a request: the facts that have their form, and what is wrong with the others.
///
/// # Errors
/// If there are too many.
pub fn record_facts(request: &pb::RecordFactsRequest) -> Result<(Vec<ReportedFact>, Vec<pb::FactFault>), Rejection> {
    let pb::RecordFactsRequest { facts } = request;
    let mut whole = Faults::default();
    if facts.len() > REPORTED_FACTS_MAX {
        whole.invalid("facts", format_args!("must be at most {REPORTED_FACTS_MAX}, not {}", facts.len()));
    }
    whole.finish(Some(()))?;
    let (mut reported, mut faults) = (Vec::with_capacity(facts.len()), Vec::new());
    for (index, fact) in (0..).zip(facts) {
        let mut own = Faults::default();
        let converted = fact_of(&mut own, index, fact);
        match own.finish(converted) {
            Ok(fact) => reported.push(fact),
            Err(Rejection::Invalid(invalid)) => faults.extend(invalid.into_iter().map(|fault| fault_at(index, fault))),
            Err(Rejection::Unbuilt(fields)) => faults.extend(fields.into_iter().map(|field| {
                let description = "is not built yet".to_owned();
                fault_at(index, InvalidField { field, description })
            })),
        }
    }
    Ok((reported, faults))
}

/// The answer, with the faults of the conversion.
#[must_use]
pub fn recorded_facts(recorded: RecordedFacts, mut faults: Vec<pb::FactFault>) -> pb::RecordFactsResponse {
    let RecordedFacts { recorded, known, faults: found } = recorded;
    let fault =
        |FactFault { index, field, message }: FactFault| pb::FactFault { index, field: field.to_owned(), message };
    faults.extend(found.into_iter().map(fault));
    faults.sort_by_key(|fault| fault.index);
    pb::RecordFactsResponse { recorded, known, faults }
}

fn fault_at(index: u32, InvalidField { field, description }: InvalidField) -> pb::FactFault {
    pb::FactFault { index, field, message: description }
}

fn fact_of(faults: &mut Faults, index: u32, fact: &pb::Fact) -> Option<ReportedFact> {
    let pb::Fact { id: name, kind, time, shop, drop_id, order_ref, sku, zone, customer_id, value } = fact;
    let name = id(faults, "id", name);
    let kind = kind_of(faults, *kind);
    let at = instant(faults, "time", time.as_ref());
    if time.is_none() {
        faults.invalid("time", "must be set");
    }
    let shop: Option<ShopId> = id(faults, "shop", if shop.is_empty() { DEFAULT_SHOP } else { shop });
    let drop = optional_id(faults, "drop_id", drop_id);
    let order = optional_id(faults, "order_ref", order_ref);
    let sku = optional_id(faults, "sku", sku);
    let zone = optional_id(faults, "zone", zone);
    let customer = optional_id(faults, "customer_id", customer_id);
    let kind = kind?;
    if needs_drop(kind) && drop_id.is_empty() {
        faults.invalid("drop_id", format_args!("must be set for {}", kind.label()));
    }
    if needs_order(kind) && order_ref.is_empty() {
        faults.invalid("order_ref", format_args!("must be set for {}", kind.label()));
    }
    let value = value_of(faults, kind, *value)?;
    Some(ReportedFact { index, id: name?, kind, time: at?, shop: shop?, drop, order, sku, zone, customer, value })
}

fn kind_of(faults: &mut Faults, number: i32) -> Option<FactKind> {
    Some(match enumeration(faults, "kind", number)? {
        pb::FactKind::Unspecified => {
            faults.invalid("kind", "must be set");
            return None;
        }
        pb::FactKind::Cancelled => FactKind::Cancelled,
        pb::FactKind::Chargeback => FactKind::Chargeback,
        pb::FactKind::Returned => FactKind::Returned,
        pb::FactKind::Nps => FactKind::Nps,
        pb::FactKind::SupportContact => FactKind::SupportContact,
        pb::FactKind::View => FactKind::View,
        pb::FactKind::Interest => FactKind::Interest,
    })
}

const fn needs_drop(kind: FactKind) -> bool {
    !kind.is_demand()
}

const fn needs_order(kind: FactKind) -> bool {
    match kind {
        FactKind::Cancelled | FactKind::Chargeback | FactKind::Returned | FactKind::Nps => true,
        FactKind::SupportContact | FactKind::View | FactKind::Interest => false,
    }
}

/// What a fact counts for.
fn value_of(faults: &mut Faults, kind: FactKind, given: i64) -> Option<u32> {
    let value = u32::try_from(given).ok();
    let (value, range) = match kind {
        FactKind::Nps => (value.filter(|value| *value <= NPS_MAX), "must be 0-10"),
        FactKind::Returned => (
            value.filter(|value| (1..=FACT_VALUE_MAX).contains(value)),
            "must be 1-1000000000: the units that came back",
        ),
        FactKind::View | FactKind::Interest => {
            let value = value.filter(|value| *value <= FACT_VALUE_MAX).map(|value| value.max(1));
            (value, "must be 0-1000000000, where 0 counts for 1")
        }
        FactKind::Cancelled | FactKind::Chargeback | FactKind::SupportContact => {
            (value.filter(|value| *value <= 1).map(|_| 1), "must be 0 or 1: a fact of this kind counts once")
        }
    };
    if value.is_none() {
        faults.invalid("value", format_args!("{range}, not {given}"));
    }
    value
}

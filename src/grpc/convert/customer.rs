//! The customer of a reserve: id, tiers, identities, and whether staff overrides limits.

use stockade_proto as pb;
use stockade_types::ids::{CustomerId, IdError, IdentityKind, OPAQUE_MAX, TierId};

use super::answer::CUSTOMER;
use super::faults::Faults;
use super::fields::id;
use crate::text;

/// Most tiers of a request.
const TIERS_MAX: usize = 16;
/// Most identities of a request.
const IDENTITIES_MAX: usize = 16;
/// Most bytes of the reason for an override.
const REASON_MAX: usize = 200;

/// The customer of a reserve.
pub(super) struct Buyer {
    /// `None` if it is faulty.
    pub customer: Option<CustomerId>,
    /// Sorted, without duplicates.
    pub tiers: Vec<TierId>,
    /// Sorted by kind and value, without duplicates.
    pub identities: Vec<(IdentityKind, String)>,
}

/// Converts the customer of a request.
pub(super) fn buyer(faults: &mut Faults, customer: Option<&pb::Customer>) -> Buyer {
    let Some(customer) = customer else {
        return Buyer { customer: id(faults, "customer.id", ""), tiers: Vec::new(), identities: Vec::new() };
    };
    let pb::Customer { id: name, tiers, zones, identities } = customer;
    faults.unbuilt(!zones.is_empty(), "customer.zones");
    Buyer {
        customer: id(faults, "customer.id", name),
        tiers: self::tiers(faults, tiers),
        identities: self::identities(faults, identities),
    }
}

fn tiers(faults: &mut Faults, named: &[String]) -> Vec<TierId> {
    if named.len() > TIERS_MAX {
        faults.invalid("customer.tiers", format_args!("must be at most {TIERS_MAX}, not {}", named.len()));
        return Vec::new();
    }
    let tier = |(place, tier): (usize, &String)| id(faults, format_args!("customer.tiers[{place}]"), tier);
    let mut tiers: Vec<TierId> = named.iter().enumerate().filter_map(tier).collect();
    tiers.sort_unstable();
    tiers.dedup();
    tiers
}

fn identities(faults: &mut Faults, named: &[pb::Identity]) -> Vec<(IdentityKind, String)> {
    if named.len() > IDENTITIES_MAX {
        faults.invalid("customer.identities", format_args!("must be at most {IDENTITIES_MAX}, not {}", named.len()));
        return Vec::new();
    }
    let mut identities = Vec::with_capacity(named.len());
    for (place, pb::Identity { kind, value }) in named.iter().enumerate() {
        let field = format_args!("customer.identities[{place}].kind");
        let kind = id::<IdentityKind>(faults, field, kind);
        if kind.as_ref().is_some_and(|kind| kind.as_str() == CUSTOMER) {
            faults.invalid(field, format_args!("{CUSTOMER} is customer.id already"));
        }
        if value.is_empty() || value.len() > OPAQUE_MAX || value.chars().any(char::is_control) {
            faults.invalid(format_args!("customer.identities[{place}].value"), IdError::Opaque);
        } else if let Some(kind) = kind {
            identities.push((kind, value.clone()));
        }
    }
    identities.sort_unstable();
    identities.dedup();
    identities
}

/// The reason for which staff overrides limits, if it does.
pub(super) fn over_limits(faults: &mut Faults, given: Option<&pb::Override>) -> Option<Box<str>> {
    let pb::Override { limits, windows, reason } = given?;
    faults.unbuilt(*windows, "override.windows");
    if !limits && !windows {
        faults.invalid("override", "must have limits or windows set");
    }
    if reason.is_empty() || reason.len() > REASON_MAX {
        faults.invalid("override.reason", format_args!("must be 1-{REASON_MAX} bytes"));
    } else if !text::is_plain(reason) {
        faults.invalid("override.reason", text::PLAIN);
    }
    limits.then(|| reason.as_str().into())
}

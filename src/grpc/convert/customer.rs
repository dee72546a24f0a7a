//! The customer of a reserve: id, tiers, zones, identities, and what staff overrides.

use stockade_proto as pb;
use stockade_types::ids::{CustomerId, IdError, IdentityKind, OPAQUE_MAX, TierId, ZoneId};

use super::answer::CUSTOMER;
use super::faults::Faults;
use super::fields::{id, ids};
use crate::text;

/// Most tiers, and most zones, of a request.
const NAMES_MAX: usize = 16;
/// Most identities of a request.
const IDENTITIES_MAX: usize = 16;
/// Most bytes of the reason for an override.
const REASON_MAX: usize = 200;

/// The customer of a reserve.
#[derive(Default)]
pub(super) struct Buyer {
    /// `None` if it is faulty.
    pub customer: Option<CustomerId>,
    /// Sorted, without duplicates.
    pub tiers: Vec<TierId>,
    /// Sorted, without duplicates.
    pub zones: Vec<ZoneId>,
    /// Sorted by kind and value, without duplicates.
    pub identities: Vec<(IdentityKind, String)>,
}

/// Converts the customer of a request.
pub(super) fn buyer(faults: &mut Faults, customer: Option<&pb::Customer>) -> Buyer {
    let Some(customer) = customer else {
        return Buyer { customer: id(faults, "customer.id", ""), ..Buyer::default() };
    };
    let pb::Customer { id: name, tiers, zones, identities } = customer;
    Buyer {
        customer: id(faults, "customer.id", name),
        tiers: ids(faults, "customer.tiers", tiers, NAMES_MAX),
        zones: ids(faults, "customer.zones", zones, NAMES_MAX),
        identities: self::identities(faults, identities),
    }
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

/// What staff overrides, each with the reason for it.
#[derive(Default)]
pub(super) struct Overrides {
    /// Limits.
    pub over_limits: Option<Box<str>>,
    /// Windows, audiences and `slot_required`.
    pub over_windows: Option<Box<str>>,
}

/// Converts the override of a request.
pub(super) fn overrides(faults: &mut Faults, given: Option<&pb::Override>) -> Overrides {
    let Some(pb::Override { limits, windows, reason }) = given else { return Overrides::default() };
    if !limits && !windows {
        faults.invalid("override", "must have limits or windows set");
    }
    if reason.is_empty() || reason.len() > REASON_MAX {
        faults.invalid("override.reason", format_args!("must be 1-{REASON_MAX} bytes"));
    } else if !text::is_plain(reason) {
        faults.invalid("override.reason", text::PLAIN);
    }
    let given = |set: bool| set.then(|| reason.as_str().into());
    Overrides { over_limits: given(*limits), over_windows: given(*windows) }
}

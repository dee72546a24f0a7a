//! Converts changes of a drop: the fields that a request names replace those of the current drop.
//!
//! The engine decides which fields may change at which time. Here the whole resulting drop is checked by the code
//! that checks a new drop.

use stockade_engine::answer::DropView;
use stockade_engine::command::UpdateDrop;
use stockade_proto as pb;
use stockade_types::ids::{DropId, Lsn};

use super::drop::{UNBUILT, definition};
use super::drop_view::drop_view;
use super::faults::{Faults, Rejection};
use super::fields::id;
use super::rules_view::is_general;

/// Copies one field of a drop.
type Take = fn(&mut pb::Drop, &pb::Drop);

/// Fields that a mask may name. The engine decides whether they may change.
const FIELDS: [(&str, Take); 21] = [
    ("title", |drop, from| drop.title.clone_from(&from.title)),
    ("shop", |drop, from| drop.shop.clone_from(&from.shop)),
    ("series", |drop, from| drop.series.clone_from(&from.series)),
    ("opens_at", |drop, from| drop.opens_at = from.opens_at),
    ("closes_at", |drop, from| drop.closes_at = from.closes_at),
    ("hold_ttl", |drop, from| drop.hold_ttl = from.hold_ttl),
    ("max_hold_life", |drop, from| drop.max_hold_life = from.max_hold_life),
    ("payment_ttl", |drop, from| drop.payment_ttl = from.payment_ttl),
    ("items", |drop, from| drop.items.clone_from(&from.items)),
    ("limits", |drop, from| drop.limits.clone_from(&from.limits)),
    ("labels", |drop, from| drop.labels.clone_from(&from.labels)),
    ("windows", |drop, from| drop.windows.clone_from(&from.windows)),
    ("terms", |drop, from| drop.terms.clone_from(&from.terms)),
    ("slot_required", |drop, from| drop.slot_required = from.slot_required),
    ("time_zone", |drop, from| drop.time_zone.clone_from(&from.time_zone)),
    ("location", |drop, from| drop.location.clone_from(&from.location)),
    ("tranches", |drop, from| drop.tranches.clone_from(&from.tranches)),
    ("conduct", |drop, from| drop.conduct.clone_from(&from.conduct)),
    ("signals", |drop, from| drop.signals.clone_from(&from.signals)),
    ("scarcity", |drop, from| drop.scarcity.clone_from(&from.scarcity)),
    ("zones", |drop, from| drop.zones.clone_from(&from.zones)),
];
/// Fields that only the server sets.
const OUTPUT_ONLY: [&str; 5] = ["state", "revision", "as_of_lsn", "tightenings", "occurrence"];

/// A checked request for a change, not yet applied to the current drop.
#[derive(Debug)]
pub struct AskedUpdate<'a> {
    request: &'a pb::UpdateDropRequest,
    drop: &'a pb::Drop,
    id: DropId,
    /// Indices into [`FIELDS`], sorted, without duplicates; empty for all fields.
    named: Vec<usize>,
}

/// Converts a request to change a drop.
///
/// # Errors
/// All faulty fields; if there are none, all that are set and not built. With a mask, values are checked later, by
/// `AskedUpdate::onto`.
pub fn update_drop(request: &pb::UpdateDropRequest) -> Result<AskedUpdate<'_>, Rejection> {
    let pb::UpdateDropRequest { drop, update_mask, revision, validate_only: _ } = request;
    let mut faults = Faults::default();
    let mask = update_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
    let named = named(&mut faults, mask);
    if *revision == 0 {
        faults.invalid("revision", "must be the revision that was read");
    }
    let name = match drop {
        None => {
            faults.invalid("drop", "must be set");
            None
        }
        // The series may be left out: then the current one is kept, and a limit of the series is valid.
        Some(drop) if mask.is_empty() => {
            definition(&mut faults, &within(&plain(drop), "-")).map(|definition| definition.id)
        }
        Some(drop) => id(&mut faults, "drop.id", &drop.id),
    };
    let asked = name.zip(drop.as_ref()).map(|(id, drop)| AskedUpdate { request, drop, id, named });
    faults.finish(asked)
}

fn named(faults: &mut Faults, mask: &[String]) -> Vec<usize> {
    let mut named = Vec::new();
    for (place, path) in mask.iter().enumerate() {
        let field = format_args!("update_mask.paths[{place}]");
        let path = path.as_str();
        if let Some(known) = FIELDS.iter().position(|(name, _)| *name == path) {
            named.push(known);
        } else if UNBUILT.iter().any(|(name, _)| *name == path) {
            faults.unbuilt(true, format_args!("drop.{path}"));
        } else if OUTPUT_ONLY.contains(&path) {
            faults.invalid(field, format_args!("{path} is output only"));
        } else if path == "id" {
            faults.invalid(field, "id can't be changed");
        } else {
            let shown: String = path.chars().take(64).collect();
            faults.invalid(field, format_args!("a drop has no field {shown:?}; whole fields are named"));
        }
    }
    named.sort_unstable();
    named.dedup();
    named
}

/// What is taken of a requested drop if no field is named. The rules of a drop are left out, so that callers who don't
/// know them don't remove them.
fn plain(drop: &pb::Drop) -> pb::Drop {
    let item = |item: &pb::Item| pb::Item { sku: item.sku.clone(), quantity: item.quantity, ..pb::Item::default() };
    pb::Drop {
        items: drop.items.iter().map(item).collect(),
        windows: Vec::new(),
        terms: Vec::new(),
        slot_required: false,
        time_zone: String::new(),
        location: String::new(),
        tranches: Vec::new(),
        zones: Vec::new(),
        conduct: Vec::new(),
        signals: Vec::new(),
        scarcity: None,
        ..drop.clone()
    }
}

/// The requested drop without a mask, with the current drop's rules. A known item keeps everything but its quantity.
fn with_rules_of(current: &DropView, asked: &pb::Drop) -> pb::Drop {
    let is = drop_view(current);
    let known = |item: &pb::Item| {
        let place = is.items.iter().position(|known| known.sku == item.sku)?;
        let is_general = current.definition.items.get(place).is_some_and(is_general);
        let known = is.items.get(place)?.clone();
        let pools = if is_general { Vec::new() } else { known.pools };
        Some(pb::Item { quantity: item.quantity, pools, ..known })
    };
    let mut wanted = within(asked, &is.series);
    wanted.items = asked.items.iter().map(|item| known(item).unwrap_or_else(|| item.clone())).collect();
    if wanted.shop.is_empty() {
        wanted.shop = is.shop;
    }
    pb::Drop {
        windows: is.windows,
        terms: is.terms,
        slot_required: is.slot_required,
        time_zone: is.time_zone,
        location: is.location,
        tranches: is.tranches,
        zones: is.zones,
        conduct: is.conduct,
        signals: is.signals,
        scarcity: is.scarcity,
        ..wanted
    }
}

/// The requested drop; without a series it gets this one.
fn within(drop: &pb::Drop, series: &str) -> pb::Drop {
    let mut drop = drop.clone();
    if drop.series.is_empty() {
        series.clone_into(&mut drop.series);
    }
    drop
}

impl AskedUpdate<'_> {
    /// The drop to change.
    pub const fn id(&self) -> &DropId {
        &self.id
    }

    /// Applies the change to the current drop.
    ///
    /// # Errors
    /// All faulty fields; if there are none, all that are set and not built.
    pub fn onto(&self, current: &DropView) -> Result<UpdateDrop, Rejection> {
        let mut faults = Faults::default();
        let fields: Vec<_> = self.named.iter().filter_map(|place| FIELDS.get(*place)).collect();
        let wanted = if fields.is_empty() {
            definition(&mut faults, &with_rules_of(current, self.drop))
        } else {
            let mut merged = drop_view(current);
            for (_, take) in &fields {
                take(&mut merged, self.drop);
            }
            definition(&mut faults, &merged)
        };
        let command = wanted.map(|wanted| UpdateDrop {
            wanted,
            seen: current.revision,
            revision: Lsn(self.request.revision),
            named: fields.iter().map(|(name, _)| *name).collect(),
            validate_only: self.request.validate_only,
        });
        faults.finish(command)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::DescriptorPool;
    use stockade_proto::DESCRIPTORS;

    use super::*;

    #[test]
    fn each_field_of_a_drop_may_be_named_or_is_not_built_or_is_output_only() {
        let contract = DescriptorPool::decode(DESCRIPTORS).expect("the contract");
        let drop = contract.get_message_by_name("stockade.v1.Drop").expect("a drop");
        let fields: BTreeSet<String> = drop.fields().map(|field| field.name().to_owned()).collect();
        let may_be_named = FIELDS.iter().map(|(name, _)| *name);
        let tables = may_be_named.chain(UNBUILT.iter().map(|(name, _)| *name)).chain(OUTPUT_ONLY).chain(["id"]);
        let named: Vec<&str> = tables.collect();
        assert_eq!(named.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), fields);
        assert_eq!(named.len(), fields.len(), "each is in one table");
    }
}

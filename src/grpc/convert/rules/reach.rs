//! What rules name: audiences, SKUs and pools.

use std::collections::HashMap;

use stockade_proto as pb;
use stockade_types::definition::{AUDIENCE_NAMES_MAX, Audience, GENERAL_POOL, RULE_POOLS_MAX, RULE_SKUS_MAX};
use stockade_types::ids::{IdError, PoolId, Sku};

use super::super::faults::Faults;
use super::super::fields::{id, ids};

/// The items of a request with their pools: what its rules may name.
pub(super) struct Listed<'a> {
    items: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Listed<'a> {
    pub(super) fn of(drop: &'a pb::Drop) -> Self {
        let pools = |item: &'a pb::Item| match item.pools.as_slice() {
            [] => vec![GENERAL_POOL],
            pools => pools.iter().map(|pool| pool.id.as_str()).collect(),
        };
        Self { items: drop.items.iter().map(|item| (item.sku.as_str(), pools(item))).collect() }
    }

    /// The pools of an item; none if there is no such item.
    pub(super) fn pools(&self, sku: &str) -> Option<&[&'a str]> {
        self.items.iter().find(|(known, _)| *known == sku).map(|(_, pools)| pools.as_slice())
    }

    /// Whether any of these items has the pool; without SKUs, whether any item has it.
    pub(super) fn has_pool(&self, skus: &[String], pool: &str) -> bool {
        let is_meant = |sku: &str| skus.is_empty() || skus.iter().any(|named| named == sku);
        self.items.iter().any(|(sku, pools)| is_meant(sku) && pools.contains(&pool))
    }
}

/// What a rule reaches, each list sorted.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) skus: Vec<Sku>,
    pub(super) pools: Vec<PoolId>,
}

/// The SKUs and pools that the rule at this path names.
pub(super) fn reach(
    faults: &mut Faults,
    path: &str,
    (skus, pools): (&[String], &[String]),
    listed: &Listed<'_>,
) -> Reach {
    let known_sku = |sku: &str| listed.pools(sku).is_some().then_some(()).ok_or("is no item of this drop");
    let sorted_skus = names(faults, &format!("{path}.skus"), skus, RULE_SKUS_MAX, known_sku);
    let known_pool = |pool: &str| match (listed.has_pool(&[], pool), listed.has_pool(skus, pool)) {
        (false, _) => Err("is a pool of no item of this drop"),
        (true, false) => Err("is a pool of none of the SKUs that are named here"),
        (true, true) => Ok(()),
    };
    let sorted_pools = names(faults, &format!("{path}.pools"), pools, RULE_POOLS_MAX, known_pool);
    Reach { skus: sorted_skus, pools: sorted_pools }
}

/// A list of ids, sorted; each must be there once and must be known.
fn names<T>(
    faults: &mut Faults,
    path: &str,
    named: &[String],
    most: usize,
    known: impl Fn(&str) -> Result<(), &'static str>,
) -> Vec<T>
where
    T: for<'t> TryFrom<&'t str, Error = IdError> + Ord,
{
    if named.len() > most {
        faults.invalid(path, format_args!("must be at most {most}, not {}", named.len()));
        return Vec::new();
    }
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(named.len());
    let mut found: Vec<T> = Vec::with_capacity(named.len());
    for (place, text) in named.iter().enumerate() {
        let field = format_args!("{path}[{place}]");
        let Some(name) = id(faults, field, text) else { continue };
        let first = *seen.entry(text).or_insert(place);
        if first != place {
            faults.invalid(field, format_args!("duplicates {}[{first}]", last_of(path)));
        } else if let Err(what) = known(text) {
            faults.invalid(field, what);
        }
        found.push(name);
    }
    found.sort_unstable();
    found
}

fn last_of(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// An audience; one that is not set names everyone.
pub(super) fn audience(faults: &mut Faults, path: &str, given: Option<&pb::Audience>) -> Audience {
    let Some(pb::Audience { tiers, zones }) = given else { return Audience::default() };
    Audience {
        tiers: ids(faults, &format!("{path}.tiers"), tiers, AUDIENCE_NAMES_MAX),
        zones: ids(faults, &format!("{path}.zones"), zones, AUDIENCE_NAMES_MAX),
    }
}

/// The ids of a list's entries, each of which must be there once. `None` for a faulty id.
pub(super) fn entry_id<T>(
    faults: &mut Faults,
    (list, place): (&str, usize),
    (text, earlier): (&str, impl Iterator<Item = impl AsRef<str>>),
) -> Option<T>
where
    T: for<'t> TryFrom<&'t str, Error = IdError>,
{
    let name = id(faults, format_args!("{list}[{place}].id"), text)?;
    if let Some(first) = earlier.take(place).position(|known| known.as_ref() == text) {
        faults.invalid(format_args!("{list}[{place}].id"), format_args!("duplicates {}[{first}].id", last_of(list)));
    }
    Some(name)
}

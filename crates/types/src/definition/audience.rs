//! Whom a rule is for.

use super::{decode_ids, encode_ids};
use crate::codec::{DecodeError, Reader};
use crate::ids::{TierId, ZoneId};

/// Most tiers, and most zones, that an audience names.
pub const AUDIENCE_NAMES_MAX: usize = 16;

/// Customers of any of these tiers who are also in any of these zones. An empty list names everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience {
    /// Ascending, each once.
    pub tiers: Vec<TierId>,
    /// Ascending, each once.
    pub zones: Vec<ZoneId>,
}

impl Audience {
    /// Whether it names everyone.
    #[must_use]
    pub const fn is_everyone(&self) -> bool {
        self.tiers.is_empty() && self.zones.is_empty()
    }

    /// Whether it contains a customer of these tiers and zones.
    #[must_use]
    pub fn contains(&self, tiers: &[TierId], zones: &[ZoneId]) -> bool {
        (self.tiers.is_empty() || self.tiers.iter().any(|tier| tiers.contains(tier)))
            && (self.zones.is_empty() || self.zones.iter().any(|zone| zones.contains(zone)))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let Self { tiers, zones } = self;
        encode_ids(tiers.iter().map(TierId::as_str), out);
        encode_ids(zones.iter().map(ZoneId::as_str), out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { tiers: decode_ids(reader, "tier")?, zones: decode_ids(reader, "zone")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_ored_inside_and_anded_between() {
        let of = |tiers: &[&str], zones: &[&str]| Audience {
            tiers: tiers.iter().map(|tier| tier.parse().expect("a tier")).collect(),
            zones: zones.iter().map(|zone| zone.parse().expect("a zone")).collect(),
        };
        let gold_of_kreuzberg = of(&["gold"], &["kreuzberg"]);
        for (audience, is_in) in [
            (of(&[], &[]), true),
            (of(&["gold"], &[]), true),
            (of(&["black", "gold"], &["kreuzberg", "mitte"]), true),
            (of(&["black"], &["kreuzberg"]), false),
            (of(&["gold"], &["mitte"]), false),
        ] {
            assert_eq!(audience.contains(&gold_of_kreuzberg.tiers, &gold_of_kreuzberg.zones), is_in, "{audience:?}");
        }
        assert!(of(&[], &[]).contains(&[], &[]) && !of(&["gold"], &[]).contains(&[], &[]));
    }
}

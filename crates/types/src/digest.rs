//! Keyed hashes: they place holds and subjects in their tables and detect repeated requests.
//!
//! The key is made once per data folder and stored in it, so hashes on the disk keep their meaning after a restart, and
//! nobody can choose ids that all land in one shard.
//!
//! Hashes that are stored (subjects, contents) are `SipHash-1-3`: keyed, and stable over versions. Their parts are
//! concatenated first: hashing them one by one took three times the instructions.
//!
//! A hold's place is computed at each step of its life and never stored. It uses a faster keyed hash, which may change
//! between versions. That hash resists callers who choose ids, but not ones who can measure where ids are placed; the
//! page tokens of `ListHolds`, an operators' call, contain twelve bits of it.

use std::cell::RefCell;
use std::hash::Hasher as _;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;
use siphasher::sip::SipHasher13;
use siphasher::sip128::SipHasher13 as SipHasher13Wide;

use crate::hold::ContentHash;
use crate::ids::{
    CustomerId, DropId, FactId, FactKey, HoldId, IdentityKind, OrderKey, OrderRef, PoolId, ShopId, Sku, SubjectKey,
};

/// The data folder's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey([u8; 16]);

/// Places holds: a keyed hash of their ids, used by this version of the program only. The same folder key always makes
/// the same hash.
#[derive(Clone)]
pub struct Placement {
    seed: u64,
    shared: SharedSeed,
}

/// Makes subjects of one shop's customers. The key and the shop are hashed already.
#[derive(Debug, Clone, Copy)]
pub struct Customers(SipHasher13Wide);

thread_local! {
    /// This thread's buffer for concatenating what it hashes: at most one request's texts.
    static PARTS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Hashes what `lay` appends.
#[inline]
fn hash_parts<H>(lay: impl FnOnce(&mut Vec<u8>), hash: impl FnOnce(&[u8]) -> H) -> H {
    PARTS.with_borrow_mut(|parts| {
        parts.clear();
        lay(parts);
        hash(parts)
    })
}

/// Options of a reserve that change what it may result in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReserveOptions {
    /// The hold that it replaces.
    pub supersedes: Option<HoldId>,
    /// Serve what is free instead of refusing.
    pub allow_partial: bool,
}

impl DigestKey {
    /// From the sixteen bytes of the data folder.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The hash that places holds.
    #[must_use]
    pub fn placement(&self) -> Placement {
        let seed = |part: &[u8]| SipHasher13::new_with_key(&self.0).hash(part);
        Placement { seed: seed(b"placement"), shared: SharedSeed::from_u64(seed(b"placement, shared")) }
    }

    /// The subjects of a shop's customers.
    #[must_use]
    pub fn customers(&self, shop: &ShopId) -> Customers {
        let mut hasher = SipHasher13Wide::new_with_key(&self.0);
        hash_parts(|parts| lay_owner(parts, "customer", shop), |parts| hasher.write(parts));
        Customers(hasher)
    }

    /// Another identity of a shop's customer (a card, a device, an address), as a subject. The value itself is not
    /// stored.
    #[must_use]
    pub fn identity(&self, shop: &ShopId, kind: &IdentityKind, value: &str) -> SubjectKey {
        let lay = |parts: &mut Vec<u8>| {
            lay_owner(parts, kind.as_str(), shop);
            parts.extend_from_slice(value.as_bytes());
        };
        hash_parts(lay, |parts| SubjectKey(SipHasher13Wide::new_with_key(&self.0).hash(parts).as_u128()))
    }

    /// A fact's id within its shop. No kind of identity has a blank in its name.
    #[must_use]
    pub fn fact(&self, shop: &ShopId, id: &FactId) -> FactKey {
        let lay = |parts: &mut Vec<u8>| {
            lay_owner(parts, "fact id", shop);
            parts.extend_from_slice(id.as_str().as_bytes());
        };
        hash_parts(lay, |parts| FactKey(SipHasher13Wide::new_with_key(&self.0).hash(parts).as_u128()))
    }

    /// Digest of what a fact says, whose parts `lay` appends.
    #[must_use]
    pub fn fact_content(&self, lay: impl FnOnce(&mut Vec<u8>)) -> u64 {
        hash_parts(lay, |parts| SipHasher13::new_with_key(&self.0).hash(parts))
    }

    /// An order of a shop.
    #[must_use]
    pub fn order(&self, shop: &ShopId, order: &OrderRef) -> OrderKey {
        let lay = |parts: &mut Vec<u8>| {
            lay_owner(parts, "order ref", shop);
            parts.extend_from_slice(order.as_str().as_bytes());
        };
        hash_parts(lay, |parts| OrderKey(SipHasher13::new_with_key(&self.0).hash(parts)))
    }

    /// Digest of what a reserve asks for, without its id and its ttl.
    #[must_use]
    pub fn content<'a>(
        &self,
        drop: &DropId,
        customer: &CustomerId,
        lines: impl Iterator<Item = (&'a Sku, Option<&'a PoolId>, u32)>,
        options: ReserveOptions,
    ) -> ContentHash {
        let lay = |parts: &mut Vec<u8>| {
            parts.extend_from_slice(drop.as_str().as_bytes());
            parts.push(0);
            parts.extend_from_slice(customer.as_str().as_bytes());
            for (sku, pool, units) in lines {
                parts.push(0);
                parts.extend_from_slice(sku.as_str().as_bytes());
                parts.push(0);
                parts.extend_from_slice(&units.to_le_bytes());
                if let Some(pool) = pool {
                    parts.extend_from_slice(b"\0\0pool\0");
                    parts.extend_from_slice(pool.as_str().as_bytes());
                }
            }
            let ReserveOptions { supersedes, allow_partial } = options;
            // Written only if set, so that hashes in older journals stay valid. No SKU begins with a zero byte.
            if let Some(old) = supersedes {
                parts.extend_from_slice(b"\0\0supersedes");
                parts.extend_from_slice(old.as_bytes());
            }
            if allow_partial {
                parts.extend_from_slice(b"\0\0allow_partial");
            }
        };
        hash_parts(lay, |parts| ContentHash(SipHasher13::new_with_key(&self.0).hash(parts)))
    }
}

/// Appends what precedes a subject's own text. Kinds and shops contain no zero byte, so the parts are unambiguous.
fn lay_owner(parts: &mut Vec<u8>, kind: &str, shop: &ShopId) {
    parts.extend_from_slice(kind.as_bytes());
    parts.push(0);
    parts.extend_from_slice(shop.as_str().as_bytes());
    parts.push(0);
}

impl Customers {
    /// The customer's subject key.
    #[inline]
    #[must_use]
    pub fn subject(&self, customer: &CustomerId) -> SubjectKey {
        SubjectKey(self.0.hash(customer.as_str().as_bytes()).as_u128())
    }
}

impl Placement {
    /// The hash of a hold's id.
    #[inline]
    #[must_use]
    pub fn of(&self, id: &HoldId) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.shared);
        hasher.write_u128(u128::from_le_bytes(*id.as_bytes()));
        hasher.finish()
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey(secret)")
    }
}

impl std::fmt::Debug for Placement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Placement(secret)")
    }
}

#[cfg(test)]
mod tests {
    use siphasher::sip128::Hasher128 as _;

    use super::*;

    fn sku(text: &str) -> Sku {
        Sku::try_from(text).expect("a sku")
    }

    #[test]
    fn places_follow_from_the_key_and_differ_in_both_halves() {
        let place = |key: u8, id: u8| DigestKey::from_bytes([key; 16]).placement().of(&HoldId::from_bytes([id; 16]));
        assert_eq!(place(1, 2), place(1, 2));
        assert_ne!(place(1, 2), place(3, 2));
        let spread = |half: fn(u64) -> u64| {
            let placement = DigestKey::from_bytes([1; 16]).placement();
            // Ids that differ only in their lowest bits, as ids of one millisecond may.
            let ids = (0..4096_u128).map(|n| HoldId::from_bytes(n.to_be_bytes()));
            ids.map(|id| half(placement.of(&id)) % 4096).collect::<std::collections::BTreeSet<_>>().len()
        };
        // By chance 4096 * (1 - 1/e) = 2589 of 4096. A shard's index uses the upper of twenty bits of the low half; the
        // shard is chosen by the high half.
        for half in [|hash| hash, |hash: u64| hash >> 8, |hash: u64| hash >> 32] {
            assert!((2_400..2_800).contains(&spread(half)), "{} of 4096 places", spread(half));
        }
    }

    #[test]
    fn a_subject_stays_the_same_over_versions() {
        let key = DigestKey::from_bytes([1; 16]);
        let subject =
            key.customers(&ShopId::try_from("a").expect("an id")).subject(&CustomerId::try_from("ada").expect("an id"));
        let mut in_parts = SipHasher13Wide::new_with_key(&[1; 16]);
        for part in ["customer", "\0", "a", "\0", "ada"] {
            in_parts.write(part.as_bytes());
        }
        assert_eq!(subject.0, in_parts.finish128().as_u128(), "as older versions hashed them, part by part");
        assert_eq!(
            subject,
            SubjectKey(149_679_342_106_106_366_312_770_264_904_974_526_893),
            "journals hold such hashes: they may never change"
        );
    }

    #[test]
    fn content_tells_requests_apart() {
        let key = DigestKey::from_bytes([1; 16]);
        let drop = DropId::try_from("d").expect("an id");
        let ada = CustomerId::try_from("ada").expect("an id");
        let (a, b) = (sku("a"), sku("b"));
        let content = |lines: &[(&Sku, u32)], options| {
            key.content(&drop, &ada, lines.iter().map(|(sku, units)| (*sku, None, *units)), options)
        };
        let plain = |lines: &[(&Sku, u32)]| content(lines, ReserveOptions::default());
        let base = plain(&[(&a, 1), (&b, 2)]);
        assert_eq!(base, plain(&[(&a, 1), (&b, 2)]));
        assert_eq!(base, ContentHash(1_983_563_228_140_100_246), "journals hold such hashes: they may never change");
        assert_ne!(base, plain(&[(&a, 2), (&b, 1)]));
        assert_ne!(base, plain(&[(&a, 1)]));
        let old = |n| Some(HoldId::from_bytes([n; 16]));
        let serve_modes = [(None, false), (None, true), (old(1), false), (old(2), false), (old(1), true)];
        let mut hashes = serve_modes.map(|(supersedes, allow_partial)| {
            content(&[(&a, 1), (&b, 2)], ReserveOptions { supersedes, allow_partial }).0
        });
        assert_eq!(hashes[0], base.0);
        hashes.sort_unstable();
        assert!(hashes.is_sorted_by(|one, next| one < next), "two are the same: {hashes:?}");
    }

    #[test]
    fn a_customer_is_another_subject_in_another_shop() {
        let key = DigestKey::from_bytes([1; 16]);
        let ada = CustomerId::try_from("ada").expect("an id");
        let shop = |id: &str| ShopId::try_from(id).expect("an id");
        assert_ne!(key.customers(&shop("a")).subject(&ada), key.customers(&shop("b")).subject(&ada));
    }
}

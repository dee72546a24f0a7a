//! Keyed hashes: where a hold or subject lives in its table, and whether a request is a repeat.
//!
//! The key is made once a data folder and kept in it, so that hashes mean the same after a restart and no caller can
//! aim at one shard. `SipHash-1-3`: keyed, stable over versions, about 15 ns for a UUID.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128 as _, SipHasher13 as SipHasher13Wide};

use crate::hold::ContentHash;
use crate::ids::{CustomerId, DropId, HoldId, IdentityKind, ShopId, Sku, SubjectKey};

/// The data folder's secret.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestKey([u8; 16]);

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

    /// Where a hold lives.
    #[inline]
    #[must_use]
    pub fn hold(&self, id: &HoldId) -> u64 {
        SipHasher13::new_with_key(&self.0).hash(id.as_bytes())
    }

    /// A customer of a shop, as a subject.
    #[must_use]
    pub fn customer(&self, shop: &ShopId, customer: &CustomerId) -> SubjectKey {
        self.subject("customer", shop, customer.as_str())
    }

    /// Another identity of a shop's customer (a card, a device, an address), as a subject. The value itself is kept
    /// nowhere.
    #[must_use]
    pub fn identity(&self, shop: &ShopId, kind: &IdentityKind, value: &str) -> SubjectKey {
        self.subject(kind.as_str(), shop, value)
    }

    fn subject(&self, kind: &str, shop: &ShopId, value: &str) -> SubjectKey {
        let mut hasher = SipHasher13Wide::new_with_key(&self.0);
        // Neither a kind nor a shop has a zero byte in it, so parts can't run together.
        hasher.write(kind.as_bytes());
        hasher.write(b"\0");
        hasher.write(shop.as_str().as_bytes());
        hasher.write(b"\0");
        hasher.write(value.as_bytes());
        SubjectKey(hasher.finish128().as_u128())
    }

    /// What a reserve asks for, but for its id and its wish for a ttl.
    #[must_use]
    pub fn content<'a>(
        &self,
        drop: &DropId,
        customer: &CustomerId,
        lines: impl Iterator<Item = (&'a Sku, u32)>,
    ) -> ContentHash {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(drop.as_str().as_bytes());
        hasher.write(b"\0");
        hasher.write(customer.as_str().as_bytes());
        for (sku, units) in lines {
            hasher.write(b"\0");
            hasher.write(sku.as_str().as_bytes());
            hasher.write(b"\0");
            hasher.write(&units.to_le_bytes());
        }
        ContentHash(hasher.finish())
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DigestKey(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sku(text: &str) -> Sku {
        Sku::try_from(text).expect("a sku")
    }

    #[test]
    fn hashes_are_stable_and_differ_by_key() {
        let key = DigestKey::from_bytes([1; 16]);
        let id = HoldId::from_bytes([2; 16]);
        assert_eq!(key.hold(&id), 10_466_602_478_007_765_483, "journals hold such hashes: they may never change");
        assert_ne!(key.hold(&id), DigestKey::from_bytes([3; 16]).hold(&id));
    }

    #[test]
    fn content_tells_requests_apart() {
        let key = DigestKey::from_bytes([1; 16]);
        let drop = DropId::try_from("d").expect("an id");
        let ada = CustomerId::try_from("ada").expect("an id");
        let (a, b) = (sku("a"), sku("b"));
        let base = key.content(&drop, &ada, [(&a, 1), (&b, 2)].into_iter());
        assert_eq!(base, key.content(&drop, &ada, [(&a, 1), (&b, 2)].into_iter()));
        assert_ne!(base, key.content(&drop, &ada, [(&a, 2), (&b, 1)].into_iter()));
        assert_ne!(base, key.content(&drop, &ada, [(&a, 1)].into_iter()));
    }

    #[test]
    fn a_customer_is_another_subject_in_another_shop() {
        let key = DigestKey::from_bytes([1; 16]);
        let ada = CustomerId::try_from("ada").expect("an id");
        let shop = |id: &str| ShopId::try_from(id).expect("an id");
        assert_ne!(key.customer(&shop("a"), &ada), key.customer(&shop("b"), &ada));
    }
}

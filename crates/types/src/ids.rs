//! Ids and numbers: newtypes that can only hold a well-formed value.
//!
//! They are parsed once, at the edge. This module does no look-ups.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use ecow::EcoString;

/// Most bytes in a slug id (drop, shop, pool, limit…).
pub const SLUG_MAX: usize = 64;
/// Most bytes in an opaque id (SKU, customer, order).
pub const OPAQUE_MAX: usize = 128;
/// Most units that one line may ask for.
pub const LINE_UNITS_MAX: u32 = 1_000_000;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not 1–64 characters of `[A-Za-z0-9._:-]`.
    #[error("must be 1-64 characters of [A-Za-z0-9._:-]")]
    Slug,
    /// Not 1–128 bytes of UTF-8 without control characters.
    #[error("must be 1-128 bytes of UTF-8 without control characters")]
    Opaque,
    /// Not a UUID in text form.
    #[error("must be a UUID in text form, such as 018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d")]
    Uuid,
    /// Not a quantity that a line may carry.
    #[error("must be 1-1000000")]
    Quantity,
}

fn check_slug(text: &str) -> Result<(), IdError> {
    let fits = !text.is_empty() && text.len() <= SLUG_MAX;
    let clean = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'));
    if fits && clean { Ok(()) } else { Err(IdError::Slug) }
}

fn check_opaque(text: &str) -> Result<(), IdError> {
    let fits = !text.is_empty() && text.len() <= OPAQUE_MAX;
    if fits && !text.chars().any(char::is_control) { Ok(()) } else { Err(IdError::Opaque) }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(EcoString);

        impl $name {
            /// The id as text.
            #[inline]
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self(EcoString::from(text)))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

text_id!(
    /// A drop's id: a slug, unique in the engine.
    DropId,
    check_slug
);
text_id!(
    /// A shop's id: a slug. Customers are counted within a shop.
    ShopId,
    check_slug
);
text_id!(
    /// A pool's id: a slug, unique within its item.
    PoolId,
    check_slug
);
text_id!(
    /// A limit's id: a slug, unique within its drop.
    LimitId,
    check_slug
);
text_id!(
    /// A series' id: a slug, unique within a shop. A limit may count all drops of one series together.
    SeriesId,
    check_slug
);
text_id!(
    /// The id of something that operators define, other than a drop: a slug, unique among those of its kind.
    DefinedId,
    check_slug
);
text_id!(
    /// A tier of customers: a slug.
    TierId,
    check_slug
);
text_id!(
    /// A place that rules name (a city, a quarter, a market): a slug.
    ZoneId,
    check_slug
);
text_id!(
    /// An access window's id: a slug, unique within its drop.
    WindowId,
    check_slug
);
text_id!(
    /// The id of a price and of whom it is for: a slug, unique within its drop.
    TermsId,
    check_slug
);
text_id!(
    /// A tranche's id: a slug, unique within its drop.
    TrancheId,
    check_slug
);
text_id!(
    /// A signal's id: a slug, unique within its drop.
    SignalId,
    check_slug
);
text_id!(
    /// The id of a band of what the public sees of the stock: a slug, unique within its drop.
    BandId,
    check_slug
);
text_id!(
    /// The kind of an identity (card, device, address): a slug.
    IdentityKind,
    check_slug
);
text_id!(
    /// A stock keeping unit: opaque.
    Sku,
    check_opaque
);
text_id!(
    /// A customer: an opaque pseudonym.
    CustomerId,
    check_opaque
);
text_id!(
    /// The order that a hold was claimed for: opaque.
    OrderRef,
    check_opaque
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From the sixteen bytes of a UUID.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The sixteen bytes of the UUID.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                // Only the hyphenated form is accepted, so an id has one spelling but for the case of its letters.
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return Err(IdError::Uuid);
                }
                uuid::Uuid::try_parse(text).map(|id| Self(id.into_bytes())).map_err(|_| IdError::Uuid)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(uuid::Uuid::from_bytes(self.0).as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

text_id!(
    /// A fact's id, chosen by the system that reports it: opaque.
    FactId,
    check_opaque
);

uuid_id!(
    /// A hold's id: a UUID chosen by the caller; it is also the idempotency key.
    HoldId
);
uuid_id!(
    /// A stock adjustment's id: a UUID chosen by the caller; it is also the idempotency key.
    AdjustmentId
);

impl AdjustmentId {
    /// When the id was made, in milliseconds since the Unix epoch, if it is a UUID of version 7.
    #[must_use]
    pub fn made_at(&self) -> Option<u64> {
        let [version, _, variant, ..] = *self.0.last_chunk::<10>()?;
        let millis = u64::from_be_bytes(*self.0.first_chunk()?) >> 16;
        (version >> 4 == 7 && variant >> 6 == 0b10).then_some(millis)
    }
}

/// A subject of limits, as a 128-bit keyed hash of shop, kind and value. At that width collisions are not expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey(pub u128);

impl SubjectKey {
    /// The upper half, which determines its place in its table.
    #[must_use]
    pub fn place(self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap_or(0)
    }
}

/// A fact's id within its shop, as a 128-bit keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactKey(pub u128);

/// An order of a shop, as a keyed hash of 63 bits: it distinguishes the few orders of one subject. The lowest bit says
/// whether the order's hold was found when this was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey(pub u64);

impl OrderKey {
    /// The same order, whose hold was found or not.
    #[must_use]
    pub const fn with_hold(self, is_found: bool) -> Self {
        Self(self.0 & !1 | if is_found { 1 } else { 0 })
    }

    /// Whether its hold was found.
    #[must_use]
    pub const fn has_hold(self) -> bool {
        self.0 & 1 == 1
    }

    /// Whether it is the same order.
    #[must_use]
    pub const fn is_order(self, other: Self) -> bool {
        self.0 >> 1 == other.0 >> 1
    }
}

/// The number of units that a line asks for: 1–1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(NonZeroU32);

impl Quantity {
    /// The number of units.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl TryFrom<u32> for Quantity {
    type Error = IdError;
    fn try_from(units: u32) -> Result<Self, IdError> {
        match NonZeroU32::new(units) {
            Some(units) if units.get() <= LINE_UNITS_MAX => Ok(Self(units)),
            Some(_) | None => Err(IdError::Quantity),
        }
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl $name {
            /// As an index into a table.
            #[must_use]
            pub fn index(self) -> usize {
                usize::try_from(self.0).unwrap_or(usize::MAX)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// A drop's number in this engine: assigned in the order of creation, never reused.
    DropNo(u32)
);
number!(
    /// An item's index in its drop. Items are never removed, so it never changes.
    ItemNo(u16)
);
number!(
    /// A pool's index in its item. Pools are never removed, so it never changes.
    PoolNo(u16)
);
number!(
    /// Log sequence number: a record's position in the journal. It grows by one per record; 0 is before the first.
    Lsn(u64)
);

impl Lsn {
    /// The next position. It saturates, but at ten million records a second u64 lasts 58,000 years.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position `records` further on.
    #[must_use]
    pub const fn plus(self, records: u64) -> Self {
        Self(self.0.saturating_add(records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_take_exactly_the_documented_alphabet() {
        for good in ["a", "knife-1204", "A.b_c:d-9", &"x".repeat(64)] {
            assert!(DropId::try_from(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert_eq!(DropId::try_from(bad), Err(IdError::Slug), "{bad:?}");
        }
    }

    #[test]
    fn opaque_ids_are_counted_in_bytes_and_refuse_control_characters() {
        for good in ["KNIFE/20cm", " ", "ключ", &"x".repeat(128), &"é".repeat(64)] {
            assert!(Sku::try_from(good).is_ok(), "{good}");
        }
        for bad in ["", "a\tb", "\u{7f}", "\u{85}", &"x".repeat(129), &"é".repeat(65)] {
            assert_eq!(Sku::try_from(bad), Err(IdError::Opaque), "{bad:?}");
        }
    }

    #[test]
    fn hold_ids_have_one_text_form() {
        let id = HoldId::try_from("018F4E9A-7c1e-7b3a-9d52-6f1c0a2b3c4d").expect("a uuid");
        assert_eq!(id.to_string(), "018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d");
        for bad in ["", "018f4e9a7c1e7b3a9d526f1c0a2b3c4d", "{018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d}", "zz"] {
            assert_eq!(HoldId::try_from(bad), Err(IdError::Uuid), "{bad:?}");
        }
    }

    #[test]
    fn quantities_are_bounded_on_both_sides() {
        assert_eq!(Quantity::try_from(0), Err(IdError::Quantity));
        assert_eq!(Quantity::try_from(1).map(Quantity::get), Ok(1));
        assert_eq!(Quantity::try_from(LINE_UNITS_MAX).map(Quantity::get), Ok(LINE_UNITS_MAX));
        assert_eq!(Quantity::try_from(LINE_UNITS_MAX + 1), Err(IdError::Quantity));
    }
}

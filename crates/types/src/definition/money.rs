//! Amounts of money, in a currency's smallest unit. Never as floating point.

use std::fmt;

use super::{decode_signed, encode_signed};
use crate::codec::{DecodeError, Reader};

/// A currency's code of three capital letters, as in ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// An amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Its currency.
    pub currency: Currency,
    /// In the currency's smallest unit: 1,250 for 12.50 EUR.
    pub minor_units: i64,
}

impl Currency {
    /// The code, if it is one.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        let bytes: [u8; 3] = code.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }

    /// The code's letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Money {
    /// The amount in minor units and the currency.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.minor_units, self.currency.as_str())
    }
}

impl Money {
    pub(super) fn encode(self, out: &mut Vec<u8>) {
        let Self { currency: Currency(code), minor_units } = self;
        out.extend_from_slice(&code);
        encode_signed(minor_units, out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code: [u8; 3] = reader.array()?;
        let currency = std::str::from_utf8(&code).ok().and_then(Currency::of).ok_or(DecodeError::Bad("currency"))?;
        Ok(Self { currency, minor_units: decode_signed(reader)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_has_three_capital_letters() {
        assert_eq!(Currency::of("EUR").as_ref().map(Currency::as_str), Some("EUR"));
        for other in ["", "EU", "EURO", "eur", "E1R", "€"] {
            assert_eq!(Currency::of(other), None, "{other}");
        }
    }
}

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

    /// Digits behind the point: two, but for currencies that have none or three.
    #[must_use]
    pub fn digits(&self) -> u32 {
        const WITHOUT: [&str; 15] =
            ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF"];
        const THREE: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
        match self.as_str() {
            code if WITHOUT.contains(&code) => 0,
            code if THREE.contains(&code) => 3,
            _ => 2,
        }
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
    /// As people write it, with the digits of its currency: `129.05 EUR`.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self { currency, minor_units } = self;
        let digits = currency.digits();
        let unit = 10_u64.pow(digits);
        let sign = if *minor_units < 0 { "-" } else { "" };
        let (whole, rest) = (minor_units.unsigned_abs() / unit, minor_units.unsigned_abs() % unit);
        let (width, code) = (usize::try_from(digits).unwrap_or_default(), currency.as_str());
        if digits == 0 { format!("{sign}{whole} {code}") } else { format!("{sign}{whole}.{rest:0width$} {code}") }
    }

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

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        let shown = |code, minor_units| Money { currency: Currency::of(code).expect("a code"), minor_units }.shown();
        assert_eq!(
            [shown("EUR", 12_905), shown("JPY", 500), shown("KWD", 1_500)],
            ["129.05 EUR", "500 JPY", "1.500 KWD"]
        );
        assert_eq!([shown("EUR", -5), shown("EUR", 0)], ["-0.05 EUR", "0.00 EUR"]);
        assert_eq!(shown("USD", i64::MIN), "-92233720368547758.08 USD");
    }
}

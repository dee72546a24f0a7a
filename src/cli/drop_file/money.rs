//! Amounts of money in a drop's file: `12.50 EUR`, or the contract's fields.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

/// Currencies in use whose smallest unit is not a hundredth, with the digits after the point, as in ISO 4217.
const OTHER_DIGITS: [(u32, &str); 3] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];
/// Currencies in use with hundredths.
const HUNDREDTHS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD \
    CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL \
    HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK \
    MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS \
    SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG";

/// An amount as it is written.
#[derive(Debug)]
pub(super) enum MoneyEntry {
    /// Such as `12.50 EUR`.
    Short(String),
    /// As in the contract.
    Whole(WireMoney),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireMoney {
    pub(super) currency_code: String,
    pub(super) minor_units: Spanned<String>,
}

impl<'de> Deserialize<'de> for MoneyEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = MoneyEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scalar or map")
            }

            fn visit_str<E>(self, text: &str) -> Result<MoneyEntry, E> {
                Ok(MoneyEntry::Short(text.to_owned()))
            }

            // A number without its currency, which is a fault.
            fn visit_u64<E>(self, number: u64) -> Result<MoneyEntry, E> {
                Ok(MoneyEntry::Short(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<MoneyEntry, E> {
                Ok(MoneyEntry::Short(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<MoneyEntry, E> {
                Ok(MoneyEntry::Short(number.to_string()))
            }

            fn visit_bool<E>(self, word: bool) -> Result<MoneyEntry, E> {
                Ok(MoneyEntry::Short(word.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MoneyEntry, A::Error> {
                WireMoney::deserialize(MapAccessDeserializer::new(map)).map(MoneyEntry::Whole)
            }
        }

        deserializer.deserialize_any(Written)
    }
}

/// The currency and the minor units of an amount such as `12.50 EUR`. Only of currencies whose smallest unit is known,
/// and never rounded.
pub(super) fn short(text: &str) -> Option<(&str, i64)> {
    let (amount, currency) = text.split_once(' ')?;
    let digits = minor_digits(currency)?;
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let places = u32::try_from(part.len()).ok().filter(|places| *places <= digits)?;
    if !is_number(whole) || amount.contains('.') && !is_number(part) {
        return None;
    }
    let scale = |digits: u32| 10_i64.checked_pow(digits);
    let part = if part.is_empty() { 0 } else { part.parse::<i64>().ok()? };
    let part = part.checked_mul(scale(digits.checked_sub(places)?)?)?;
    Some((currency, whole.parse::<i64>().ok()?.checked_mul(scale(digits)?)?.checked_add(part)?))
}

/// Digits after the point of this currency's amounts.
fn minor_digits(currency: &str) -> Option<u32> {
    let names = |list: &str| list.split_ascii_whitespace().any(|known| known == currency);
    let other = OTHER_DIGITS.into_iter().find(|(_, list)| names(list)).map(|(digits, _)| digits);
    other.or_else(|| names(HUNDREDTHS).then_some(2))
}

/// An amount with its currency, such as `12.50 EUR`; in minor units if the currency's smallest unit is not known.
pub(in crate::cli) fn shown(money: &stockade_proto::Money) -> String {
    let stockade_proto::Money { currency_code, minor_units } = money;
    let known = minor_digits(currency_code).and_then(|digits| Some((digits, 10_u64.checked_pow(digits)?)));
    let Some((digits, scale)) = known else { return format!("{minor_units} minor units of {currency_code}") };
    let units = minor_units.unsigned_abs();
    let sign = if *minor_units < 0 { "-" } else { "" };
    let (whole, part) = (units.checked_div(scale).unwrap_or(0), units.checked_rem(scale).unwrap_or(0));
    if digits == 0 {
        return format!("{sign}{whole} {currency_code}");
    }
    format!("{sign}{whole}.{part:0width$} {currency_code}", width = usize::try_from(digits).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_exactly_or_not_at_all() {
        for (text, wanted) in [
            ("12.50 EUR", Some(("EUR", 1_250))),
            ("12.5 EUR", Some(("EUR", 1_250))),
            ("12 EUR", Some(("EUR", 1_200))),
            ("0.05 USD", Some(("USD", 5))),
            ("1500 JPY", Some(("JPY", 1_500))),
            ("1.005 KWD", Some(("KWD", 1_005))),
            ("12.505 EUR", None),
            ("1.5 JPY", None),
            ("12. EUR", None),
            (".5 EUR", None),
            ("-1 EUR", None),
            ("1,50 EUR", None),
            ("12 XXX", None),
            ("12 eur", None),
            ("12EUR", None),
            ("99999999999999999999 EUR", None),
            ("92233720368547758.08 EUR", None),
        ] {
            assert_eq!(short(text), wanted, "{text}");
        }
    }

    #[test]
    fn an_amount_is_shown_as_it_may_be_written() {
        for (text, minor_units, code) in
            [("12.50 EUR", 1_250, "EUR"), ("1500 JPY", 1_500, "JPY"), ("1.005 KWD", 1_005, "KWD")]
        {
            let money = stockade_proto::Money { currency_code: code.into(), minor_units };
            assert_eq!(shown(&money), text);
            assert_eq!(short(text), Some((code, minor_units)));
        }
        let money = stockade_proto::Money { currency_code: "XTS".into(), minor_units: 3 };
        assert_eq!(shown(&money), "3 minor units of XTS");
    }
}

//! Single values of a drop's file. A faulty one is recorded with its place, and reading goes on.

use std::str::FromStr;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};
use stockade_proto as pb;

use super::entries::{LocalEntry, MomentEntry, TriggerEntry};
use super::money::{self, MoneyEntry};
use crate::config::span;

/// A value that may be written.
type Given<'a> = Option<&'a Spanned<String>>;

/// The faults of a file.
pub(super) struct FileFaults<'a> {
    pub(super) name: &'a str,
    pub(super) lines: Vec<String>,
}

impl FileFaults<'_> {
    pub(super) fn add(&mut self, at: Location, fault: impl std::fmt::Display) {
        self.lines.push(format!("{}:{}:{}: {fault}", self.name, at.line(), at.column()));
    }

    /// A whole number. Otherwise a fault is recorded and `instead` is returned, so that checking goes on.
    pub(super) fn whole<N: FromStr>(&mut self, given: &Spanned<String>, key: &str, instead: N) -> N {
        let digits: String = given.value.split('_').collect();
        digits.parse().unwrap_or_else(|_bad| {
            let wanted = "must be a whole number, 0 or more";
            self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
            instead
        })
    }

    pub(super) fn flag(&mut self, given: Option<&Spanned<String>>, key: &str) -> bool {
        let Some(given) = given else { return false };
        match given.value.as_str() {
            "true" | "True" | "TRUE" => return true,
            "false" | "False" | "FALSE" => {}
            other => self.add(given.referenced, format_args!("{key} must be true or false, not {other:?}")),
        }
        false
    }

    /// An instant; `None` also for the word `none`.
    pub(super) fn instant(
        &mut self,
        given: Option<&Spanned<String>>,
        key: &str,
        none: &str,
    ) -> Option<prost_types::Timestamp> {
        let given = given.filter(|given| given.value != none)?;
        let wanted = format_args!("must be a time with an offset, such as 2026-12-04T18:00:00+01:00, or {none}");
        self.time(given, key, wanted)
    }

    fn time(
        &mut self,
        given: &Spanned<String>,
        key: &str,
        wanted: impl std::fmt::Display,
    ) -> Option<prost_types::Timestamp> {
        let Ok(at) = given.value.parse::<jiff::Timestamp>() else {
            self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
            return None;
        };
        Some(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
    }

    pub(super) fn span(&mut self, given: Option<&Spanned<String>>, key: &str) -> Option<prost_types::Duration> {
        let given = given?;
        match span(&given.value) {
            Ok(span) => Some(proto_span(span)),
            Err(wanted) => {
                self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
                None
            }
        }
    }

    /// A duration that may be below zero, such as `-1h`. The server says where that may be.
    fn signed_span(&mut self, given: &Spanned<String>, key: &str) -> prost_types::Duration {
        let (text, sign) = given.value.strip_prefix('-').map_or((given.value.as_str(), 1), |rest| (rest, -1));
        match span(text) {
            Ok(found) => {
                let prost_types::Duration { seconds, nanos } = proto_span(found);
                prost_types::Duration {
                    seconds: seconds.saturating_mul(sign.into()),
                    nanos: nanos.saturating_mul(sign),
                }
            }
            Err(wanted) => {
                self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
                prost_types::Duration::default()
            }
        }
    }

    /// A share such as `12%` or `12.5%`, in basis points.
    pub(super) fn share(&mut self, given: &Spanned<String>, key: &str) -> u32 {
        basis_points(&given.value).unwrap_or_else(|| {
            let wanted = "must be a share such as 12% or 12.5%, with two digits after the point at most";
            self.add(given.referenced, format_args!("{key} {wanted}, not {:?}", given.value));
            0
        })
    }

    pub(super) fn money(&mut self, given: Option<&Spanned<MoneyEntry>>, key: &str) -> Option<pb::Money> {
        let given = given?;
        match &given.value {
            MoneyEntry::Whole(money) => Some(pb::Money {
                currency_code: money.currency_code.clone(),
                minor_units: i64::try_from(self.whole(&money.minor_units, "minor_units", 0_u64)).unwrap_or(i64::MAX),
            }),
            MoneyEntry::Short(text) => {
                let Some((currency, minor_units)) = money::short(text) else {
                    let wanted = "must be an amount such as 12.50 EUR, or {currency_code: EUR, minor_units: 1250}";
                    self.add(given.referenced, format_args!("{key} {wanted}, not {text:?}"));
                    return None;
                };
                Some(pb::Money { currency_code: currency.to_owned(), minor_units })
            }
        }
    }

    pub(super) fn moment(&mut self, given: Option<&Spanned<MomentEntry>>, key: &str) -> Option<pb::Moment> {
        let given = given?;
        let MomentEntry { at, after_open, before_close, local } = &given.value;
        let mut found = self.moments([at, after_open, before_close].map(Option::as_ref), local.as_ref()).into_iter();
        let (first, second) = (found.next(), found.next());
        if first.is_none() || second.is_some() {
            let wanted = "must have one of at, after_open, before_close and local";
            self.add(given.referenced, format_args!("{key} {wanted}"));
        }
        first
    }

    /// Each moment that these keys name.
    fn moments(
        &mut self,
        [at, after_open, before_close]: [Given<'_>; 3],
        local: Option<&LocalEntry>,
    ) -> Vec<pb::Moment> {
        use pb::moment::When;
        let mut found = Vec::new();
        if let Some(at) = at {
            let wanted = "must be a time with an offset, such as 2026-12-04T18:00:00+01:00";
            found.push(When::At(self.time(at, "at", wanted).unwrap_or_default()));
        }
        if let Some(span) = after_open {
            found.push(When::AfterOpen(self.signed_span(span, "after_open")));
        }
        if let Some(span) = before_close {
            found.push(When::BeforeClose(self.span(Some(span), "before_close").unwrap_or_default()));
        }
        if let Some(LocalEntry { days_after_open, time }) = local {
            let days = days_after_open.as_ref().map_or(0, |days| self.days(days));
            found.push(When::Local(pb::LocalTime { days_after_open: days, time: time.clone() }));
        }
        found.into_iter().map(|when| pb::Moment { when: Some(when) }).collect()
    }

    fn days(&mut self, given: &Spanned<String>) -> i32 {
        given.value.parse().unwrap_or_else(|_bad| {
            self.add(given.referenced, format_args!("days_after_open must be a whole number, not {:?}", given.value));
            0
        })
    }

    pub(super) fn trigger(&mut self, given: &Spanned<TriggerEntry>, key: &str) -> pb::Trigger {
        use pb::stock_level::Level;
        use pb::trigger::On;
        let TriggerEntry { at, after_open, before_close, local, free_at_most, sold, taken, sku, pool } = &given.value;
        let moments = self.moments([at, after_open, before_close].map(Option::as_ref), local.as_ref());
        let mut found: Vec<On> = moments.into_iter().map(On::Moment).collect();
        let names_stock = !sku.is_empty() || !pool.is_empty();
        let levels = [
            free_at_most.as_ref().map(|most| Level::FreeAtMost(self.whole(most, "free_at_most", 0))),
            sold.as_ref().map(|sold| Level::SoldBasisPoints(self.share(sold, "sold"))),
            taken.as_ref().map(|taken| Level::TakenBasisPoints(self.share(taken, "taken"))),
        ];
        let level = |level| On::Stock(pb::StockLevel { sku: sku.clone(), pool: pool.clone(), level: Some(level) });
        found.extend(levels.into_iter().flatten().map(level));
        if found.len() != 1 {
            let wanted = "must have one of at, after_open, before_close, local, free_at_most, sold and taken";
            self.add(given.referenced, format_args!("{key} {wanted}"));
        } else if names_stock && !matches!(found.as_slice(), [On::Stock(_)]) {
            let wanted = "must have sku and pool only with free_at_most, sold or taken";
            self.add(given.referenced, format_args!("{key} {wanted}"));
        }
        pb::Trigger { on: found.into_iter().next() }
    }
}

/// A share such as `12.5%`, in basis points.
fn basis_points(text: &str) -> Option<u32> {
    let share = text.strip_suffix('%')?.trim_end();
    let (whole, part) = share.split_once('.').unwrap_or((share, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 2 {
        return None;
    }
    let hundredths = part.parse::<u32>().ok()?.checked_mul(if part.len() == 1 { 10 } else { 1 })?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

/// A duration for the wire.
pub fn proto_span(span: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_exactly() {
        for (text, points) in [
            ("12%", Some(1_200)),
            ("12.5%", Some(1_250)),
            ("12.55 %", Some(1_255)),
            ("0.05%", Some(5)),
            ("100%", Some(10_000)),
            ("12", None),
            ("12.555%", None),
            ("-1%", None),
            ("%", None),
            ("1.%", None),
        ] {
            assert_eq!(basis_points(text), points, "{text}");
        }
    }
}

//! Parameters behind the question mark of an address.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use stockade_engine::answer::InvalidField;
use stockade_types::time::Timestamp;

use super::Problem;

/// Most bytes of them.
const BYTES_MAX: usize = 1_024;

/// The parameters that were given, and what is wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Query {
    given: Vec<(String, String)>,
    faults: Vec<InvalidField>,
}

impl Query {
    /// From the text behind the question mark.
    ///
    /// # Errors
    /// If it is too long.
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        let text = text.unwrap_or_default();
        if text.len() > BYTES_MAX {
            return Err(Problem::too_long());
        }
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decoded(name), decoded(value)) {
                (Some(name), Some(value)) if query.given.iter().all(|(known, _)| *known != name) => {
                    query.given.push((name, value));
                }
                (Some(name), Some(_)) => query.fault(&name, "is given twice"),
                (name, _) => query.fault(&name.unwrap_or_default(), "must be percent-encoded UTF-8"),
            }
        }
        Ok(query)
    }

    /// A parameter; `None` where it is not given or empty.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let place = self.given.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.given.swap_remove(place);
        Some(value).filter(|value| !value.is_empty())
    }

    /// An instant, in RFC 3339.
    pub(crate) fn instant(&mut self, name: &str) -> Option<Timestamp> {
        let text = self.take(name)?;
        let at = text.parse::<jiff::Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
        if at.is_none() {
            self.fault(name, "must be an instant, such as 2026-12-04T18:00:00Z");
        }
        at.map(Timestamp)
    }

    /// An id.
    pub(crate) fn parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.take(name)?;
        match text.parse() {
            Ok(id) => Some(id),
            Err(error) => {
                self.fault(name, &error.to_string());
                None
            }
        }
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &str) -> i32 {
        let Some(text) = self.take(name) else { return 0 };
        text.parse().unwrap_or_else(|_bad| {
            self.fault(name, "must be a whole number");
            0
        })
    }

    /// Whether a switch is on: `1` or `true`.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        self.take(name).is_some_and(|value| value == "1" || value == "true")
    }

    /// Records a fault.
    pub(crate) fn fault(&mut self, field: &str, description: &str) {
        self.faults.push(InvalidField { field: field.to_owned(), description: description.to_owned() });
    }

    /// The faults of the parameters that were taken, and those of the rest, which are known to nobody.
    pub(crate) fn faults(mut self) -> Vec<InvalidField> {
        for (name, _) in std::mem::take(&mut self.given) {
            self.fault(&name, "is no parameter of this address");
        }
        self.faults
    }
}

/// Text of a form: a plus is a space.
fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_all_faults_are_named() {
        let mut query =
            Query::parse(Some("shop=a%20b&zone=x+y&from=2026-12-04T18:00:00%2B01:00&until=soon&a=1&a=2&odd=%FF"))
                .expect("short enough");
        assert_eq!((query.take("shop"), query.take("zone")), (Some("a b".into()), Some("x y".into())));
        assert_eq!(query.instant("from"), Some(Timestamp(1_796_403_600_000)));
        assert_eq!((query.instant("until"), query.take("series")), (None, None));
        let faults: Vec<_> = query.faults().into_iter().map(|fault| fault.field).collect();
        assert_eq!(faults, ["a", "odd", "until", "a"]);
        assert_eq!(Query::parse(Some(&"x".repeat(2_000))).expect_err("too long"), Problem::too_long());
    }
}

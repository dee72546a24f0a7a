//! Collects everything that is wrong with a request, so that all of it is reported at once.

use std::fmt::Display;

use stockade_engine::answer::InvalidField;

/// Why a request was not converted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Faulty fields.
    Invalid(Vec<InvalidField>),
    /// Fields of the contract that are set and not built yet, by their proto names.
    Unbuilt(Vec<String>),
}

/// The faults of one request. Field paths are formatted only if there is a fault.
#[derive(Debug, Default)]
pub(super) struct Faults {
    invalid: Vec<InvalidField>,
    unbuilt: Vec<String>,
}

impl Faults {
    /// Records a faulty field.
    #[cold]
    pub(super) fn invalid(&mut self, field: impl Display, description: impl Display) {
        self.invalid.push(InvalidField { field: field.to_string(), description: description.to_string() });
    }

    /// Records a field that is not built yet, if it is set.
    #[inline]
    pub(super) fn unbuilt(&mut self, set: bool, field: impl Display) {
        if set {
            self.unbuilt.push(field.to_string());
        }
    }

    /// Takes over what was recorded about a part, with other names of its fields.
    pub(super) fn absorb(&mut self, part: Self, renamed: impl Fn(&str) -> String) {
        let Self { invalid, unbuilt } = part;
        let of_part = invalid.into_iter().map(|InvalidField { field, description }| {
            let field = renamed(&field);
            InvalidField { field, description }
        });
        self.invalid.extend(of_part);
        self.unbuilt.extend(unbuilt.iter().map(|field| renamed(field)));
    }

    /// The value, if nothing was recorded. Faulty fields are reported before fields that are not built: the caller
    /// can correct them.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Rejection> {
        match value {
            Some(value) if self.invalid.is_empty() && self.unbuilt.is_empty() => Ok(value),
            Some(_) | None if self.invalid.is_empty() && !self.unbuilt.is_empty() => {
                Err(Rejection::Unbuilt(self.unbuilt))
            }
            Some(_) | None => Err(Rejection::Invalid(self.invalid)),
        }
    }
}

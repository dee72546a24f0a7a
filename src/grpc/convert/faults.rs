//! Gathers all that is wrong with a request, so that a caller hears of everything at once.

use std::fmt::Display;

use stockade_engine::answer::Violation;

/// Why a request did not become a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Faulty fields.
    Invalid(Vec<Violation>),
    /// Fields of the contract that are set and not built yet, in proto spelling.
    Unbuilt(Vec<String>),
}

/// The faults of one request. Paths are only written out when there is something to say.
#[derive(Debug, Default)]
pub struct Faults {
    invalid: Vec<Violation>,
    unbuilt: Vec<String>,
}

impl Faults {
    /// Notes a faulty field.
    #[cold]
    pub fn invalid(&mut self, field: impl Display, description: impl Display) {
        self.invalid.push(Violation { field: field.to_string(), description: description.to_string() });
    }

    /// Notes a field that is not built yet, if it is set.
    #[inline]
    pub fn unbuilt(&mut self, set: bool, field: impl Display) {
        if set {
            self.unbuilt.push(field.to_string());
        }
    }

    /// The value, if nothing was noted. Faulty fields come before those not built: fixing them is the caller's.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Rejection> {
        match value {
            Some(value) if self.invalid.is_empty() && self.unbuilt.is_empty() => Ok(value),
            Some(_) | None if self.invalid.is_empty() && !self.unbuilt.is_empty() => {
                Err(Rejection::Unbuilt(self.unbuilt))
            }
            Some(_) | None => Err(Rejection::Invalid(self.invalid)),
        }
    }
}

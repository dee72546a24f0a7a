//! Values of flags.

use std::time::Duration;

/// A span above zero, such as `5s`.
///
/// # Errors
/// What is wrong with the text.
pub fn span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if span.is_zero() { Err("must be above 0s".to_owned()) } else { Ok(span) }
}

/// A factor above zero.
///
/// # Errors
/// What is wrong with the text.
pub fn factor(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_bad| "must be a number".to_owned())?;
    if factor > 0.0 && factor <= 1000.0 { Ok(factor) } else { Err("must be above 0 and at most 1000".to_owned()) }
}

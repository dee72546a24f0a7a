//! Invariants. One that does not hold is a bug, and the process ends before it answers or writes anything more.

use std::fmt;

/// Ends the process if a condition does not hold, or if a value does not match a pattern. In the second form the
/// pattern's bindings are usable after it. The message says what was found.
#[macro_export]
macro_rules! invariant {
    (let $pattern:pat = $value:expr, $($what:tt)+) => {
        let $pattern = $value else { $crate::invariant::broken(format_args!($($what)+)) };
    };
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            $crate::invariant::broken(format_args!($($what)+))
        }
    };
}

/// Panics. A server's panic hook logs it and ends the process with exit code 70 before anything is unwound.
///
/// # Panics
/// Always.
#[cold]
#[inline(never)]
#[track_caller]
#[expect(
    clippy::panic,
    reason = "the one way to end the process for a bug: what is wrong in memory must not be answered"
)]
pub fn broken(what: fmt::Arguments<'_>) -> ! {
    panic!("a bug: {what}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_holds_goes_on_and_binds() {
        let known = Some(7);
        invariant!(let Some(seven) = known, "nothing is there");
        invariant!(seven == 7, "{seven} is not seven");
    }

    #[test]
    #[should_panic(expected = "a bug: 8 is not seven")]
    fn what_does_not_hold_ends_it() {
        let eight = 8;
        invariant!(eight == 7, "{eight} is not seven");
    }

    #[test]
    #[should_panic(expected = "a bug: hold 3 is not there")]
    fn what_has_another_form_ends_it() {
        let known: Option<u8> = None;
        invariant!(let Some(_hold) = known, "hold {} is not there", 3);
    }
}

//! The outcomes of operations: granted, or refused.

use std::time::Duration;

use prost_types::Timestamp;
use stockade_proto as pb;
use stockade_proto::result::Result as OperationResult;

/// The outcome of an operation. Both variants are answers; what could not be decided is an [`Error`](super::Error).
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a refusal is no error"]
pub enum Outcome<T> {
    /// The operation was performed.
    Granted(T),
    /// A business refusal.
    Refused(Box<Refusal>),
}

impl<T> Outcome<T> {
    /// The granted value, or the refusal as an error.
    ///
    /// # Errors
    /// The refusal.
    pub fn granted(self) -> Result<T, Box<Refusal>> {
        match self {
            Self::Granted(granted) => Ok(granted),
            Self::Refused(refusal) => Err(refusal),
        }
    }

    fn map<U>(self, map: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Granted(granted) => Outcome::Granted(map(granted)),
            Self::Refused(refusal) => Outcome::Refused(refusal),
        }
    }

    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Granted(_) => None,
            Self::Refused(refusal) => Some(refusal),
        }
    }
}

/// Reserved units.
#[derive(Debug, Clone, PartialEq)]
pub struct Reserved {
    /// The hold as it is now. In the brief view it has state, deadline and revision only.
    pub hold: pb::Hold,
    /// With `allow_partial`: the lines that got fewer units than requested.
    pub short_lines: Vec<pb::RefusedLine>,
    /// The server's clock at the decision.
    pub server_time: Option<Timestamp>,
}

/// Sold units.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The hold as it is now.
    pub hold: pb::Hold,
    /// Whether the claim came in time.
    pub mode: pb::ClaimMode,
    /// The server's clock at the decision.
    pub server_time: Option<Timestamp>,
}

/// A hold that was extended, released or returned from.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The hold as it is now.
    pub hold: pb::Hold,
    /// The server's clock at the decision.
    pub server_time: Option<Timestamp>,
}

impl Reserved {
    /// How long the units are reserved from now on, by the server's clock. This machine's clock does not matter.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        time_left(&self.hold, self.server_time)
    }
}

impl Changed {
    /// How long the hold still lives, by the server's clock. Zero for a hold that has ended.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        time_left(&self.hold, self.server_time)
    }
}

fn time_left(hold: &pb::Hold, server_time: Option<Timestamp>) -> Duration {
    match hold.state() {
        pb::HoldState::Held | pb::HoldState::Paying => {
            let until = hold.expires_at.unwrap_or_default();
            let now = server_time.unwrap_or_default();
            let seconds = until.seconds.saturating_sub(now.seconds);
            let nanos = until.nanos.saturating_sub(now.nanos);
            // Signed: the nanoseconds of the difference may be negative.
            let span = prost_types::Duration { seconds, nanos };
            Duration::try_from(span).unwrap_or_default()
        }
        pb::HoldState::Unspecified | pb::HoldState::Claimed | pb::HoldState::Released | pb::HoldState::Expired => {
            Duration::ZERO
        }
    }
}

/// A business refusal.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {message}", .reason.as_str_name().trim_start_matches("REFUSAL_REASON_"))]
pub struct Refusal {
    /// The first reason that applies. `Unspecified` for a reason that this client does not know.
    pub reason: pb::RefusalReason,
    /// The SKU that it concerns, if any.
    pub sku: String,
    /// For people, in English.
    pub message: String,
    /// When to try again, if that is known.
    pub retry_after: Option<Duration>,
    /// For `SoldOut`: whether units on hold may still be given back. False: final as far as is known.
    pub may_come_back: bool,
    /// Each line that can't be served.
    pub lines: Vec<pb::RefusedLine>,
    /// The limit that was reached.
    pub limit: Option<pb::LimitHit>,
    /// The hold in question, as it is now.
    pub hold: Option<pb::Hold>,
    /// The server's clock at the decision.
    pub server_time: Option<Timestamp>,
}

impl Refusal {
    fn new(refusal: pb::Refusal, server_time: Option<Timestamp>) -> Self {
        let pb::Refusal { reason, sku, message, retry_after, lines, limit, hold, may_come_back } = refusal;
        Self {
            reason: pb::RefusalReason::try_from(reason).unwrap_or_default(),
            sku,
            message,
            retry_after: retry_after.and_then(|delay| Duration::try_from(delay).ok()),
            may_come_back,
            lines,
            limit,
            hold,
            server_time,
        }
    }
}

/// The outcome of an operation of any kind, with all that its result carries.
pub(super) struct Decided {
    outcome: Outcome<pb::Hold>,
    claim_mode: pb::ClaimMode,
    short_lines: Vec<pb::RefusedLine>,
    server_time: Option<Timestamp>,
}

impl Decided {
    /// Reads a result from the wire.
    ///
    /// # Errors
    /// The operation's own error; `None` if there is no result at all.
    pub(super) fn of(result: pb::Result, server_time: Option<Timestamp>) -> Result<Self, Option<pb::Error>> {
        let claim_mode = result.claim_mode();
        let pb::Result { result, claim_mode: _, short_lines } = result;
        let outcome = match result {
            None => return Err(None),
            Some(OperationResult::Error(error)) => return Err(Some(error)),
            Some(OperationResult::Hold(hold)) => Outcome::Granted(hold),
            Some(OperationResult::Refusal(refusal)) => Outcome::Refused(Box::new(Refusal::new(*refusal, server_time))),
        };
        Ok(Self { outcome, claim_mode, short_lines, server_time })
    }

    pub(super) fn reserved(self) -> Outcome<Reserved> {
        let Self { outcome, claim_mode: _, short_lines, server_time } = self;
        outcome.map(|hold| Reserved { hold, short_lines, server_time })
    }

    pub(super) fn claimed(self) -> Outcome<Claimed> {
        let Self { outcome, claim_mode: mode, short_lines: _, server_time } = self;
        outcome.map(|hold| Claimed { hold, mode, server_time })
    }

    pub(super) fn changed(self) -> Outcome<Changed> {
        let Self { outcome, claim_mode: _, short_lines: _, server_time } = self;
        outcome.map(|hold| Changed { hold, server_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64, nanos: i32) -> Timestamp {
        Timestamp { seconds, nanos }
    }

    #[test]
    fn time_left_is_counted_by_the_servers_clock() {
        let mut hold = pb::Hold { expires_at: Some(at(100, 200_000_000)), ..pb::Hold::default() };
        hold.set_state(pb::HoldState::Held);
        let left = |hold: &pb::Hold, now| Changed { hold: hold.clone(), server_time: Some(now) }.time_left();
        assert_eq!(left(&hold, at(98, 900_000_000)), Duration::from_millis(1_300));
        assert_eq!(left(&hold, at(101, 0)), Duration::ZERO, "past it");
        hold.set_state(pb::HoldState::Claimed);
        assert_eq!(left(&hold, at(98, 0)), Duration::ZERO, "a sale has no deadline");
    }

    #[test]
    fn a_refusal_says_its_reason_and_is_an_error_where_that_is_wanted() {
        let sent = pb::Refusal {
            reason: pb::RefusalReason::SoldOut.into(),
            message: "not enough units are free".into(),
            retry_after: Some(prost_types::Duration { seconds: 2, nanos: 0 }),
            may_come_back: true,
            ..pb::Refusal::default()
        };
        let result = pb::Result { result: Some(OperationResult::Refusal(Box::new(sent))), ..pb::Result::default() };
        let Ok(decided) = Decided::of(result, Some(at(1, 0))) else { panic!("an error") };
        let refusal = decided.reserved().granted().expect_err("a refusal");
        assert_eq!(refusal.to_string(), "SOLD_OUT: not enough units are free");
        assert_eq!((refusal.retry_after, refusal.server_time), (Some(Duration::from_secs(2)), Some(at(1, 0))));
        assert!(refusal.may_come_back);
    }
}

//! Extend: a later deadline, or the way into payment and back.

use stockade_types::definition::Definition;
use stockade_types::hold::{Change, Hold, HoldState};
use stockade_types::refusal::Reason;
use stockade_types::time::{Millis, Timestamp};

use crate::Engine;
use crate::answer::Outcome;
use crate::attempt::Answer;
use crate::command::{Extend, Operation, Stage};
use crate::context::Context;
use crate::locked_hold::ended;
use crate::rules::usual_ttl;

/// A hold that comes back from payment has at least this long, unless its own deadline or its total life ends before. A
/// payment with less than this left of the total life is refused.
const PAYMENT_TIME_MIN: Millis = Millis(60_000);

impl Engine {
    /// Moves a hold's deadline to `now + ttl`, at most to the ceiling of its life and never to an earlier instant. At
    /// the ceiling the hold is returned unchanged. Or moves the hold into payment or back; back from payment the
    /// deadline may become earlier.
    ///
    /// # Errors
    /// [`Fault::NoHold`](crate::answer::Fault), and faults of the journal.
    pub fn extend(&self, command: &Extend, context: Context<'_>) -> Answer<Outcome> {
        let answer = self.with_live(&command.target, context.now, |own, permit| {
            let hold = own.hold();
            if let Some(reason) = ended(hold) {
                return Ok(own.refused(reason));
            }
            let usual = usual_ttl(own.view, own.inner.standing.as_deref(), hold.lines().iter());
            let (state, expires_at) = match moved(hold, (own.view, usual), command, context.now) {
                Ok(moved) => moved,
                Err(reason) => return Ok(own.refused(reason)),
            };
            if state != hold.state {
                self.change(own, permit, &Change::Staged { stage: state, expires_at }, context)?;
            } else if expires_at != hold.expires_at() {
                self.change(own, permit, &Change::Extended { expires_at }, context)?;
            }
            Ok(own.shown())
        });
        self.keep_refused(Operation::Extend, &answer, context.now);
        answer
    }
}

/// The state and deadline that an extension leads to.
fn moved(
    hold: &Hold,
    (definition, usual): (&Definition, Millis),
    command: &Extend,
    now: Timestamp,
) -> Result<(HoldState, Timestamp), Reason> {
    let life_max = definition.terms.max_hold_life;
    let ceiling = hold.created_at().plus(hold.life_max().map_or(life_max, |of_conduct| of_conduct.min(life_max)));
    let total = ceiling.plus(definition.terms.payment_ttl);
    let later = |wish: Timestamp, most: Timestamp| hold.expires_at().max(wish.min(most));
    match (command.stage, hold.state) {
        (Some(Stage::Paying), from) => {
            let begins = from != HoldState::Paying;
            let worthwhile = hold.created_at().until(total) >= PAYMENT_TIME_MIN;
            if begins && worthwhile && now.until(total) < PAYMENT_TIME_MIN {
                return Err(Reason::CeilingReached);
            }
            let span = command.ttl.unwrap_or_default().max(definition.terms.payment_ttl);
            Ok((HoldState::Paying, later(now.plus(span), total)))
        }
        // Back from payment, for instance because the card was declined.
        (Some(Stage::Held), HoldState::Paying) => {
            let left = hold.expires_at().min(ceiling).max(now.plus(PAYMENT_TIME_MIN));
            // The total may have changed since, or an outage's grace may reach beyond it: the deadline is not cut to
            // less than `PAYMENT_TIME_MIN` from now by either.
            let kept = hold.expires_at().min(now.plus(PAYMENT_TIME_MIN));
            Ok((HoldState::Held, left.min(total).max(kept)))
        }
        // The same call again: the hold is back already.
        (Some(Stage::Held), state) if command.ttl.is_none() => Ok((state, hold.expires_at())),
        (Some(Stage::Held) | None, state) => Ok((state, later(now.plus(command.ttl.unwrap_or(usual)), ceiling))),
    }
}

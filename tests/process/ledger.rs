//! The memory of a customer's front end: each hold with the last call and answer in full, field by field.
//!
//! It is apart from the ledger of `stockade-drill`, which keeps millions of answers in short form and judges them by
//! time. This one can say whether a single call without an answer explains what a server shows after a crash, and sends
//! every call again.

use stockade_client::Client;
use stockade_drill::request::{Outcome, Request};
use stockade_proto as pb;
use tonic::Status;

/// Whether this call, carried out, explains the change of a hold from `before` to `after`.
fn explains(call: &Request, before: Option<&pb::Hold>, after: &pb::Hold) -> bool {
    match (call, before) {
        (Request::Reserve(request), None) => {
            let asked: u32 = request.lines.iter().map(|line| line.quantity).sum();
            after.state() == pb::HoldState::Held
                && Some(&after.customer_id) == request.customer.as_ref().map(|customer| &customer.id)
                && units(after) == asked
        }
        (Request::Reserve(_), Some(_))
        | (Request::Extend(_) | Request::Claim(_) | Request::Release(_) | Request::Return(_), None) => false,
        (Request::Extend(request), Some(before)) => {
            let state = match request.stage() {
                pb::HoldStage::Unspecified => before.state(),
                pb::HoldStage::Held => pb::HoldState::Held,
                pb::HoldStage::Paying => pb::HoldState::Paying,
            };
            after.state() == state && *after == moved(before, after) && after.revision > before.revision
        }
        (Request::Claim(request), Some(before)) => {
            after.state() == pb::HoldState::Claimed
                && after.order_ref == request.order_ref
                && after.lines == before.lines
        }
        (Request::Release(request), Some(before)) => {
            let kept: u32 = request.keep.iter().map(|line| line.quantity).sum();
            let state = if kept == 0 { pb::HoldState::Released } else { before.state() };
            after.state() == state && units(after) == kept && after.revision > before.revision
        }
        (Request::Return(_), Some(before)) => {
            let returned: u32 = after.lines.iter().map(|line| line.returned).sum();
            after.state() == pb::HoldState::Claimed && units(after) == 0 && returned == units(before)
        }
    }
}

/// The hold `from` with the stage, deadline and revision of `to`.
fn moved(from: &pb::Hold, to: &pb::Hold) -> pb::Hold {
    pb::Hold { state: to.state, expires_at: to.expires_at, revision: to.revision, ..from.clone() }
}

fn units(hold: &pb::Hold) -> u32 {
    hold.lines.iter().map(|line| line.quantity).sum()
}

/// One hold's history.
#[derive(Debug)]
pub struct Entry {
    /// The request that made it.
    pub reserve: pb::ReserveRequest,
    /// The hold as last acknowledged; none before that, and if it was refused.
    pub known: Option<pb::Hold>,
    /// The last call that was answered, and its answer.
    last: Option<(Request, Outcome)>,
    /// A call without an answer.
    pub doubt: Option<Request>,
}

impl Entry {
    pub const fn new(reserve: pb::ReserveRequest) -> Self {
        Self { reserve, known: None, last: None, doubt: None }
    }

    /// Whether it can still be changed.
    pub fn is_live(&self) -> bool {
        self.doubt.is_none() && self.known.as_ref().is_some_and(|hold| units(hold) > 0)
    }

    /// Sends a call and records the answer.
    ///
    /// # Errors
    /// When there is no answer: then the call is in doubt.
    pub async fn send(&mut self, client: &Client, call: Request) -> Result<(), Status> {
        self.doubt = Some(call.clone());
        let answer = call.send(client).await?.outcome;
        self.doubt = None;
        if let Outcome::Hold(hold) = &answer {
            self.known = Some(hold.clone());
        }
        self.last = Some((call, answer));
        Ok(())
    }

    /// Checks that what a server shows after a crash agrees with what was acknowledged before it.
    pub fn must_explain(&self, found: Option<&pb::Hold>) {
        if found == self.known.as_ref() {
            return;
        }
        let explained = match (&self.doubt, found) {
            (Some(call), Some(found)) => explains(call, self.known.as_ref(), found),
            (None, _) | (_, None) => false,
        };
        assert!(explained, "{}: found\n{found:?}\nremembered\n{self:?}", self.reserve.hold_id);
    }

    /// Sends again, as a caller would: the call in doubt, the last call, the reserve.
    pub async fn send_again(&mut self, client: &Client, found: Option<&pb::Hold>) {
        if let Some(call) = self.doubt.clone() {
            let done = found.filter(|found| Some(*found) != self.known.as_ref());
            self.send(client, call.clone()).await.expect("an answer");
            if let Some(done) = done {
                must_be_the_same(&call, done, self.known.as_ref().expect("what was done is done"));
            }
        } else if let Some((call, Outcome::Hold(before))) = &self.last {
            let answer = call.send(client).await.expect("an answer").outcome;
            let Outcome::Hold(after) = answer else { panic!("{call:?}: {answer:?}") };
            must_be_the_same(call, before, &after);
            self.known = Some(after);
        }
        let Some(known) = self.known.clone() else { return };
        let answer = Request::Reserve(self.reserve.clone()).send(client).await.expect("an answer").outcome;
        match answer {
            Outcome::Hold(hold) => assert_eq!(hold, known),
            Outcome::Refusal(refusal) => {
                assert_eq!(known.state(), pb::HoldState::Released, "{refusal:?}");
                assert_eq!(refusal.reason(), pb::RefusalReason::HoldReleased);
                assert_eq!(refusal.hold, Some(known));
            }
        }
    }
}

/// Checks that a repeated call has the same answer; only the deadline of a payment counts from now.
fn must_be_the_same(call: &Request, before: &pb::Hold, after: &pb::Hold) {
    match call {
        Request::Extend(request) if request.stage() != pb::HoldStage::Unspecified => {
            assert_eq!(*after, moved(before, after), "{call:?}");
            assert_eq!(after.state(), before.state(), "{call:?}");
        }
        Request::Reserve(_) | Request::Extend(_) | Request::Claim(_) | Request::Release(_) | Request::Return(_) => {
            assert_eq!(after, before, "{call:?}");
        }
    }
}

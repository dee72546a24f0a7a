//! Many operations in one message: decided one after another in list order, each with a result of its own, and one
//! wait for the disk.
//!
//! Whatever is wrong with one operation is its own result and never anyone else's. An operation is decided only while
//! the answer has room for the longest result there is; from the first that does not fit on, all are left out, so that
//! none is ever decided behind one that was not.

use std::sync::Arc;

use prost::Message as _;
use tonic::Status;

use super::convert::{self, Command, View};
use super::edge::Edge;
use crate::engine::Engine;
use crate::engine::answer::{Answer, Fault, Outcome};
use crate::ids::Lsn;
use crate::metrics::edge::{Ending, Operation};
use crate::proto as pb;
use crate::time::Timestamp;

/// An answer stays below this: what a client takes if it is not told otherwise.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of an answer beside its results, at most: sequence and server time.
const ENVELOPE_BYTES: usize = 64;
/// Bytes that a result has in an answer beside its own, at most: its tag and its length.
const FRAME_BYTES: usize = 6;
/// Bytes of any one result, at most: a refusal with its full house of lines and the hold in question.
const LONGEST_RESULT: usize = 32 * 1024;
/// Bytes of the result of an operation that is left out, at most. Set aside for each from the start.
const LEFT_OUT_BYTES: usize = 80;
/// Why an operation is left out.
const LEFT_OUT: &str = "batch answer too large; send again in smaller batches";
/// After so many operations others have their turn.
const TURN: usize = 64;

/// A message's results, of which nothing may be told before it is durable.
pub struct Decided {
    results: Vec<pb::Result>,
    tally: Tally,
    /// Bytes that results may still take.
    room: usize,
    /// The last record that the results rest on.
    upto: Lsn,
    /// When the last operation was decided; of a message without one, when it came.
    at: Timestamp,
}

/// Decides operations, one after another.
///
/// # Errors
/// `JournalFailed`: what was decided by then may be durable or not.
pub async fn decide(edge: &Arc<Edge>, operations: &[pb::Operation], view: View) -> Result<Decided, Fault> {
    let mut decided = Decided::of(edge, operations.len());
    for (turn, operations) in operations.chunks(TURN).enumerate() {
        if turn > 0 {
            tokio::task::yield_now().await;
        }
        for operation in operations {
            decided.decide(operation, view).await?;
        }
    }
    Ok(decided)
}

/// Rejects a message whole, each of its operations by itself: as many as an answer has room for.
pub fn reject(edge: &Arc<Edge>, operations: &[pb::Operation], status: &Status) -> Decided {
    let mut decided = Decided::of(edge, 0);
    let error = convert::error(status);
    let room = decided.room.checked_div(taken(&error)).unwrap_or_default();
    for operation in operations.iter().take(room) {
        decided.push(operation.operation.as_ref(), (error.clone(), Ending::Error));
    }
    decided
}

impl Decided {
    fn of(edge: &Arc<Edge>, operations: usize) -> Self {
        let aside = operations.saturating_mul(LEFT_OUT_BYTES).saturating_add(ENVELOPE_BYTES);
        Self {
            results: Vec::with_capacity(operations),
            tally: Tally { edge: Arc::clone(edge), endings: Endings::default(), durable: false },
            room: MAX_ANSWER_BYTES.saturating_sub(aside),
            upto: Lsn(0),
            at: edge.now(),
        }
    }

    async fn decide(&mut self, operation: &pb::Operation, view: View) -> Result<(), Fault> {
        let asked = operation.operation.as_ref();
        if self.room < LONGEST_RESULT {
            self.push(asked, (convert::error(&Status::resource_exhausted(LEFT_OUT)), Ending::Error));
            return Ok(());
        }
        let came = match asked.map_or_else(|| Err(convert::no_operation()), convert::operation) {
            Ok(command) => self.decide_command(&command, view).await?,
            Err(rejection) => (convert::error(&rejection.into()), Ending::Error),
        };
        self.room = self.room.saturating_sub(taken(&came.0));
        self.push(asked, came);
        Ok(())
    }

    async fn decide_command(&mut self, command: &Command, view: View) -> Result<(pb::Result, Ending), Fault> {
        match attempt(&self.tally.edge, command).await {
            Ok((Answer { outcome, ticket }, at)) => {
                self.at = at;
                self.upto = self.upto.max(ticket.lsn());
                let ending = match outcome {
                    Outcome::Hold(_) => Ending::Ok,
                    Outcome::Refused(_) => Ending::Refused,
                };
                Ok((convert::result(command, &outcome, view), ending))
            }
            Err(Fault::JournalFailed) => Err(Fault::JournalFailed),
            Err(fault) => {
                self.upto = fault.rests_on().map_or(self.upto, |lsn| self.upto.max(lsn));
                Ok((convert::error(&fault.into()), Ending::Error))
            }
        }
    }

    fn push(&mut self, asked: Option<&pb::operation::Operation>, (result, ending): (pb::Result, Ending)) {
        // What asks for nothing is no operation to be counted.
        if let Some(asked) = asked {
            self.tally.count(counted(asked), ending);
        }
        self.results.push(result);
    }

    /// The results and their instant, once all that they tell is durable.
    ///
    /// # Errors
    /// `JournalFailed`, for all of them.
    pub async fn durable(mut self) -> Result<(Vec<pb::Result>, Timestamp), Fault> {
        self.tally.edge.durable(self.upto).await?;
        self.tally.durable = true;
        Ok((self.results, self.at))
    }
}

async fn attempt(edge: &Edge, command: &Command) -> Result<(Answer, Timestamp), Fault> {
    match command {
        Command::Reserve(command) => edge.decide_ahead(command, Engine::reserve).await,
        Command::Extend(command) => edge.decide_ahead(command, Engine::extend).await,
        Command::Claim(command) => edge.decide_ahead(command, Engine::claim).await,
        Command::Release(command) => edge.decide_ahead(command, Engine::release).await,
        Command::Return(command) => edge.decide_ahead(command, Engine::return_units).await,
    }
}

/// Bytes of a result in an answer, at most.
fn taken(result: &pb::Result) -> usize {
    result.encoded_len().saturating_add(FRAME_BYTES)
}

const fn counted(operation: &pb::operation::Operation) -> Operation {
    match operation {
        pb::operation::Operation::Reserve(_) => Operation::Reserve,
        pb::operation::Operation::Extend(_) => Operation::Extend,
        pb::operation::Operation::Claim(_) => Operation::Claim,
        pb::operation::Operation::Release(_) => Operation::Release,
        pb::operation::Operation::ReturnUnits(_) => Operation::Return,
    }
}

/// How many operations of each kind ended in each way, in the order of [`Operation::ALL`] and [`Ending::ALL`].
type Endings = [[u64; Ending::ALL.len()]; Operation::ALL.len()];

/// Counts a message's operations when it is over. What its caller was not told, or did not wait for, is an error.
struct Tally {
    edge: Arc<Edge>,
    endings: Endings,
    durable: bool,
}

impl Tally {
    fn count(&mut self, operation: Operation, ending: Ending) {
        let of_kind = self.endings.iter_mut().zip(Operation::ALL).find(|(_, kind)| *kind == operation);
        let count =
            of_kind.and_then(|(endings, _)| endings.iter_mut().zip(Ending::ALL).find(|(_, way)| *way == ending));
        if let Some((count, _)) = count {
            *count = count.saturating_add(1);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        for (endings, operation) in self.endings.iter().zip(Operation::ALL) {
            for (many, ending) in endings.iter().zip(Ending::ALL).filter(|(many, _)| **many > 0) {
                self.edge.count_many(operation, if self.durable { ending } else { Ending::Error }, *many);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::answer::Violation;

    /// A hold with everything that the contract has, as long as it may be.
    fn longest_hold() -> pb::Hold {
        let line = pb::HoldLine {
            sku: "s".repeat(128),
            pool: "p".repeat(64),
            quantity: u32::MAX,
            released: u32::MAX,
            returned: u32::MAX,
            terms_id: "t".repeat(64),
            unit_price: Some(pb::Money { currency_code: "EUR".to_owned(), minor_units: -1 }),
        };
        let at = Some(prost_types::Timestamp { seconds: 253_402_300_799, nanos: 999_000_000 });
        pb::Hold {
            id: "h".repeat(36),
            drop_id: "d".repeat(64),
            state: 5,
            lines: vec![line; 32],
            customer_id: "c".repeat(128),
            created_at: at,
            expires_at: at,
            claimed_at: at,
            order_ref: "o".repeat(128),
            revision: u64::MAX,
            superseded_by: "h".repeat(36),
        }
    }

    #[test]
    fn no_result_is_longer_than_the_room_that_it_is_decided_in() {
        let line = pb::RefusedLine { sku: "s".repeat(128), reason: 17, requested: u32::MAX, available: u32::MAX };
        let limit =
            pb::LimitHit { id: "l".repeat(64), scope: 4, identity_kind: "k".repeat(64), max: u32::MAX, used: u32::MAX };
        let refusal = pb::Refusal {
            reason: 17,
            sku: "s".repeat(128),
            message: "m".repeat(200),
            retry_after: Some(prost_types::Duration { seconds: 315_576_000_000, nanos: 999_999_999 }),
            lines: vec![line.clone(); 32],
            limit: Some(limit),
            hold: Some(longest_hold()),
        };
        let result = pb::Result {
            result: Some(pb::result::Result::Refusal(refusal)),
            claim_mode: 2,
            short_lines: vec![line; 32],
        };
        assert!(taken(&result) < LONGEST_RESULT, "{}", taken(&result));
        let violation = |n| Violation { field: format!("lines[{n}].sku"), description: "\u{200b}".repeat(400) };
        let error = convert::error(&Fault::Invalid((0..64).map(violation).collect()).into());
        assert!(taken(&error) < LONGEST_RESULT, "{}", taken(&error));
    }

    #[test]
    fn what_is_left_out_has_room() {
        let error = convert::error(&Status::resource_exhausted(LEFT_OUT));
        assert!(taken(&error) <= LEFT_OUT_BYTES, "{}", taken(&error));
    }
}

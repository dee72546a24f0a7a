//! Many operations in one message: decided in list order, each with its own result, with one wait for the disk.
//!
//! A fault of one operation is its own result and affects no other. An operation is decided only while the answer has
//! room for the longest possible result. From the first operation without room on, all are left out, so that none is
//! decided after one that was not.

use std::sync::Arc;

use prost::Message as _;
use smallvec::SmallVec;
use stockade_engine::Engine;
use stockade_engine::answer::{Fault, Outcome};
use stockade_engine::attempt::{Answer, Decided};
use stockade_engine::command::{Operation, Reserve};
use stockade_engine::context::Context;
use stockade_proto as pb;
use stockade_types::ids::Lsn;
use stockade_types::time::Timestamp;
use tonic::Status;

use super::convert::{self, BatchCommand, Rejection, View};
use super::edge::{Edge, Pending};
use super::status::of_fault;
use crate::metrics::edge::Ending;

/// An answer stays below this: the default limit of clients.
pub(super) const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of an answer besides its results: sequence and server time.
const ENVELOPE_BYTES: usize = 64;
/// Most bytes that an answer adds to a result: its tag and its length.
const FRAME_BYTES: usize = 6;
/// Most bytes of a result: a refusal with the most lines and the hold in question.
const RESULT_BYTES_MAX: usize = 32 * 1024;
/// Most bytes of the result of an operation that is left out. Reserved for each operation at the start.
const LEFT_OUT_BYTES: usize = 80;
/// The message of an operation that is left out.
const LEFT_OUT: &str = "batch answer too large; send again in smaller batches";
/// Operations that are decided before other tasks run.
const TURN: usize = 64;
/// Consecutive operations that share one reading of the clock, about ten microseconds.
const ONE_READING: usize = 8;

/// The results of a message, which must not be sent before they are durable.
pub(super) struct Decisions {
    /// With the time of the last decision.
    pending: Pending<(Vec<pb::Result>, Timestamp)>,
    tally: Tally,
}

/// A message while its operations are decided.
struct Deciding {
    /// Decides all operations, also if the term ends meanwhile: an operation must see the effects of those before it.
    engine: Arc<Engine>,
    results: Vec<pb::Result>,
    tally: Tally,
    /// Bytes that the results may still take.
    room: usize,
    /// The last record that the results depend on.
    durable_after: Lsn,
    /// When the last operation was decided; without operations, when the message arrived.
    at: Timestamp,
    /// The last reading of the clock. It is not earlier than the arrival of the message's operations, nor than the
    /// last decision.
    now: Timestamp,
}

/// Decides operations in order.
///
/// # Errors
/// `JournalFailed`: what was decided by then may be durable or not. `Overloaded` between two terms, before anything
/// is decided.
pub(super) async fn decide(edge: &Arc<Edge>, operations: &[pb::Operation], view: View) -> Result<Decisions, Fault> {
    let mut decided = Deciding::of(edge, operations.len())?;
    for (turn, operations) in operations.chunks(TURN).enumerate() {
        if turn > 0 {
            tokio::task::yield_now().await;
        }
        for operations in operations.chunks(ONE_READING) {
            decided.now = edge.now();
            let asked: SmallVec<[BatchOperation<'_>; ONE_READING]> =
                operations.iter().map(BatchOperation::of).collect();
            let (mut rest, mut at_once) = (asked.as_slice(), true);
            while let Some(first) = rest.first() {
                let decided_count = if at_once { decided.decide_run(rest, view)? } else { None };
                // If the first operation of a run had to wait, the rest is decided one by one: trying a run after each
                // would check the same operations again and again.
                at_once &= decided_count != Some(0);
                let decided_count = decided_count.unwrap_or(0);
                if decided_count == 0 {
                    decided.decide(first, view).await?;
                }
                rest = rest.get(decided_count.max(1)..).unwrap_or_default();
            }
        }
    }
    Ok(decided.done())
}

/// An operation of a message, with its command if it is valid.
struct BatchOperation<'a> {
    /// `None` if it is empty.
    operation: Option<&'a pb::operation::Operation>,
    command: Result<BatchCommand, Rejection>,
}

impl<'a> BatchOperation<'a> {
    fn of(operation: &'a pb::Operation) -> Self {
        let operation = operation.operation.as_ref();
        let command = operation.map_or_else(|| Err(convert::no_operation()), convert::operation);
        Self { operation, command }
    }

    fn reserve(&self) -> Option<&Reserve> {
        match &self.command {
            Ok(BatchCommand::Reserve(command)) => Some(command),
            Ok(
                BatchCommand::Extend(_) | BatchCommand::Claim(_) | BatchCommand::Release(_) | BatchCommand::Return(_),
            )
            | Err(_) => None,
        }
    }
}

/// Rejects each operation of a message with this status, as many as an answer has room for.
pub(super) fn reject(edge: &Arc<Edge>, operations: &[pb::Operation], status: &Status) -> Decisions {
    let mut tally = Tally::of(edge);
    let error = convert::error(status);
    let room = room(0).checked_div(taken(&error)).unwrap_or_default();
    let rejected = operations.iter().take(room).map(|operation| {
        tally.endings.count_asked(operation.operation.as_ref(), Ending::Error);
        error.clone()
    });
    let results = rejected.collect();
    Decisions { pending: Pending::at_once((results, edge.now())), tally }
}

impl Decisions {
    /// The results and the time of the last decision, once they are durable.
    ///
    /// # Errors
    /// `JournalFailed`, for all of them.
    pub(super) async fn durable(self) -> Result<(Vec<pb::Result>, Timestamp), Fault> {
        let Self { pending, mut tally } = self;
        let settled = pending.settle().await?;
        tally.durable = true;
        Ok(settled)
    }
}

/// Bytes that the results of this many operations may take.
const fn room(operations: usize) -> usize {
    let aside = operations.saturating_mul(LEFT_OUT_BYTES).saturating_add(ENVELOPE_BYTES);
    ANSWER_BYTES_MAX.saturating_sub(aside)
}

impl Deciding {
    fn of(edge: &Arc<Edge>, operations: usize) -> Result<Self, Fault> {
        Ok(Self {
            engine: edge.engine()?,
            results: Vec::with_capacity(operations),
            tally: Tally::of(edge),
            room: room(operations),
            durable_after: Lsn(0),
            at: edge.now(),
            now: edge.now(),
        })
    }

    /// Decides the reserves of one drop at the front in one go, if there are several and the answer has room for
    /// their results. Returns how many operations were decided; `None` if no run was tried. After `None` or 0 the next
    /// operation must be decided by itself.
    fn decide_run(&mut self, asked: &[BatchOperation<'_>], view: View) -> Result<Option<usize>, Fault> {
        let reserves = asked.iter().map_while(BatchOperation::reserve);
        let drop = asked.first().and_then(BatchOperation::reserve).map(|first| &first.drop);
        let run: SmallVec<[&Reserve; ONE_READING]> = reserves.take_while(|next| Some(&next.drop) == drop).collect();
        if run.len() < 2 || self.room < RESULT_BYTES_MAX.saturating_mul(run.len()) {
            return Ok(None);
        }
        let before = self.results.len();
        let Self { engine, results, tally: Tally { endings, .. }, room, durable_after, at, now } = self;
        let mut commands = asked.iter().filter_map(|asked| asked.command.as_ref().ok());
        let ended = engine.reserve_run(&run, Context::anonymous(*now), |decided| {
            let Some(command) = commands.next() else { return };
            let outcome = decided.value;
            (*at, *durable_after) = (*now, decided.durable_after.max(*durable_after));
            endings.count(Operation::Reserve, ending(outcome));
            let result = convert::result(command, outcome, view);
            *room = room.saturating_sub(taken(&result));
            results.push(result);
        });
        let decided_count = self.results.len().saturating_sub(before);
        match (ended, asked.get(decided_count)) {
            (Err(fault), Some(asked)) => {
                let result = self.failed(fault)?;
                self.put(asked, result);
                Ok(Some(decided_count.saturating_add(1)))
            }
            (Ok(()) | Err(_), _) => Ok(Some(decided_count)),
        }
    }

    /// Decides one operation.
    async fn decide(&mut self, asked: &BatchOperation<'_>, view: View) -> Result<(), Fault> {
        if self.room < RESULT_BYTES_MAX {
            self.push(asked.operation, (convert::error(&Status::resource_exhausted(LEFT_OUT)), Ending::Error));
            return Ok(());
        }
        let result = match &asked.command {
            Ok(command) => self.decide_command(command, view).await?,
            Err(rejection) => (convert::error(&rejection.clone().into()), Ending::Error),
        };
        self.put(asked, result);
        Ok(())
    }

    fn put(&mut self, asked: &BatchOperation<'_>, result: (pb::Result, Ending)) {
        self.room = self.room.saturating_sub(taken(&result.0));
        self.push(asked.operation, result);
    }

    async fn decide_command(&mut self, command: &BatchCommand, view: View) -> Result<(pb::Result, Ending), Fault> {
        // Later than `now` if it had to wait; the operations after it are decided no earlier.
        let (answer, at) = attempt(&self.tally.edge, &self.engine, self.now, command).await;
        self.now = at;
        match answer {
            Ok(Decided { value: outcome, durable_after }) => {
                self.at = at;
                self.durable_after = self.durable_after.max(durable_after);
                Ok((convert::result(command, &outcome, view), ending(&outcome)))
            }
            Err(fault) => self.failed(fault),
        }
    }

    /// The result of an operation that could not be decided.
    fn failed(&mut self, fault: Decided<Fault>) -> Result<(pb::Result, Ending), Fault> {
        let Decided { value: fault, durable_after } = fault;
        if fault == Fault::JournalFailed {
            return Err(fault);
        }
        self.durable_after = self.durable_after.max(durable_after);
        Ok((convert::error(&of_fault(fault)), Ending::Error))
    }

    fn push(&mut self, asked: Option<&pb::operation::Operation>, (result, ending): (pb::Result, Ending)) {
        self.tally.endings.count_asked(asked, ending);
        self.results.push(result);
    }

    fn done(self) -> Decisions {
        let Self { engine, results, tally, room: _, durable_after, at, now: _ } = self;
        Decisions { pending: Pending::of(&engine, Ok(Decided { value: (results, at), durable_after })), tally }
    }
}

async fn attempt(edge: &Edge, engine: &Engine, now: Timestamp, command: &BatchCommand) -> (Answer<Outcome>, Timestamp) {
    match command {
        BatchCommand::Reserve(command) => edge.decide_from(engine, now, command, Engine::reserve).await,
        BatchCommand::Extend(command) => edge.decide_from(engine, now, command, Engine::extend).await,
        BatchCommand::Claim(command) => edge.decide_from(engine, now, command, Engine::claim).await,
        BatchCommand::Release(command) => edge.decide_from(engine, now, command, Engine::release).await,
        BatchCommand::Return(command) => edge.decide_from(engine, now, command, Engine::return_units).await,
    }
}

const fn ending(outcome: &Outcome) -> Ending {
    match outcome {
        Outcome::Hold(_) => Ending::Ok,
        Outcome::Refused(_) => Ending::Refused,
    }
}

/// Most bytes of a result in an answer.
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

/// How many operations ended how, by kind, in the order of [`Operation::ALL`] and [`Ending::ALL`].
#[derive(Default)]
struct EndingCounts([[u64; Ending::ALL.len()]; Operation::ALL.len()]);

/// Counts a message's operations when it is dropped. If its answer was not durable, or its caller did not wait, all
/// count as errors.
struct Tally {
    edge: Arc<Edge>,
    endings: EndingCounts,
    durable: bool,
}

impl Tally {
    fn of(edge: &Arc<Edge>) -> Self {
        Self { edge: Arc::clone(edge), endings: EndingCounts::default(), durable: false }
    }
}

impl EndingCounts {
    /// An operation that is empty is not counted.
    fn count_asked(&mut self, asked: Option<&pb::operation::Operation>, ending: Ending) {
        if let Some(asked) = asked {
            self.count(counted(asked), ending);
        }
    }

    fn count(&mut self, operation: Operation, ending: Ending) {
        let of_kind = self.0.iter_mut().zip(Operation::ALL).find(|(_, kind)| *kind == operation);
        let count =
            of_kind.and_then(|(endings, _)| endings.iter_mut().zip(Ending::ALL).find(|(_, way)| *way == ending));
        if let Some((count, _)) = count {
            *count = count.saturating_add(1);
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        for (endings, operation) in self.endings.0.iter().zip(Operation::ALL) {
            for (many, ending) in endings.iter().zip(Ending::ALL).filter(|(many, _)| **many > 0) {
                self.edge.count_many(operation, if self.durable { ending } else { Ending::Error }, *many);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use stockade_engine::answer::InvalidField;
    use stockade_engine::lifecycle::term::EngineHandle;
    use stockade_engine::{Bounds, Engine};
    use stockade_types::digest::DigestKey;
    use stockade_types::time::ManualClock;

    use super::*;

    /// A hold with every field of the contract, each as long as possible.
    fn longest_hold() -> pb::Hold {
        let line = pb::HoldLine {
            sku: "s".repeat(128),
            pool: "p".repeat(64),
            quantity: u32::MAX,
            released: u32::MAX,
            returned: u32::MAX,
            terms_id: "t".repeat(64),
            unit_price: Some(pb::Money { currency_code: "EUR".to_owned(), minor_units: -1 }),
            window: "w".repeat(64),
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
            source: 2,
        }
    }

    #[test]
    fn no_result_is_longer_than_the_room_that_it_is_decided_in() {
        let line = pb::RefusedLine {
            sku: "s".repeat(128),
            reason: 17,
            requested: u32::MAX,
            available: u32::MAX,
            pool: "p".repeat(64),
        };
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
            may_come_back: true,
        };
        let result = pb::Result {
            result: Some(pb::result::Result::Refusal(Box::new(refusal))),
            claim_mode: 2,
            short_lines: vec![line; 32],
        };
        assert!(taken(&result) < RESULT_BYTES_MAX, "{}", taken(&result));
        let violation = |n| InvalidField { field: format!("lines[{n}].sku"), description: "\u{200b}".repeat(400) };
        let error = convert::error(&of_fault(Fault::Invalid((0..64).map(violation).collect())));
        assert!(taken(&error) < RESULT_BYTES_MAX, "{}", taken(&error));
    }

    #[tokio::test]
    async fn a_message_is_decided_to_its_end_by_the_engine_that_began_it() {
        let engines = EngineHandle::of(Arc::new(
            Engine::ephemeral(DigestKey::from_bytes([1; 16]), Bounds::default()).expect("starts"),
        ));
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        let edge = Arc::new(Edge::new(Arc::clone(&engines), clock, Arc::default()));
        let hold_id = "018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c01".to_owned();
        let release = pb::ReleaseRequest { hold_id, ..pb::ReleaseRequest::default() };
        let release = pb::Operation { operation: Some(pb::operation::Operation::Release(release)) };
        let operations = vec![release; TURN + 1];
        let mut deciding = Box::pin(decide(&edge, &operations, View::Brief));
        assert!(deciding.as_mut().now_or_never().is_none(), "others have their turn");
        assert!(engines.swap(None).is_some());
        let decided = deciding.await.expect("decided");
        let (results, _at) = decided.durable().await.expect("durable");
        assert_eq!(results.len(), TURN + 1);
        for result in results {
            let Some(pb::result::Result::Error(error)) = result.result else { panic!("such a hold: {result:?}") };
            assert_eq!(tonic::Code::from(error.code.cast_signed()), tonic::Code::NotFound);
        }
        let next = decide(&edge, &operations, View::Brief).await;
        assert!(matches!(next, Err(Fault::Overloaded(_))), "the next message finds no engine");
    }

    #[test]
    fn what_is_left_out_has_room() {
        let error = convert::error(&Status::resource_exhausted(LEFT_OUT));
        assert!(taken(&error) <= LEFT_OUT_BYTES, "{}", taken(&error));
    }
}

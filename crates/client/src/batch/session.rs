//! One stream from its opening to its end: sends messages, and delivers results to their callers.

use std::collections::VecDeque;

use prost::Message as _;
use stockade_proto as pb;
use stockade_proto::result::Result as OperationResult;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::driver::Driver;
use super::{Answered, Job};
use crate::Incoming;
use crate::pool::Lease;

/// A server leaves operations out of an answer only if the answer would otherwise be too large for a message.
const LARGE_ANSWER: usize = 2 * 1024 * 1024;

/// A message in flight.
pub(super) struct Sent {
    pub(super) sequence: u64,
    pub(super) jobs: Vec<Job>,
}

/// A stream, with its messages in flight.
pub(super) struct Session<'d> {
    driver: &'d mut Driver,
    outgoing: mpsc::Sender<pb::BatchStreamRequest>,
    in_flight: &'d mut VecDeque<Sent>,
    /// When the last answer was received, or the first message in flight was sent.
    heard: Instant,
}

impl<'d> Session<'d> {
    /// Opens a stream and uses it until it ends. `in_flight` then has the unanswered messages. `None` if no caller
    /// can make an operation any more.
    pub(super) async fn run(driver: &'d mut Driver, in_flight: &'d mut VecDeque<Sent>) -> Option<Status> {
        let mut lease = driver.pool.pick()?;
        let client = lease.client().with_timeout(driver.limits.silence);
        let (outgoing, messages) = mpsc::channel(driver.limits.messages);
        let mut session = Self { driver, outgoing, in_flight, heard: Instant::now() };
        // The first message is sent with the opening.
        session.send();
        let ended = match client.batch_stream(ReceiverStream::new(messages)).await {
            Ok(answers) => session.talk(answers, &mut lease).await,
            Err(status) => Some(status),
        };
        lease.report(ended.as_ref());
        ended
    }

    async fn talk(mut self, mut answers: Incoming<pb::BatchStreamResponse>, lease: &mut Lease) -> Option<Status> {
        self.heard = Instant::now();
        loop {
            while self.has_room() && self.send() {}
            let silent = self.heard.checked_add(self.driver.limits.silence);
            tokio::select! {
                biased;
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        if let Err(status) = self.deliver(answer) {
                            return Some(status);
                        }
                        lease.heard();
                        // Callers that send again at once get into the next message.
                        tokio::task::yield_now().await;
                    }
                    Ok(None) => return Some(Status::unavailable("the server has ended the stream")),
                    Err(status) => return Some(status),
                },
                () = until(silent), if !self.in_flight.is_empty() => {
                    let silence = humantime::format_duration(self.driver.limits.silence);
                    return Some(Status::deadline_exceeded(format!("the stream was silent for {silence}")));
                }
                came = self.driver.gather(), if self.has_room() => if !came {
                    return None;
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        self.in_flight.len() < self.driver.limits.messages
    }

    /// Sends the next message. False if no operation waits.
    fn send(&mut self) -> bool {
        let Some((message, sent)) = self.driver.message() else { return false };
        if self.in_flight.is_empty() {
            self.heard = Instant::now();
        }
        self.in_flight.push_back(sent);
        // The channel has room for all messages in flight. If the stream has ended, its answers report why.
        drop(self.outgoing.try_send(message));
        true
    }

    /// Delivers each result to its caller.
    fn deliver(&mut self, answer: pb::BatchStreamResponse) -> Result<(), Status> {
        let is_large = answer.results.iter().any(is_left_out) && answer.encoded_len() >= LARGE_ANSWER;
        let pb::BatchStreamResponse { sequence, results, server_time } = answer;
        let fits = |sent: &Sent| sent.sequence == sequence && sent.jobs.len() == results.len();
        let Some(sent) = self.in_flight.pop_front_if(|sent| fits(sent)) else {
            return Err(Status::internal("an answer does not fit the message that it is for"));
        };
        self.heard = Instant::now();
        self.driver.note_success();
        let mut left_out = Vec::new();
        for (place, (job, result)) in sent.jobs.into_iter().zip(results).enumerate() {
            if place > 0 && is_large && is_left_out(&result) {
                left_out.push(job);
            } else {
                job.tell(Ok(Answered { result, server_time }));
            }
        }
        self.driver.again(left_out);
        Ok(())
    }
}

/// Whether an operation may have been left out because the answer was full. It is sent again and not reported to the
/// caller. An operation that is really over a bound of the server is answered so again, in a message with room.
fn is_left_out(result: &pb::Result) -> bool {
    match &result.result {
        Some(OperationResult::Error(error)) => {
            let code = i32::try_from(error.code).map_or(Code::Unknown, Code::from);
            code == Code::ResourceExhausted && error.retry_after.is_none()
        }
        Some(OperationResult::Hold(_) | OperationResult::Refusal(_)) | None => false,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

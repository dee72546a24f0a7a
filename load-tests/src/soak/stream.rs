//! A batch stream that runs during the rest of the load: each message has reserves, and releases of what the message
//! before reserved. Its holds are read one by one afterwards.

use std::time::Duration;

use stockade_client::Client;
use stockade_drill::Failure;
use stockade_drill::wire;
use stockade_proto as pb;
use stockade_proto::operation::Operation as Verb;
use stockade_proto::result::Result as Came;
use stockade_types::metrics::Stopwatch;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

/// Reserves in each message.
const RESERVES: usize = 32;
/// The interval of messages.
pub const EVERY: Duration = Duration::from_millis(100);
/// Of the released holds, this many are read afterwards: the last.
const LOOKED_AT: usize = 400;
/// How long the stream waits for an answer.
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
/// The SKU of its reserves.
pub const SKU: &str = "S";
/// The ttl of its holds: long enough to outlive a restart.
const TTL: Duration = Duration::from_mins(5);

/// The answers of a stream.
#[derive(Debug, Default)]
pub struct Streamed {
    /// Messages with at least one answer other than "busy".
    pub messages: u64,
    /// When it ended early, by the load's watch, and why.
    pub ended: Option<(Duration, String)>,
    /// Holds that were acknowledged and not released.
    pub held: Vec<String>,
    /// Holds with an unknown outcome.
    pub doubtful: Vec<String>,
    /// Holds whose release was acknowledged.
    pub released: Vec<String>,
    /// Descriptions of wrong answers.
    pub wrong: Vec<String>,
}

/// Streams for this long by the load's watch, or until the server ends.
pub async fn run(
    client: Client,
    drop_id: String,
    (watch, length): (Stopwatch, Duration),
    mut random: fastrand::Rng,
) -> Streamed {
    let mut streamed = Streamed::default();
    let (send, messages) = mpsc::channel(1);
    let opened = tokio::time::timeout(WAIT_TIMEOUT, client.batch_stream(ReceiverStream::new(messages))).await;
    let mut answers = match opened {
        Ok(Ok(answers)) => answers,
        Ok(Err(status)) => return streamed.end(watch, format!("it was not opened: {status}")),
        Err(_late) => return streamed.end(watch, "it was not opened in time".to_owned()),
    };
    let mut sequence = 0_u64;
    while watch.elapsed() < length {
        sequence = sequence.saturating_add(1);
        let new: Vec<String> = (0..RESERVES).map(|_| wire::hold_id(&mut random).to_string()).collect();
        let old = std::mem::take(&mut streamed.held);
        let reserves = new.iter().map(|id| Verb::Reserve(reserve(&drop_id, id)));
        let releases = old.iter().map(|id| {
            let (hold_id, drop_id) = (id.clone(), drop_id.clone());
            Verb::Release(pb::ReleaseRequest { hold_id, drop_id, ..Default::default() })
        });
        let operations = reserves.chain(releases).map(|verb| pb::Operation { operation: Some(verb) }).collect();
        let message = pb::BatchStreamRequest { sequence, operations, view: pb::HoldView::Brief.into() };
        let exchange = async {
            send.send(message).await.map_err(|_closed| "it was closed".to_owned())?;
            let answer = answers.message().await.map_err(|status| status.to_string())?;
            answer.ok_or_else(|| "there was no further answer".to_owned())
        };
        let answer = tokio::time::timeout(WAIT_TIMEOUT, exchange).await;
        let answer = match answer.unwrap_or_else(|_late| Err("a message was not answered in time".to_owned())) {
            Ok(answer) => answer,
            Err(why) => {
                // Operations in flight may have been done.
                streamed.doubtful.extend(new.into_iter().chain(old));
                return streamed.end(watch, why);
            }
        };
        streamed.take(&answer, (sequence, new, old));
        tokio::time::sleep(EVERY).await;
    }
    streamed
}

fn reserve(drop_id: &str, hold_id: &str) -> pb::ReserveRequest {
    // One customer is enough: the drop has no limit.
    let request = wire::reserve(hold_id.to_owned(), drop_id, "streamer".to_owned(), vec![wire::line(SKU, 1)]);
    pb::ReserveRequest { ttl: Some(wire::span(TTL)), ..request }
}

impl Streamed {
    fn end(mut self, watch: Stopwatch, why: String) -> Self {
        self.ended = Some((watch.elapsed(), why));
        self
    }

    fn take(&mut self, answer: &pb::BatchStreamResponse, (sequence, new, old): (u64, Vec<String>, Vec<String>)) {
        if answer.sequence != sequence || answer.results.len() != new.len().saturating_add(old.len()) {
            self.wrong.push(format!(
                "message {sequence} was answered as {}, {} results",
                answer.sequence,
                answer.results.len()
            ));
        }
        let (reserved, doubtful) = (new.len(), self.doubtful.len());
        for (number, (id, result)) in new.into_iter().chain(old).zip(&answer.results).enumerate() {
            let wanted = if number < reserved { pb::HoldState::Held } else { pb::HoldState::Released };
            match &result.result {
                Some(Came::Hold(hold)) if hold.state() == wanted => {
                    if number < reserved {
                        self.held.push(id);
                    } else {
                        self.released.push(id);
                    }
                }
                // Busy: the operation is not tried again, so its outcome is unknown.
                Some(Came::Error(error)) if is_busy(error.code) => self.doubtful.push(id),
                Some(Came::Hold(_) | Came::Refusal(_) | Came::Error(_)) | None => {
                    self.wrong.push(format!("hold {id} of the stream: {result:?}"));
                }
            }
        }
        if self.doubtful.len().saturating_sub(doubtful) < answer.results.len() {
            self.messages = self.messages.saturating_add(1);
        }
        // Holds that are not read afterwards are not kept.
        let beyond = self.released.len().saturating_sub(LOOKED_AT);
        self.released.drain(..beyond);
    }

    /// Reads the acknowledged holds, and releases what is left.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn audit(mut self, client: &Client, drop_id: &str) -> Result<Vec<String>, Failure> {
        let held = self.held.iter().map(|id| (id, pb::HoldState::Held));
        let released = self.released.iter().map(|id| (id, pb::HoldState::Released));
        for (id, wanted) in held.chain(released) {
            let request = pb::GetHoldRequest { hold_id: id.clone(), drop_id: drop_id.to_owned(), ..Default::default() };
            let reported = match client.get_hold(request).await {
                Ok(answer) => format!("{:?}", answer.hold.unwrap_or_default().state()),
                Err(status) => format!("{:?}", status.code()),
            };
            if reported != format!("{wanted:?}") {
                self.wrong.push(format!("hold {id} of the stream was acknowledged as {wanted:?}, and is {reported}"));
            }
        }
        for id in self.held.iter().chain(&self.doubtful) {
            let (hold_id, drop_id) = (id.clone(), drop_id.to_owned());
            let request = pb::ReleaseRequest { hold_id, drop_id, ..Default::default() };
            match client.release(request).await {
                Ok(_) => {}
                // It was never made.
                Err(status) if status.code() == Code::NotFound && self.doubtful.contains(id) => {}
                Err(status) => return Err(Failure::status("releasing the holds of the stream")(status)),
            }
        }
        Ok(self.wrong)
    }
}

fn is_busy(code: u32) -> bool {
    [Code::Unavailable, Code::ResourceExhausted].iter().any(|busy| i32::from(*busy).unsigned_abs() == code)
}

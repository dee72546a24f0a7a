//! Receives the body of a request under the budget of bytes in flight.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tonic::Status;

use super::super::intake::{Received, grow};
use crate::http2::Peer;

/// A request's body must be complete within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// The buffer doubles as it grows, so that up to twice the received bytes are allocated.
const GROWTH: usize = 2;

/// A request's body of at most `most` bytes.
///
/// # Errors
/// `OUT_OF_RANGE` if it is longer, `DEADLINE_EXCEEDED` if it is too slow, `CANCELLED` if it is cut off; also if there
/// is no room for it.
pub(super) async fn received<B>(body: B, most: usize, peer: &Peer) -> Result<Received, Status>
where
    B: Body<Data = Bytes, Error: Error>,
{
    let mut body = std::pin::pin!(body);
    let (mut charge, mut buffer) = (peer.share.empty_charge(), BytesMut::new());
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = buffer.len().saturating_add(data.len());
            if length > most {
                return Err(Status::out_of_range(format!(
                    "the request is too long: this method takes at most {most} bytes"
                )));
            }
            grow(&mut charge, data.len().saturating_mul(GROWTH)).await?;
            buffer.extend_from_slice(&data);
        }
        Ok(())
    };
    let slow = || Status::deadline_exceeded(format!("the request was not complete within {BODY_TIMEOUT:?}"));
    timeout(BODY_TIMEOUT, reading).await.unwrap_or_else(|_elapsed| Err(slow()))?;
    Ok(Received { bytes: buffer.freeze(), charge })
}

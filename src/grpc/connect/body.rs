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
/// Of a body that is too long, this much is read and thrown away: a peer that still sends would not read the answer.
const DISCARDED_MAX: usize = 4 * 1024 * 1024;
/// The buffer doubles as it grows, so that up to twice the received bytes are allocated.
const GROWTH: usize = 2;

/// A request's body of at most `most` bytes.
///
/// # Errors
/// `OUT_OF_RANGE` if it is longer, `DEADLINE_EXCEEDED` if it is too slow, `CANCELLED` if it is cut off; also if there
/// is no room for it.
pub async fn received<B>(body: B, most: usize, peer: &Peer) -> Result<Received, Status>
where
    B: Body<Data = Bytes, Error: Error>,
{
    let mut body = std::pin::pin!(body);
    let (mut charge, mut buffer) = (peer.share.empty_charge(), BytesMut::new());
    let mut discarded = None;
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Status::cancelled(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if discarded.is_some() || buffer.len().saturating_add(data.len()) > most {
                buffer = BytesMut::new();
                charge.shrink_to(0);
                let bytes = discarded.unwrap_or(0_usize).saturating_add(data.len());
                discarded = Some(bytes);
                if bytes > DISCARDED_MAX {
                    break;
                }
                continue;
            }
            grow(&mut charge, data.len().saturating_mul(GROWTH)).await?;
            buffer.extend_from_slice(&data);
        }
        match discarded {
            None => Ok(()),
            Some(_) => {
                Err(Status::out_of_range(format!("the request is too long: this method takes at most {most} bytes")))
            }
        }
    };
    let slow = || Status::deadline_exceeded(format!("the request was not complete within {BODY_TIMEOUT:?}"));
    timeout(BODY_TIMEOUT, reading).await.unwrap_or_else(|_elapsed| Err(slow()))?;
    Ok(Received { bytes: buffer.freeze(), charge })
}

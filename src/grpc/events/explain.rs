//! The call `Explain`: what the engine knows of a hold or a customer, with the holds' records from the journal.

use std::sync::Arc;
use std::time::Duration;

use stockade_engine::verbs::explain::{DECISIONS_MAX, Known, RecordOfHold};
use stockade_feed::{HoldChanges, HoldRecord};
use stockade_proto as pb;
use stockade_types::metrics::Stopwatch;
use stockade_types::time::Timestamp;
use tonic::Status;

use super::{Events, MESSAGE_FACTOR, Shared, blocking, with_room};
use crate::budget::Charge;
use crate::grpc::convert;
use crate::grpc::status::{of_fault, unreadable_now};
use crate::http2::Peer;

/// How long records are read. After that the answer says how far that got.
const READ_FOR: Duration = Duration::from_secs(2);

impl Events {
    /// Explains a hold or a customer in a drop, for this peer, with the answer's charge.
    ///
    /// # Errors
    /// If the request is faulty, nothing is known of its subject, or there is no room.
    pub(in crate::grpc) async fn explain(
        &self,
        request: &pb::ExplainRequest,
        peer: &Arc<Peer>,
    ) -> Result<(pb::ExplainResponse, Charge), Status> {
        let subject = convert::explain(request)?;
        let mut charge = peer.share.empty_charge();
        let takes = convert::EXPLANATION_BYTES.saturating_mul(MESSAGE_FACTOR);
        let turn = Arc::new(with_room(&self.files, &mut charge, takes).await?);
        let shared = self.current()?;
        let _following = shared.as_ref().map(|shared| shared.feed.follow());
        // The turn moves along: if the caller gives up meanwhile, the work goes on.
        let asking = Arc::clone(&turn);
        let known = self.edge.ask_at_length(move |engine, context| {
            let _turn = asking;
            engine.explain(&subject, context)
        });
        let (known, now) = known.await.map_err(of_fault)?;
        if let Some(shared) = &shared {
            shared.settled().await;
        }
        let answer = blocking(move || {
            let _turn = turn;
            answer(known, shared.as_deref(), now)
        });
        Ok((answer.await??, charge))
    }
}

/// The explanation, with the records of the holds that are known. Blocks.
fn answer(known: Known, shared: Option<&Shared>, now: Timestamp) -> Result<pb::ExplainResponse, Status> {
    let changes = match shared {
        Some(shared) if !known.holds.is_empty() => {
            let holds = known.holds.iter().map(|view| (view.hold.id, view.hold.revision));
            let watch = Stopwatch::start();
            let read = shared.feed.changes_of(holds, DECISIONS_MAX, || watch.elapsed() < READ_FOR);
            read.map_err(|error| unreadable_now(&error))?
        }
        // Without a journal, or without a hold that leads to its records, no change is known.
        Some(_) | None => HoldChanges::default(),
    };
    let HoldChanges { records, since } = changes;
    let since = [since.unwrap_or(now), known.refusals_since];
    let records =
        records.into_iter().map(|HoldRecord { hold, lsn, at, record }| RecordOfHold { hold, lsn, at, record });
    Ok(convert::explanation(&known.decisions(records), since))
}

//! What moved of a stock since an event, for reconciliations.

use std::sync::Arc;

use stockade_engine::answer::StockCount;
use stockade_engine::command::ExpectedStock;
use stockade_feed::{BadCursor, Feed, FeedError, Position, StockPlace};
use stockade_types::ids::Lsn;
use tonic::Status;

use super::{Events, blocking};
use crate::grpc::status::{self, of_fault};
use crate::http2::Peer;

/// How many reads are made at once: this holds a thread for about ten milliseconds.
const READS: usize = 16;

impl Events {
    /// The record at which a cursor stands; none if it is no cursor.
    ///
    /// # Errors
    /// If it is of another journal, or no events are kept.
    pub(in crate::grpc) async fn named(&self, cursor: &str) -> Result<Option<Lsn>, Status> {
        let (feed, cursor) = (Arc::clone(&self.shared()?.feed), cursor.to_owned());
        match blocking(move || feed.named(&cursor)).await? {
            Ok(position) => Ok(Some(position.lsn())),
            Err(BadCursor::NoCursor) => Ok(None),
            Err(bad) => Err(status::as_of(&bad)),
        }
    }

    /// What should be on hand by this record, for a peer: what was counted later, without what moved in between. None
    /// if the record is later than the count.
    ///
    /// # Errors
    /// If that can't be read, or has no room.
    pub(in crate::grpc) async fn expected(
        &self,
        as_of: Lsn,
        counted: &StockCount,
        peer: &Arc<Peer>,
    ) -> Result<Option<ExpectedStock>, Status> {
        let shared = self.shared()?;
        let _seat = shared.seats.take(peer).map_err(of_fault)?;
        let _following = shared.feed.follow();
        let StockCount { drop, item, pool, on_hand, at } = *counted;
        if let Some(before) = at.0.checked_sub(1) {
            shared.feed.beyond(Lsn(before)).await.map_err(|_ended| status::stopping())?;
        }
        let feed = Arc::clone(&shared.feed);
        blocking(move || feed.readable(Position::behind(as_of))).await?.map_err(|bad| status::as_of(&bad))?;
        if as_of > at {
            return Ok(None);
        }
        let place = StockPlace { drop, item, pool };
        let (mut moved, mut read_to) = (0_i128, as_of);
        let mut charge = peer.share.empty_charge();
        while read_to < at {
            if shared.stops() {
                return Err(status::stopping());
            }
            let read = shared.on_files(charge, move |feed| moved_at_once(feed, place, (read_to, at))).await?;
            let ((more, upto), charged) = read;
            (moved, read_to, charge) = (moved.saturating_add(more), upto, charged);
        }
        let on_hand = i128::from(on_hand).saturating_sub(moved);
        // By the bounds on units it always fits.
        let on_hand = i64::try_from(on_hand).map_err(|_large| Status::internal("more moved than there can be"))?;
        Ok(Some(ExpectedStock { on_hand, at }))
    }
}

fn moved_at_once(feed: &Feed, place: StockPlace, (after, upto): (Lsn, Lsn)) -> Result<(i128, Lsn), FeedError> {
    let (mut sum, mut read_to) = (0_i128, after);
    for _ in 0..READS {
        let (more, to) = feed.moved(place, (read_to, upto))?;
        (sum, read_to) = (sum.saturating_add(more), to);
    }
    Ok((sum, read_to))
}

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

/// What is known of how a stock moved since an event.
#[derive(Debug, Clone, Copy)]
pub(in crate::grpc) struct Moved {
    /// By how many units.
    units: i128,
    /// Up to which record.
    upto: Lsn,
}

impl Moved {
    /// Nothing is known yet of what came after this record.
    pub(in crate::grpc) const fn since(record: Lsn) -> Self {
        Self { units: 0, upto: record }
    }
}

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

    /// What should be on hand by the record after which `moved` begins, for a peer: what was counted later, without what
    /// moved in between. `moved` goes on to the count. None if it is beyond the count already.
    ///
    /// # Errors
    /// If that can't be read, or has no room.
    pub(in crate::grpc) async fn expected(
        &self,
        moved: &mut Moved,
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
        let (feed, begins) = (Arc::clone(&shared.feed), moved.upto);
        blocking(move || feed.readable(Position::behind(begins))).await?.map_err(|bad| status::as_of(&bad))?;
        if moved.upto > at {
            return Ok(None);
        }
        let place = StockPlace { drop, item, pool };
        let mut charge = peer.share.empty_charge();
        while moved.upto < at {
            if shared.stops() {
                return Err(status::stopping());
            }
            let begins = moved.upto;
            let read = shared.on_files(charge, move |feed| moved_at_once(feed, place, (begins, at))).await?;
            let ((more, upto), charged) = read;
            *moved = Moved { units: moved.units.saturating_add(more), upto };
            charge = charged;
        }
        let on_hand = i128::from(on_hand).saturating_sub(moved.units);
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

//! All drops as the public sees them, in the order of their opening: read from the engine at most a few times a second,
//! and less often if reading takes long. Every list, page and calendar is made from it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use stockade_engine::Engine;
use stockade_engine::answer::{DropView, Fault};
use stockade_engine::context::Context;
use stockade_engine::verbs::list::DropFilter;
use stockade_engine::verbs::page::Page;
use stockade_types::ids::{DropId, Lsn};
use stockade_types::metrics::Stopwatch;
use stockade_types::time::{Millis, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::pace::Pace;
use super::status::PublicStatus;
use crate::grpc::convert::StatusQuery;
use crate::grpc::edge::Edge;

/// The catalog is read at most once in this time,
const INTERVAL: Millis = Millis(250);
/// and this often at once after a rest.
const BURST: u64 = 4;
/// A read that takes longer than this
const LONG_READ: Duration = Duration::from_millis(5);
/// is followed by a rest of this many times of the rest of it: reading takes 2 % of a core,
const REST: u32 = 50;
/// but never longer than this: a stalled disk is no reason to show old lists for minutes.
const REST_MAX: Duration = Duration::from_secs(5);
/// It is read again after this time, even if no record was written.
const RENEWED: Millis = Millis::from_secs(5);
/// Most drops in it,
const DROPS_MAX: usize = 50_000;
/// and most bytes of their messages.
const BYTES_MAX: usize = 128 * 1024 * 1024;
/// If there are more, only those that open from this long ago on are in it.
const PAST_OF_MANY: Millis = Millis::from_secs(31 * 24 * 60 * 60);
/// How long a reader waits for the first read.
const PATIENCE: Duration = Duration::from_secs(5);

/// All drops at one instant, by their opening and id.
#[derive(Debug)]
pub struct Listing {
    /// The drops.
    pub drops: Vec<Arc<PublicStatus>>,
    /// When they were read.
    pub at: Timestamp,
    /// Differs from that of every other listing of this process.
    pub number: u64,
    appended: Lsn,
    ids: HashSet<DropId>,
}

impl Listing {
    /// Whether it has a drop.
    pub(super) fn has(&self, id: &DropId) -> bool {
        self.ids.contains(id)
    }

    /// The drops that match, from the place of the query on.
    pub fn matching<'a>(
        &'a self,
        query: &'a StatusQuery,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Arc<PublicStatus>> + 'a {
        let from = query.from(now);
        let begin = self.drops.partition_point(|drop| {
            drop.opens_at < from || query.after.as_ref().is_some_and(|after| drop.place() <= *after)
        });
        let until = query.opens_until.unwrap_or(Timestamp::NEVER);
        let rest = self.drops.iter().skip(begin).take_while(move |drop| drop.opens_at < until);
        rest.filter(|drop| fits(query, drop))
    }
}

fn fits(query: &StatusQuery, drop: &PublicStatus) -> bool {
    let StatusQuery { shop, series, zone, opens_from: _, opens_until: _, size: _, after: _ } = query;
    let definition = &drop.definition;
    let zones = &definition.rules.zones;
    shop.as_ref().is_none_or(|shop| *shop == definition.shop)
        && (series.is_none() || *series == definition.series)
        && zone.as_ref().is_none_or(|zone| zones.is_empty() || zones.contains(zone))
}

/// Reads and keeps the last listing.
pub(super) struct Catalog {
    edge: Arc<Edge>,
    runtime: Handle,
    pace: Pace,
    turn: Arc<Semaphore>,
    last: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    listing: Option<Arc<Listing>>,
    /// Not read again before this instant.
    rests_until: Timestamp,
}

impl Catalog {
    /// Over this edge, with reads on the current runtime.
    pub(super) fn new(edge: Arc<Edge>) -> Arc<Self> {
        let (runtime, turn) = (Handle::current(), Arc::new(Semaphore::new(1)));
        Arc::new(Self { edge, runtime, pace: Pace::new(INTERVAL, BURST), turn, last: Mutex::default() })
    }

    /// The last listing, read again if something may have changed and a read is due.
    ///
    /// # Errors
    /// `Overloaded` if it can't be read now, and `JournalFailed`.
    pub(super) async fn listing(self: &Arc<Self>) -> Result<Arc<Listing>, Fault> {
        let last = self.last.lock().listing.clone();
        let turn = match (Arc::clone(&self.turn).try_acquire_owned(), &last) {
            (Ok(turn), _) => turn,
            (Err(_taken), Some(last)) => return Ok(Arc::clone(last)),
            (Err(_taken), None) => {
                let turn = timeout(PATIENCE, Arc::clone(&self.turn).acquire_owned()).await;
                turn.ok().and_then(Result::ok).ok_or(Fault::Overloaded("drops can't be listed now"))?
            }
        };
        if let Some(last) = self.if_fresh() {
            return Ok(last);
        }
        let catalog = Arc::clone(self);
        let reading = self.runtime.spawn(async move {
            let read = timeout(PATIENCE, catalog.read()).await;
            drop(turn);
            read.unwrap_or(Err(Fault::Overloaded("the disk takes long")))
        });
        match reading.await.map_err(|_stopping| Fault::Overloaded("the server is stopping"))? {
            Err(Fault::Overloaded(what)) => last.ok_or(Fault::Overloaded(what)),
            read => read,
        }
    }

    fn if_fresh(&self) -> Option<Arc<Listing>> {
        let now = self.edge.now();
        let kept = self.last.lock();
        let last = kept.listing.as_ref()?;
        let is_fresh = Some(last.appended) == self.edge.appended() && last.at.until(now) < RENEWED;
        (is_fresh || now < kept.rests_until || !self.pace.take(now)).then(|| Arc::clone(last))
    }

    async fn read(&self) -> Result<Arc<Listing>, Fault> {
        let appended = self.edge.appended().unwrap_or_default();
        let watch = Stopwatch::start();
        let (all, at) = self.list(DropFilter::default()).await?;
        let statuses = if let Some(statuses) = all {
            statuses
        } else {
            let recent = DropFilter { opens_from: Some(at.minus(PAST_OF_MANY)), ..DropFilter::default() };
            self.list(recent).await?.0.unwrap_or_default()
        };
        let mut kept = self.last.lock();
        let before: HashMap<&DropId, &Arc<PublicStatus>> =
            kept.listing.iter().flat_map(|last| &last.drops).map(|drop| (&drop.definition.id, drop)).collect();
        let known = |status: PublicStatus| {
            let before = before.get(&status.definition.id).copied();
            status.or_before(before)
        };
        let drops: Vec<_> = statuses.into_iter().map(known).collect();
        let number = kept.listing.as_ref().map_or(0, |last| last.number.saturating_add(1));
        let ids = drops.iter().map(|drop| drop.definition.id.clone()).collect();
        let listing = Arc::new(Listing { drops, at, number, appended, ids });
        let rest = watch.elapsed().saturating_sub(LONG_READ).saturating_mul(REST).min(REST_MAX);
        kept.rests_until = self.edge.now().plus(Millis::from(rest));
        kept.listing = Some(Arc::clone(&listing));
        Ok(listing)
    }

    /// All drops that match, by their opening; none if there are too many.
    async fn list(&self, filter: DropFilter) -> Result<(Option<Vec<PublicStatus>>, Timestamp), Fault> {
        let is_last_try = filter.opens_from.is_some();
        let list = move |engine: &Engine, context: Context<'_>| {
            let mut page = Page::new(DROPS_MAX, BYTES_MAX, sized);
            let listed = engine.list_drops(&filter, None, &mut page, context)?;
            Ok(listed.map(|more| (more.is_none() || is_last_try).then(|| page.into_shown())))
        };
        self.edge.list(list).await
    }
}

fn sized(view: &DropView) -> (PublicStatus, usize) {
    let status = PublicStatus::of(view);
    let bytes = prost::Message::encoded_len(&status.message);
    (status, bytes)
}

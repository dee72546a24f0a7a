//! What anyone may read over HTTP: statuses, streams, badges, pages and the calendar. It only reads, for everybody the
//! same, and sets no cookie.
//!
//! Answers are made from statuses that the storefront reads at most a few times a second for a drop, each once for all
//! who ask for it. Everything is bounded: streams, the bytes of all answers, and how often lists and calendars are made
//! for parameters that readers choose. Beyond a bound a reader is turned away with `503` and `Retry-After`.

use std::sync::{Arc, OnceLock};

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderMap, HeaderName};
use hyper::{Method, Request, Response};
use percent_encoding::percent_decode_str;
use stockade_types::ids::DropId;
use stockade_types::time::Timestamp;
use tokio::sync::Semaphore;

use crate::grpc::Storefront;
use crate::grpc::convert;
use crate::metrics::transport::{Shed, TransportMetrics};
use crate::web::{Problem, Query};

mod room;
mod body;
mod gzip;
mod cache;
mod json;
mod policy;
mod words;
mod api;
mod stream;
mod badge;
mod pages;
mod calendar;
mod answer;

pub(crate) use body::Body;

use cache::{Cache, FreeCache, Made, Page, Stamp};
use room::Room;

/// Most bytes of a path.
const PATH_MAX: usize = 512;
/// The part of the bytes of all answers that those to free parameters may take.
const PART_OF_FREE: usize = 4;

/// Bounds of what the public may take.
#[derive(Debug, Clone, Copy)]
pub struct PublicBounds {
    /// Most streams at once.
    pub streams: usize,
    /// Most bytes of all answers that were made and are in use.
    pub bytes: usize,
}

/// Answers the public.
pub struct Public {
    /// Set once the engine is open.
    storefront: OnceLock<Storefront>,
    /// The address under which readers reach this server, without a slash at its end; none if it is not known.
    address: Option<String>,
    room: Room,
    cache: Cache,
    /// Of lists and calendars by free parameters.
    free: FreeCache,
    streams: Arc<Semaphore>,
    metrics: Arc<TransportMetrics>,
}

/// What a path names.
enum Place<'a> {
    List,
    Calendar,
    Statuses,
    Status(&'a str),
    Stream(&'a str),
    BadgePicture(&'a str),
    BadgeJson(&'a str),
    DropPage(&'a str),
    Overlay(&'a str),
}

fn place(path: &str) -> Option<Place<'_>> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let parts = (parts.next(), parts.next(), parts.next(), parts.next(), parts.next());
    match parts {
        (Some(""), None, ..) => Some(Place::List),
        (Some("calendar.ics"), None, ..) => Some(Place::Calendar),
        (Some("drops"), Some(id), None, ..) => Some(Place::DropPage(id)),
        (Some("drops"), Some(id), Some("overlay"), None, _) => Some(Place::Overlay(id)),
        (Some("v1"), Some("drops"), None, ..) => Some(Place::Statuses),
        (Some("v1"), Some("drops"), Some(id), None, _) => Some(Place::Status(id)),
        (Some("v1"), Some("drops"), Some(id), Some(form), None) => match form {
            "stream" => Some(Place::Stream(id)),
            "badge.svg" => Some(Place::BadgePicture(id)),
            "badge.json" => Some(Place::BadgeJson(id)),
            _ => None,
        },
        _ => None,
    }
}

impl Public {
    /// Within these bounds, reached under this address.
    #[must_use]
    pub fn new(bounds: PublicBounds, address: Option<String>, metrics: Arc<TransportMetrics>) -> Self {
        let of_free = bounds.bytes / PART_OF_FREE;
        let (room, free) = (Room::of(bounds.bytes.saturating_sub(of_free)), FreeCache::new(Room::of(of_free)));
        let streams = Arc::new(Semaphore::new(bounds.streams.min(Semaphore::MAX_PERMITS)));
        Self { storefront: OnceLock::new(), address, cache: Cache::new(room.clone()), free, room, streams, metrics }
    }

    /// From now on requests are answered. Before that each is turned away.
    pub fn open(&self, storefront: Storefront) {
        // Opened once, at the start.
        self.storefront.get_or_init(|| storefront);
    }

    /// The statuses; none before the engine is open.
    fn storefront(&self) -> Option<&Storefront> {
        self.storefront.get()
    }

    /// Answers a request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            return answer::problem(&Problem::not_allowed("only GET and HEAD are answered here"), false);
        }
        let answered = match self.storefront() {
            Some(storefront) => self.found(storefront, &request, is_head).await,
            None => Err(Problem::unavailable("the server is starting")),
        };
        answered.unwrap_or_else(|problem| {
            if problem.retry_after.is_some() {
                self.metrics.shed(Shed::Public);
            }
            answer::problem(&problem, is_head)
        })
    }

    /// An answer that turns a connection away.
    pub(crate) fn no_place() -> Response<Body> {
        answer::problem(&Problem::unavailable("too many connections"), false)
    }

    async fn found(
        self: &Arc<Self>,
        storefront: &Storefront,
        request: &Request<Incoming>,
        is_head: bool,
    ) -> Result<Response<Body>, Problem> {
        let path = request.uri().path();
        if path.len() > PATH_MAX {
            return Err(Problem::too_long());
        }
        let place = place(path).ok_or_else(|| Problem::not_found("there is nothing at this path"))?;
        let query = Query::parse(request.uri().query())?;
        let is_plain = request.uri().query().is_none_or(str::is_empty);
        let headers = request.headers();
        let page = match place {
            Place::Stream(id) => return self.stream(storefront, &drop_id(id)?, headers, is_head).await,
            Place::List => self.of_all(storefront, "list", pages::list).await,
            Place::Calendar => self.calendar(storefront, (query, is_plain), headers).await,
            Place::Statuses => self.statuses(storefront, (query, is_plain)).await,
            Place::Status(id) => self.of_drop(storefront, ("status", id), api::status).await,
            Place::BadgePicture(id) => self.of_drop(storefront, ("badge", id), badge::svg).await,
            Place::BadgeJson(id) => self.of_drop(storefront, ("badge as JSON", id), badge::json).await,
            Place::Overlay(id) => self.of_drop(storefront, ("overlay", id), pages::overlay).await,
            Place::DropPage(id) => {
                let mut query = query;
                let (form, page): (_, fn(&crate::grpc::Snapshot) -> Made) =
                    if query.switch("embed") { ("embedded page", pages::embedded) } else { ("page", pages::drop_page) };
                self.of_drop(storefront, (form, id), page).await
            }
        }?;
        Ok(answer::page(&page, &self.room, headers, is_head))
    }

    /// An answer about one drop.
    async fn of_drop(
        &self,
        storefront: &Storefront,
        (form, id): (&str, &str),
        make: fn(&crate::grpc::Snapshot) -> Made,
    ) -> Result<Arc<Page>, Problem> {
        let id = drop_id(id)?;
        let snapshot = storefront.status(&id).await?;
        let stamp = api::stamp(&snapshot.status, snapshot.at.0);
        self.cache.page(api::key(form, &id), stamp, || Ok(make(&snapshot)))
    }

    /// A page about all drops.
    async fn of_all(
        &self,
        storefront: &Storefront,
        form: &str,
        make: fn(&crate::grpc::Listing) -> Made,
    ) -> Result<Arc<Page>, Problem> {
        let listing = storefront.listing().await?;
        self.cache.page(form.to_owned(), Stamp(listing.number, listing.at.0), || Ok(make(&listing)))
    }

    async fn statuses(&self, storefront: &Storefront, (query, is_plain): (Query, bool)) -> Result<Arc<Page>, Problem> {
        let asked = api::asked_list(query)?;
        let listing = storefront.listing().await?;
        let as_of = (Stamp(listing.number, listing.at.0), storefront.now());
        let make = || Ok(api::list(&listing.page(&asked)));
        self.listed((format!("statuses {asked:?}"), is_plain), as_of, make).await
    }

    async fn calendar(
        &self,
        storefront: &Storefront,
        (query, is_plain): (Query, bool),
        headers: &HeaderMap,
    ) -> Result<Arc<Page>, Problem> {
        let asked = calendar::asked(query)?;
        let address = self.address_for(headers);
        let listing = storefront.listing().await?;
        let key = format!("calendar {address:?} {asked:?}");
        let as_of = (Stamp(listing.number, listing.at.0), storefront.now());
        let make = || Ok(calendar::made(&listing, &asked, address.as_deref()));
        // A host that a request names is a parameter, too.
        self.listed((key, is_plain && self.address.is_some()), as_of, make).await
    }

    /// An answer about all drops; one that is not plain is to parameters that the reader has chosen.
    async fn listed(
        &self,
        (key, is_plain): (String, bool),
        (stamp, now): (Stamp, Timestamp),
        make: impl FnOnce() -> Result<Made, Problem>,
    ) -> Result<Arc<Page>, Problem> {
        if is_plain { self.cache.page(key, stamp, make) } else { self.free.page(key, (stamp, now), make).await }
    }

    /// The address under which this server is reached: as configured, else as the request names it.
    fn address_for(&self, headers: &HeaderMap) -> Option<String> {
        self.address.clone().or_else(|| {
            let host = headers.get(HOST)?.to_str().ok()?;
            let address = format!("http://{host}");
            words::link(&address).map(ToOwned::to_owned)
        })
    }

    async fn stream(
        self: &Arc<Self>,
        storefront: &Storefront,
        id: &DropId,
        headers: &HeaderMap,
        is_head: bool,
    ) -> Result<Response<Body>, Problem> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        let permit = permit.map_err(|_none| Problem::unavailable("too many streams"))?;
        let changes = storefront.watch(id).await?;
        if is_head {
            return Ok(answer::events(None));
        }
        let seen = headers.get(HeaderName::from_static("last-event-id")).and_then(|seen| seen.to_str().ok());
        let place = stream::Place::new(self, permit);
        let events = stream::stream(place, id.clone(), changes, seen.map(Box::from));
        Ok(answer::events(Some(Body::Stream(events))))
    }
}

/// An id from a path.
fn drop_id(text: &str) -> Result<DropId, Problem> {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    Ok(convert::drop_id(&decoded)?)
}

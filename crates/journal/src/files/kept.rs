//! Trimmed segments, kept for readers in a folder of their own.
//!
//! A start neither lists nor reads the folder: the first reader lists it, and each reader verifies what it reads. These
//! segments are the first to be dropped when the disk is full.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use stockade_types::ids::Lsn;
use stockade_types::time::{Millis, Timestamp};

use super::recover::Segment;
use super::scan::SegmentFile;
use crate::log::segment::{kept_name, parse_kept_name};
use crate::storage::Storage;

/// Most kept segments, whatever the policy.
const SEGMENTS_MAX: usize = 16_384;
/// While the disk has fewer free bytes than this, nothing is kept.
const LOW_DISK: u64 = 512 * 1024 * 1024;

/// How long trimmed segments are kept: until either bound is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepPolicy {
    /// The longest time after their last batch was written.
    pub age: Millis,
    /// The most bytes of all of them.
    pub bytes: u64,
}

impl KeepPolicy {
    /// Nothing is kept.
    pub const NOTHING: Self = Self { age: Millis(0), bytes: 0 };

    const fn keeps_nothing(self) -> bool {
        self.age.0 == 0 || self.bytes == 0
    }
}

/// A segment, as its name and length describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptSegment {
    pub(crate) name: String,
    /// Its first record.
    pub(crate) first: Lsn,
    /// The record after its last.
    pub(crate) next: Lsn,
    /// When its last batch was written.
    written_at: Timestamp,
    bytes: u64,
}

/// The contents of the folder.
#[derive(Debug, Default)]
struct Listing {
    /// By first and next record.
    segments: BTreeMap<(Lsn, Lsn), KeptSegment>,
    bytes: u64,
}

impl Listing {
    /// Other files are ignored. A folder that was removed counts as empty.
    fn list(storage: &dyn Storage) -> io::Result<Self> {
        let mut listing = Self::default();
        let names = match storage.list() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        for name in names {
            let Some((first, next, written_at)) = parse_kept_name(&name) else { continue };
            match storage.length(&name) {
                Ok(bytes) => listing.put(KeptSegment { name, first, next, written_at, bytes }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }

    fn put(&mut self, segment: KeptSegment) {
        self.bytes = self.bytes.saturating_add(segment.bytes);
        if let Some(before) = self.segments.insert((segment.first, segment.next), segment) {
            self.bytes = self.bytes.saturating_sub(before.bytes);
        }
    }

    /// The segments that lead up to `end` without a gap, the last one first. Others can't be read in order.
    fn leading_to(&self, end: Lsn) -> impl Iterator<Item = &KeptSegment> {
        let mut wanted = end;
        self.segments.values().rev().filter(move |segment| {
            let leads = segment.next == wanted && segment.first < wanted;
            if leads {
                wanted = segment.first;
            }
            leads
        })
    }
}

/// The segments of a folder of kept ones that lead up to a record without a gap, oldest first.
pub(super) fn kept_before(storage: &dyn Storage, end: Lsn) -> io::Result<Vec<SegmentFile>> {
    let listing = Listing::list(storage)?;
    let file = |segment: &KeptSegment| SegmentFile { name: segment.name.clone(), first: segment.first };
    let mut files: Vec<SegmentFile> = listing.leading_to(end).map(file).collect();
    files.reverse();
    Ok(files)
}

/// The folder of kept segments.
#[derive(Debug)]
pub struct KeptSegments {
    storage: Arc<dyn Storage>,
    policy: KeepPolicy,
    /// None until the folder is first listed. Locked while the folder is changed; the journal's writer locks it only
    /// when the disk is full.
    listing: Mutex<Option<Listing>>,
    /// Why a segment was not kept, until that is reported.
    trouble: Mutex<Option<io::Error>>,
}

impl KeptSegments {
    /// The kept segments in a folder on the journal's disk. The folder is not read yet.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>, policy: KeepPolicy) -> Self {
        Self { storage, policy, listing: Mutex::new(None), trouble: Mutex::new(None) }
    }

    pub(crate) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    fn with<R>(&self, f: impl FnOnce(&mut Listing) -> io::Result<R>) -> io::Result<R> {
        let mut listing = self.listing.lock();
        let listing = match &mut *listing {
            Some(listing) => listing,
            unknown @ None => unknown.insert(Listing::list(self.storage())?),
        };
        f(listing)
    }

    /// Drops the listing, which may be wrong: it is read again when needed.
    pub(crate) fn forget(&self) {
        *self.listing.lock() = None;
    }

    /// The oldest record that can be read in order up to `end`, the journal's oldest.
    pub(crate) fn oldest(&self, end: Lsn) -> io::Result<Lsn> {
        self.with(|listing| Ok(listing.leading_to(end).last().map_or(end, |segment| segment.first)))
    }

    /// The segment with a record before `end`, the journal's oldest; or the oldest record that can be read.
    pub(crate) fn holding(&self, lsn: Lsn, end: Lsn) -> io::Result<Result<KeptSegment, Lsn>> {
        self.with(|listing| {
            let mut oldest = end;
            for segment in listing.leading_to(end) {
                if segment.first <= lsn {
                    return Ok(Ok(segment.clone()));
                }
                oldest = segment.first;
            }
            Ok(Err(oldest))
        })
    }

    /// Moves a segment that the journal no longer needs here; `next` is the LSN after its last record. Returns whether
    /// it did; if not, the journal may still have it and drops it. Syncs neither folder.
    pub(crate) fn take_in(&self, journal: &dyn Storage, segment: &Segment, next: Lsn) -> bool {
        if self.policy.keeps_nothing() {
            return false;
        }
        let (first, written_at, bytes) = (segment.file.first, segment.written_at, segment.bytes);
        let moved = self.in_its_place().and_then(|()| {
            // Locked during the move, so that nobody lists the folder meanwhile. If the folder was not listed yet, a
            // later listing includes the segment, so nothing is lost.
            let mut listing = self.listing.lock();
            let name = kept_name(first, next, written_at);
            let moved = journal.move_to(&segment.file.name, self.storage(), &name);
            // If only its old name could not be removed, it is here nevertheless.
            if let Some(listing) = &mut *listing
                && (moved.is_ok() || self.storage.length(&name).is_ok())
            {
                listing.put(KeptSegment { name, first, next, written_at, bytes });
            }
            moved
        });
        self.noted(moved)
    }

    /// Syncs the folder. If that fails, only readers may miss segments after a crash.
    pub(crate) fn settle(&self) {
        self.noted(self.storage.sync_dir());
    }

    /// Stores an error, to be reported.
    fn noted(&self, result: io::Result<()>) -> bool {
        let went_well = result.is_ok();
        if let Err(error) = result {
            *self.trouble.lock() = Some(error);
        }
        went_well
    }

    /// The folder may have been removed by hand: it is made again, empty.
    fn in_its_place(&self) -> io::Result<()> {
        if self.storage.make_again()? {
            self.forget();
        }
        Ok(())
    }

    /// Drops the oldest segment, whatever the policy. Returns whether there was one.
    pub(crate) fn make_room(&self) -> bool {
        self.with(|listing| self.drop_oldest(listing)).unwrap_or(false)
    }

    fn drop_oldest(&self, listing: &mut Listing) -> io::Result<bool> {
        let Some(oldest) = listing.segments.first_entry() else { return Ok(false) };
        match self.storage.remove(&oldest.get().name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        listing.bytes = listing.bytes.saturating_sub(oldest.remove().bytes);
        Ok(true)
    }

    /// Drops segments beyond the policy: by bytes and, if the time is known, by age.
    fn drop_excess(&self, now: Option<Timestamp>) -> io::Result<()> {
        let KeepPolicy { age, bytes } = self.policy;
        let aged = |segment: &KeptSegment| now.is_some_and(|now| segment.written_at.plus(age) <= now);
        self.with(|listing| {
            while let Some((_, oldest)) = listing.segments.first_key_value()
                && (listing.bytes > bytes || listing.segments.len() > SEGMENTS_MAX || aged(oldest))
            {
                self.drop_oldest(listing)?;
            }
            Ok(())
        })
    }

    /// Applies the policy's bound on bytes, without the time.
    pub(crate) fn shrink(&self) {
        self.noted(self.drop_excess(None));
    }

    /// Drops the oldest segments while the disk is nearly full. Reads the folder only in that case.
    ///
    /// # Errors
    /// When the folder can't be read or changed.
    pub fn drop_while_disk_is_low(&self) -> io::Result<()> {
        while self.storage.free_bytes()? < LOW_DISK && self.with(|listing| self.drop_oldest(listing))? {}
        Ok(())
    }

    /// Periodic maintenance: drops segments that are too old and, while the disk is nearly full, the oldest. Returns
    /// the stored error.
    pub(crate) fn tend(&self, now: Timestamp) -> io::Result<()> {
        self.drop_excess(Some(now))?;
        self.drop_while_disk_is_low()?;
        self.trouble.lock().take().map_or(Ok(()), Err)
    }
}

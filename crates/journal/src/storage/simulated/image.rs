//! The two images of the simulated folder, and what a crash leaves of them.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::super::FileId;

/// Bytes that a disk writes at once.
const SECTOR: usize = 512;

/// A file's number, which a rename does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct FileNo(u64);

impl FileNo {
    pub(super) const fn id(self) -> FileId {
        FileId::new(0, self.0)
    }
}

/// A file's name within its folder; none if the file is in another folder.
pub(super) fn within<'n>(folder: &str, name: &'n str) -> Option<&'n str> {
    name.strip_prefix(folder).filter(|name| !name.contains('/'))
}

/// A change of names that is not synced yet.
#[derive(Debug, Clone)]
enum Pending {
    Create(String, FileNo),
    Rename(String, String, FileNo),
    Remove(String),
}

impl Pending {
    /// Applies the part that a sync of this folder makes durable; returns what is still pending.
    fn force(self, folder: &str, durable: &mut BTreeMap<String, FileNo>) -> Option<Self> {
        let ours = |name: &str| within(folder, name).is_some();
        match self {
            Self::Create(name, number) if ours(&name) => {
                durable.insert(name, number);
                None
            }
            Self::Remove(name) if ours(&name) => {
                durable.remove(&name);
                None
            }
            // One change to the disk: the old name is never gone before the new one exists.
            Self::Rename(from, to, number) if ours(&from) || ours(&to) => {
                durable.insert(to, number);
                let goes = ours(&from);
                if goes {
                    durable.remove(&from);
                }
                (!goes).then_some(Self::Remove(from))
            }
            others @ (Self::Create(..) | Self::Remove(_) | Self::Rename(..)) => Some(others),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct FileImage {
    live: Vec<u8>,
    /// Bytes of `live` that count as synced.
    synced: usize,
    /// Parts of those that are missing, because a sync failed.
    lost: Vec<Range<usize>>,
}

impl FileImage {
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.live.extend_from_slice(bytes);
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.live.len();
    }

    /// A sync fails: what it should have synced counts as clean from now on, but is not on the disk.
    pub(super) fn lose(&mut self) {
        self.lost.push(self.synced..self.live.len());
        self.synced = self.live.len();
    }

    fn survivor(&self, seed: &mut Seed) -> Vec<u8> {
        let (forced, rest) = self.live.split_at(self.synced.min(self.live.len()));
        let mut bytes = forced.to_vec();
        for lost in &self.lost {
            if let Some(lost) = bytes.get_mut(lost.clone()) {
                lost.fill(0);
            }
        }
        if let Some(last) = self.lost.last()
            && last.end == bytes.len()
            && rest.is_empty()
            && seed.coin()
        {
            bytes.truncate(last.start);
        }
        match seed.below(5) {
            0 => {}
            1 => bytes.extend_from_slice(rest),
            2 => bytes.extend_from_slice(rest.get(..seed.below(rest.len())).unwrap_or_default()),
            3 => bytes.extend(garbled(rest, seed)),
            _ => {
                for byte_run in sectors(forced.len(), rest) {
                    let kept = seed.coin();
                    bytes.extend(byte_run.iter().map(|byte| if kept { *byte } else { 0 }));
                }
            }
        }
        bytes
    }
}

/// All of the bytes with one bit flipped: a write that the disk got wrong.
fn garbled(bytes: &[u8], seed: &mut Seed) -> Vec<u8> {
    let (mut bytes, at, bit) = (bytes.to_vec(), seed.below(bytes.len()), seed.below(8));
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
    bytes
}

/// Splits bytes that begin at `offset` of their file at the disk's sector boundaries.
fn sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = bytes.split_at(bytes.len().min(SECTOR.saturating_sub(offset % SECTOR)));
    std::iter::once(first).chain(rest.chunks(SECTOR))
}

#[derive(Debug, Default)]
pub(super) struct FolderImage {
    live: BTreeMap<String, FileNo>,
    durable: BTreeMap<String, FileNo>,
    pending: Vec<Pending>,
    files: BTreeMap<FileNo, FileImage>,
}

impl FolderImage {
    pub(super) fn durable(contents: BTreeMap<String, Vec<u8>>) -> Self {
        let mut folder = Self::default();
        for (name, live) in contents {
            let number = folder.fresh();
            let image = FileImage { synced: live.len(), live, lost: Vec::new() };
            folder.files.insert(number, image);
            folder.live.insert(name, number);
        }
        folder.durable = folder.live.clone();
        folder
    }

    fn fresh(&self) -> FileNo {
        FileNo(self.files.last_key_value().map_or(0, |(last, _)| last.0.saturating_add(1)))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.live.keys().cloned().collect()
    }

    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let bytes = |number: &FileNo| self.files.get(number).map(|file| file.live.clone()).unwrap_or_default();
        self.live.iter().map(|(name, number)| (name.clone(), bytes(number))).collect()
    }

    /// Bytes of all files that have a name.
    pub(super) fn total(&self) -> u64 {
        let bytes = |number: &FileNo| self.files.get(number).map_or(0, |file| file.live.len());
        u64::try_from(self.live.values().map(bytes).sum::<usize>()).unwrap_or(u64::MAX)
    }

    pub(super) fn number(&self, name: &str) -> io::Result<FileNo> {
        self.live.get(name).copied().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    pub(super) fn bytes(&self, name: &str) -> io::Result<&[u8]> {
        let number = self.number(name)?;
        Ok(self.files.get(&number).map_or(&[], |file| file.live.as_slice()))
    }

    pub(super) fn file(&mut self, number: FileNo) -> io::Result<&mut FileImage> {
        self.files.get_mut(&number).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    pub(super) fn create(&mut self, name: &str) -> io::Result<FileNo> {
        if self.live.contains_key(name) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file exists"));
        }
        let number = self.fresh();
        self.files.insert(number, FileImage::default());
        self.live.insert(name.to_owned(), number);
        self.pending.push(Pending::Create(name.to_owned(), number));
        Ok(number)
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let number = self.number(from)?;
        self.live.remove(from);
        self.live.insert(to.to_owned(), number);
        self.pending.push(Pending::Rename(from.to_owned(), to.to_owned(), number));
        Ok(())
    }

    pub(super) fn remove(&mut self, name: &str) -> io::Result<()> {
        self.number(name)?;
        self.live.remove(name);
        self.pending.push(Pending::Remove(name.to_owned()));
        Ok(())
    }

    pub(super) fn rot(&mut self, name: &str, place: usize) {
        let file = self.number(name).ok().and_then(|number| self.files.get_mut(&number));
        if let Some(byte) = file.and_then(|file| file.live.get_mut(place)) {
            *byte ^= 1;
        }
    }

    /// Syncs the names of one folder.
    pub(super) fn sync(&mut self, folder: &str) {
        let Self { durable, pending, .. } = self;
        *pending = pending.drain(..).filter_map(|change| change.force(folder, durable)).collect();
    }

    pub(super) fn survivors(&self, seed: &mut Seed) -> BTreeMap<String, Vec<u8>> {
        let mut names = self.durable.clone();
        for change in &self.pending {
            if seed.coin() {
                continue;
            }
            match change {
                Pending::Create(name, number) => {
                    names.insert(name.clone(), *number);
                }
                Pending::Rename(from, to, _) => {
                    if let Some(number) = names.remove(from) {
                        names.insert(to.clone(), number);
                    }
                }
                Pending::Remove(name) => {
                    names.remove(name);
                }
            }
        }
        let mut survivor = |number: &FileNo| self.files.get(number).map(|file| file.survivor(seed)).unwrap_or_default();
        names.iter().map(|(name, number)| (name.clone(), survivor(number))).collect()
    }
}

/// Pseudo-random choices: the same number gives the same choices.
#[derive(Debug)]
pub(super) struct Seed(u64);

impl Seed {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number of `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0).checked_rem(bound).unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_end_where_the_disks_do() {
        let lengths = |offset, count| -> Vec<usize> { sectors(offset, &vec![0; count]).map(<[u8]>::len).collect() };
        assert_eq!(lengths(0, 1100), [512, 512, 76]);
        assert_eq!(lengths(500, 600), [12, 512, 76]);
        assert_eq!(lengths(500, 5), [5]);
    }

    #[test]
    fn the_same_seed_chooses_the_same() {
        let choices = |seed| -> Vec<usize> {
            let mut seed = Seed::new(seed);
            (0..20).map(|_| seed.below(1000)).collect()
        };
        assert_eq!(choices(1), choices(1));
        assert_ne!(choices(1), choices(2));
        assert!(choices(3).iter().all(|choice| *choice < 1000));
    }
}

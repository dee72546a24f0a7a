//! Rot: flips one bit in a copy of the disk and starts there. The start must report it, or its state must be
//! unaffected. It may refuse only if there is nothing sound to start from.

use std::collections::BTreeMap;

use stockade_engine::lifecycle::recover::{RecoverError, Recovered, recover_driven};
use stockade_journal::storage::SimulatedStorage;
use stockade_journal::{Durability, LogError, Writer};
use stockade_types::time::{Millis, Timestamp};

use crate::compare;
use crate::machine::{Machine, Part};
use crate::simulation::{Checked, Plant, Simulation};

type Files = BTreeMap<String, Vec<u8>>;

/// Bytes of a segment's header.
const HEAD: usize = 68;
/// The offset of the payload's length in a batch, and the bytes of a batch without its payload.
const LENGTH: usize = 68;
const FRAME: usize = 76;

/// A flipped bit.
#[derive(Debug)]
struct Rot {
    part: Part,
    file: String,
    at: usize,
    /// The offset of the batch that has the bit, 0 in a segment's header; and whether it is the journal's last batch.
    batch: usize,
    last: bool,
    what: String,
}

impl Simulation {
    /// Flips one bit of a copy of the disk and starts there.
    pub(crate) fn rot(&mut self) -> Checked {
        let mut copy = self.machine.copy();
        let part = self.dice.weighted(&[(2, Part::Journal), (1, Part::Snapshots)]);
        let mut files = copy.part(part).files();
        files.retain(|_, bytes| !bytes.is_empty());
        if files.is_empty() {
            return Ok(());
        }
        let nth = self.dice.place(files.len());
        let (file, bytes) =
            files.iter().nth(nth).map(|(name, bytes)| (name.clone(), bytes.len())).expect("one of them");
        let (at, bit) = (self.dice.place(bytes), self.dice.below(8));
        let what = format!("bit {bit} of byte {at} of {file} turns");
        self.log(&what);
        let (batch, last) = if part == Part::Journal { batch_at(&files, &file, at) } else { (0, false) };
        turn(&mut files, &file, at, bit);
        if self.options.plant == Some(Plant::TimidStart) {
            for other in files.clone().into_keys().filter(|other| *other != file) {
                turn(&mut files, &other, 0, bit);
            }
        }
        *copy.part_mut(part) = SimulatedStorage::with_files(files);
        self.started_on_rot(copy, &Rot { part, file, at, batch, last, what })
    }

    fn start_of(&self, copy: &Machine) -> Result<(Recovered, Writer), RecoverError> {
        let mut options = self.start_options(true);
        options.outage_grace = Millis(0);
        // The wall clock is far behind: engine time starts where the disk says, so no deadline is moved.
        recover_driven(&copy.folder(), &options, &|| Timestamp(0))
    }

    fn started_on_rot(&mut self, copy: Machine, rot: &Rot) -> Checked {
        let what = &rot.what;
        let written = self.written;
        let (recovered, _writer) = match self.start_of(&copy) {
            Ok(started) => started,
            Err(error) => {
                self.log(&format!("refused: {error}"));
                return self.rightly_refused(copy, rot, &error);
            }
        };
        let upto = recovered.engine.journal().durable().0;
        let report = &recovered.report;
        self.log(&format!("recovered {upto} of {written}: {report:?}"));
        if report.cut.is_some() {
            self.coverage.count("rot in the journal cut");
        }
        if !report.skipped.is_empty() {
            self.coverage.count("rot in a snapshot passed over");
        }
        let said = report.cut.is_some() || !report.lost.is_empty();
        // With `os` durability what follows a bad batch is set aside, not refused.
        let least = match self.weather.durability {
            Durability::Sync => self.history.end_before(written),
            Durability::Os => 0,
        };
        if upto < written && (!said || upto < least || rot.part == Part::Snapshots) {
            return self.violated(format!("{what}: {upto} of {written} was recovered, and it says {report:?}"));
        }
        if upto < self.history.first() {
            return Ok(()); // The records that made the drops are cut away.
        }
        let Some(moment) = self.history.at(upto).filter(|_| self.history.is_end(upto)) else {
            return self.violated(format!("{what}: {upto} was recovered: no batch ends there"));
        };
        let mut model = moment.model.clone();
        let now = recovered.now;
        model.now = crate::model::words::START.until(now).0;
        // What is due is recorded by showing the drops.
        model.turn_all();
        compare::all(&recovered.engine, &model, now).or_else(|wrong| self.violated(format!("{what}: {wrong}")))
    }

    /// Checks that no start was possible there, and that the refusal names the place of the rot.
    fn rightly_refused(&mut self, mut copy: Machine, rot: &Rot, error: &RecoverError) -> Checked {
        let Rot { part, file, at, batch, last, what } = rot;
        let place = if *part == Part::Journal { "the journal" } else { "a snapshot" };
        self.coverage.count(&format!("rot in {place} refused"));
        let wrong = match (part, error) {
            (Part::Snapshots, RecoverError::NoSnapshot { why, .. }) if why.contains(file.as_str()) => {
                // A start without that file must fail too: else another snapshot, or the journal from its beginning,
                // would do.
                let mut files = copy.snapshots.files();
                files.remove(file);
                copy.snapshots = SimulatedStorage::with_files(files);
                self.start_of(&copy).is_ok().then_some("there is enough to start from without that file")
            }
            (Part::Journal, RecoverError::Journal(LogError::Damage { place, .. })) => {
                let there = place.file == *file && usize::try_from(place.offset) == Ok(*batch);
                if *last { Some("the last batch should be cut") } else { (!there).then_some("it is not there") }
            }
            (Part::Journal, RecoverError::Journal(LogError::Foreign { file: named, .. })) => {
                (named != file || *at >= HEAD).then_some("it is not the format")
            }
            // The part that was cut off the journal had been forced for a snapshot that still exists.
            (Part::Journal, RecoverError::Behind { upto, next, .. }) => {
                let begins = self.history.end_before(self.written) + 1;
                (!last || next.0 != begins || upto < next || upto.0 > self.written).then_some("nothing is missing")
            }
            (Part::Journal, RecoverError::NoSnapshot { .. }) if self.weather.durability == Durability::Os => None,
            _ => Some("it is for another reason"),
        };
        match wrong {
            None => Ok(()),
            Some(wrong) => self.violated(format!("{what}: a start is refused, but {wrong}: {error}")),
        }
    }
}

fn turn(files: &mut Files, file: &str, at: usize, bit: u64) {
    if let Some(byte) = files.get_mut(file).and_then(|bytes| bytes.get_mut(at)) {
        *byte ^= 1 << bit;
    }
}

/// The offset of the batch that has this byte of a segment, 0 for its header; and whether it is the journal's last
/// batch.
fn batch_at(files: &Files, file: &str, at: usize) -> (usize, bool) {
    let bytes = &files[file];
    let follower = |begins: &usize| {
        let payload = bytes.get(begins + LENGTH..begins + LENGTH + 4)?.first_chunk::<4>()?;
        Some(begins + FRAME + usize::try_from(u32::from_le_bytes(*payload)).ok()?)
    };
    let mut begins = std::iter::successors(Some(HEAD), follower).take_while(|begins| *begins < bytes.len());
    let batch = begins.by_ref().take_while(|begins| *begins <= at).last();
    let ends = batch.as_ref().and_then(follower);
    let newest = files.keys().next_back().is_some_and(|newest| newest == file);
    (batch.unwrap_or(0), newest && ends == Some(bytes.len()))
}

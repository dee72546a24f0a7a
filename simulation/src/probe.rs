//! Rot: one bit of the disk turns, and a copy of the machine is started. It must say so, or be none the worse for it.

use stockade::engine::recover::recover_driven;
use stockade::journal::Durability;
use stockade::storage::SimulatedStorage;
use stockade::time::Millis;

use crate::compare;
use crate::machine::{Machine, Part};
use crate::simulation::{Checked, Simulation};

impl Simulation {
    /// Turns one bit of a copy of the disk and starts there.
    pub(crate) fn rot(&mut self) -> Checked {
        let mut copy = self.machine.copy();
        let part = self.dice.weighted(&[(2, Part::Journal), (1, Part::Snapshots)]);
        let mut files = copy.part(part).files();
        files.retain(|_, bytes| !bytes.is_empty());
        if files.is_empty() {
            return Ok(());
        }
        let nth = self.dice.place(files.len());
        let (name, bytes) = files.iter_mut().nth(nth).expect("one of them");
        let (at, bit) = (self.dice.place(bytes.len()), self.dice.below(8));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << bit;
        }
        let what = format!("bit {bit} of byte {at} of {name} turns");
        self.tell(&what);
        let storage = SimulatedStorage::with_files(files);
        match part {
            Part::Journal => copy.journal = storage,
            Part::Snapshots => copy.snapshots = storage,
        }
        self.started_on_rot(&copy, part, &what)
    }

    fn started_on_rot(&mut self, copy: &Machine, part: Part, what: &str) -> Checked {
        let mut options = self.start_options(true);
        options.outage_grace = Millis(0);
        let written = self.written;
        // The wall clock stands long before: time starts where the disk says, so nothing is moved.
        let started = recover_driven(&copy.folder(), &options, &|| stockade::time::Timestamp(0));
        let (recovered, _writer) = match started {
            Ok(started) => started,
            Err(error) => {
                self.tell(&format!("refused: {error}"));
                let place = if part == Part::Journal { "the journal" } else { "a snapshot" };
                self.coverage.count(&format!("rot in {place} refused"));
                return Ok(());
            }
        };
        let upto = recovered.engine.journal().durable().0;
        let report = &recovered.report;
        self.tell(&format!("recovered {upto} of {written}: {report:?}"));
        if report.cut.is_some() {
            self.coverage.count("rot in the journal cut");
        }
        if !report.skipped.is_empty() {
            self.coverage.count("rot in a snapshot passed over");
        }
        let said = report.cut.is_some() || !report.lost.is_empty();
        // With os durability what follows a bad batch is set aside, not refused.
        let least = match self.weather.durability {
            Durability::Sync => self.history.end_before(written),
            Durability::Os => 0,
        };
        if upto < written && (!said || upto < least) {
            return self.violated(format!("{what}: {upto} of {written} was recovered, and it says {report:?}"));
        }
        if upto < self.history.first() {
            return Ok(()); // the drops themselves are cut away
        }
        let Some(moment) = self.history.at(upto).filter(|_| self.history.is_end(upto)) else {
            return self.violated(format!("{what}: {upto} was recovered: no batch ends there"));
        };
        let mut model = moment.model.clone();
        let now = recovered.now;
        model.now = crate::model::words::START.until(now).0;
        compare::all(&recovered.engine, &model, now).or_else(|wrong| self.violated(format!("{what}: {wrong}")))
    }
}

//! Faults that last, or that are permanent, independent of the count of operations.

use std::io;

use super::SimulatedStorage;

impl SimulatedStorage {
    /// Flips a bit of a file, on the disk and in what is read from now on.
    pub fn rot(&self, name: &str, place: usize) {
        self.machine.lock().folder.rot(&self.within(name), place);
    }

    /// From now on all reads fail with this error; none: they succeed again.
    pub fn refuse_looks(&self, kind: Option<io::ErrorKind>) {
        self.machine.lock().looks_refused = kind;
    }

    /// From now on a move is done, but returns an error: as if the old name could not be removed.
    pub fn refuse_moves(&self, kind: io::ErrorKind) {
        self.machine.lock().moves_refused = Some(kind);
    }
}

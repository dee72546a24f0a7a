//! What goes wrong for a while, or for good, whatever the count of operations.

use std::io;

use super::SimulatedStorage;

impl SimulatedStorage {
    /// A bit of a file turns, on the disk and in what is read from now on.
    pub fn rot(&self, name: &str, place: usize) {
        self.machine.lock().folder.rot(&self.within(name), place);
    }

    /// From now on nothing can be looked at or read, for this reason; or all can again.
    pub fn refuse_looks(&self, kind: Option<io::ErrorKind>) {
        self.machine.lock().looks_refused = kind;
    }

    /// From now on a file that is moved to another folder is there, and the move is said to have failed: as where its old
    /// name could not be taken away.
    pub fn refuse_moves(&self, kind: io::ErrorKind) {
        self.machine.lock().moves_refused = Some(kind);
    }
}

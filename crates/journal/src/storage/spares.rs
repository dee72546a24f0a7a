//! Descriptors that are kept back: a process that is out of them, for the crowd of its connections, can still make and
//! read the few files that it can't do without.

use std::fs::File;
use std::io;

use parking_lot::Mutex;
use rustix::io::Errno;

/// Kept back for each folder: a file that is being written, and a list of the folder meanwhile.
const SPARES: usize = 2;

/// Open descriptors of no use but to be closed when one is needed.
#[derive(Debug)]
pub(super) struct Spares {
    kept: Mutex<Vec<File>>,
    /// How many there should be.
    wanted: usize,
}

impl Default for Spares {
    fn default() -> Self {
        Self { kept: Mutex::default(), wanted: SPARES }
    }
}

impl Spares {
    /// For a folder that can be done without: nothing is kept back.
    pub(super) fn none() -> Self {
        Self { wanted: 0, ..Self::default() }
    }

    /// Keeps as many as there should be, or as there may be: copies of one that is open anyway.
    pub(super) fn fill(&self, like: &File) {
        let mut kept = self.kept.lock();
        while kept.len() < self.wanted {
            // No more may be had now: the next call tries again.
            let Ok(spare) = like.try_clone() else { return };
            kept.push(spare);
        }
    }

    /// Opens something; where no descriptor is left for it, one of those kept back is given up for it. Between the two
    /// another thread may take it: then one more is.
    pub(super) fn open<T>(&self, mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match open() {
                Err(error) if is_out_of_files(&error) => {
                    if self.kept.lock().pop().is_none() {
                        return Err(error);
                    }
                }
                opened => return opened,
            }
        }
    }
}

fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_is_given_up_one_by_one_and_kept_again() {
        let (spares, file) = (Spares::default(), tempfile::tempfile().expect("a file"));
        spares.fill(&file);
        let mut refusals = 1;
        let mut open = || {
            refusals -= 1;
            if refusals >= 0 { Err(io::Error::from(Errno::MFILE)) } else { Ok(()) }
        };
        spares.open(&mut open).expect("one was given up");
        assert_eq!(spares.kept.lock().len(), SPARES - 1);
        let error = spares.open(|| Err::<(), _>(io::Error::from(Errno::MFILE))).expect_err("none is left");
        assert!(is_out_of_files(&error) && spares.kept.lock().is_empty());
        spares.fill(&file);
        let error = spares.open(|| Err::<(), _>(io::Error::from(Errno::NOENT))).expect_err("another reason");
        assert!(error.kind() == io::ErrorKind::NotFound && spares.kept.lock().len() == SPARES);
    }
}

//! Reserved descriptors: a process whose connections use up all others can still create and read its essential files.

use std::fs::File;
use std::io;

use parking_lot::Mutex;
use rustix::io::Errno;

/// Reserved for each folder: one for a file that is being written, one for a listing of the folder at the same time.
const SPARES: usize = 2;

/// Open descriptors whose only use is to be closed when one is needed.
#[derive(Debug)]
pub(super) struct Spares {
    kept: Mutex<Vec<File>>,
    /// How many to reserve.
    wanted: usize,
}

impl Default for Spares {
    fn default() -> Self {
        Self { kept: Mutex::default(), wanted: SPARES }
    }
}

impl Spares {
    /// For a folder that the server can do without: nothing is reserved.
    pub(super) fn none() -> Self {
        Self { wanted: 0, ..Self::default() }
    }

    /// Reserves up to the wanted number, as far as the system permits: copies of a descriptor that is open anyway.
    pub(super) fn fill(&self, like: &File) {
        let mut kept = self.kept.lock();
        while kept.len() < self.wanted {
            // The system permits no more now: the next call tries again.
            let Ok(spare) = like.try_clone() else { return };
            kept.push(spare);
        }
    }

    /// Opens something. If no descriptor is left, one of the reserved ones is closed for it. If another thread takes
    /// that first, one more is closed.
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

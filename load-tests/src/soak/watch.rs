//! Measures the server once a second: memory, open files, and disk use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use stockade_drill::numbers::count;
use stockade_drill::process::memory;
use stockade_types::metrics::Stopwatch;

/// The interval of samples.
const EVERY: Duration = Duration::from_secs(1);
/// The depth to which a data folder is read, so that cyclic links end.
const DEEPEST: u8 = 4;

/// One sample.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Sample {
    /// Seconds since the soak began.
    pub at: f64,
    /// The life of the server, from 0.
    pub life: u32,
    /// Whether there was load; before and after it the server settles.
    pub under_load: bool,
    /// Anonymous memory of the process, in bytes.
    pub resident: u64,
    /// Open files.
    pub files: u64,
    /// Size of the data folder, in bytes.
    pub folder: u64,
}

/// The server to measure.
#[derive(Debug, Clone)]
pub struct Target {
    /// The process.
    pub process: u32,
    /// Its data folder.
    pub folder: PathBuf,
    /// The life of the server.
    pub life: u32,
    /// Whether there is load.
    pub under_load: bool,
}

/// Takes samples while it has a target.
#[derive(Debug, Clone, Default)]
pub struct Watcher {
    target: Arc<Mutex<Option<Target>>>,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Watcher {
    /// Sets another target, or none.
    pub fn look_at(&self, target: Option<Target>) {
        *self.target.lock() = target;
    }

    /// All samples so far.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.lock().clone()
    }

    /// Samples forever: drop the task that runs it.
    pub async fn run(self, watch: Stopwatch) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let target = self.target.lock().clone();
            if let Some(sample) = target.and_then(|target| look(&target, watch)) {
                self.samples.lock().push(sample);
            }
        }
    }
}

/// Takes a sample. None if the process has ended.
fn look(target: &Target, watch: Stopwatch) -> Option<Sample> {
    let Target { process, folder, life, under_load } = target;
    // Not the mapped pages of its program: how many of those are resident depends on the system's page cache.
    let resident = memory(*process, "RssAnon:")?;
    let files = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
    let (at, folder) = (watch.elapsed().as_secs_f64(), size(folder, DEEPEST));
    Some(Sample { at, life: *life, under_load: *under_load, resident, files: count(files), folder })
}

/// The size of a folder. A file that disappears meanwhile counts as 0.
fn size(folder: &Path, deepest: u8) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().map_while(Result::ok);
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() && deepest > 0 => size(&entry.path(), deepest.saturating_sub(1)),
        Ok(found) => found.len(),
        Err(_gone) => 0,
    });
    sizes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_looked_at_and_one_that_is_gone_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("in")).expect("a folder");
        fs::write(folder.path().join("in/file"), [0; 1_000]).expect("a file");
        let own = Target { process: std::process::id(), folder: folder.path().into(), life: 3, under_load: true };
        let sample = look(&own, Stopwatch::start()).expect("a sample");
        assert!(sample.resident > 1_000_000 && sample.files > 2 && sample.folder == 1_000, "{sample:?}");
        // No process has this id.
        assert!(look(&Target { process: u32::MAX, ..own }, Stopwatch::start()).is_none());
    }
}

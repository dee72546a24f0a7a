//! Figures of the kernel about a process and about the machine. None if they can't be read; then the report omits them.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stockade_drill::process::memory;

/// Resident memory of a process, in bytes.
#[must_use]
pub fn resident(process: u32) -> Option<u64> {
    memory(process, "VmRSS:")
}

/// CPU time of a process, over the threads that run now.
#[must_use]
pub fn cpu_time(process: u32) -> Option<Duration> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let spent = threads.filter_map(|thread| {
        // A thread that ends meanwhile is left out.
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_ascii_whitespace().next()?.parse::<u64>().ok()
    });
    Some(Duration::from_nanos(spent.fold(0, u64::saturating_add)))
}

/// The load average of the last minute.
#[must_use]
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// Raises the limit of open files to the hard limit, for this process and those that it starts. Returns the limit.
#[must_use]
pub fn open_more_files() -> Option<u64> {
    let Rlimit { current: _, maximum } = getrlimit(Resource::Nofile);
    // If that fails, the old limit stays.
    let _raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_of_by_the_kernel() {
        let own = std::process::id();
        assert!(resident(own).expect("memory") > 1024 * 1024);
        assert!(cpu_time(own).expect("threads") > Duration::ZERO);
    }

    #[test]
    fn files_are_allowed_up_to_the_hard_limit() {
        assert_eq!(open_more_files(), getrlimit(Resource::Nofile).maximum);
    }
}

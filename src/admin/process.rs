//! The process's metrics from the kernel, under the names that Prometheus client libraries use.
//!
//! A value that can't be read is left out; the scrape still succeeds.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use stockade_types::time::Timestamp;

use super::exposition::{Family, Kind, Series, Value};

/// The process's own metrics. `started` is the wall clock at its start.
#[must_use]
pub(super) fn families(started: Timestamp) -> Vec<Family> {
    let gauge = |name, help, value| family(name, help, Kind::Gauge, value);
    let memory = |key| memory(key).map(Value::Whole);
    vec![
        family(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds.",
            Kind::Counter,
            Some(Value::Real(cpu_seconds())),
        ),
        gauge(
            "process_start_time_seconds",
            "Start time of the process since the Unix epoch in seconds.",
            Some(Value::Real(started_seconds(started))),
        ),
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", memory("VmRSS:")),
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", memory("VmSize:")),
        gauge("process_open_fds", "Number of open file descriptors.", open_files().map(Value::Whole)),
        gauge("process_max_fds", "Maximum number of open file descriptors.", most_files().map(Value::Whole)),
    ]
}

fn family(name: &'static str, help: &'static str, kind: Kind, value: Option<Value>) -> Family {
    let series = value.into_iter().map(|value| Series { labels: Vec::new(), value }).collect();
    Family { name, help, kind, series }
}

fn cpu_seconds() -> f64 {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(spent.tv_nsec).unwrap_or(0);
    std::time::Duration::new(seconds, nanos).as_secs_f64()
}

fn started_seconds(started: Timestamp) -> f64 {
    std::time::Duration::from_millis(started.0).as_secs_f64()
}

/// A line of `/proc/self/status`, in bytes; the file counts in units of 1,024.
fn memory(key: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

fn open_files() -> Option<u64> {
    let listed = fs::read_dir("/proc/self/fd").ok()?.count();
    // Reading the directory holds one file open itself.
    u64::try_from(listed.saturating_sub(1)).ok()
}

fn most_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let families = families(Timestamp(1_500));
        assert!(families.iter().all(|family| family.series.len() == 1), "{families:?}");
        let resident = memory("VmRSS:").expect("resident memory");
        assert!(resident > 1024 * 1024, "{resident} bytes");
    }
}

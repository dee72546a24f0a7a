//! How much memory the process may use, and how much it uses now, as far as the kernel's files say.
//!
//! The limit is the least of: the machine's memory; the limits of the process's control group and of that group's
//! ancestors, of version 2 (`memory.max`) and 1 (`memory.limit_in_bytes`); and the process's own limits for address
//! space and data.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// The most memory that the process may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// In bytes.
    pub bytes: u64,
    /// What sets the limit: a file, a process limit or the machine.
    pub from: String,
}

/// The most memory that the process may use; `None` where no file and no limit says it.
#[must_use]
pub fn limit() -> Option<Limit> {
    limit_by(&|path| fs::read_to_string(path).ok())
}

/// Resident memory of the process without file-backed pages: those can be read again from their files.
#[must_use]
pub fn resident() -> Option<u64> {
    let pages = own_pages(&fs::read_to_string("/proc/self/statm").ok()?)?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

/// Pages that are resident and not shared with files.
fn own_pages(statm: &str) -> Option<u64> {
    let mut numbers = statm.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

/// Reads a file, if it is there.
type Read<'a> = &'a dyn Fn(&Path) -> Option<String>;

fn limit_by(read: Read<'_>) -> Option<Limit> {
    let mut limits = groups(read);
    limits.extend(physical(read));
    for (resource, from) in [(Resource::As, "the limit of address space"), (Resource::Data, "the limit of data")] {
        limits.extend(getrlimit(resource).current.map(|bytes| Limit { bytes, from: from.to_owned() }));
    }
    limits.into_iter().filter(|limit| limit.bytes > 0).min_by_key(|limit| limit.bytes)
}

/// The machine's memory.
fn physical(read: Read<'_>) -> Option<Limit> {
    let text = read(Path::new("/proc/meminfo"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Limit { bytes: kibibytes.checked_mul(1024)?, from: "the machine".to_owned() })
}

/// The memory limits of the process's control groups.
fn groups(read: Read<'_>) -> Vec<Limit> {
    let (Some(groups), Some(mounts)) = (read(Path::new("/proc/self/cgroup")), read(Path::new("/proc/self/mountinfo")))
    else {
        return Vec::new();
    };
    let mut limits = Vec::new();
    for group in groups.lines() {
        let mut parts = group.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (kind, file) = match (number, controllers) {
            ("0", "") => ("cgroup2", "memory.max"),
            (_, list) if list.split(',').any(|controller| controller == "memory") => {
                ("cgroup", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        for mount in mounts.lines().filter_map(|line| Mount::parse(line, kind)) {
            limits.extend(mount.folders(path).filter_map(|folder| limit_in(&folder.join(file), read)));
        }
    }
    limits
}

fn limit_in(file: &Path, read: Read<'_>) -> Option<Limit> {
    // Without a limit, version 2 has the word `max`, and version 1 a number larger than any memory.
    let bytes = read(file)?.trim().parse().ok()?;
    Some(Limit { bytes, from: file.display().to_string() })
}

/// A mount point of a control group hierarchy.
struct Mount<'a> {
    /// The group that is visible at the mount point.
    root: &'a str,
    point: &'a str,
}

impl<'a> Mount<'a> {
    /// Parses a line of `mountinfo`. `None` if it is of another kind, or, for version 1, not of the memory
    /// controller.
    fn parse(line: &'a str, kind: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let (found, options) = (right.next()?, right.nth(1)?);
        let is_memory = kind == "cgroup2" || options.split(',').any(|option| option == "memory");
        let mut left = left.split(' ').skip(3);
        (found == kind && is_memory).then_some(())?;
        Some(Self { root: left.next()?, point: left.next()? })
    }

    /// The folders of a group and of its ancestors, as far as they are visible under this mount.
    fn folders(&self, group: &str) -> impl Iterator<Item = PathBuf> {
        let point = PathBuf::from(self.point);
        let below = group.strip_prefix(self.root.trim_end_matches('/')).unwrap_or("");
        let own = point.join(below.trim_start_matches('/'));
        // A path that leads out of the mount is not followed.
        let own = if below.contains("..") { point.clone() } else { own };
        let folders: Vec<PathBuf> =
            own.ancestors().take_while(|at| at.starts_with(&point)).map(PathBuf::from).collect();
        folders.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\n");

    fn found(files: &[(&str, &str)]) -> Option<(u64, String)> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let read = |path: &Path| files.get(path.to_str()?).map(|text| (*text).to_owned());
        limit_by(&read).map(|limit| (limit.bytes, limit.from))
    }

    #[test]
    fn the_least_of_a_group_and_of_those_it_is_in_counts() {
        let two = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/system.slice/stockade.service\n"),
            (
                "/proc/self/mountinfo",
                "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
            ),
            ("/sys/fs/cgroup/system.slice/stockade.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "536870912\n"),
        ];
        assert_eq!(found(&two), Some((512 << 20, "/sys/fs/cgroup/system.slice/memory.max".to_owned())));
        let one = [
            MEMINFO,
            ("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/docker/abc/inner\n0::/\n"),
            (
                "/proc/self/mountinfo",
                "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                 35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n",
            ),
            ("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "201326592\n"),
        ];
        assert_eq!(found(&one), Some((192 << 20, "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned())));
    }

    #[test]
    fn without_a_group_s_limit_it_is_the_machine_s_and_a_path_out_of_sight_is_not_followed() {
        assert_eq!(found(&[MEMINFO]), Some((16_384_000_000, "the machine".to_owned())));
        let outside = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/../../elsewhere\n"),
            ("/proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("/sys/fs/cgroup/memory.max", "1073741824\n"),
        ];
        assert_eq!(found(&outside).map(|(bytes, _)| bytes), Some(1 << 30));
    }

    #[test]
    fn a_process_s_own_pages_are_neither_shared_nor_of_a_file() {
        assert_eq!(own_pages("100 70 20 5 0 60 0\n"), Some(50));
        assert_eq!(own_pages("nonsense"), None);
    }

    /// Other tests allocate and free meanwhile, so this one runs in a process of its own.
    #[test]
    fn a_process_knows_its_own_memory() {
        const ALONE: &str = "--exact";
        if std::env::args().all(|word| word != ALONE) {
            let alone = std::process::Command::new(std::env::current_exe().expect("this program"))
                .args([ALONE, "memory::tests::a_process_knows_its_own_memory"])
                .output()
                .expect("this program can be run");
            let said = String::from_utf8_lossy(&alone.stdout);
            assert!(alone.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let before = resident().expect("a figure");
        let block = vec![1_u8; 64 << 20];
        let grown = resident().expect("a figure").saturating_sub(before);
        assert!(grown > 32 << 20 && std::hint::black_box(&block).len() == 64 << 20, "{grown}");
        assert!(limit().expect("a figure").bytes > 64 << 20);
    }
}

//! The server under attack, with a drop to sell, and what it takes of memory.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use stockade::proto as pb;
use tempfile::TempDir;

use super::polite::runtime;
use super::process::{BINARY, Ended, Server, on_free_ports, serve, try_start};

pub const MIB: u64 = 1024 * 1024;
/// The drop that is sold.
pub const DROP: &str = "drop";
pub const SKU: &str = "SKU";
/// How often memory is looked at.
const PERIOD: Duration = Duration::from_millis(5);

/// A server that is attacked.
pub struct Target {
    pub server: Server,
    pub grpc: SocketAddr,
    _folder: TempDir,
}

impl Target {
    /// Starts one and creates the drop.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::of(serve(folder.path(), &[]), folder)
    }

    /// The same, with so few files that it may have open.
    pub fn with_files(files: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(BINARY);
        command.args(["serve", "--data"]).arg(folder.path());
        on_free_ports(&mut command);
        Self::of(command, folder)
    }

    fn of(command: Command, folder: TempDir) -> Self {
        let server = try_start(command).unwrap_or_else(|ended| panic!("it did not start: {ended:?}"));
        let grpc = server.endpoint.trim_start_matches("http://").parse().expect("an address");
        let target = Self { server, grpc, _folder: folder };
        let item = pb::Item { sku: SKU.into(), quantity: 1_000_000_000, ..pb::Item::default() };
        target.create(pb::Drop { id: DROP.into(), items: vec![item], ..pb::Drop::default() });
        target
    }

    /// Creates a drop.
    pub fn create(&self, drop: pb::Drop) {
        let request = pb::CreateDropRequest { drop: Some(drop), validate_only: false };
        runtime().block_on(async { self.server.client().await.create_drop(request).await.expect("a drop") });
    }

    /// Bytes that may be in flight, and the part of one connection.
    pub fn inflight_bytes(&self) -> (u64, u64) {
        let mut lines = self.server.start_log().lines().map(|line| serde_json::from_str(line).unwrap_or_default());
        let bytes = lines.find_map(|line: serde_json::Value| line["inflight_bytes"].as_u64()).expect("the bound");
        (bytes, bytes / 4)
    }

    /// Bytes that are in flight now.
    pub fn inflight(&self) -> u64 {
        self.server.metric("stockade_inflight_bytes").parse().expect("a number")
    }

    /// How often something was shed for this reason.
    pub fn shed(&self, reason: &str) -> u64 {
        self.server.metric(&format!("stockade_shed_total{{reason=\"{reason}\"}}")).parse().expect("a number")
    }

    /// Watches its memory.
    pub fn watch(&self) -> Watch {
        let file = format!("/proc/{}/status", self.server.id().as_raw_nonzero());
        let (peak, on) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
        let before = resident(&file);
        let (seen, going) = (Arc::clone(&peak), Arc::clone(&on));
        let path = file.clone();
        let thread = std::thread::spawn(move || {
            while going.load(Ordering::Relaxed) {
                seen.fetch_max(resident(&path), Ordering::Relaxed);
                std::thread::sleep(PERIOD);
            }
        });
        Watch { file, before, peak, on, thread: Some(thread) }
    }

    /// Ends it in order, as a server that was attacked and is well does; nothing went wrong in it.
    pub fn ends_well(self) -> Ended {
        let ended = self.server.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(!ended.log.contains("\"level\":\"ERROR\""), "{}", ended.log);
        ended
    }
}

/// Resident bytes of a process.
fn resident(file: &str) -> u64 {
    let status = fs::read_to_string(file).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0) * 1024
}

/// Memory, watched until it is dropped.
pub struct Watch {
    file: String,
    before: u64,
    peak: Arc<AtomicU64>,
    on: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// By how many bytes memory has grown at most so far.
    pub fn grown(&self, what: &str) -> u64 {
        let (before, peak, now) = (self.before, self.peak.load(Ordering::Relaxed), resident(&self.file));
        eprintln!("{what}: resident {} MiB, at most {} MiB, now {} MiB", before / MIB, peak / MIB, now / MIB);
        peak.saturating_sub(before)
    }

    /// By how many bytes it is greater now.
    pub fn kept(&self) -> u64 {
        resident(&self.file).saturating_sub(self.before)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.on.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say.
            let _ended = thread.join();
        }
    }
}

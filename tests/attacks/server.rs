//! The server under attack, with a drop: the built binary, or another one to compare it with.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::OnceLock;

use stockade_drill::process::metric;
use stockade_drill::wire;
use stockade_proto as pb;
use tempfile::TempDir;

use super::polite::runtime;
use super::process::{BINARY, Ended, Server, on_free_ports, try_start};

pub const MIB: u64 = 1024 * 1024;
/// The drop of the attacks.
pub const DROP: &str = "drop";
pub const SKU: &str = "SKU";
/// The variable with the path of a binary to attack in place of the built one. Flags that it does not have are left
/// out.
const OTHER: &str = "STOCKADE_TEST_SERVER";
/// A connection's least share of the bytes in flight, and the divisor for its usual share.
const CONNECTION_MIN: u64 = 16 * MIB;
const CONNECTION_PART: u64 = 4;

/// A flag and its value.
pub type Flag = (&'static str, &'static str);

/// The memory budget of most attacks: an eighth of it, 64 MiB, may be in flight.
const MEMORY: Flag = ("--memory-budget", "512MiB");

/// A server under attack.
pub struct Target {
    pub server: Server,
    pub grpc: SocketAddr,
    folder: TempDir,
    flags: Vec<Flag>,
}

#[expect(clippy::disallowed_methods, reason = "another binary to test is not configuration of the server")]
fn other() -> Option<OsString> {
    std::env::var_os(OTHER)
}

fn binary() -> OsString {
    other().unwrap_or_else(|| BINARY.into())
}

/// Whether the binary has a flag. The built one has all.
fn has(flag: &str) -> bool {
    static HELP: OnceLock<Option<String>> = OnceLock::new();
    let help = HELP.get_or_init(|| {
        let output = Command::new(other()?).args(["serve", "--help"]).output().expect("the other binary runs");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    help.as_ref().is_none_or(|help| help.contains(flag))
}

impl Target {
    /// Starts one with a budget of 512 MiB, and creates the drop.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same, with these flags.
    pub fn with(flags: &[Flag]) -> Self {
        Self::new(Command::new(binary()), flags)
    }

    /// The same, with at most `files` files open.
    pub fn with_files(files: u32) -> Self {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" \"$@\"")).arg(binary());
        Self::new(command, &[])
    }

    fn new(command: Command, flags: &[Flag]) -> Self {
        let mut flags = flags.to_vec();
        if flags.iter().all(|(flag, _)| *flag != MEMORY.0) {
            flags.push(MEMORY);
        }
        let target = Self::over(command, tempfile::tempdir().expect("a folder"), flags);
        target.create(wire::drop(DROP, [(SKU, 1_000_000_000)], None));
        target
    }

    /// Starts it on an existing or a new folder.
    fn over(mut command: Command, folder: TempDir, flags: Vec<Flag>) -> Self {
        command.arg("serve").arg("--data").arg(folder.path()).env_remove(OTHER);
        for (flag, value) in flags.iter().filter(|(flag, _)| has(flag)) {
            command.args([flag, value]);
        }
        on_free_ports(&mut command);
        let server = try_start(command).unwrap_or_else(|ended| panic!("it did not start: {ended:?}"));
        Self { grpc: server.grpc, server, folder, flags }
    }

    /// Stops it and starts another on its folder.
    pub fn again(self) -> Self {
        let Self { server, folder, flags, .. } = self;
        let ended = server.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        Self::over(Command::new(binary()), folder, flags)
    }

    /// Creates a drop.
    pub fn create(&self, drop: pb::Drop) {
        runtime().block_on(async { wire::create(&self.server.client().await, drop).await.expect("a drop") });
    }

    /// The maximum bytes in flight, and the share of one connection.
    pub fn inflight_bytes(&self) -> (u64, u64) {
        let log = self.server.log();
        let mut lines = log.lines().map(|line| serde_json::from_str(line).unwrap_or_default());
        let bytes = lines.find_map(|line: serde_json::Value| line["inflight_bytes"].as_u64());
        let bytes = bytes.or_else(|| other().map(|_| 4 * CONNECTION_MIN)).expect("the bound");
        (bytes, (bytes / CONNECTION_PART).max(CONNECTION_MIN).min(bytes))
    }

    /// Bytes in flight.
    pub fn inflight(&self) -> u64 {
        self.number("stockade_inflight_bytes")
    }

    /// How often something was shed for this reason.
    pub fn shed(&self, reason: &str) -> u64 {
        self.number(&format!("stockade_shed_total{{reason=\"{reason}\"}}"))
    }

    /// A metric; 0 if the binary does not have it.
    pub fn number(&self, series: &str) -> u64 {
        let (_, page) = self.server.page("/metrics");
        let value = metric(&page, series).or_else(|| other().map(|_| "0"));
        value.unwrap_or_else(|| panic!("{series} is missing in\n{page}")).parse().expect("a number")
    }

    /// Ends it in order. Its exit code and its log must show that nothing went wrong.
    pub fn ends_well(self) -> Ended {
        let ended = self.server.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(!ended.log.contains("\"level\":\"ERROR\""), "{}", ended.log);
        ended
    }
}

//! The binary as a child process on free ports: whatever does not work here fails the test. Its processes end with the
//! test, even if it fails.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use stockade_client::Client;
use stockade_drill::process;
pub use stockade_drill::process::{Signal, on_free_ports};

/// A process that has not started or ended within this time has hung.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_stockade");

/// A serving process.
pub struct Server {
    /// The URL of its gRPC service.
    pub endpoint: String,
    /// The address of its gRPC service.
    pub grpc: SocketAddr,
    /// The process.
    pub child: process::Server,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// None if a signal ended it.
    pub code: Option<i32>,
    /// All of its output.
    pub log: String,
}

impl From<process::Ended> for Ended {
    fn from(process::Ended { code, log }: process::Ended) -> Self {
        Self { code, log }
    }
}

impl Ended {
    /// Asserts the exit code, and words of its last message.
    pub fn must(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.log);
        let complaint = self.log.rsplit("error: ").next().unwrap_or_default();
        for word in words {
            assert!(complaint.contains(word), "{word:?} is missing in\n{}", self.log);
        }
    }
}

/// `stockade serve` on free ports, with logs as JSON.
pub fn serve(data: &Path, flags: &[&str]) -> Command {
    let mut command = process::serve(BINARY, data);
    command.args(flags);
    command
}

/// Starts a server and waits until it serves.
///
/// # Errors
/// How it ended, if it ended instead.
pub fn try_start(command: Command) -> Result<Server, Ended> {
    Ok(process::Server::start(command, TIMEOUT)?.into())
}

/// As [`try_start`]; panics if the server does not start.
pub fn start(data: &Path, flags: &[&str]) -> Server {
    try_start(serve(data, flags)).unwrap_or_else(|ended| panic!("it did not start: {ended:?}"))
}

/// Starts a server that must refuse to start.
pub fn refused(data: &Path) -> Ended {
    refuses(serve(data, &[]))
}

/// The same, started like this.
pub fn refuses(command: Command) -> Ended {
    match try_start(command) {
        Ok(server) => panic!("it serves: {}", server.kill().log),
        Err(ended) => ended,
    }
}

impl From<process::Server> for Server {
    fn from(server: process::Server) -> Self {
        Self { endpoint: server.endpoint.clone(), grpc: server.grpc, child: server }
    }
}

impl Server {
    /// A client with a connection of its own.
    pub async fn client(&self) -> Client {
        self.child.client().await.expect("a connection")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.child.signal(signal), "a signal");
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.child.log()
    }

    /// Kills it with SIGKILL.
    pub fn kill(self) -> Ended {
        self.child.stop(Signal::KILL, TIMEOUT).into()
    }

    /// Tells it to stop, and waits.
    pub fn stop(self) -> Ended {
        self.child.stop(Signal::TERM, TIMEOUT).into()
    }

    /// Waits for its end.
    pub fn end(self) -> Ended {
        self.child.end(TIMEOUT).into()
    }

    /// An HTTP page: status line and body.
    pub fn page(&self, path: &str) -> (String, String) {
        self.child.page(path).expect("a page")
    }

    /// A metric without labels, or with them spelled out.
    pub fn metric(&self, series: &str) -> String {
        let (_, page) = self.page("/metrics");
        process::metric(&page, series).unwrap_or_else(|| panic!("{series} is missing in\n{page}")).to_owned()
    }
}

/// Runs `stockade verify` on a folder that no server uses.
pub fn verify(data: &Path) -> Output {
    Command::new(BINARY).arg("verify").arg("--data").arg(data).output().expect("the binary runs")
}

/// What a program has printed.
pub fn reported(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Asserts that `stockade verify` finds nothing. Returns its output.
pub fn verified(data: &Path) -> String {
    let output = verify(data);
    assert_eq!(output.status.code(), Some(0), "{}", reported(&output));
    reported(&output)
}

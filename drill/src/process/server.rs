//! A Stockade server as a child process, on free ports.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stockade_client::Client;

use super::pages;
use super::{Ended, Process, Signal};
use crate::{Failure, wire};

/// A serving process. Killed when dropped.
pub struct Server {
    /// The URL of its gRPC service.
    pub endpoint: String,
    /// The address of its gRPC service.
    pub grpc: SocketAddr,
    /// The address of its HTTP pages.
    pub http: SocketAddr,
    process: Process,
}

/// `stockade serve` on free ports, with logs as JSON.
pub fn serve(binary: impl AsRef<OsStr>, data: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--data"]).arg(data);
    on_free_ports(&mut command);
    command
}

/// Adds the flags that every server here has.
pub fn on_free_ports(command: &mut Command) {
    command.args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", "json"]);
    // Not the folder of the sources, which may contain a stockade.toml.
    command.current_dir(std::env::temp_dir());
}

/// The addresses in the log line that reports that the server serves.
#[must_use]
pub fn serving(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line.get(name).and_then(serde_json::Value::as_str);
    if text("message") != Some("serving") {
        return None;
    }
    Some((text("grpc")?.parse().ok()?, text("http")?.parse().ok()?))
}

impl Server {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// How it ended, if it ended or was killed because it did not serve in time.
    pub fn start(command: Command, patience: Duration) -> Result<Self, Ended> {
        let started = Process::start("stockade", command);
        let process = started.map_err(|failure| Ended { code: None, log: failure.whole() })?;
        match process.hear(patience, serving) {
            Some(addresses) => Ok(Self::over(process, addresses)),
            None => Err(process.end(super::LAST_OUTPUT)),
        }
    }

    /// A process that serves at these addresses: gRPC and HTTP.
    #[must_use]
    pub fn over(process: Process, (grpc, http): (SocketAddr, SocketAddr)) -> Self {
        Self { endpoint: format!("http://{grpc}"), grpc, http, process }
    }

    /// A client with a connection of its own.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn client(&self) -> Result<Client, Failure> {
        wire::connect(&self.endpoint).await
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The address of what it serves to the public, if it does.
    #[must_use]
    pub fn public(&self) -> Option<SocketAddr> {
        self.log().lines().find_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line.get("public")?.as_str()?.parse().ok()
        })
    }

    /// Sends it a signal. Returns whether that worked.
    pub fn signal(&self, signal: Signal) -> bool {
        self.process.signal(signal)
    }

    /// Ends it by a signal; kills it if that takes longer than `patience`.
    #[must_use]
    pub fn stop(self, signal: Signal, patience: Duration) -> Ended {
        self.process.stop(signal, patience)
    }

    /// Waits for its end; kills it if that takes longer than `patience`.
    #[must_use]
    pub fn end(self, patience: Duration) -> Ended {
        self.process.end(patience)
    }

    /// An HTTP page: its status line, and its body.
    ///
    /// # Errors
    /// When it does not come.
    pub fn page(&self, path: &str) -> Result<(String, String), Failure> {
        pages::page(self.http, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_where_it_serves_is_known() {
        let line = r#"{"message":"serving","grpc":"127.0.0.1:7","http":"127.0.0.1:8"}"#;
        let ports = serving(line).map(|(grpc, http)| (grpc.port(), http.port()));
        assert_eq!(ports, Some((7, 8)));
        assert_eq!(serving(r#"{"message":"recovered"}"#), None);
    }

    #[test]
    fn one_that_does_not_start_is_told_with_its_code() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no room >&2; exit 74"]);
        let ended = Server::start(command, Duration::from_secs(5)).err().expect("it ends");
        assert_eq!((ended.code, ended.log.as_str()), (Some(74), "no room\n"));
        assert!(ended.failure("stockade").to_string().ends_with("did not start: no room"));
    }
}

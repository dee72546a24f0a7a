//! A Stockade server under load: one that is started here on free ports and an empty data folder, or one that runs
//! already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::process::Process;

/// How long a server on an empty folder may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to end: it drains, and takes a last snapshot.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the metrics page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// The data folder's name.
const DATA: &str = "data";

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// The `stockade` binary; if none, the one next to this program.
    pub binary: Option<PathBuf>,
    /// Where its data folder is made; if none, the folder for temporary files.
    pub data: Option<PathBuf>,
}

/// A running server.
pub struct Server {
    /// The URL of its gRPC service.
    pub endpoint: String,
    /// The address of its metrics, if known.
    pub http: Option<SocketAddr>,
    own: Option<Own>,
}

/// The process and folder of a server that was started here. Fields drop in order: the process ends before its folder
/// is removed.
struct Own {
    process: Process,
    folder: TempDir,
}

impl Recipe {
    /// The path of the binary.
    ///
    /// # Errors
    /// When it is not there.
    pub fn program(&self) -> Result<PathBuf, Failure> {
        if let Some(binary) = &self.binary {
            return Ok(binary.clone());
        }
        let own = std::env::current_exe()?;
        let beside = own.with_file_name("stockade");
        if beside.is_file() {
            return Ok(beside);
        }
        let place = beside.display();
        Err(Failure::Usage(format!(
            "{place} is not there: build it with cargo build --release, or name it by --server"
        )))
    }

    /// A folder that is removed when dropped.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn folder(&self) -> Result<TempDir, Failure> {
        let builder = || tempfile::Builder::new().prefix("stockade-load-").to_owned();
        match &self.data {
            Some(parent) => builder().tempdir_in(parent).map_err(Failure::file(parent)),
            None => Ok(builder().tempdir()?),
        }
    }

    /// Starts a server on free ports and an empty folder.
    ///
    /// # Errors
    /// When it does not serve in time; with its last lines of output.
    pub fn start(&self, flags: &[String]) -> Result<Server, Failure> {
        self.start_on(self.folder()?, flags, START_TIMEOUT)
    }

    /// Starts a server on free ports and on the folder of an earlier one. It has `patience` to start.
    ///
    /// # Errors
    /// When it does not serve in time; with its last lines of output.
    pub fn start_on(&self, folder: TempDir, flags: &[String], patience: Duration) -> Result<Server, Failure> {
        let mut command = Command::new(self.program()?);
        command.args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", "json", "--data"]);
        command.arg(folder.path().join(DATA)).args(flags);
        // Not the folder of the sources, which may contain a stockade.toml.
        command.current_dir(folder.path());
        let process = Process::start("stockade", command)?;
        let (grpc, http) = process.wait_for(patience, serving)?;
        let own = Some(Own { process, folder });
        Ok(Server { endpoint: format!("http://{grpc}"), http: Some(http), own })
    }
}

/// The addresses in the log line that reports that the server serves.
fn serving(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line.get(name).and_then(serde_json::Value::as_str);
    if text("message") != Some("serving") {
        return None;
    }
    Some((text("grpc")?.parse().ok()?, text("http")?.parse().ok()?))
}

impl Server {
    /// A server that runs already.
    #[must_use]
    pub const fn running(endpoint: String, http: Option<SocketAddr>) -> Self {
        Self { endpoint, http, own: None }
    }

    /// Whether it was started here: then nobody else uses it, and its counters began at 0.
    #[must_use]
    pub const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The metrics page, if its address is known.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn metrics(&self) -> Result<Option<String>, Failure> {
        let Some(http) = self.http else { return Ok(None) };
        let page = tokio::time::timeout(PAGE_TIMEOUT, page(http)).await;
        let page = page.map_err(|_late| Failure::Work(format!("the metrics page at {http} does not come")))??;
        Ok(Some(page))
    }

    /// The process of a server that was started here.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.process.id())
    }

    /// The data folder of a server that was started here.
    #[must_use]
    pub fn data(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.folder.path().join(DATA))
    }

    /// Sends a signal to a server that was started here. Returns whether that worked.
    pub fn signal(&self, signal: Signal) -> bool {
        self.own.as_ref().is_some_and(|own| own.process.signal(signal))
    }

    /// Ends a server that was started here by a signal and keeps its folder; kills it if that takes longer than
    /// `patience`. None for a server that was not started here.
    #[must_use]
    pub fn leave(self, signal: Signal, patience: Duration) -> Option<Left> {
        let Own { process, folder } = self.own?;
        Some(Left { well: process.stop(signal, patience), folder })
    }

    /// Ends a server that was started here, as an operator would.
    ///
    /// # Errors
    /// When it does not end successfully.
    pub fn stop(self) -> Result<(), Failure> {
        let Some(Own { process, folder }) = self.own else { return Ok(()) };
        let well = process.stop(Signal::TERM, SHUTDOWN_TIMEOUT);
        drop(folder);
        if well { Ok(()) } else { Err(Failure::Work("the server did not end well".to_owned())) }
    }
}

impl Left {
    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }
}

/// What a server that has ended leaves.
pub struct Left {
    /// Its data folder.
    pub folder: TempDir,
    /// Whether it exited successfully.
    pub well: bool,
}

async fn page(http: SocketAddr) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(http).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: load-tests\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        Some(_) | None => Err(Failure::Work(format!("http://{http}/metrics does not answer with a page"))),
    }
}

/// The value of a series in a metrics page, by its whole name with labels.
#[must_use]
pub fn metric(page: &str, series: &str) -> Option<f64> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let page = "a_total{to=\"x\"} 3\nb 0\nb_units 7.5\n";
        assert_eq!(metric(page, "b"), Some(0.0));
        assert_eq!(metric(page, "a_total{to=\"x\"}"), Some(3.0));
        assert_eq!(metric(page, "b_units"), Some(7.5));
        assert_eq!(metric(page, "c"), None);
    }

    #[test]
    fn the_line_that_says_where_it_serves_is_known() {
        let line = r#"{"message":"serving","grpc":"127.0.0.1:7","http":"127.0.0.1:8"}"#;
        let ports = serving(line).map(|(grpc, http)| (grpc.port(), http.port()));
        assert_eq!(ports, Some((7, 8)));
        assert_eq!(serving(r#"{"message":"recovered"}"#), None);
    }
}

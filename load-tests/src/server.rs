//! A Stockade server under load: one that is started here on free ports and an empty data folder, or one that runs
//! already.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use stockade_drill::process::{self, Signal, serve};
use stockade_drill::{Failure, wire};
use tempfile::TempDir;

/// How long a server on an empty folder may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to end: it drains, and takes a last snapshot.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_mins(1);

/// The data folder's name.
const DATA: &str = "data";

/// How a server is started, and where folders are made.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Recipe {
    /// The stockade binary; by default the one next to this program
    #[arg(id = "server", long = "server", value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Where data folders are made (each is removed at the end); by default the folder for temporary files
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// A snapshot interval that no run reaches, in time or bytes.
const NO_SNAPSHOT: &str = "24h,1TiB";

/// The flags of a server that takes snapshots this often; if none, only at its end.
#[must_use]
pub fn snapshots_every(interval: Option<&str>) -> Vec<String> {
    vec!["--snapshot-every".to_owned(), interval.unwrap_or(NO_SNAPSHOT).to_owned()]
}

/// A running server.
pub struct Server {
    /// The URL of its gRPC service.
    pub endpoint: String,
    /// The address of its metrics, if known.
    pub http: Option<SocketAddr>,
    own: Option<Own>,
}

/// A server that was started here. Fields drop in order: the process ends before its folder is removed.
struct Own {
    server: process::Server,
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
        let mut command = serve(self.program()?, &folder.path().join(DATA));
        command.args(flags).current_dir(folder.path());
        let server = process::Server::start(command, patience).map_err(|ended| ended.failure("stockade"))?;
        Ok(Server { endpoint: server.endpoint.clone(), http: Some(server.http), own: Some(Own { server, folder }) })
    }
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

    /// A client with a connection of its own.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn client(&self) -> Result<stockade_client::Client, Failure> {
        wire::connect(&self.endpoint).await
    }

    /// The metrics page, if its address is known.
    ///
    /// # Errors
    /// When it can't be read.
    pub async fn metrics(&self) -> Result<Option<String>, Failure> {
        let Some(http) = self.http else { return Ok(None) };
        let page = tokio::task::spawn_blocking(move || process::page(http, "/metrics")).await;
        match page.map_err(|_panic| Failure::Bug("a reader of a page panicked"))?? {
            (status, page) if status.contains(" 200 ") => Ok(Some(page)),
            (status, _) => Err(Failure::Work(format!("http://{http}/metrics answers with {status}"))),
        }
    }

    /// The value of a series on the metrics page; none if it is not there.
    ///
    /// # Errors
    /// When the page can't be read.
    pub async fn metric(&self, series: &str) -> Result<Option<f64>, Failure> {
        let page = self.metrics().await?.unwrap_or_default();
        Ok(process::metric(&page, series).and_then(|value| value.parse().ok()))
    }

    /// How many snapshots were taken, and the seconds of all together.
    ///
    /// # Errors
    /// When the metrics page can't be read.
    pub async fn snapshots(&self) -> Result<(f64, f64), Failure> {
        let page = self.metrics().await?.unwrap_or_default();
        let value = |part| {
            let value = process::metric(&page, &format!("stockade_snapshot_duration_seconds_{part}"));
            value.and_then(|value| value.parse().ok()).unwrap_or_default()
        };
        Ok((value("count"), value("sum")))
    }

    /// The process of a server that was started here.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.server.id())
    }

    /// The public address of a server that was started here.
    #[must_use]
    pub fn public(&self) -> Option<SocketAddr> {
        self.own.as_ref().and_then(|own| own.server.public())
    }

    /// The data folder of a server that was started here.
    #[must_use]
    pub fn data(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.folder.path().join(DATA))
    }

    /// Sends a signal to a server that was started here. Returns whether that worked.
    pub fn signal(&self, signal: Signal) -> bool {
        self.own.as_ref().is_some_and(|own| own.server.signal(signal))
    }

    /// Ends a server that was started here by a signal and keeps its folder; kills it if that takes longer than
    /// `patience`.
    ///
    /// # Errors
    /// When it was not started here, which is a bug.
    pub fn leave(self, signal: Signal, patience: Duration) -> Result<Left, Failure> {
        let Own { server, folder } = own(self.own)?;
        Ok(Left { well: server.stop(signal, patience).well(), folder })
    }

    /// Ends a server that was started here, as an operator would.
    ///
    /// # Errors
    /// When it does not end successfully.
    pub fn stop(self) -> Result<(), Failure> {
        let well = !self.is_own() || self.leave(Signal::TERM, SHUTDOWN_TIMEOUT)?.well;
        if well { Ok(()) } else { Err(Failure::Work("the server did not end well".to_owned())) }
    }
}

/// A value that every server has that was started here; its absence is a bug.
///
/// # Errors
/// When there is none.
pub fn own<T>(value: Option<T>) -> Result<T, Failure> {
    value.ok_or(Failure::Bug("a server that was started here has a process and a folder"))
}

/// What a server that has ended leaves.
pub struct Left {
    /// The folder of its data folder.
    pub folder: TempDir,
    /// Whether it exited successfully.
    pub well: bool,
}

impl Left {
    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }
}

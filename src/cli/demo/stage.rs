//! The demo's server, on free ports and with a data folder that is removed afterwards.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use stockade_drill::process::{metric, page};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::failure::Failure;
use crate::config::{Config, Given};
use crate::server::{self, ServeError};

/// Where the demo's page is, if nobody else listens there.
const PUBLIC: &str = "127.0.0.1:7413";

/// A running server and its folder.
pub(super) struct Stage {
    folder: Folder,
    endpoint: String,
    http: SocketAddr,
    public: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Stage {
    /// Starts the server.
    ///
    /// # Errors
    /// If the folder or the sockets can't be opened.
    pub(super) fn set() -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let flag = |setting, text: &str| Given::flag(setting, text.to_owned());
        let data = folder.0.display().to_string();
        let public = if TcpListener::bind(PUBLIC).is_ok() { PUBLIC } else { "127.0.0.1:0" };
        let config = Config::from_flags(vec![
            flag("grpc", "127.0.0.1:0"),
            flag("http", "127.0.0.1:0"),
            flag("public", public),
            flag("data", &data),
            // The receiver of its webhook is on this machine.
            flag("webhooks-to-private", "true"),
        ])?;
        let listeners = server::bind(&config)?;
        let grpc = listeners.grpc.local_addr().map_err(Failure::Machine)?;
        let http = listeners.http.local_addr().map_err(Failure::Machine)?;
        let public = listeners.public.as_ref().and_then(|listener| listener.local_addr().ok());
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server::run(config, listeners, async {
            // A signal, or the sender is gone: both end the server.
            stopped.await.unwrap_or_default();
        }));
        Ok(Self { folder, endpoint: format!("http://{grpc}"), http, public, stop, serving })
    }

    /// The address of the server.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Where anyone may look at this drop.
    pub(super) fn page(&self, drop: &str) -> Option<String> {
        self.public.map(|at| format!("http://{at}/drops/{drop}"))
    }

    /// The data folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The metrics page.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) async fn metrics(&self) -> Result<String, Failure> {
        let http = self.http;
        let page = tokio::task::spawn_blocking(move || page(http, "/metrics")).await;
        Ok(page.map_err(|_panic| Failure::Bug("a reader of a page panicked"))??.1)
    }

    /// How many holds have expired, by the metrics.
    ///
    /// # Errors
    /// If the page can't be read.
    pub(super) async fn expired(&self) -> Result<String, Failure> {
        // A counter that is still 0 may be missing.
        let page = self.metrics().await?;
        Ok(metric(&page, "stockade_hold_transitions_total{to=\"expired\"}").unwrap_or("0").to_owned())
    }

    /// Stops the server and waits for its end. Then the folder is removed.
    ///
    /// # Errors
    /// If the server does not end cleanly.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        let Self { folder, endpoint: _, http: _, public: _, stop, serving } = self;
        // A server that has ended already has a reason of its own, which is returned below.
        let stopped = stop.send(());
        let ended = serving.await.map_err(|_panic| Failure::Bug("the server panicked"))?;
        drop(folder);
        ended?;
        stopped.map_err(|()| Failure::Bug("the server ended by itself"))
    }
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("stockade-demo-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).map_err(|source| Failure::File { path: path.clone(), source })?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's folder can't be removed");
        }
    }
}

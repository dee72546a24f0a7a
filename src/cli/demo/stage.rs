//! The demo's server, on free ports and with a data folder that is removed afterwards.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::cli::failure::Failure;
use crate::config::{Config, Given};
use crate::server::{self, ServeError};

/// A running server and its folder.
pub(super) struct Stage {
    folder: Folder,
    endpoint: String,
    http: SocketAddr,
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
        let config =
            Config::from_flags(vec![flag("grpc", "127.0.0.1:0"), flag("http", "127.0.0.1:0"), flag("data", &data)])?;
        let listeners = server::bind(&config)?;
        let grpc = listeners.grpc.local_addr().map_err(Failure::Machine)?;
        let http = listeners.http.local_addr().map_err(Failure::Machine)?;
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(server::run(config, listeners, async {
            // A signal, or the sender is gone: both end the server.
            stopped.await.unwrap_or_default();
        }));
        Ok(Self { folder, endpoint: format!("http://{grpc}"), http, stop, serving })
    }

    /// The address of the server.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The data folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// The value of a series of the metrics page, if the page has it.
    ///
    /// # Errors
    /// If the page can't be read.
    pub(super) async fn metric(&self, series: &str) -> Result<Option<String>, Failure> {
        Ok(metric(&self.metrics().await?, series).map(str::to_owned))
    }

    async fn metrics(&self) -> Result<String, Failure> {
        let mut stream = TcpStream::connect(self.http).await.map_err(Failure::Machine)?;
        let request = b"GET /metrics HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.map_err(Failure::Machine)?;
        let mut page = String::new();
        stream.read_to_string(&mut page).await.map_err(Failure::Machine)?;
        Ok(page)
    }

    /// Stops the server and waits for its end. Then the folder is removed.
    ///
    /// # Errors
    /// If the server does not end cleanly.
    pub(super) async fn strike(self) -> Result<(), Failure> {
        let Self { folder, endpoint: _, http: _, stop, serving } = self;
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

/// The value of a series of a metrics page.
fn metric<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let page = "a_total{to=\"x\"} 3\nb 0\nb_units 7\n";
        assert_eq!(metric(page, "b"), Some("0"));
        assert_eq!(metric(page, "a_total{to=\"x\"}"), Some("3"));
        assert_eq!(metric(page, "c"), None);
    }
}

//! `PostgreSQL` with the reservation as a function, called as a prepared statement: one round trip and one commit each.
//!
//! It runs on a folder of its own, never as root, which it refuses. The tables are emptied before each run.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Signal, geteuid};
use stockade_drill::Failure;
use stockade_drill::drive::{Caller, Measured, Span, closed_loop};
use stockade_drill::numbers::count;
use stockade_drill::process::{Process, find, free_port};
use stockade_drill::wire;
use stockade_types::metrics::Stopwatch;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, Statement};

use crate::{CUSTOMERS, HOT, LIMIT, STOCK, customer};

/// The reservation function.
const SCRIPT: &str = include_str!("../reserve.sql");
/// Where distributions install its programs, which are mostly not in `PATH`.
const FOLDERS: [&str; 4] = [
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/18/bin",
];
/// Users that it may run as if this process runs as root.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// How long it may take to make its folder, and to answer.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// How long it may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);
/// The message if it is not installed.
pub const INSTALL: &str = "PostgreSQL is not installed: apt-get install postgresql (Debian 12 has PostgreSQL 15)";

/// Where its programs are: `initdb` and `postgres`.
#[must_use]
pub fn programs() -> Option<(PathBuf, PathBuf)> {
    Some((find("initdb", &FOLDERS)?, find("postgres", &FOLDERS)?))
}

/// A running `PostgreSQL`. It ends before its folder is removed.
pub struct Postgres {
    address: SocketAddr,
    process: Option<Process>,
    _folder: TempDir,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its workers are processes of their own. It ends them only if it is asked to stop. SIGINT is a fast stop.
        let _ended = self.process.take().map(|process| process.stop(Signal::INT, SHUTDOWN_TIMEOUT));
    }
}

/// The numbers of the user and the group to run as.
fn user() -> Result<Option<(u32, u32)>, Failure> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(Failure::file(Path::new("/etc/passwd")))?;
    let find = |name: &&str| {
        let line = users.lines().find_map(|line| line.strip_prefix(*name)?.strip_prefix(':'))?;
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let nobody =
        || Failure::Work(format!("PostgreSQL does not run as root, and there is no user {}", USERS.join(" or ")));
    USERS.iter().find_map(find).map(Some).ok_or_else(nobody)
}

impl Postgres {
    /// Starts it on this empty folder, and makes the tables.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub async fn start(folder: TempDir) -> Result<Self, Failure> {
        let (initdb, postgres) = programs().ok_or_else(|| Failure::Work(INSTALL.to_owned()))?;
        let user = user()?;
        if let Some((user, group)) = user {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.current_dir(folder.path());
            if let Some((user, group)) = user {
                command.uid(user).gid(group);
            }
            command
        };
        let data = folder.path().join("data");
        let mut making = command(&initdb);
        making.args(["--auth", "trust", "--username", "stockade", "--encoding", "UTF8", "--pgdata"]).arg(&data);
        Process::start("initdb", making)?.wait_for(START_TIMEOUT, |line| line.starts_with("Success").then_some(()))?;
        let address = free_port()?;
        let mut serving = command(&postgres);
        serving.arg("-D").arg(&data).arg("-k").arg(folder.path());
        for setting in ["listen_addresses=127.0.0.1", "max_connections=200", "fsync=on", "synchronous_commit=on"] {
            serving.args(["-c", setting]);
        }
        // Settings that suit a machine of this size. No checkpoint happens during a run.
        for setting in ["shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=1h"] {
            serving.args(["-c", setting]);
        }
        serving.args(["-c", &format!("port={}", address.port())]);
        let process = Some(Process::start("postgres", serving)?);
        let started = Self { address, process, _folder: folder };
        started.client().await?.batch_execute(SCRIPT).await.map_err(|error| reported(&error))?;
        Ok(started)
    }

    /// Connects; retries while the server starts.
    async fn client(&self) -> Result<Client, Failure> {
        let settings = format!("host=127.0.0.1 port={} user=stockade dbname=postgres", self.address.port());
        let watch = Stopwatch::start();
        loop {
            match tokio_postgres::connect(&settings, NoTls).await {
                Ok((client, connection)) => {
                    // The task ends with its client, which gets its errors too.
                    tokio::spawn(async { connection.await.unwrap_or_default() });
                    return Ok(client);
                }
                Err(error) if watch.elapsed() > START_TIMEOUT => return Err(reported(&error)),
                Err(_starting) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Drives it over this many connections, from empty tables.
    ///
    /// # Errors
    /// When an answer is missing or wrong.
    pub async fn measure(&self, clients: usize, span: Span) -> Result<Measured, Failure> {
        let admin = self.client().await?;
        let empty = format!("truncate stock, usage, holds; insert into stock values ('{HOT}', {STOCK}); checkpoint");
        admin.batch_execute(&empty).await.map_err(|error| reported(&error))?;
        let mut callers = Vec::with_capacity(clients);
        for _ in 0..clients {
            let client = self.client().await?;
            let reserve =
                client.prepare("select reserve($1, $2, $3, $4, $5)").await.map_err(|error| reported(&error))?;
            callers.push(Calls { client, reserve, random: fastrand::Rng::new() });
        }
        let measured = closed_loop(callers, span).await?;
        let kept = admin.query_one("select count(*) from holds", &[]).await.map_err(|error| reported(&error))?;
        let kept: i64 = kept.get(0);
        if u64::try_from(kept) == Ok(measured.operations) {
            return Ok(measured);
        }
        Err(Failure::Work(format!("PostgreSQL has {kept} holds, {} reserves were answered", measured.operations)))
    }
}

fn reported(error: &tokio_postgres::Error) -> Failure {
    let why = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::Work(format!("PostgreSQL: {error}{why}"))
}

/// A connection that calls the function.
struct Calls {
    client: Client,
    reserve: Statement,
    random: fastrand::Rng,
}

impl Caller for Calls {
    async fn call(&mut self) -> Result<u64, String> {
        let who = customer(self.random.u32(..CUSTOMERS));
        let hold = wire::hold_id(&mut self.random).to_string();
        let (one, limit) = (1_i32, i32::try_from(LIMIT).unwrap_or(i32::MAX));
        let answer = self.client.query(&self.reserve, &[&hold, &HOT, &who, &one, &limit]).await;
        let rows = answer.map_err(|error| reported(&error).to_string())?;
        let granted = rows.iter().filter(|row| row.get::<_, &str>(0) == "HELD").count();
        if granted == 1 { Ok(count(granted)) } else { Err(format!("PostgreSQL answered {rows:?}")) }
    }
}

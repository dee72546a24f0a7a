//! A program as a child process: started, heard, and ended by its own process id. Nothing here ends a process that it
//! did not start.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, kill_process};
use stockade_types::metrics::Stopwatch;

mod pages;
mod server;

pub use pages::{metric, page};
pub use rustix::process::Signal;
pub use server::{Server, on_free_ports, serve, serving};

use crate::Failure;

/// Lines of a program's output that are kept; of more, the last.
const LINES_MAX: usize = 100_000;
/// Lines that explain why a program ended.
const LAST_LINES: usize = 20;
/// Lines that may wait to be read. If nobody reads them, later ones are only kept.
const LINES_WAITING: usize = 1024;
/// How often a program that must end is checked.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long the output of a program that has ended is waited for: its own children may keep the pipes open.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// A running program. Killed when dropped.
pub struct Process {
    program: String,
    child: Child,
    lines: Receiver<String>,
    log: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

/// How a program ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its exit code; none if a signal ended it, also ours because it took too long.
    pub code: Option<i32>,
    /// Its output.
    pub log: String,
}

impl Ended {
    /// Whether it exited successfully.
    #[must_use]
    pub fn well(&self) -> bool {
        self.code == Some(0)
    }

    /// A failure of this program to start, with its last lines of output.
    #[must_use]
    pub fn failure(&self, program: &str) -> Failure {
        let lines: Vec<&str> = self.log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n");
        let why = if last.is_empty() { "it said nothing".to_owned() } else { last };
        Failure::Start { program: program.to_owned(), why }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing a process that has ended already fails; that is harmless.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Process {
    /// Starts a program. Its standard output and standard error are read to their end.
    ///
    /// # Errors
    /// When there is no such program, or it can't be run.
    pub fn start(program: &str, mut command: Command) -> Result<Self, Failure> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |error: std::io::Error| Failure::Start { program: program.to_owned(), why: error.to_string() };
        let mut process = Self::over(program, command.spawn().map_err(failed)?);
        let (tell, lines) = sync_channel(LINES_WAITING);
        process.lines = lines;
        if let Some(out) = process.child.stdout.take() {
            process.read(out, tell.clone())?;
        }
        if let Some(err) = process.child.stderr.take() {
            process.read(err, tell)?;
        }
        Ok(process)
    }

    /// A program that was started already, and whose output somebody else reads.
    #[must_use]
    pub fn over(program: &str, child: Child) -> Self {
        let (_nobody, lines) = sync_channel(0);
        Self { program: program.to_owned(), child, lines, log: Arc::default(), readers: Vec::new() }
    }

    fn read(&mut self, from: impl Read + Send + 'static, tell: SyncSender<String>) -> Result<(), Failure> {
        let log = Arc::clone(&self.log);
        let reader = move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut log = log.lock();
                if log.len() >= LINES_MAX {
                    log.pop_front();
                }
                log.push_back(line.clone());
                drop(log);
                // Nobody may be waiting for lines any more; reading goes on, so that the program never blocks on a full
                // pipe.
                let _heard = tell.try_send(line);
            }
        };
        self.readers.push(std::thread::Builder::new().name("listener".to_owned()).spawn(reader)?);
        Ok(())
    }

    /// Its output so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Waits for a line of output for which `wanted` returns a value. None if the program ends before, or does not
    /// print such a line in time.
    pub fn hear<T>(&self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let watch = Stopwatch::start();
        while let Ok(line) = self.lines.recv_timeout(patience.saturating_sub(watch.elapsed())) {
            if let Some(found) = wanted(&line) {
                return Some(found);
            }
        }
        None
    }

    /// As [`Process::hear`].
    ///
    /// # Errors
    /// When there is no such line; with the program's last lines.
    pub fn wait_for<T>(&self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
        self.hear(patience, wanted).ok_or_else(|| self.complaint())
    }

    /// A failure with the program's last lines of output.
    #[must_use]
    pub fn complaint(&self) -> Failure {
        Ended { code: None, log: self.log() }.failure(&self.program)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal. Returns whether that worked.
    pub fn signal(&self, signal: Signal) -> bool {
        kill_process(Pid::from_child(&self.child), signal).is_ok()
    }

    /// Sends it a signal, and waits for its end as [`Process::end`].
    #[must_use]
    pub fn stop(self, signal: Signal, patience: Duration) -> Ended {
        self.signal(signal);
        self.end(patience)
    }

    /// Waits until it ends, and for the rest of its output. Kills it if that takes longer than `patience`.
    #[must_use]
    pub fn end(mut self, patience: Duration) -> Ended {
        let watch = Stopwatch::start();
        let code = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status.code(),
                Ok(None) if watch.elapsed() < patience => std::thread::sleep(LOOK_EVERY),
                Ok(None) | Err(_) => break None,
            }
        };
        // Without effect on one that has ended.
        let _killed = self.child.kill();
        let watch = Stopwatch::start();
        while self.readers.iter().any(|reader| !reader.is_finished()) && watch.elapsed() < LAST_OUTPUT {
            std::thread::sleep(LOOK_EVERY);
        }
        Ended { code, log: self.log() }
    }
}

/// A figure of a process's memory by its name with a colon, such as `VmRSS:`, in bytes. None if it can't be read.
#[must_use]
pub fn memory(process: u32, name: &str) -> Option<u64> {
    bytes(&std::fs::read_to_string(format!("/proc/{process}/status")).ok()?, name)
}

/// A line of a status page, which counts in units of 1,024 bytes.
fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes.saturating_mul(1024))
}

/// A free port of this machine's loopback.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Finds a program in the folders of `PATH` and in others where distributions install it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "where programs are is no configuration of the server")]
pub fn find(program: &str, others: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = others.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start("sh", command).expect("a shell")
    }

    #[test]
    fn a_line_is_waited_for_on_either_side() {
        let process = shell("echo no; echo port 7 >&2; sleep 9");
        let port = process.wait_for(Duration::from_secs(5), |line| line.strip_prefix("port ").map(str::to_owned));
        assert_eq!(port.expect("a line"), "7");
    }

    #[test]
    fn its_memory_is_told_by_the_kernel() {
        assert!(memory(std::process::id(), "VmRSS:").expect("memory") > 1024 * 1024);
        assert_eq!(bytes("VmPeak:\t 9 kB\nVmRSS:\t 3 kB\n", "VmRSS:"), Some(3 * 1024));
        assert_eq!(memory(u32::MAX, "VmRSS:"), None, "no process has this id");
    }

    #[test]
    fn one_that_ends_is_quoted() {
        let process = shell("echo out of luck >&2; exit 3");
        let failure = process.wait_for(Duration::from_secs(5), |_line| None::<()>).expect_err("it ends");
        assert!(failure.to_string().contains("out of luck"), "{failure}");
        let ended = process.end(Duration::from_secs(5));
        assert_eq!((ended.code, ended.log.as_str(), ended.well()), (Some(3), "out of luck\n", false));
    }

    #[test]
    fn one_is_told_to_stop_and_one_that_does_not_is_killed() {
        let stopped = |script: &str| {
            let process = shell(script);
            process.wait_for(Duration::from_secs(5), |_line| Some(())).expect("a line");
            process.stop(Signal::TERM, Duration::from_millis(300))
        };
        assert_eq!(stopped("trap 'exit 0' TERM; echo; while :; do sleep 0.01; done").code, Some(0));
        assert_eq!(stopped("trap '' TERM; echo; while :; do sleep 0.01; done").code, None);
    }
}

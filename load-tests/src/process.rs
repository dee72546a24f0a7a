//! Starts programs, waits for them, and ends them by their own process id; and their folders.
//!
//! Nothing here ends a process that it did not start.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use stockade::config::environment;
use stockade_types::metrics::Stopwatch;

use crate::failure::Failure;

/// Last output lines of a program that are kept to explain why it ended.
const LAST_LINES: usize = 20;
/// Lines that may wait to be read. If nobody reads them, later ones are dropped.
const LINES_WAITING: usize = 1024;
/// How often a program that must end is checked.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running program. Killed when dropped.
pub struct Process {
    program: String,
    child: Child,
    lines: Receiver<String>,
    last: Arc<Mutex<Vec<String>>>,
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
        let failed = |why: String| Failure::Start { program: program.to_owned(), why };
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let (tell, lines) = sync_channel(LINES_WAITING);
        let last = Arc::default();
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let process = Self { program: program.to_owned(), child, lines, last };
        if let (Some(out), Some(err)) = (out, err) {
            process.read(out, tell.clone())?;
            process.read(err, tell)?;
        }
        Ok(process)
    }

    fn read(&self, from: impl Read + Send + 'static, tell: SyncSender<String>) -> Result<(), Failure> {
        let last = Arc::clone(&self.last);
        let reader = move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let mut last = last.lock();
                if last.len() >= LAST_LINES {
                    last.remove(0);
                }
                last.push(line.clone());
                drop(last);
                // Nobody may be waiting for lines any more; reading goes on, so that the program never blocks on a full
                // pipe.
                let _heard = tell.try_send(line);
            }
        };
        std::thread::Builder::new().name("listener".to_owned()).spawn(reader)?;
        Ok(())
    }

    /// Waits for a line of output for which `wanted` returns a value.
    ///
    /// # Errors
    /// When the program ends before, or does not print such a line in time; with its last lines.
    pub fn wait_for<T>(&self, patience: Duration, wanted: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
        let watch = Stopwatch::start();
        while let Ok(line) = self.lines.recv_timeout(patience.saturating_sub(watch.elapsed())) {
            if let Some(found) = wanted(&line) {
                return Ok(found);
            }
        }
        Err(self.complaint())
    }

    /// A failure with the program's last lines of output.
    #[must_use]
    pub fn complaint(&self) -> Failure {
        let why = self.last.lock().join("\n");
        let why = if why.is_empty() { "it said nothing".to_owned() } else { why };
        Failure::Start { program: self.program.clone(), why }
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

    /// Sends a signal and waits until the process ends; kills it if that takes too long. Returns whether it exited
    /// successfully.
    pub fn stop(mut self, signal: Signal, patience: Duration) -> bool {
        let told = self.signal(signal);
        let watch = Stopwatch::start();
        while told && watch.elapsed() < patience {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => std::thread::sleep(LOOK_EVERY),
                Err(_gone) => return false,
            }
        }
        false
    }
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
pub fn find(program: &str, others: &[&str]) -> Option<PathBuf> {
    let path = environment("PATH").unwrap_or_default();
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
    fn one_that_ends_is_quoted() {
        let process = shell("echo out of luck >&2");
        let failure = process.wait_for(Duration::from_secs(5), |_line| None::<()>).expect_err("it ends");
        assert!(failure.to_string().contains("out of luck"), "{failure}");
    }

    #[test]
    fn one_is_told_to_stop_and_one_that_does_not_is_killed() {
        assert!(shell("trap 'exit 0' TERM; echo; while :; do sleep 0.01; done").stop_after_first_line());
        assert!(!shell("trap '' TERM; echo; while :; do sleep 0.01; done").stop_after_first_line());
    }

    impl Process {
        fn stop_after_first_line(self) -> bool {
            self.wait_for(Duration::from_secs(5), |_line| Some(())).expect("a line");
            self.stop(Signal::TERM, Duration::from_millis(300))
        }
    }
}

//! The binary as a child process on free ports. Its processes end with the test, even if it fails.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stockade_client::Client;
use stockade_types::metrics::Stopwatch;

/// A process that has not ended within this time has hung.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_stockade");

/// A serving process.
pub struct Server {
    /// The URL of its gRPC service.
    pub endpoint: String,
    /// The address of its HTTP pages.
    pub http: SocketAddr,
    process: Process,
    told: String,
    /// Reads the logs until the process ends.
    rest: Option<JoinHandle<String>>,
}

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Killing a process that has ended already fails; that is harmless.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// None if a signal ended it.
    pub code: Option<i32>,
    /// All of its standard error.
    pub log: String,
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
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--data").arg(data).args(flags);
    on_free_ports(&mut command);
    command
}

/// Adds the flags that every server here has.
pub fn on_free_ports(command: &mut Command) {
    command.args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-format", "json"]);
    // Not the folder of the sources, which may contain a stockade.toml.
    command.current_dir(std::env::temp_dir()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
}

/// Starts a server and waits until it serves.
///
/// # Errors
/// How it ended, if it ended instead.
pub fn try_start(command: Command) -> Result<Server, Ended> {
    let (mut server, logs) = try_start_unread(command)?;
    server.rest = Some(std::thread::spawn(move || to_the_end(logs)));
    Ok(server)
}

/// As [`try_start`]; the caller may read what it logs after that.
///
/// # Errors
/// How it ended, if it ended instead.
pub fn try_start_unread(mut command: Command) -> Result<(Server, BufReader<ChildStderr>), Ended> {
    let mut process = Process(command.spawn().expect("the binary runs"));
    let mut logs = BufReader::new(process.0.stderr.take().expect("logs"));
    let mut told = String::new();
    loop {
        let mut line = String::new();
        if logs.read_line(&mut line).expect("a line") == 0 {
            return Err(Ended { code: wait(&mut process.0), log: told });
        }
        told.push_str(&line);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if line["message"] == "serving" {
            let address = |door: &str| line[door].as_str().expect("an address").parse().expect("an address");
            let (grpc, http): (SocketAddr, SocketAddr) = (address("grpc"), address("http"));
            let server = Server { endpoint: format!("http://{grpc}"), http, process, told, rest: None };
            return Ok((server, logs));
        }
    }
}

/// As [`try_start`]; panics if the server does not start.
pub fn start(data: &Path, flags: &[&str]) -> Server {
    try_start(serve(data, flags)).unwrap_or_else(|ended| panic!("it did not start: {ended:?}"))
}

/// Starts a server that must refuse to start.
pub fn refused(data: &Path) -> Ended {
    match try_start(serve(data, &[])) {
        Ok(server) => panic!("it serves: {}", server.kill().log),
        Err(ended) => ended,
    }
}

fn to_the_end(mut logs: BufReader<ChildStderr>) -> String {
    let mut bytes = Vec::new();
    logs.read_to_end(&mut bytes).expect("logs");
    String::from_utf8(bytes).expect("text")
}

fn wait(child: &mut Child) -> Option<i32> {
    let watch = Stopwatch::start();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status.code();
        }
        assert!(watch.elapsed() < START_TIMEOUT, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Server {
    /// A client with a connection of its own.
    pub async fn client(&self) -> Client {
        Client::connect(&self.endpoint).await.expect("a connection")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("a signal");
    }

    /// Its process id.
    pub fn id(&self) -> Pid {
        Pid::from_child(&self.process.0)
    }

    /// Its log up to the line that it serves.
    pub fn start_log(&self) -> &str {
        &self.told
    }

    /// Kills it with SIGKILL.
    pub fn kill(self) -> Ended {
        self.signal(Signal::KILL);
        self.end()
    }

    /// Tells it to stop, and waits.
    pub fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let code = wait(&mut self.process.0);
        let rest = self.rest.take().map(|rest| rest.join().expect("logs")).unwrap_or_default();
        let mut log = std::mem::take(&mut self.told);
        write!(log, "{rest}").expect("a text");
        Ended { code, log }
    }

    /// An HTTP page: status line and body.
    pub fn page(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.http).expect("a connection");
        stream.set_read_timeout(Some(START_TIMEOUT)).expect("a timeout");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    /// A metric without labels, or with them spelled out.
    pub fn metric(&self, series: &str) -> String {
        let (_, page) = self.page("/metrics");
        let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{series} is missing in\n{page}")).to_owned()
    }
}

/// Runs `stockade verify` on a folder that no server uses.
pub fn verify(data: &Path) -> Output {
    Command::new(BINARY).arg("verify").arg("--data").arg(data).output().expect("the binary runs")
}

/// Asserts that `stockade verify` finds nothing. Returns its output.
pub fn verified(data: &Path) -> String {
    let output = verify(data);
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{told}");
    told
}

//! The log: lines on standard error. No request waits for it.
//!
//! Lines go into a bounded queue, and a thread writes them. If the reader is slow or gone, or the disk is full, lines
//! are lost. They are counted, and the next line that can be written is preceded by a line that says how many were
//! lost. Logging never fails for the caller. The process's last lines wait for the reader for a bounded time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use stockade_types::metrics::{Counter, Stopwatch};
use stockade_types::time::wall_clock;
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFilter, LogFormat};

/// Most lines that wait to be written.
const LINES_MAX: usize = 10_000;
/// Most bytes that wait to be written.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The least time between two reports of lost lines.
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// How long a caller waits for the queue's lock. After that the line is lost.
const LOCK_TIMEOUT: Duration = Duration::from_millis(100);
/// How long the end of the process waits for the last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the thread waits before it tries again if standard error is non-blocking and full.
const RETRY_PERIOD: Duration = Duration::from_millis(10);
/// The target of the lines that this module writes itself.
const TARGET: &str = module_path!();

/// The log of this process, once it was started.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    lines: Arc<LineQueue>,
    format: LogFormat,
}

/// Starts logging to standard error. Only the first call in a process has an effect.
///
/// # Errors
/// When the writing thread can't be started.
pub fn log_to_stderr(format: LogFormat, filter: &LogFilter) -> io::Result<()> {
    let lines = Arc::new(LineQueue::default());
    let begun = LOG.get_or_init(|| Log { lines: Arc::clone(&lines), format });
    if !Arc::ptr_eq(&begun.lines, &lines) {
        return Ok(());
    }
    let LogFilter { level, targets } = filter;
    let filter = Targets::new().with_default(*level).with_targets(targets.iter().cloned());
    let reported = filter.would_enable(TARGET, &Level::ERROR);
    let report = move |count: u64| {
        let count = [("lines", count.to_string())];
        reported.then(|| line(format, "log lines were lost", &count))
    };
    let writing = Arc::clone(&lines);
    thread::Builder::new().name("stockade-log".to_owned()).spawn(move || {
        match io::stderr().as_fd().try_clone_to_owned() {
            // A descriptor of its own bypasses the standard library's lock on standard error.
            Ok(file) => writing.write_out(File::from(file), report),
            Err(_none_left) => writing.write_out(io::stderr(), report),
        }
    })?;
    let logs = tracing_subscriber::fmt::layer().with_writer(Writer(lines)).log_internal_errors(false);
    let logs = match format {
        LogFormat::Text => logs.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
    };
    // If another subscriber is installed already, it stays.
    let _begun = tracing_subscriber::registry().with(logs.with_filter(filter)).try_init();
    Ok(())
}

/// Log lines lost since the start of the process.
#[must_use]
pub(super) fn log_lines_lost() -> u64 {
    LOG.get().map_or(0, |log| log.lines.lost.get())
}

/// Waits until all logged lines are written, for two seconds at most.
pub fn flush_log() {
    if let Some(log) = LOG.get() {
        log.lines.flush(FLUSH_TIMEOUT);
    }
}

/// Writes plain text after all logged lines and waits until it is written, for two seconds at most. Returns whether
/// the log has been started.
#[must_use]
pub fn last_words(text: &str) -> bool {
    let Some(log) = LOG.get() else { return false };
    log.lines.push_last(text.as_bytes());
    true
}

/// Logs an error, bypassing the subscriber and its filter, and waits until it is written, for two seconds at most.
/// For the end of a process whose subscriber may be in the middle of a line.
pub(super) fn last_error(message: &str, fields: &[(&str, String)]) {
    if let Some(log) = LOG.get() {
        log.lines.push_last(line(log.format, message, fields).as_bytes());
    } else {
        tracing::error!(?fields, "{message}");
    }
}

/// An error in the subscriber's format.
fn line(format: LogFormat, message: &str, fields: &[(&str, String)]) -> String {
    let now = wall_clock();
    match format {
        LogFormat::Text => {
            let fields = fields.iter().map(|(name, value)| [" ", name, "=", value].concat());
            format!("{now} ERROR {TARGET}: {message}{}\n", fields.collect::<String>())
        }
        LogFormat::Json => {
            let fields = fields.iter().map(|(name, value)| {
                let number = value.parse::<u64>().map(serde_json::Value::from);
                ((*name).to_owned(), number.unwrap_or_else(|_text| value.as_str().into()))
            });
            let head =
                [("timestamp", now.to_string().as_str()), ("level", "ERROR"), ("target", TARGET), ("message", message)]
                    .map(|(name, value)| (name.to_owned(), value.into()));
            format!("{}\n", serde_json::Value::Object(head.into_iter().chain(fields).collect()))
        }
    }
}

/// Makes the subscriber write to the queue.
struct Writer(Arc<LineQueue>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = &'a LineQueue;

    fn make_writer(&'a self) -> &'a LineQueue {
        &self.0
    }
}

/// The queue of lines that wait to be written.
#[derive(Default)]
struct LineQueue {
    queue: Mutex<QueuedLines>,
    /// Signalled when a line is queued.
    filled: Condvar,
    /// Signalled when all lines are written.
    emptied: Condvar,
    lost: Counter,
}

#[derive(Default)]
struct QueuedLines {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// The thread is writing a line.
    is_busy: bool,
    /// Lines lost since the last report.
    unreported: u64,
}

/// What the thread does next.
enum Step {
    Line(Box<[u8]>),
    Report(u64),
}

impl Write for &LineQueue {
    /// Queues a line. It never fails: a line without room is lost.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl LineQueue {
    fn push(&self, line: &[u8]) {
        self.push_within(line, LINES_MAX, BYTES_MAX);
    }

    /// Queues one of the process's last lines regardless of the bounds, and waits until it is written, for two
    /// seconds at most.
    fn push_last(&self, line: &[u8]) {
        self.push_within(line, usize::MAX, usize::MAX);
        self.flush(FLUSH_TIMEOUT);
    }

    fn push_within(&self, line: &[u8], lines_max: usize, bytes_max: usize) {
        let line: Box<[u8]> = line.into();
        let Some(mut queue) = self.queue.try_lock_for(LOCK_TIMEOUT) else {
            self.lost.increment();
            return;
        };
        let bytes = queue.bytes.saturating_add(line.len());
        if queue.lines.len() >= lines_max || bytes > bytes_max {
            queue.unreported = queue.unreported.saturating_add(1);
            self.lost.increment();
            return;
        }
        queue.bytes = bytes;
        queue.lines.push_back(line);
        drop(queue);
        self.filled.notify_one();
    }

    /// Waits until all lines are written, for at most `within`.
    fn flush(&self, within: Duration) {
        let watch = Stopwatch::start();
        let Some(mut queue) = self.queue.try_lock_for(within) else { return };
        while queue.is_busy || !queue.lines.is_empty() {
            let Some(left) = within.checked_sub(watch.elapsed()).filter(|left| !left.is_zero()) else { return };
            let _timed_out = self.emptied.wait_for(&mut queue, left);
        }
    }

    /// Writes lines for as long as the process lives. `report` makes the line about lost lines.
    fn write_out(&self, out: impl Write, report: impl Fn(u64) -> Option<String>) {
        let mut out = LineWriter { out, is_inside: false };
        let mut last = LastReport { at: None, is_well: true };
        loop {
            let written = match self.next(&last) {
                Step::Line(line) => out.write_line(&line).map_err(|_lost| {
                    self.lost.increment();
                    1
                }),
                Step::Report(count) => {
                    last.at = Some(Stopwatch::start());
                    let report = report(count);
                    report.map_or(Ok(()), |report| out.write_line(report.as_bytes())).map_err(|_later| count)
                }
            };
            last.is_well = written.is_ok();
            if let Err(count) = written {
                let mut queue = self.queue.lock();
                queue.unreported = queue.unreported.saturating_add(count);
            }
        }
    }

    fn next(&self, last: &LastReport) -> Step {
        let mut queue = self.queue.lock();
        loop {
            let wait = last.wait();
            // After a failed write, lost lines are reported again only when another line is queued.
            if queue.unreported > 0 && wait.is_zero() && (last.is_well || !queue.lines.is_empty()) {
                queue.is_busy = true;
                return Step::Report(std::mem::take(&mut queue.unreported));
            }
            if let Some(line) = queue.lines.pop_front() {
                queue.bytes = queue.bytes.saturating_sub(line.len());
                queue.is_busy = true;
                return Step::Line(line);
            }
            queue.is_busy = false;
            self.emptied.notify_all();
            if queue.unreported > 0 && last.is_well {
                let _timed_out = self.filled.wait_for(&mut queue, wait);
            } else {
                self.filled.wait(&mut queue);
            }
        }
    }
}

/// The state of the last report and write.
struct LastReport {
    /// When lost lines were last reported.
    at: Option<Stopwatch>,
    /// The last write succeeded.
    is_well: bool,
}

impl LastReport {
    /// How long until the next report may be written.
    fn wait(&self) -> Duration {
        self.at.map_or(Duration::ZERO, |at| REPORT_PERIOD.saturating_sub(at.elapsed()))
    }
}

/// Where lines are written. If a write ended inside a line, the next line begins on a line of its own.
struct LineWriter<W> {
    out: W,
    /// The last write ended inside a line.
    is_inside: bool,
}

impl<W: Write> LineWriter<W> {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_inside {
            self.write(b"\n")?;
            self.is_inside = false;
        }
        self.write(line)
    }

    fn write(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    self.is_inside = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(RETRY_PERIOD),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

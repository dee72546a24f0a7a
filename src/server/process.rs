//! What concerns the process as a whole: its logs, its signals, and that a panic ends it.

use std::io::IsTerminal as _;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFilter, LogFormat};

/// A bug: the process ends with this.
const BUG: i32 = 70;

/// Logs to standard error. Only the first call of a process counts.
pub fn log_to_stderr(format: LogFormat, filter: &LogFilter) {
    let LogFilter { level, targets } = filter;
    let filter = Targets::new().with_default(*level).with_targets(targets.iter().cloned());
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let logs = match format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
    };
    // Where logs go somewhere already, they stay there.
    let _begun = tracing_subscriber::registry().with(logs.with_filter(filter)).try_init();
}

/// From now on a panic in any thread is logged and ends the process with 70, before anything is unwound: a guard must
/// never give back what was journaled.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        tracing::error!(%panic, %backtrace, "a bug: the process ends here");
        std::process::exit(BUG);
    }));
}

/// Resolves when the process is told to stop, by SIGTERM or SIGINT.
///
/// # Errors
/// When the signals can't be listened for.
pub fn told_to_stop() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "told to stop"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "told to stop"),
        }
    })
}

//! What concerns the process as a whole: its logs, its signals, and that a panic ends it.

use std::io::IsTerminal as _;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// A bug: the process ends with this.
const BUG: i32 = 70;
/// What is logged when nothing else is asked for.
const USUAL_LEVEL: &str = "info";

/// Logs to standard error. `filter` is a level or a list of `target=level`; what can't be read as one is told and
/// replaced by `info`. Only the first call of a process counts.
pub fn log_to_stderr(format: LogFormat, filter: Option<&str>) {
    let (filter, faulty) = match EnvFilter::try_new(filter.unwrap_or(USUAL_LEVEL)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(USUAL_LEVEL), Some(error)),
    };
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let begun = match format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if begun.is_ok()
        && let Some(error) = faulty
    {
        tracing::warn!(%error, "STOCKADE_LOG can't be read: logging at info");
    }
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

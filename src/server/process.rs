//! What concerns the whole process: its signals, and that a panic ends it.

use std::convert::Infallible;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::log;

/// The exit code for a bug.
const BUG: i32 = 70;

/// From now on a panic in any thread is logged and ends the process with 70. Nothing is unwound: a guard must never
/// give back units whose taking is journaled. A log that can't be written delays the end by two seconds at most.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::force_capture();
        let what = [("panic", panic.to_string()), ("backtrace", backtrace.to_string())];
        log::last_error("a bug: the process ends here", &what);
        std::process::exit(BUG);
    }));
}

/// Resolves when a signal asks the process to stop: SIGTERM, SIGINT or SIGQUIT.
///
/// # Errors
/// If the signals can't be listened for.
pub fn stop_requested() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
            _ = quit.recv() => tracing::info!(signal = "SIGQUIT", "stopping"),
        }
    })
}

/// Ignores signals whose default action ends the process and that are no request to stop: SIGHUP, SIGUSR1, SIGUSR2,
/// SIGALRM, SIGPIPE and SIGXFSZ. The future never ends; it logs each of the first four.
///
/// # Errors
/// If the signals can't be listened for.
pub fn ignore_signals() -> std::io::Result<impl Future<Output = Infallible> + Send> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut user_1 = signal(SignalKind::user_defined1())?;
    let mut user_2 = signal(SignalKind::user_defined2())?;
    let mut alarm = signal(SignalKind::alarm())?;
    // The write that caused one of these two returns an error, so they are not logged.
    let mut pipe = signal(SignalKind::pipe())?;
    let mut file_size = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    Ok(async move {
        loop {
            let name = tokio::select! {
                _ = hangup.recv() => "SIGHUP",
                _ = user_1.recv() => "SIGUSR1",
                _ = user_2.recv() => "SIGUSR2",
                _ = alarm.recv() => "SIGALRM",
                _ = pipe.recv() => continue,
                _ = file_size.recv() => continue,
            };
            tracing::warn!(signal = name, "a signal was ignored: SIGTERM stops the server, nothing reloads it");
        }
    })
}

//! `stockade serve`.

use super::Finding;
use super::args::ServeFlags;
use super::failure::Failure;
use crate::config::{Config, LogFormat, environment, environment_names, unknown_variables};
use crate::server;

/// How long the end waits for threads that do not finish.
const LAST_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs a server until a signal stops it.
///
/// # Errors
/// If the configuration is faulty, or the server can't start or does not end cleanly.
pub(super) fn serve(flags: ServeFlags) -> Result<Finding, Failure> {
    let ServeFlags { given, config: file } = flags;
    let config = Config::load(given, file, environment)?;
    server::log_to_stderr(config.log_format, &config.log).map_err(Failure::Machine)?;
    server::end_on_panic();
    for variable in unknown_variables(environment_names()) {
        tracing::warn!(variable, "a variable that is no setting is ignored");
    }
    let format = config.log_format;
    let served = run(config).map_err(|failure| logged(failure, format));
    server::flush_log();
    served
}

/// Sends the failure through the log, after all other lines: a reader that takes nothing must not keep the process
/// from ending. A JSON log gets it as JSON, if errors are logged at all.
fn logged(failure: Failure, format: LogFormat) -> Failure {
    let exit_code = failure.exit_code();
    match format {
        LogFormat::Json if tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!(error = failure.whole(), exit_code, "the server has failed");
            Failure::Logged { exit_code }
        }
        LogFormat::Text | LogFormat::Json => {
            let words: String = failure.lines().into_iter().map(|line| line + "\n").collect();
            if server::last_words(&words) { Failure::Logged { exit_code } } else { failure }
        }
    }
}

fn run(config: Config) -> Result<Finding, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Machine)?;
    let served = runtime.block_on(async {
        // Before the sockets are bound, so that no signal after that is missed.
        let stop = server::stop_requested().map_err(Failure::Machine)?;
        // Ends with the runtime.
        let _ignoring = tokio::spawn(server::ignore_signals().map_err(Failure::Machine)?);
        let listeners = server::bind(&config)?;
        server::run(config, listeners, stop).await.map_err(Failure::from)
    });
    runtime.shutdown_timeout(LAST_WAIT);
    served.map(|()| Finding::Well)
}

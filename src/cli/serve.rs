//! `stockade serve`.

use super::Finding;
use super::args::ServeFlags;
use super::failure::Failure;
use crate::config::{Config, LogFormat, environment, environment_names, unknown_variables};
use crate::server;

/// How long threads that do not come back may hold up the end.
const LAST_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs a server until it is told to stop.
///
/// # Errors
/// When the configuration is faulty, the server can't start, or it does not end well.
pub fn serve(flags: ServeFlags) -> Result<Finding, Failure> {
    let ServeFlags { given, config: file } = flags;
    let config = Config::load(given, file, environment)?;
    server::log_to_stderr(config.log_format, &config.log);
    server::end_on_panic();
    for variable in unknown_variables(environment_names()) {
        tracing::warn!(variable, "a variable that is no setting is ignored");
    }
    let format = config.log_format;
    run(config).map_err(|failure| logged(failure, format))
}

/// A log of JSON is JSON to its last word, as long as errors are logged at all.
fn logged(failure: Failure, format: LogFormat) -> Failure {
    match format {
        LogFormat::Json if tracing::enabled!(tracing::Level::ERROR) => {
            let exit_code = failure.exit_code();
            tracing::error!(error = failure.whole(), exit_code, "the server has failed");
            Failure::Logged { exit_code }
        }
        LogFormat::Text | LogFormat::Json => failure,
    }
}

fn run(config: Config) -> Result<Finding, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Machine)?;
    let served = runtime.block_on(async {
        // Before the sockets are bound, so that no signal after that is missed.
        let stop = server::told_to_stop().map_err(Failure::Machine)?;
        let listeners = server::bind(&config).await?;
        server::run(config, listeners, stop).await.map_err(Failure::from)
    });
    runtime.shutdown_timeout(LAST_WAIT);
    served.map(|()| Finding::Well)
}

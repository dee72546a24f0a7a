//! `stockade completions`: completion scripts for shells.

use clap::CommandFactory as _;

use super::Finding;
use super::args::{Cli, CompletionOptions};
use super::failure::Failure;
use super::output::Output;

/// Prints the script of a shell.
///
/// # Errors
/// If the script is not UTF-8, which is a bug.
pub(super) fn completions(options: &CompletionOptions, output: &mut Output) -> Result<Finding, Failure> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    let script = String::from_utf8(script).map_err(|_bad| Failure::Bug("a completion script is not text"))?;
    output.line(script.trim_end());
    Ok(Finding::Well)
}

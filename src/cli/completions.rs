//! `stockade completions`: scripts that complete this command line in a shell.

use clap::CommandFactory as _;

use super::Finding;
use super::args::{Cli, CompletionOptions};
use super::failure::Failure;
use super::output::Output;

/// Prints the script for a shell.
///
/// # Errors
/// When the script is not text: a bug.
pub fn completions(options: &CompletionOptions, output: &mut Output) -> Result<Finding, Failure> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    let script = String::from_utf8(script).map_err(|_bad| Failure::Bug("a completion script is not text"))?;
    output.line(script.trim_end());
    Ok(Finding::Well)
}

//! The command line: parse, run, exit code.
//!
//! All printing goes through the module `output`. Every command ends with an exit code that scripts can rely on.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

mod apply;
mod args;
mod buyer;
mod channels;
mod completions;
mod demo;
mod descriptors;
pub mod drop_file;
mod drop_schema;
mod drops;
mod events;
mod explain;
mod facts;
mod failure;
mod holds;
mod journal;
mod json;
mod lines;
mod operators;
mod output;
mod reports;
mod series;
mod series_schema;
mod serve;
mod show;
mod timeline;
mod verify;
mod watch;
mod webhooks;

use args::{
    ChannelsCommand, Cli, Command, DropCommand, EventsCommand, FactsCommand, HoldCommand, JournalCommand,
    ReportCommand, SeriesCommand, WebhookCommand,
};
use failure::{Failure, USAGE};
use output::Output;

use crate::config::{environment_names, unknown_variables};

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// All is well.
    Well,
    /// A refusal, damage, or a failed audit.
    Amiss,
}

/// Runs a command line; its first word is the program's name.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return help_or_usage(&error),
    };
    let mut output = Output::standard();
    let code = match execute(cli, &mut output) {
        Ok(Finding::Well) => 0,
        Ok(Finding::Amiss) => 1,
        Err(failure) => {
            failure.print(&mut output);
            failure.exit_code()
        }
    };
    ExitCode::from(output.finish(code))
}

/// Clap prints help on standard output, with exit code 0, and errors on standard error, as wrong usage.
fn help_or_usage(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() { USAGE } else { 0 };
    // A closed pipe does not change the exit code.
    error.print().map_or(ExitCode::from(code), |()| ExitCode::from(code))
}

fn execute(cli: Cli, output: &mut Output) -> Result<Finding, Failure> {
    if !matches!(cli.command, Command::Serve(_)) {
        // A server logs them instead.
        for variable in unknown_variables(environment_names()) {
            output.complain(&format!("warning: {variable} is no variable of stockade: it is ignored"));
        }
    }
    match cli.command {
        Command::Serve(flags) => serve::serve(*flags),
        Command::Demo(options) => demo::demo(&options, output),
        Command::Verify(options) => verify::verify(&options, output),
        Command::Journal(JournalCommand::Dump(options)) => journal::dump(&options, output),
        Command::Descriptors => descriptors::descriptors(output),
        Command::Completions(options) => completions::completions(&options, output),
        Command::Drop(DropCommand::Apply(options)) => talk(drops::apply(&options, output)),
        Command::Drop(DropCommand::Schema) => Ok(drop_schema::schema(output)),
        Command::Drop(DropCommand::Show(options)) => talk(drops::show(&options, output)),
        Command::Drop(DropCommand::Pause(options)) => talk(drops::pause(&options, output)),
        Command::Drop(DropCommand::Resume(options)) => talk(drops::resume(&options, output)),
        Command::Drop(DropCommand::Close(options)) => talk(drops::close(&options, output)),
        Command::Drop(DropCommand::List(options)) => talk(operators::list_drops(&options, output)),
        Command::Drop(DropCommand::Watch(options)) => talk(watch::watch(&options, output)),
        Command::Drop(DropCommand::Adjust(options)) => talk(operators::adjust(&options, output)),
        Command::Drop(DropCommand::Reconcile(options)) => talk(operators::reconcile(&options, output)),
        Command::Drop(DropCommand::Fire(options)) => talk(drops::fire(&options, output)),
        Command::Drop(DropCommand::Clone(options)) => talk(drops::copy(&options, output)),
        Command::Series(SeriesCommand::Apply(options)) => talk(series::apply(&options, output)),
        Command::Series(SeriesCommand::Schema) => Ok(series_schema::schema(output)),
        Command::Series(SeriesCommand::List(options)) => talk(series::list(&options, output)),
        Command::Series(SeriesCommand::Show(options)) => talk(series::show(&options, output)),
        Command::Series(SeriesCommand::Preview(options)) => talk(series::preview(&options, output)),
        Command::Series(SeriesCommand::Pause(options)) => {
            talk(series::steer(&options, stockade_proto::SeriesState::Paused, output))
        }
        Command::Series(SeriesCommand::End(options)) => {
            talk(series::steer(&options, stockade_proto::SeriesState::Ended, output))
        }
        Command::Reserve(options) => talk(holds::reserve(&options, output)),
        Command::Extend(options) => talk(holds::extend(&options, output)),
        Command::Claim(options) => talk(holds::claim(&options, output)),
        Command::Release(options) => talk(holds::release(&options, output)),
        Command::Return(options) => talk(holds::give_back(&options, output)),
        Command::Hold(HoldCommand::Show(options)) => talk(holds::show(&options, output)),
        Command::Hold(HoldCommand::List(options)) => talk(operators::list_holds(&options, output)),
        Command::Explain(options) => talk(explain::explain(&options, output)),
        Command::Events(EventsCommand::Tail(options)) => talk(events::tail(&options, output)),
        Command::Webhook(command) => webhook(command, output),
        Command::Channels(ChannelsCommand::Check(options)) => channels::check(&options, output),
        Command::Channels(ChannelsCommand::List(options)) => channels::list(&options, output),
        Command::Channels(ChannelsCommand::Test(options)) => talk(channels::test(&options, output)),
        Command::Report(ReportCommand::Show(options)) => talk(reports::show(&options, output)),
        Command::Report(ReportCommand::List(options)) => talk(reports::list(&options, output)),
        Command::Report(ReportCommand::Compare(options)) => talk(reports::compare(&options, output)),
        Command::Report(ReportCommand::Export(options)) => talk(reports::export(&options, output)),
        Command::Facts(FactsCommand::Import(options)) => talk(facts::import(&options, output)),
    }
}

fn webhook(command: WebhookCommand, output: &mut Output) -> Result<Finding, Failure> {
    match command {
        WebhookCommand::Create(options) => talk(webhooks::create(*options, output)),
        WebhookCommand::Update(options) => talk(webhooks::update(*options, output)),
        WebhookCommand::Show(options) => talk(webhooks::show(&options, output)),
        WebhookCommand::List(remote) => talk(webhooks::list(&remote, output)),
        WebhookCommand::Delete(options) => talk(webhooks::delete(&options, output)),
        WebhookCommand::Test(options) => talk(webhooks::test(&options, output)),
        WebhookCommand::Replay(options) => talk(webhooks::replay(&options, output)),
    }
}

/// Runs a command that calls a server. One thread is enough for that.
fn talk(command: impl Future<Output = Result<Finding, Failure>>) -> Result<Finding, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Machine)?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests;

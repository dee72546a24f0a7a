//! The flags of `serve`, made from the table of settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches, value_parser};

use crate::config::{Given, SETTINGS, Setting, Takes};

pub(super) const SERVE_HELP: &str = "Every flag is also read from the environment, as STOCKADE_GRPC or STOCKADE_SNAPSHOT_EVERY, \
    and from\na TOML file, as grpc or snapshot_every. A flag wins over the environment, that over the file.\n\n\
    Examples:\n  \
    stockade serve\n  \
    stockade serve --grpc 0.0.0.0:7411 --http 0.0.0.0:7412 --data /var/lib/stockade --drain-delay 5s\n  \
    stockade serve --ephemeral --log warn,stockade::grpc=debug --log-format json";

/// The flag that names the configuration file. It is no setting itself.
const CONFIG: &str = "config";

/// The flags of `serve` as given.
#[derive(Debug)]
pub(crate) struct ServeFlags {
    /// The settings, as text: they are checked together with those of the other sources.
    pub given: Vec<Given>,
    /// The configuration file, if one was named.
    pub config: Option<PathBuf>,
}

fn flag(setting: &Setting) -> Arg {
    let help = format!("{} [default: {}]", setting.what, setting.default.words());
    // Text that is not UTF-8 is reported together with the other faulty values, not by clap.
    let flag = Arg::new(setting.flag).long(setting.flag).value_parser(value_parser!(OsString)).help(help);
    match setting.takes {
        Takes::Value(name) => flag.value_name(name),
        Takes::Switch => flag.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true"),
    }
}

impl Args for ServeFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG).long(CONFIG).value_name("FILE").value_parser(value_parser!(PathBuf));
        let file = file.help("A TOML file with settings [default: stockade.toml, if it exists]");
        SETTINGS.iter().fold(command, |command, setting| command.arg(flag(setting))).arg(file)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let text = matches.get_one::<OsString>(setting.flag)?;
            Some(Given::flag(setting.flag, text.to_string_lossy().into_owned()))
        });
        Ok(Self { given: given.collect(), config: matches.get_one(CONFIG).cloned() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

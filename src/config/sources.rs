//! The sources of settings. All three supply text; the source of the highest precedence that sets a setting wins.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::channels;
use super::fields::File;
use super::parse::Parsed;
use super::table::{PREFIX, SETTINGS};
use crate::channels::Channel;

/// A setting as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The setting, by its flag's name.
    pub setting: &'static str,
    /// Its text.
    pub text: String,
    /// Where it was set, for error messages.
    pub origin: String,
}

impl Given {
    /// From a flag of the command line.
    #[must_use]
    pub fn flag(setting: &'static str, text: String) -> Self {
        Self { setting, text, origin: format!("--{setting}") }
    }
}

/// A variable of the environment. Bytes that are not UTF-8 are replaced, so that the value is reported as faulty
/// rather than taken for missing.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one door to the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// The names of all variables of the environment.
#[must_use]
pub fn environment_names() -> Vec<String> {
    std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
}

/// The key of channels. It is no setting: only the file has it.
const CHANNELS: &str = "channels";
/// Variables that are not settings of a server.
const OTHERS: [&str; 2] = ["STOCKADE_CONFIG", "STOCKADE_ENDPOINT"];
/// Prefixes of the variables that Kubernetes sets for a service named `stockade`.
const OF_A_SERVICE: [&str; 2] = ["STOCKADE_SERVICE_", "STOCKADE_PORT_"];

/// The names that begin like our variables and are none of them: most often misspelt, and without effect. Sorted.
#[must_use]
pub fn unknown_variables(names: Vec<String>) -> Vec<String> {
    let known = |name: &str| {
        OTHERS.contains(&name)
            || name == "STOCKADE_PORT"
            || OF_A_SERVICE.iter().any(|prefix| name.starts_with(prefix))
            || SETTINGS.iter().any(|setting| setting.variable() == name)
    };
    let mut unknown: Vec<_> = names.into_iter().filter(|name| name.starts_with(PREFIX) && !known(name)).collect();
    unknown.sort_unstable();
    unknown
}

/// What the sources have set so far, with the highest precedence first, and what is wrong with it.
pub(super) struct Sources {
    given: BTreeMap<&'static str, Given>,
    /// Settings whose text can't be parsed.
    faulty: BTreeSet<&'static str>,
    /// The channels of the file.
    pub channels: Vec<Channel>,
    /// All errors.
    pub errors: Vec<String>,
}

impl Sources {
    /// Flags have the highest precedence.
    pub(super) fn new(flags: Vec<Given>) -> Self {
        let mut sources =
            Self { given: BTreeMap::new(), faulty: BTreeSet::new(), channels: Vec::new(), errors: Vec::new() };
        for flag in flags {
            sources.add(flag);
        }
        sources
    }

    fn add(&mut self, given: Given) {
        self.given.entry(given.setting).or_insert(given);
    }

    /// Reads each setting's variable.
    pub(super) fn read_environment(&mut self, environment: &impl Fn(&str) -> Option<String>) {
        for setting in SETTINGS {
            let origin = setting.variable();
            if let Some(text) = environment(&origin) {
                self.add(Given { setting: setting.flag, text, origin });
            }
        }
    }

    /// Reads a TOML file with the settings as its top-level keys, and channels, whose secrets are in the environment.
    pub(super) fn read_file(&mut self, file: &Path, environment: &impl Fn(&str) -> Option<String>) {
        match fs::read_to_string(file) {
            Ok(text) => self.read_toml((&file.display().to_string(), &text), environment),
            Err(error) => self.errors.push(format!("{}: can't be read: {error}", file.display())),
        }
    }

    /// Reads the text of such a file.
    pub(super) fn read_toml(&mut self, (name, text): (&str, &str), environment: &impl Fn(&str) -> Option<String>) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut broken = BTreeSet::new();
        for error in errors {
            let (line, column) = error.span().map_or((1, 1), |span| place(text, span.start));
            // The parser's messages are written for programmers.
            let what = if error.message().contains("duplicate") {
                "this key is given twice"
            } else {
                "this is no TOML: write a setting as key = \"text\", key = 5 or key = true"
            };
            broken.insert(line);
            let fault = format!("{name}:{line}:{column}: {what}");
            if self.errors.last() != Some(&fault) {
                self.errors.push(fault);
            }
        }
        let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let (line, column) = place(text, key.span().start);
            // The placeholder for a value that can't be read is not reported too.
            if broken.contains(&line) {
                continue;
            }
            let origin = format!("{name}:{line}:{column}: {}", key.get_ref());
            if key.get_ref() == CHANNELS {
                let file = File { name, text, errors: RefCell::default() };
                self.channels = channels::channels(&file, (key.span().start, value.get_ref()), environment);
                self.errors.extend(file.errors.into_inner());
                continue;
            }
            let named = key.get_ref().replace('-', "_");
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == named).map(|setting| setting.flag) else {
                let keys: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
                self.errors
                    .push(format!("{origin} is not a setting; settings are {}, and [[channels]]", keys.join(", ")));
                continue;
            };
            if let Some(first) = seen.insert(setting, line) {
                self.errors.push(format!("{origin} is given twice, in line {first} too"));
                continue;
            }
            match text_of(value.get_ref()) {
                Some(text) => self.add(Given { setting, text, origin }),
                None => self.errors.push(format!("{origin} must be a string, a whole number, true or false")),
            }
        }
    }

    /// A setting, or its default. If its text can't be parsed, an error is recorded and the default is returned, so
    /// that parsing goes on. `None` only for a default that can't be parsed.
    pub(super) fn take<T>(
        &mut self,
        flag: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Option<T> {
        match self.take_if_given(flag, &parse) {
            Some(value) => Some(value),
            None => parse(default).ok(),
        }
    }

    /// A setting without a default. If its text can't be parsed, an error is recorded.
    pub(super) fn take_if_given<T>(&mut self, flag: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let Given { setting, text, origin } = self.given.remove(flag)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(wanted) => {
                self.errors.push(format!("{origin} {wanted}, not {text:?}"));
                self.faulty.insert(setting);
                None
            }
        }
    }

    /// Whether this setting was given a text that can't be parsed.
    pub(super) fn is_faulty(&self, flag: &str) -> bool {
        self.faulty.contains(flag)
    }
}

fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The line and the column of a byte, both from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let (lines, line) = before.rsplit_once('\n').map_or((0, before), |(above, line)| (above.split('\n').count(), line));
    (lines.saturating_add(1), line.chars().count().saturating_add(1))
}

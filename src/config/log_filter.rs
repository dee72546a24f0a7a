//! The log filter: a level, or a list of `target=level`.

use tracing::level_filters::LevelFilter;

/// The levels by name, from the most verbose to none.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("trace", LevelFilter::TRACE),
    ("debug", LevelFilter::DEBUG),
    ("info", LevelFilter::INFO),
    ("warn", LevelFilter::WARN),
    ("error", LevelFilter::ERROR),
    ("off", LevelFilter::OFF),
];
/// The level of targets that a list does not name, if the list has no level alone.
const USUAL: LevelFilter = LevelFilter::INFO;
/// Most targets in a list.
const TARGETS_MAX: usize = 100;

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter {
    /// The level of all targets that `targets` does not name.
    pub level: LevelFilter,
    /// The level of these targets and of the modules within them.
    pub targets: Vec<(String, LevelFilter)>,
}

impl LogFilter {
    /// Parses `warn`, or `stockade::grpc=debug,warn`. `None` if it can't be parsed. A word that is no level is not
    /// taken for a target: that would silence everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (mut level, mut targets) = (None, Vec::new());
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                None if level.is_none() => level = Some(named(part)?),
                // Of two levels alone, one would have no effect.
                None => return None,
                Some((target, level)) => targets.push((is_target(target).then(|| target.to_owned())?, named(level)?)),
            }
        }
        (targets.len() <= TARGETS_MAX).then_some(Self { level: level.unwrap_or(USUAL), targets })
    }
}

fn named(word: &str) -> Option<LevelFilter> {
    LEVELS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, level)| level)
}

/// A module's path, such as `stockade::grpc`.
fn is_target(text: &str) -> bool {
    text.split("::").all(|part| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_a_list_is_read_and_nothing_else() {
        let only = |level| Some(LogFilter { level, targets: Vec::new() });
        assert_eq!(LogFilter::parse("warn"), only(LevelFilter::WARN));
        assert_eq!(LogFilter::parse("WARN"), only(LevelFilter::WARN));
        assert_eq!(LogFilter::parse("off"), only(LevelFilter::OFF));
        let of = |targets: &[(&str, LevelFilter)], level| {
            Some(LogFilter {
                level,
                targets: targets.iter().map(|(target, level)| ((*target).to_owned(), *level)).collect(),
            })
        };
        let debug = [("stockade::grpc", LevelFilter::DEBUG)];
        assert_eq!(LogFilter::parse("stockade::grpc=debug"), of(&debug, LevelFilter::INFO), "errors of others stay");
        assert_eq!(LogFilter::parse("error, stockade::grpc=debug"), of(&debug, LevelFilter::ERROR));
        for faulty in [
            "",
            "verbose",
            "warning",
            "stockade",
            "info,debug",
            "=info",
            "a=",
            "a=loud",
            "a b=info",
            "a::=info",
            "info,",
        ] {
            assert_eq!(LogFilter::parse(faulty), None, "{faulty:?}");
        }
    }
}

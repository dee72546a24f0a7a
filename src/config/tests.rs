//! Which source wins, what each value may be, that every error is reported at once, and that the documents agree.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use super::*;

fn load(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Result<Config, ConfigErrors> {
    let flags = flags.iter().map(|(setting, text)| Given::flag(setting, (*text).to_owned())).collect();
    let mut sources = Sources::new(flags);
    let found = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned());
    sources.read_environment(&found);
    sources.read_toml(("stockade.toml", file), &found);
    Config::from_sources(sources)
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = load(&[], &[], "").expect("defaults");
    assert_eq!(config.grpc.to_string(), "127.0.0.1:7411");
    assert_eq!(config.http.to_string(), "127.0.0.1:7412");
    assert_eq!(config.data, PathBuf::from("./stockade-data"));
    assert_eq!((config.durability, config.log_format), (Durability::Sync, LogFormat::Text));
    assert_eq!(config.snapshot_every, SnapshotEvery { period: Millis(300_000), bytes: 268_435_456 });
    assert_eq!(config.keep_events, KeepEvents { age: Millis(7 * 86_400_000), bytes: 10 << 30 });
    assert_eq!((config.retry_window, config.outage_grace), (Millis(86_400_000), Millis(30_000)));
    assert_eq!(config.archive_after, Millis(45 * 86_400_000));
    assert_eq!(config.keep_reports, Millis(800 * 86_400_000));
    assert_eq!((config.max_holds, config.max_ended_holds), (None, None));
    assert_eq!((config.drain_delay, config.drain_timeout), (Duration::ZERO, Duration::from_secs(10)));
    assert_eq!((config.ephemeral, config.accept_clock), (false, false));
    assert_eq!((config.memory_budget, config.max_connections, config.max_connections_per_peer), (None, None, None));
    assert_eq!(config.identity_key_file, None);
    assert_eq!((config.public, config.public_url, config.max_public_connections), (None, None, None));
    assert_eq!(config.log, LogFilter { level: LevelFilter::INFO, targets: Vec::new() });
}

/// For each setting a text that is not its default.
const OTHERS: [(&str, &str); 27] = [
    ("grpc", "127.0.0.1:1"),
    ("http", "127.0.0.1:2"),
    ("insecure-listen", "true"),
    ("public", "127.0.0.1:3"),
    ("public-url", "https://drops.example/"),
    ("max-public-connections", "900"),
    ("data", "elsewhere"),
    ("durability", "os"),
    ("ephemeral", "true"),
    ("snapshot-every", "1m,1MiB"),
    ("keep-events", "1d, 1GiB"),
    ("archive-after", "14d"),
    ("keep-reports", "400d"),
    ("webhooks-to-private", "true"),
    ("retry-window", "1h"),
    ("max-holds", "7"),
    ("max-ended-holds", "8"),
    ("memory-budget", "512MiB"),
    ("max-connections", "500"),
    ("max-connections-per-peer", "50"),
    ("identity-key-file", "key"),
    ("outage-grace", "1s"),
    ("drain-delay", "2s"),
    ("drain-timeout", "3s"),
    ("log", "stockade::grpc=debug"),
    ("log-format", "json"),
    ("accept-clock", "true"),
];

fn changed() -> Config {
    Config {
        grpc: SocketAddr::from(([127, 0, 0, 1], 1)),
        http: SocketAddr::from(([127, 0, 0, 1], 2)),
        insecure_listen: true,
        public: Some(SocketAddr::from(([127, 0, 0, 1], 3))),
        public_url: Some("https://drops.example".to_owned()),
        max_public_connections: Some(900),
        data: PathBuf::from("elsewhere"),
        durability: Durability::Os,
        ephemeral: true,
        snapshot_every: SnapshotEvery { period: Millis(60_000), bytes: 1 << 20 },
        keep_events: KeepEvents { age: Millis(86_400_000), bytes: 1 << 30 },
        archive_after: Millis(14 * 86_400_000),
        keep_reports: Millis(400 * 86_400_000),
        retry_window: Millis(3_600_000),
        max_holds: Some(7),
        max_ended_holds: Some(8),
        memory_budget: Some(512 << 20),
        max_connections: Some(500),
        max_connections_per_peer: Some(50),
        identity_key_file: Some(PathBuf::from("key")),
        webhooks_to_private: true,
        outage_grace: Millis(1_000),
        drain_delay: Duration::from_secs(2),
        drain_timeout: Duration::from_secs(3),
        log: LogFilter { level: LevelFilter::INFO, targets: vec![("stockade::grpc".to_owned(), LevelFilter::DEBUG)] },
        log_format: LogFormat::Json,
        accept_clock: true,
        channels: Vec::new(),
    }
}

#[test]
fn every_setting_can_be_given_in_each_place() {
    let named: Vec<_> = SETTINGS.iter().map(|setting| setting.flag).collect();
    assert_eq!(named, OTHERS.map(|(flag, _)| flag), "all of them are tried below");
    assert_eq!(load(&OTHERS, &[], ""), Ok(changed()), "flags");
    let variables = OTHERS.map(|(flag, text)| {
        let setting = SETTINGS.iter().find(|setting| setting.flag == flag).expect("a setting");
        (setting.variable(), text)
    });
    let environment: Vec<_> = variables.iter().map(|(variable, text)| (variable.as_str(), *text)).collect();
    assert_eq!(load(&[], &environment, ""), Ok(changed()), "environment");
    let lines = |named: fn(&str) -> String| OTHERS.map(|(flag, text)| format!("{} = {text:?}\n", named(flag))).concat();
    assert_eq!(load(&[], &[], &lines(|flag| flag.replace('-', "_"))), Ok(changed()), "file");
    assert_eq!(load(&[], &[], &lines(str::to_owned)), Ok(changed()), "file, with dashes");
}

#[test]
fn a_setting_has_one_name_in_three_spellings_and_a_default_that_is_good() {
    for setting in SETTINGS {
        assert_eq!(setting.flag.replace('-', "_"), setting.key);
        assert_eq!(
            setting.variable().strip_prefix("STOCKADE_").map(str::to_ascii_lowercase).as_deref(),
            Some(setting.key)
        );
        assert_eq!(setting.takes == Takes::Switch, setting.default == Preset::Text("false"), "{}", setting.flag);
        if let Preset::Text(text) = setting.default {
            assert_eq!(load(&[(setting.flag, text)], &[], ""), load(&[], &[], ""), "{}", setting.flag);
        }
    }
}

#[test]
fn the_documents_table_has_every_setting_as_it_is() {
    let page = include_str!("../../docs/operations.md");
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            [1, 2, 3, 4].map(|column| cells[column].clone())
        })
        .collect();
    assert_eq!(rows.len(), SETTINGS.len());
    for (row, setting) in rows.iter().zip(SETTINGS) {
        let [flag, variable, default, meaning] = row;
        assert_eq!((flag, variable), (&format!("--{}", setting.flag), &setting.variable()));
        assert_eq!(default, setting.default.words());
        // The page may add to what the help says.
        let (first, rest) = setting.what.split_at(1);
        assert!(meaning.starts_with(&format!("{}{rest}", first.to_lowercase())), "{flag}: {meaning}");
    }
}

#[test]
fn what_is_logged_is_refused_with_the_other_errors_where_it_is_no_level() {
    for faulty in ["verbose", "", "stockade", "info,debug"] {
        let ConfigErrors(errors) = load(&[("max-holds", "0")], &[("STOCKADE_LOG", faulty)], "").expect_err(faulty);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(
            errors[1].starts_with("STOCKADE_LOG must be a level (error, warn, info, debug, trace or off)"),
            "{errors:?}"
        );
        let variable = |name: &str| (name == "STOCKADE_LOG").then(|| faulty.to_owned());
        assert!(log_filter(variable, LogFilter { level: LevelFilter::WARN, targets: Vec::new() }).is_err());
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "outage_grace = \"1s\"\nretry-window = \"1h\"\ndrain-delay = \"1s\"\nmax_holds = 7\nephemeral = true\n";
    let environment = [("STOCKADE_OUTAGE_GRACE", "2s"), ("STOCKADE_RETRY_WINDOW", "2h")];
    let config = load(&[("outage-grace", "3s")], &environment, file).expect("good");
    assert_eq!(config.outage_grace, Millis(3_000), "flag");
    assert_eq!(config.retry_window, Millis(7_200_000), "environment");
    assert_eq!(
        (config.drain_delay, config.max_holds, config.ephemeral),
        (Duration::from_secs(1), Some(7), true),
        "file"
    );
}

#[test]
fn every_error_is_told_at_once_with_its_place() {
    let file = "drain_delay = \"soon\"\n\ncolour = \"red\"\nmax_holds = 1.5\n";
    let flags = [("http", "nowhere"), ("snapshot-every", "5m")];
    let ConfigErrors(errors) = load(&flags, &[("STOCKADE_DURABILITY", "maybe")], file).expect_err("faulty");
    let all = errors.join("\n");
    for part in [
        "stockade.toml:1:1: drain_delay must be a duration",
        "stockade.toml:3:1: colour is not a setting",
        "stockade.toml:4:1: max_holds must be a string, a whole number, true or false",
        "--http must be an address with a port",
        "--snapshot-every must be a duration of 100ms or more and a size",
        "STOCKADE_DURABILITY must be sync or os, not \"maybe\"",
    ] {
        assert!(all.contains(part), "{part} in\n{all}");
    }
    assert_eq!(errors.len(), 6, "{all}");
}

#[test]
fn a_file_that_is_no_toml_is_told_with_its_line() {
    for (text, place) in [
        ("grpc = \"127.0.0.1:1\"\nhttp = \n", "stockade.toml:2:"),
        ("max_holds 5\n", "stockade.toml:1:"),
        ("log = info\n", "stockade.toml:1:"),
        ("\n\n[log", "stockade.toml:3:"),
        ("data = 'x\n", "stockade.toml:1:"),
    ] {
        let ConfigErrors(errors) = load(&[], &[], text).expect_err(text);
        assert!(errors[0].starts_with(place), "{errors:?}");
        assert!(errors.iter().all(|error| error.contains("this is no TOML: ")), "in this tool's words: {errors:?}");
    }
    let ConfigErrors(errors) = load(&[], &[], "log = \"info\"\nlog = \"warn\"\n").expect_err("twice");
    assert_eq!(errors, ["stockade.toml:2:1: this key is given twice"]);
}

#[test]
fn a_setting_stands_once_in_a_file() {
    let ConfigErrors(errors) = load(&[], &[], "max_holds = 1\nmax-holds = 2\n").expect_err("faulty");
    assert!(errors[0].contains("is given twice"), "{errors:?}");
}

#[test]
fn two_doors_need_two_addresses() {
    let same = |address| load(&[("grpc", address), ("http", address)], &[], "");
    let ConfigErrors(errors) = load(&[("grpc", "nowhere"), ("http", "127.0.0.1:7411")], &[], "").expect_err("faulty");
    assert_eq!(errors.len(), 1, "a default that stands in is not held against another: {errors:?}");
    assert!(same("127.0.0.1:80").is_err());
    assert!(same("127.0.0.1:0").is_ok(), "port 0 is another one each time");
}

#[test]
fn a_named_file_must_exist_and_a_default_one_need_not() {
    let nothing = |_: &str| None;
    let missing = Config::load(Vec::new(), Some(PathBuf::from("/nowhere/stockade.toml")), nothing);
    assert!(missing.expect_err("missing").0[0].contains("can't be read"));
    assert!(Config::load(Vec::new(), None, nothing).is_ok());
}

#[test]
fn a_name_is_looked_up() {
    let config = load(&[("grpc", "localhost:7")], &[], "").expect("localhost is everywhere");
    assert!(config.grpc.ip().is_loopback() && config.grpc.port() == 7, "{}", config.grpc);
    for (text, reported) in [
        ("localhost", "must be an address with a port"),
        ("localhost:port", "must be an address with a port"),
        (":7", "must be an address with a port"),
        ("no host at all:7", "must name a host whose address can be found, not \"no host at all:7\""),
    ] {
        let ConfigErrors(errors) = load(&[("grpc", text)], &[], "").expect_err(text);
        assert!(errors[0].contains(reported), "{errors:?}");
    }
}

#[test]
fn variables_that_are_no_settings_are_found() {
    let names = [
        "STOCKADE_SNAPSHOT_EVRY",
        "STOCKADE_GRPC",
        "STOCKADE_SNAPSHOT_EVERY",
        "STOCKADE_ENDPOINT",
        "STOCKADE_LOG",
        "STOCKADE_CONFIG",
        "STOCKADE_PORT_7411_TCP_ADDR",
        "STOCKADE_SERVICE_HOST",
        "STOCKADE_DATE",
        "HOME",
    ];
    let unknown = unknown_variables(names.map(str::to_owned).to_vec());
    assert_eq!(unknown, ["STOCKADE_DATE", "STOCKADE_SNAPSHOT_EVRY"]);
}

#[test]
fn how_long_events_are_kept() {
    for nothing in ["none", "0s,0B", "0d, 0"] {
        assert_eq!(parse::keep_events(nothing), Ok(KeepEvents { age: Millis(0), bytes: 0 }), "{nothing}");
    }
    for faulty in ["", "0", "7d", "10GiB", "7d,", ",10GiB", "10GiB,7d", "7d,10GiB,1", "None"] {
        assert!(parse::keep_events(faulty).is_err(), "{faulty:?}");
    }
}

#[test]
fn sizes_and_counts() {
    for (text, bytes) in
        [("1024", 1024), ("2 KiB", 2048), ("256MiB", 268_435_456), ("3kB", 3000), ("1GB", 1_000_000_000)]
    {
        assert_eq!(parse::size(text), Ok(bytes), "{text}");
    }
    for text in ["", "MiB", "1.5MiB", "5 parsec", "99999999999TiB"] {
        assert!(parse::size(text).is_err(), "{text}");
    }
    assert_eq!(parse::count("50_000_000"), Ok(50_000_000));
    assert!(parse::count("0").is_err());
    assert_eq!(parse::small_count("4294967295"), Ok(u32::MAX));
    assert!(parse::small_count("4294967296").is_err());
    assert!(parse::size_above_zero("0MiB").is_err());
}

//! Which source wins, what each value may be, and that every error is told at once.

use super::*;

fn load(flags: &[(&'static str, &str)], environment: &[(&str, &str)], file: &str) -> Result<Config, ConfigErrors> {
    let flags = flags.iter().map(|(setting, text)| Given::flag(setting, (*text).to_owned())).collect();
    let mut sources = Sources::new(flags);
    let found = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned());
    sources.read_environment(&found);
    sources.read_toml("stockade.toml", file);
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
    assert_eq!((config.retry_window, config.outage_grace), (Millis(86_400_000), Millis(30_000)));
    assert_eq!(config.archive_after, Millis(604_800_000));
    assert_eq!((config.max_holds, config.max_ended_holds), (50_000_000, 10_000_000));
    assert_eq!((config.drain_delay, config.drain_timeout), (Duration::ZERO, Duration::from_secs(10)));
    assert_eq!((config.ephemeral, config.accept_clock), (false, false));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "outage_grace = \"1s\"\nretry-window = \"1h\"\ndrain-delay = \"1s\"\nmax_holds = 7\nephemeral = true\n";
    let environment = [("STOCKADE_OUTAGE_GRACE", "2s"), ("STOCKADE_RETRY_WINDOW", "2h")];
    let config = load(&[("outage-grace", "3s")], &environment, file).expect("good");
    assert_eq!(config.outage_grace, Millis(3_000), "flag");
    assert_eq!(config.retry_window, Millis(7_200_000), "environment");
    assert_eq!((config.drain_delay, config.max_holds, config.ephemeral), (Duration::from_secs(1), 7, true), "file");
}

#[test]
fn every_error_is_told_at_once_with_its_place() {
    let file = "drain_delay = \"soon\"\n\ncolour = \"red\"\nmax_holds = 1.5\n";
    let flags = [("http", "nowhere"), ("snapshot-every", "5m")];
    let ConfigErrors(errors) = load(&flags, &[("STOCKADE_DURABILITY", "maybe")], file).expect_err("faulty");
    let all = errors.join("\n");
    for part in [
        "stockade.toml:1: drain_delay must be a duration",
        "stockade.toml:3: colour is not a setting",
        "stockade.toml:4: max_holds must be a string, a whole number, true or false",
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
    let ConfigErrors(errors) = load(&[], &[], "grpc = \"127.0.0.1:1\"\nhttp = \n").expect_err("faulty");
    assert!(errors[0].starts_with("stockade.toml:2: "), "{errors:?}");
}

#[test]
fn a_setting_stands_once_in_a_file() {
    let ConfigErrors(errors) = load(&[], &[], "max_holds = 1\nmax-holds = 2\n").expect_err("faulty");
    assert!(errors[0].contains("is given twice"), "{errors:?}");
}

#[test]
fn two_doors_need_two_addresses() {
    let same = |address| load(&[("grpc", address), ("http", address)], &[], "");
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
    for (text, told) in [
        ("localhost", "must be an address with a port"),
        ("localhost:port", "must be an address with a port"),
        (":7", "must be an address with a port"),
        ("no host at all:7", "must name a host whose address can be found, not \"no host at all:7\""),
    ] {
        let ConfigErrors(errors) = load(&[("grpc", text)], &[], "").expect_err(text);
        assert!(errors[0].contains(told), "{errors:?}");
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
}

//! Parses settings. A parser's error says what the text must be, not what is wrong inside it.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use stockade_types::time::Millis;

use super::{Durability, KeepEvents, LogFilter, LogFormat, SnapshotEvery};

/// The value, or what the text must be.
pub(super) type Parsed<T> = Result<T, &'static str>;

const SPAN: &str = "must be a duration, such as 30s, 5m or 1h 30m";
const SIZE: &str = "must be a size, such as 64MiB or 1GiB";

/// An address to listen on. A name is resolved, and its first address is taken.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    const WANTED: &str = "must be an address with a port, such as 127.0.0.1:7411, [::]:7411 or localhost:7411";
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (name, port) = text.rsplit_once(':').ok_or(WANTED)?;
    let port: u16 = port.parse().map_err(|_bad| WANTED)?;
    if name.is_empty() || name.contains([':', '[', ']', '/']) {
        return Err(WANTED);
    }
    let found = (name, port).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or("must name a host whose address can be found")
}

/// The address of a site, without a slash at its end.
pub(super) fn url(text: &str) -> Parsed<String> {
    const WANTED: &str = "must be an address such as https://drops.example";
    let address: hyper::Uri = text.parse().map_err(|_bad| WANTED)?;
    let is_web = matches!(address.scheme_str(), Some("http" | "https")) && address.query().is_none();
    if is_web { Ok(text.trim_end_matches('/').to_owned()) } else { Err(WANTED) }
}

/// A path, which need not exist.
pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() { Err("must be a path") } else { Ok(PathBuf::from(text)) }
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Parsed<bool> {
    text.parse().map_err(|_bad| "must be true or false")
}

/// A number above 0.
pub(super) fn count(text: &str) -> Parsed<u64> {
    let digits: String = text.split('_').collect();
    digits.parse().ok().filter(|count| *count > 0).ok_or("must be a whole number above 0")
}

/// A number above 0, below 2^32.
pub(super) fn small_count(text: &str) -> Parsed<u32> {
    let count = count(text)?;
    u32::try_from(count).map_err(|_too_large| "must be a whole number from 1 to 4294967295")
}

/// When a record counts as durable.
pub(super) fn durability(text: &str) -> Parsed<Durability> {
    match text {
        "sync" => Ok(Durability::Sync),
        "os" => Ok(Durability::Os),
        _ => Err("must be sync or os"),
    }
}

/// What is logged.
pub(super) fn log_filter(text: &str) -> Parsed<LogFilter> {
    const WANTED: &str =
        "must be a level (error, warn, info, debug, trace or off) or a list such as warn,stockade::grpc=debug";
    LogFilter::parse(text).ok_or(WANTED)
}

/// How logs are written.
pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json"),
    }
}

/// A span of time: `5m`, `1h 30m`, `250ms`. Zero is `0s`.
///
/// # Errors
/// If it is not one.
pub fn span(text: &str) -> Parsed<Duration> {
    humantime::parse_duration(text).map_err(|_bad| SPAN)
}

/// A span in milliseconds.
pub(super) fn millis(text: &str) -> Parsed<Millis> {
    span(text).map(Millis::from)
}

/// A size in bytes: a number and `B`, `KiB`, `MiB`, `GiB` or `TiB`, or `kB`, `MB`, `GB`, `TB` for powers of ten.
///
/// # Errors
/// If it is not one, or is 2^64 or more.
pub(super) fn size(text: &str) -> Parsed<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(SIZE)?;
    let number: u64 = number.parse().map_err(|_bad| SIZE)?;
    let factor: u64 = match unit.trim_start() {
        "B" | "" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(SIZE),
    };
    number.checked_mul(factor).ok_or(SIZE)
}

/// A size of one byte or more.
pub(super) fn size_above_zero(text: &str) -> Parsed<u64> {
    size(text).and_then(|bytes| if bytes > 0 { Ok(bytes) } else { Err("must be a size above 0, such as 512MiB") })
}

/// A period and a size, such as `5m,256MiB`.
pub(super) fn snapshot_every(text: &str) -> Parsed<SnapshotEvery> {
    const WANTED: &str = "must be a duration of 100ms or more and a size of 1KiB or more, such as 5m,256MiB";
    let (period, bytes) = text.split_once(',').ok_or(WANTED)?;
    let period = millis(period.trim()).map_err(|_bad| WANTED)?;
    let bytes = size(bytes.trim()).map_err(|_bad| WANTED)?;
    if period < Millis(100) || bytes < 1 << 10 {
        return Err(WANTED);
    }
    Ok(SnapshotEvery { period, bytes })
}

/// An age and a size, such as `7d,10GiB`, or `none`.
pub(super) fn keep_events(text: &str) -> Parsed<KeepEvents> {
    const WANTED: &str = "must be a duration and a size, such as 7d,10GiB, or none";
    if text == "none" {
        return Ok(KeepEvents { age: Millis(0), bytes: 0 });
    }
    let (age, bytes) = text.split_once(',').ok_or(WANTED)?;
    let age = millis(age.trim()).map_err(|_bad| WANTED)?;
    let bytes = size(bytes.trim()).map_err(|_bad| WANTED)?;
    Ok(KeepEvents { age, bytes })
}

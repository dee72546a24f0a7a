//! The HTTP pages of a server: alive, ready, metrics.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::Failure;

/// How long a page may take.
const PAGE_TIMEOUT: Duration = Duration::from_secs(20);

/// A page: its status line, and its body.
///
/// # Errors
/// When it does not come.
pub fn page(http: SocketAddr, path: &str) -> Result<(String, String), Failure> {
    let mut stream = TcpStream::connect_timeout(&http, PAGE_TIMEOUT)?;
    stream.set_read_timeout(Some(PAGE_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: stockade\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let page = answer.split_once("\r\n\r\n");
    let (head, body) = page.ok_or_else(|| Failure::Work(format!("http://{http}{path} does not answer with a page")))?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}

/// The value of a series in a metrics page, by its whole name with labels.
#[must_use]
pub fn metric<'a>(page: &'a str, series: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let page = "a_total{to=\"x\"} 3\nb 0\nb_units 7.5\n";
        let values = ["b", "a_total{to=\"x\"}", "b_units", "c"].map(|series| metric(page, series));
        assert_eq!(values, [Some("0"), Some("3"), Some("7.5"), None]);
    }
}

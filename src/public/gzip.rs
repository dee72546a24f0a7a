//! Compression of answers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, HeaderMap};

/// Shorter answers are sent as they are.
const WORTH_IT: usize = 512;

/// The bytes compressed; `None` if they are too short for that to be worth it.
pub(super) fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < WORTH_IT {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().filter(|short| short.len() < bytes.len())
}

/// Whether a request takes gzip.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
            let refused = parts.any(|part| {
                let weight = part.strip_prefix("q=").and_then(|weight| weight.trim().parse::<f32>().ok());
                weight.is_some_and(|weight| weight <= 0.0)
            });
            is_it && !refused
        })
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn what_is_accepted_follows_the_weights() {
        let accepts = |text: &'static str| {
            is_accepted(&HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(text))]))
        };
        for text in ["gzip", "br, GZIP;q=0.5", "*", "deflate, gzip, br"] {
            assert!(accepts(text), "{text}");
        }
        for text in ["", "identity", "gzip;q=0", "br;q=1, gzip; q=0.0", "xgzip"] {
            assert!(!accepts(text), "{text}");
        }
    }

    #[test]
    fn compressed_bytes_are_read_back_and_short_ones_stay() {
        let text = "countdown ".repeat(200);
        let short = compressed(text.as_bytes()).expect("worth it");
        let mut read = String::new();
        flate2::read::GzDecoder::new(&*short).read_to_string(&mut read).expect("gzip");
        assert_eq!((read == text, short.len() < 200), (true, true));
        assert_eq!(compressed(b"short"), None);
    }
}

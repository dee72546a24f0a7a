//! What a browser may do with an answer (`Content-Security-Policy`), and what stands for its content.

use aws_lc_rs::digest::{SHA256, digest as sha};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

/// Digits of a digest.
const DIGITS: usize = 16;

/// Nothing at all: for what is no page.
pub(super) const fn nothing() -> HeaderValue {
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")
}

/// For a picture, which others embed.
pub(super) const fn picture() -> HeaderValue {
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *")
}

/// For a page with this style and this script, and requests to its own server alone.
pub(super) fn page(style: &str, script: Option<&str>, may_be_framed: bool) -> HeaderValue {
    let script = script.map_or_else(|| "'none'".to_owned(), source);
    let frames = if may_be_framed { "*" } else { "'none'" };
    let policy = format!(
        "default-src 'none'; style-src {}; script-src {script}; connect-src 'self'; base-uri 'none'; form-action \
         'none'; frame-ancestors {frames}",
        source(style)
    );
    HeaderValue::try_from(policy).unwrap_or_else(|_never| nothing())
}

/// An inline text that is allowed by its hash.
fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(sha(&SHA256, text.as_bytes())))
}

/// What stands for a content in its entity tag.
pub(super) fn digest(content: &[u8]) -> String {
    blake3::hash(content).to_hex().chars().take(DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_text_is_allowed_by_its_hash_alone() {
        // From the specification of the policy: the hash of this very script.
        let page = page("", Some("doSomething();"), true);
        let policy = page.to_str().expect("text");
        assert!(policy.contains("script-src 'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"), "{policy}");
        assert!(policy.contains("frame-ancestors *") && !policy.contains("unsafe"), "{policy}");
    }
}

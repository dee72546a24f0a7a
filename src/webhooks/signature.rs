//! Signatures of deliveries as Standard Webhooks defines them: HMAC-SHA256 over `id.timestamp.body`.
//!
//! This module never logs a secret, and knows neither clock nor network.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The prefix of a secret as text.
const PREFIX: &str = "whsec_";
/// Least bytes of a secret.
const BYTES_MIN: usize = 24;
/// Most bytes of a secret.
pub const BYTES_MAX: usize = 64;
/// Bytes of a secret that the server makes.
const BYTES_MADE: usize = 32;

/// A secret that deliveries are signed with: 24 to 64 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A text that is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be \"whsec_\" and 24-64 bytes in base64")]
pub struct BadSecret;

impl Secret {
    /// Makes a random one.
    ///
    /// # Errors
    /// If the system has no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BYTES_MADE];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.to_vec()))
    }

    /// Parses its text.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        Self::of_bytes(&STANDARD.decode(encoded).map_err(|_bad| BadSecret)?)
    }

    /// The secret with these bytes.
    ///
    /// # Errors
    /// [`BadSecret`] if there are too few or too many.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, BadSecret> {
        let fits = (BYTES_MIN..=BYTES_MAX).contains(&bytes.len());
        if fits { Ok(Self(bytes.to_vec())) } else { Err(BadSecret) }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its text, as receivers configure it.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }
}

impl fmt::Debug for Secret {
    /// Without its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(_)")
    }
}

/// The value of `webhook-signature`: a signature by each secret, in their order. `at` is the value of
/// `webhook-timestamp`, in seconds since the epoch.
#[must_use]
pub fn signature(id: &str, at: u64, body: &[u8], secrets: &[Secret]) -> String {
    let head = format!("{id}.{at}.");
    let by = |Secret(bytes): &Secret| {
        let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, bytes));
        signing.update(head.as_bytes());
        signing.update(body);
        format!("v1,{}", STANDARD.encode(signing.sign()))
    };
    secrets.iter().map(by).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    const EXAMPLE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn signatures_are_those_of_the_reference_libraries() {
        let secret = Secret::parse(EXAMPLE).expect("a secret");
        let signed = signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#, &[secret]);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_side_by_side() {
        let (new, old) = (Secret::random().expect("random"), Secret::parse(EXAMPLE).expect("a secret"));
        let both = signature("id", 1, b"{}", &[new.clone(), old.clone()]);
        assert_eq!(both, format!("{} {}", signature("id", 1, b"{}", &[new]), signature("id", 1, b"{}", &[old])));
    }

    #[test]
    fn a_secret_is_24_to_64_bytes_in_base64() {
        for (bytes, fits) in [(0, false), (23, false), (24, true), (64, true), (65, false)] {
            let text = format!("{PREFIX}{}", STANDARD.encode(vec![7; bytes]));
            let parsed = Secret::parse(&text);
            assert_eq!(parsed.is_ok(), fits, "{bytes}");
            assert!(parsed.map_or(true, |secret| secret.text() == text));
        }
        for bad in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_!"]
        {
            assert_eq!(Secret::parse(bad), Err(BadSecret), "{bad}");
        }
        let made = Secret::random().expect("random");
        assert_eq!(Secret::parse(&made.text()), Ok(made.clone()));
        assert!(!format!("{made:?}").contains(&made.text()));
    }
}

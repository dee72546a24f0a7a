//! Content lines of a calendar: names with values, escaped, folded and ended as RFC 5545 says.

use stockade_types::time::Timestamp;

/// Most bytes of a line, without its end.
const LINE_BYTES: usize = 75;

/// The lines so far.
#[derive(Debug, Default)]
pub(super) struct Lines(String);

impl Lines {
    /// A property with a value that needs no escape.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        let mut used = 0_usize;
        for letter in name.chars().chain([':']).chain(value.chars()) {
            if used.saturating_add(letter.len_utf8()) > LINE_BYTES {
                self.0.push_str("\r\n ");
                used = 1;
            }
            used = used.saturating_add(letter.len_utf8());
            self.0.push(letter);
        }
        self.0.push_str("\r\n");
    }

    /// A property with text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.put(name, &escaped(text));
    }

    /// A property with an instant, in UTC.
    pub(super) fn instant(&mut self, name: &str, at: Timestamp) {
        self.put(name, &utc(at));
    }

    /// All of them.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

/// Backslash, semicolon, comma and line ends escaped; other control characters left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | ';' | ',' => escaped.extend(['\\', letter]),
            '\n' => escaped.push_str("\\n"),
            control if control.is_control() => {}
            plain => escaped.push(plain),
        }
    }
    escaped
}

fn utc(at: Timestamp) -> String {
    let instant = i64::try_from(at.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    instant.unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut Lines)) -> String {
        let mut lines = Lines::default();
        put(&mut lines);
        String::from_utf8(lines.into_bytes()).expect("text")
    }

    #[test]
    fn text_is_escaped_and_instants_are_utc() {
        let text = written(|lines| lines.text("SUMMARY", "a\\b; c, d\ne\r\u{7}"));
        assert_eq!(text, "SUMMARY:a\\\\b\\; c\\, d\\ne\r\n");
        let at = written(|lines| lines.instant("DTSTART", Timestamp(1_796_403_600_999)));
        assert_eq!(at, "DTSTART:20261204T170000Z\r\n");
    }

    #[test]
    fn lines_are_folded_between_characters_and_read_back() {
        let text = "Größe 👩‍🍳 ".repeat(40);
        let folded = written(|lines| lines.text("SUMMARY", &text));
        assert!(folded.lines().count() > 5);
        assert!(folded.split("\r\n").all(|line| line.len() <= LINE_BYTES), "{folded}");
        assert!(folded.split("\r\n").filter(|line| !line.is_empty()).all(|line| line.len() > LINE_BYTES - 5));
        assert_eq!(folded.replace("\r\n ", ""), format!("SUMMARY:{text}\r\n"));
    }
}

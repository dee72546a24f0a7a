//! Text from outside: what may not be in it, and how it is shown where it is there all the same.
//!
//! A terminal obeys control characters, and characters that turn the direction of writing show another text than there
//! is. New free text has neither; text that may come from an older or a foreign server is escaped where it
//! is shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// What free text must be, for messages.
pub const PLAIN: &str = "must be free of control characters and of those that turn the direction of writing";

/// Whether all of it is shown as it stands.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.contains(is_unsafe)
}

/// Control characters (C0, DEL and C1), marks that turn the direction of writing, separators of lines and paragraphs, and
/// a byte order mark.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// With all that is not plain as `\u{1b}`, line ends included.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, is_unsafe, |shown, letter| shown.extend(letter.escape_default()))
}

/// As [`escaped`], but for line ends: for text of several lines.
#[must_use]
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    let is_unsafe = |letter| letter != '\n' && is_unsafe(letter);
    replaced(text, is_unsafe, |shown, letter| shown.extend(letter.escape_default()))
}

/// A JSON text with all that is not plain as `\u001b`, which is the same to who reads it. Line ends stay: they stand between
/// the parts of a JSON text, never within a string.
#[must_use]
pub fn escaped_json(text: &str) -> Cow<'_, str> {
    let is_unsafe = |letter| letter != '\n' && is_unsafe(letter);
    replaced(text, is_unsafe, |shown, letter| {
        // Writing to a text can't fail. All of these are below U+10000.
        let _written = write!(shown, "\\u{:04x}", u32::from(letter));
    })
}

fn replaced(text: &str, is_unsafe: impl Fn(char) -> bool, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len().saturating_mul(2));
    for letter in text.chars() {
        if is_unsafe(letter) { escape(&mut shown, letter) } else { shown.push(letter) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ESC, DEL, the C1 form of ESC [, a bidi override, isolates, a line separator.
    const UNSAFE: [&str; 9] =
        ["\u{1b}[2J", "\u{7f}", "\u{9b}2J", "a\u{202e}b", "\u{2066}", "\u{2069}", "\u{2028}", "\u{200f}", "\t"];

    #[test]
    fn what_steers_a_terminal_or_turns_a_text_is_not_plain() {
        for text in UNSAFE {
            assert!(!is_plain(text), "{text:?}");
            assert!(is_plain(&escaped(text)) && is_plain(&escaped_lines(text)), "{text:?}");
        }
        for plain in ["", "Knife 20 cm", "Messer „Größe“", "سكين", "סכין", "ナイフ", "👩‍🍳 🏴󠁧󠁢󠁳󠁣󠁴󠁿", "a\u{200d}b"]
        {
            assert!(is_plain(plain), "{plain:?}");
            assert!(matches!(escaped(plain), Cow::Borrowed(_)));
        }
        assert_eq!(escaped("a\u{1b}[2J\nb\u{9b}"), "a\\u{1b}[2J\\nb\\u{9b}");
        assert_eq!(escaped_lines("a\u{1b}\nb"), "a\\u{1b}\nb");
    }

    #[test]
    fn json_says_the_same_in_plain_characters() {
        for text in UNSAFE {
            let json = serde_json::to_string(text).expect("JSON");
            let shown = escaped_json(&json);
            assert!(is_plain(&shown), "{shown:?}");
            assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
        }
        assert_eq!(escaped_json("{\n  \"a\": 1\n}"), "{\n  \"a\": 1\n}");
    }
}

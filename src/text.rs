//! Text from outside: which characters are refused, and how they are shown if present.
//!
//! Control characters steer a terminal, and characters that change the writing direction make text look like other
//! text. New free text may have neither. Text from an older or a foreign server is escaped when it is shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The requirement for free text, for error messages.
pub const PLAIN: &str = "must be free of control characters and of those that change the writing direction";

/// Whether the text has no character that must be escaped.
#[must_use]
pub fn is_plain(text: &str) -> bool {
    !text.contains(is_unsafe)
}

/// Control characters (C0, DEL and C1), marks that change the writing direction, separators of lines and paragraphs,
/// and the byte order mark.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// Escapes each unsafe character as `\u{1b}`, line ends included.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, is_unsafe, |shown, letter| shown.extend(letter.escape_default()))
}

/// As [`escaped`], but keeps line ends: for text of several lines.
#[must_use]
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    let is_unsafe = |letter| letter != '\n' && is_unsafe(letter);
    replaced(text, is_unsafe, |shown, letter| shown.extend(letter.escape_default()))
}

/// JSON with each unsafe character as `\u001b`, which a JSON parser reads as the same text. Line ends are kept: in
/// JSON they stand between tokens, never inside a string.
#[must_use]
pub fn escaped_json(text: &str) -> Cow<'_, str> {
    let is_unsafe = |letter| letter != '\n' && is_unsafe(letter);
    replaced(text, is_unsafe, |shown, letter| {
        // Writing to a string can't fail. All of these characters are below U+10000.
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

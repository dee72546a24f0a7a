//! Splits Rust source into tokens and comments, each with its line. Strings, characters and numbers are left out, since
//! no rule concerns them. Not a parser: it recognizes only where comments and strings end.

/// A word, `::` or a single character; or a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'t> {
    pub text: &'t str,
    pub line: usize,
}

#[derive(Debug, Default)]
pub struct Scan<'t> {
    pub tokens: Vec<Token<'t>>,
    pub comments: Vec<Token<'t>>,
}

#[derive(Clone, Copy)]
enum Kind {
    Token,
    Comment,
    Skipped,
}

pub fn scan(text: &str) -> Scan<'_> {
    let mut scan = Scan::default();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (kind, length) = piece(rest, first);
        let (piece, after) = rest.split_at(length);
        match kind {
            Kind::Token => scan.tokens.push(Token { text: piece, line }),
            Kind::Comment => scan.comments.push(Token { text: piece, line }),
            Kind::Skipped => {}
        }
        line += piece.matches('\n').count();
        rest = after;
    }
    scan
}

/// The kind of the text's first piece, and its length in bytes.
fn piece(rest: &str, first: char) -> (Kind, usize) {
    if rest.starts_with("//") {
        (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Kind::Comment, block_comment(rest))
    } else if let Some(length) = string(rest) {
        (Kind::Skipped, length)
    } else if let Some(length) = character(rest) {
        (Kind::Skipped, length)
    } else if first.is_ascii_digit() {
        (Kind::Skipped, word(rest))
    } else if is_word(first) {
        (Kind::Token, word(rest))
    } else if rest.starts_with("::") {
        (Kind::Token, 2)
    } else if first.is_whitespace() {
        (Kind::Skipped, first.len_utf8())
    } else {
        (Kind::Token, first.len_utf8())
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(rest: &str) -> usize {
    rest.find(|c| !is_word(c)).unwrap_or(rest.len())
}

/// The length of a block comment. Comments can be nested.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    for (place, pair) in text.as_bytes().windows(2).enumerate() {
        if place < at {
            continue;
        }
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => continue,
        }
        at = place + 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a string literal of any kind, if the text begins with one.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            let raw = prefix.ends_with('r');
            let rest = if raw { rest.trim_start_matches('#') } else { rest };
            rest.starts_with('"')
        })
    })?;
    let body = text.strip_prefix(prefix)?;
    if !prefix.ends_with('r') {
        return Some(prefix.len() + 1 + until_quote(body.strip_prefix('"')?, '"'));
    }
    let hashes = body.len() - body.trim_start_matches('#').len();
    let open = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    let (_, inside) = text.split_at(open);
    Some(inside.find(&close).map_or(text.len(), |end| open + end + close.len()))
}

/// The length of a character literal, if the text begins with one; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let (prefix, body) = match text.strip_prefix('b') {
        Some(body) => (1, body),
        None => (0, text),
    };
    let inside = body.strip_prefix('\'')?;
    let mut chars = inside.chars();
    let escaped = chars.next()? == '\\';
    (escaped || chars.next() == Some('\'')).then(|| prefix + 1 + until_quote(inside, '\''))
}

/// Bytes up to and including the quote that ends a literal.
fn until_quote(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (place, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return place + 1,
            _ => {}
        }
    }
    inside.len()
}

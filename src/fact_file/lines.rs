//! Facts as JSON lines: one object a line; empty lines are skipped.

use std::io::{BufRead, Read as _};

use super::{BadField, JsonFacts, Read};

/// Most bytes of a line.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Reads facts line by line.
#[derive(Debug)]
pub(crate) struct LineFacts<R> {
    json: JsonFacts,
    reader: R,
    /// Of the last line.
    line: u64,
}

impl<R: BufRead> LineFacts<R> {
    /// From the first line on.
    pub(crate) const fn new(json: JsonFacts, reader: R) -> Self {
        Self { json, reader, line: 0 }
    }

    /// The next line, without its end; none at the end. A line that is too long is skipped and comes as none inside.
    fn next_line(&mut self) -> std::io::Result<Option<Option<Vec<u8>>>> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        self.line = self.line.saturating_add(1);
        if bytes.ends_with(b"\n") || u64::try_from(read).is_ok_and(|read| read < LINE_BYTES_MAX) {
            return Ok(Some(Some(bytes)));
        }
        loop {
            let rest = self.reader.fill_buf()?;
            let end = rest.iter().position(|byte| *byte == b'\n');
            let (length, is_last) =
                (end.map_or(rest.len(), |end| end.saturating_add(1)), end.is_some() || rest.is_empty());
            self.reader.consume(length);
            if is_last {
                return Ok(Some(None));
            }
        }
    }
}

impl<R: BufRead> Iterator for LineFacts<R> {
    type Item = std::io::Result<Read>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = match self.next_line() {
                Ok(line) => line?,
                Err(error) => return Some(Err(error)),
            };
            let fact = match &bytes {
                None => Err(vec![BadField::new("", format!("a line must be at most {LINE_BYTES_MAX} bytes"))]),
                Some(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => continue,
                Some(bytes) => match serde_json::from_slice(bytes) {
                    Ok(value) => self.json.fact(value),
                    Err(error) => Err(vec![BadField::new("", format!("the line is not JSON: {error}"))]),
                },
            };
            return Some(Ok(Read { line: Some(self.line), fact }));
        }
    }
}

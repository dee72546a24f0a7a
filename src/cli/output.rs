//! The only module that prints. A closed pipe is no error; a full disk is one.
//!
//! Control characters in a server's answers are escaped, so that they can't steer the terminal.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::text::{escaped, escaped_json, escaped_lines};

/// The exit code if an output could not be written.
const IO: u8 = 74;

/// For a terminal that does not report its size.
const USUAL_HEIGHT: usize = 23;
/// Cut lines that are too long.
const NO_WRAP: &str = "\x1b[?7l";
/// Wrap them again.
const WRAP: &str = "\x1b[?7h";
/// Clear everything below the cursor.
const CLEAR_BELOW: &str = "\x1b[J";

/// The outputs of a command: answers and complaints.
pub(super) struct Output {
    answers: Box<dyn Write>,
    complaints: Box<dyn Write>,
    /// Whether the output is a terminal.
    terminal: bool,
    /// The output is not read any more.
    gone: bool,
    /// Why an answer could not be written.
    failed: Option<io::Error>,
    /// The number of lines of the view on the terminal.
    drawn: usize,
}

impl Output {
    /// Standard output and standard error.
    pub(super) fn standard() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let terminal = out.is_terminal();
        Self { answers: Box::new(out), complaints: Box::new(err), terminal, gone: false, failed: None, drawn: 0 }
    }

    /// Prints a line of an answer, or several with line ends between them.
    pub(super) fn line(&mut self, line: &str) {
        self.print(&escaped_lines(line), "\n");
    }

    /// Prints an answer that is JSON.
    pub(super) fn json(&mut self, json: &str) {
        self.print(&escaped_json(json), "\n");
    }

    /// Prints bytes as they are, made by this program and meant for a file.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.write(&[bytes]);
    }

    /// On a terminal overwrites the line before; elsewhere prints a line.
    pub(super) fn progress(&mut self, line: &str) {
        if self.terminal {
            self.print(&format!("\r\x1b[2K{}", escaped(line)), "");
        } else {
            self.line(line);
        }
    }

    /// Ends overwriting.
    pub(super) fn end_progress(&mut self) {
        if self.terminal {
            self.line("");
        }
    }

    /// Prints a table, with two spaces between columns.
    pub(super) fn table(&mut self, table: Table) {
        self.line(&rows(table).join("\n"));
    }

    /// Whether the output is a terminal, so that a view can be redrawn in place.
    pub(super) const fn is_live(&self) -> bool {
        self.terminal
    }

    /// Whether the output is not read any more or can't be written. Also checks the pipe, for a caller that prints
    /// seldom.
    pub(super) fn is_gone(&self) -> bool {
        self.gone || self.failed.is_some() || hung_up()
    }

    /// Draws a view on the terminal, over the one before. A view that is too high or too wide is cut: otherwise the
    /// next one could not overwrite it.
    pub(super) fn view(&mut self, lines: &[String]) {
        let height = height();
        let room = if lines.len() > height { height.saturating_sub(1) } else { height };
        let mut drawn: Vec<_> = lines.iter().take(room).cloned().collect();
        if let Some(hidden @ 1..) = lines.len().checked_sub(room) {
            drawn.push(format!("… {hidden} more lines"));
        }
        let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
        self.drawn = drawn.len();
        let drawn: String = drawn.iter().map(|line| ["\r\x1b[2K", &escaped(line), "\n"].concat()).collect();
        self.print(&[NO_WRAP, &up, &drawn, CLEAR_BELOW].concat(), WRAP);
    }

    /// Leaves the view as it is. Clears what a key press has echoed on its last line.
    pub(super) fn end_view(&mut self) {
        self.drawn = 0;
        self.print("\r\x1b[2K", "");
    }

    fn print(&mut self, text: &str, end: &str) {
        self.write(&[text.as_bytes(), end.as_bytes()]);
    }

    fn write(&mut self, pieces: &[&[u8]]) {
        if !self.is_open() {
            return;
        }
        let written = pieces.iter().try_for_each(|piece| self.answers.write_all(piece));
        match written.and_then(|()| self.answers.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.gone = true,
            Err(error) => self.failed = Some(error),
        }
    }

    /// Whether the output may still be read: if not, the command need not go on.
    pub(super) const fn is_open(&self) -> bool {
        !self.gone && self.failed.is_none()
    }

    /// Prints a complaint. If that fails too, nothing can be done.
    pub(super) fn complain(&mut self, line: &str) {
        let line = escaped_lines(line);
        self.gone |= writeln!(self.complaints, "{line}").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
    }

    /// The exit code of the command, unless its answer could not be written.
    pub(super) fn finish(mut self, code: u8) -> u8 {
        match self.failed.take() {
            None => code,
            Some(error) => {
                self.complain(&format!("error: the answer can't be written: {error}"));
                if code == 0 { IO } else { code }
            }
        }
    }
}

/// Whether standard output is a pipe without a reader.
fn hung_up() -> bool {
    let out = io::stdout();
    // No events are requested: errors are always reported.
    let mut looked = [PollFd::new(&out, PollFlags::empty())];
    let is_ready = poll(&mut looked, Some(&Timespec::default())).is_ok();
    is_ready && looked.iter().any(|out| out.revents().contains(PollFlags::ERR))
}

/// Lines that fit on the terminal above the cursor's line.
fn height() -> usize {
    let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    if rows == 0 { USUAL_HEIGHT } else { rows.saturating_sub(1).max(1) }
}

/// A table's lines, with two spaces between columns.
pub(super) fn rows(mut table: Table) -> Vec<String> {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt().lines().map(str::to_owned).collect()
}

/// A table without borders.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn printed_to(kind: ErrorKind) -> u8 {
        let (answers, complaints) = (Box::new(Broken(kind)), Box::new(io::sink()));
        let mut output = Output { answers, complaints, terminal: false, gone: false, failed: None, drawn: 0 };
        assert!(output.is_open());
        output.line("hello");
        assert!(!output.is_open());
        output.line("again");
        output.finish(0)
    }

    /// Both outputs of a command, as a terminal receives them.
    #[derive(Clone, Default)]
    struct Shown(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

    impl Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_that_a_server_says_steers_the_terminal() {
        const TITLE: &str = "Knife\u{1b}]0;mine\u{7}\u{9b}2J\u{202e}";
        let printed = |print: fn(&mut Output)| {
            let shown = Shown::default();
            let (answers, complaints) = (Box::new(shown.clone()), Box::new(shown.clone()));
            print(&mut Output { answers, complaints, terminal: true, gone: false, failed: None, drawn: 0 });
            String::from_utf8(shown.0.take()).expect("text")
        };
        let ways: [fn(&mut Output); 6] = [
            |output| output.line(TITLE),
            |output| output.json(&serde_json::to_string(TITLE).expect("JSON")),
            |output| output.complain(TITLE),
            |output| output.progress(TITLE),
            |output| output.view(&[TITLE.to_owned()]),
            |output| {
                let mut rows = table(&["title"]);
                rows.add_row([TITLE]);
                output.table(rows);
            },
        ];
        for (place, print) in ways.into_iter().enumerate() {
            let mut shown = printed(print);
            for ours in ["\r\x1b[2K", NO_WRAP, WRAP, CLEAR_BELOW] {
                shown = shown.replace(ours, "");
            }
            assert!(shown.contains("Knife") && crate::text::is_plain(&shown.replace('\n', "")), "{place}: {shown:?}");
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_quiet_and_a_full_disk_is_not() {
        assert_eq!(printed_to(ErrorKind::BrokenPipe), 0);
        assert_eq!(printed_to(ErrorKind::StorageFull), 74);
    }
}

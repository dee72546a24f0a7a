//! The one place that prints. A broken pipe is no error.

use std::io::{self, ErrorKind, IsTerminal as _, Write};

/// Writes results and errors.
pub struct Output {
    answers: Box<dyn Write>,
    complaints: Box<dyn Write>,
    /// Whether the output is a terminal.
    terminal: bool,
    /// Whether a progress line is shown that may be overwritten.
    passing: bool,
    /// Whether the reader has closed the pipe.
    gone: bool,
    failed: Option<io::Error>,
}

impl Output {
    /// Standard output and standard error.
    pub fn standard() -> Self {
        let terminal = io::stdout().is_terminal();
        let (answers, complaints) = (Box::new(io::stdout()), Box::new(io::stderr()));
        Self { answers, complaints, terminal, passing: false, gone: false, failed: None }
    }

    /// Prints a line of a result.
    pub fn line(&mut self, line: &str) {
        if std::mem::take(&mut self.passing) {
            self.print("\n");
        }
        self.print(&format!("{line}\n"));
    }

    /// Overwrites the previous progress line on a terminal; elsewhere prints nothing.
    pub fn progress(&mut self, line: &str) {
        if self.terminal {
            self.passing = true;
            self.print(&format!("\r\x1b[2K{line}"));
        }
    }

    fn print(&mut self, text: &str) {
        if self.gone || self.failed.is_some() {
            return;
        }
        match self.answers.write_all(text.as_bytes()).and_then(|()| self.answers.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.gone = true,
            Err(error) => self.failed = Some(error),
        }
    }

    /// Prints an error. A failure to print it is ignored.
    pub fn complain(&mut self, line: &str) {
        self.gone |= writeln!(self.complaints, "{line}").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
    }

    /// The exit code: that of the command, unless its output could not be written.
    pub fn finish(mut self, code: u8) -> u8 {
        match self.failed.take() {
            Some(error) if code == 0 => {
                self.complain(&format!("error: the answer can't be written: {error}"));
                74
            }
            Some(_) | None => code,
        }
    }
}

//! Readers that are slow or gone, and a full disk.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

/// The outcome of a write.
enum Fate {
    /// All bytes are written.
    Taken,
    /// Only this many bytes are written.
    Cut(usize),
    /// It fails.
    Fails(ErrorKind),
}

/// A writer whose writes return when the test says so.
struct Reader {
    fates: Receiver<Fate>,
    read: Arc<Mutex<Vec<u8>>>,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = match self.fates.recv() {
            Ok(Fate::Taken) => bytes.len(),
            Ok(Fate::Cut(taken)) => taken,
            Ok(Fate::Fails(kind)) => return Err(kind.into()),
            // The test has ended.
            Err(_gone) => return Ok(bytes.len()),
        };
        self.read.lock().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Log {
    lines: Arc<LineQueue>,
    fates: SyncSender<Fate>,
    read: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    fn begin() -> Self {
        let (fates, receiver) = sync_channel(0);
        let (lines, read) = (Arc::new(LineQueue::default()), Arc::new(Mutex::default()));
        let (writing, reader) = (Arc::clone(&lines), Reader { fates: receiver, read: Arc::clone(&read) });
        thread::spawn(move || writing.write_out(reader, |count| Some(format!("{count} lost\n"))));
        Self { lines, fates, read }
    }

    /// Queues the outcomes of the next writes, and returns once they have begun.
    fn fates(&self, fates: impl IntoIterator<Item = Fate>) {
        fates.into_iter().for_each(|fate| self.fates.send(fate).expect("a writer"));
    }

    /// The output, once the last line is written.
    fn read(&self) -> String {
        self.lines.flush(Duration::from_secs(20));
        String::from_utf8(self.read.lock().clone()).expect("text")
    }
}

#[test]
fn lines_are_written_whole_in_their_order() {
    let log = Log::begin();
    log.lines.push(b"one\n");
    log.lines.push(b"two\n");
    log.fates([Fate::Fails(ErrorKind::Interrupted), Fate::Cut(1), Fate::Taken, Fate::Taken]);
    assert_eq!(log.read(), "one\ntwo\n");
    assert_eq!(log.lines.lost.get(), 0);
}

#[test]
fn a_reader_that_takes_nothing_holds_nobody_up_and_learns_how_many_lines_it_missed() {
    let log = Log::begin();
    let watch = Stopwatch::start();
    log.lines.push(b"0\n");
    // The thread has taken the first line, and waits for the reader.
    while !log.lines.queue.lock().is_busy {
        thread::yield_now();
    }
    for number in 1..LINES_MAX + 500 {
        log.lines.push(format!("{number}\n").as_bytes());
    }
    log.lines.flush(Duration::from_millis(50));
    assert!(watch.elapsed() < Duration::from_secs(5), "nothing waits for a reader");
    let lost = log.lines.lost.get();
    assert_eq!(lost, 499);
    let kept = LINES_MAX + 500 - usize::try_from(lost).expect("few");
    log.fates((0..=kept).map(|_| Fate::Taken));
    let read = log.read();
    assert_eq!(read.lines().filter(|line| *line == format!("{lost} lost")).count(), 1, "one line says so");
    assert_eq!(read.lines().count(), kept + 1, "all that had room are there");
}

#[test]
fn bytes_are_bounded_as_lines_are() {
    let log = Log::begin();
    let line = vec![b'x'; BYTES_MAX / 4];
    (0..8).for_each(|_| log.lines.push(&line));
    assert!((3..=4).contains(&log.lines.lost.get()), "{}", log.lines.lost.get());
    log.lines.push(&vec![b'y'; BYTES_MAX + 1]);
    assert!(log.lines.queue.lock().bytes <= BYTES_MAX);
}

#[test]
fn what_fails_is_counted_and_reported_once_something_can_be_written_again() {
    let log = Log::begin();
    for line in ["one\n", "two\n"] {
        log.lines.push(line.as_bytes());
        // The first line fails; the report about it precedes the second line.
        log.fates([Fate::Fails(ErrorKind::StorageFull)]);
    }
    log.fates([Fate::Fails(ErrorKind::StorageFull)]);
    log.lines.flush(Duration::from_secs(20));
    assert_eq!((log.read().as_str(), log.lines.lost.get()), ("", 2));
    thread::sleep(REPORT_PERIOD);
    log.lines.push(b"three\n");
    log.fates([Fate::Taken, Fate::Taken]);
    assert_eq!(log.read(), "2 lost\nthree\n");
}

#[test]
fn a_line_that_was_cut_short_ends_before_the_next_one_begins() {
    let log = Log::begin();
    log.lines.push(b"cut\n");
    log.fates([Fate::Cut(2), Fate::Fails(ErrorKind::StorageFull)]);
    log.lines.push(b"whole\n");
    log.fates([Fate::Taken, Fate::Taken, Fate::Taken]);
    assert_eq!(log.read(), "cu\n1 lost\nwhole\n");
}

#[test]
fn an_error_looks_the_same_past_the_subscriber() {
    let fields = [("lines", "3".to_owned()), ("why", "a \"word\"".to_owned())];
    let text = line(LogFormat::Text, "lost", &fields);
    assert!(text.ends_with("Z ERROR stockade::server::log: lost lines=3 why=a \"word\"\n"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, "lost", &fields)).expect("JSON");
    assert_eq!((&json["level"], &json["message"], &json["lines"]), (&"ERROR".into(), &"lost".into(), &3.into()));
}

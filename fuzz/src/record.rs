//! Records: bytes that are read can be written, and are read as the same again.

use stockade_types::record::Record;

use crate::bounds::bounded;

/// What reading a record may take: some fixed bytes and so many for each of the input. A line of a hold is the worst:
/// three bytes on disk, forty in memory, and a list that doubles as it grows.
pub(crate) const MEMORY: (u64, u64) = (4 * 1024, 128);

pub(crate) fn run(input: &[u8]) {
    if let Ok(record) = bounded("decoding a record", input.len(), MEMORY, || Record::decode(input)) {
        again(&record, input.len());
    }
}

/// A record that was read from so many bytes.
pub(crate) fn again(record: &Record, read: usize) {
    let mut written = Vec::new();
    record.encode(&mut written);
    assert_eq!(Record::decode(&written).as_ref(), Ok(record), "what is written is read as another record");
    // An integer may have been written longer than it need be; what is written again never is.
    assert!(written.len() <= read, "{read} bytes became {}: {record:?}", written.len());
}

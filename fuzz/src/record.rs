//! Records: one that can be read can be written, and is read as the same again.

use stockade_types::record::Record;

use crate::bounds::bounded;

/// Memory for reading a record: a fixed part and a multiple of the input. The worst case is a hold's line: three bytes
/// on disk, forty in memory, in a list that doubles as it grows.
pub(crate) const MEMORY: (u64, u64) = (4 * 1024, 128);

pub(crate) fn run(input: &[u8]) {
    if let Ok(record) = bounded("decoding a record", input.len(), MEMORY, || Record::decode(input)) {
        again(&record, input.len());
    }
}

/// Checks a record that was read from `read` bytes.
pub(crate) fn again(record: &Record, read: usize) {
    let mut written = Vec::new();
    record.encode(&mut written);
    assert_eq!(Record::decode(&written).as_ref(), Ok(record), "what is written is read as another record");
    // An integer may have been encoded longer than necessary; encoding never does that.
    assert!(written.len() <= read, "{read} bytes became {}: {record:?}", written.len());
}

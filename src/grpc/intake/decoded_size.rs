//! Reads a message's tags: how much memory the decoded message would take, and whether it has more entries than
//! allowed.
//!
//! Nothing is decoded or allocated. Each tag is read once; known messages are entered, unknown fields are skipped. A
//! message that can be decoded and is within the bounds always passes, and a message that passes takes at most the
//! returned memory.

use super::shape::{COUNTED_MAX, Field, Shapes, What};

/// The deepest nesting of messages and groups, as in prost.
const DEPTH_MAX: u32 = 101;
/// The least capacity of a text that is not empty.
const TEXT_ROOM: usize = 8;

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const GROUP: u64 = 3;
const GROUP_END: u64 = 4;
const FIXED32: u64 = 5;

/// Why a message is not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Oversized {
    /// It has too many entries.
    #[error("{path}: has more than {most} entries")]
    TooMany {
        /// The field, such as `operations[3].reserve.lines`.
        path: String,
        /// The most entries that are decoded.
        most: u32,
    },
    /// A field that may be set once is set again.
    #[error("{path}: is set more than once")]
    Twice {
        /// The field.
        path: String,
    },
    /// It is not valid protobuf.
    #[error("{path}: is malformed")]
    Malformed {
        /// Where.
        path: String,
    },
}

impl Oversized {
    /// The faulty field, and what is wrong with it.
    #[must_use]
    pub fn field(&self) -> (&str, String) {
        match self {
            Self::TooMany { path, most } => (path, format!("has more than {most} entries")),
            Self::Twice { path } => (path, "is set more than once".to_owned()),
            Self::Malformed { path } => (path, "is not encoded as the contract says".to_owned()),
        }
    }

    /// The same fault, with the path from the enclosing message.
    fn within(self, outer: &str) -> Self {
        let join = |path: String| match path.as_str() {
            "" => outer.to_owned(),
            path => format!("{outer}.{path}"),
        };
        match self {
            Self::TooMany { path, most } => Self::TooMany { path: join(path), most },
            Self::Twice { path } => Self::Twice { path: join(path) },
            Self::Malformed { path } => Self::Malformed { path: join(path) },
        }
    }
}

/// The most memory that a message takes when it is decoded, in bytes.
///
/// # Errors
/// If it is malformed, or has more entries than are decoded.
pub fn decoded_size(shapes: &Shapes, request: usize, message: &[u8]) -> Result<usize, Oversized> {
    let own = shapes.at(request).map_or(0, |shape| shape.size);
    Ok(own.saturating_add(decoded_size_in(shapes, request, message, DEPTH_MAX)?))
}

/// The memory that a message points to.
fn decoded_size_in(shapes: &Shapes, place: usize, mut bytes: &[u8], depth: u32) -> Result<usize, Oversized> {
    let depth = depth.checked_sub(1).ok_or_else(malformed)?;
    let Some(shape) = shapes.at(place) else { return Ok(0) };
    let mut counts = [0_u32; COUNTED_MAX];
    let mut sum = 0_usize;
    while !bytes.is_empty() {
        let (number, wire) = tag(&mut bytes)?;
        let Some(Some(field)) = usize::try_from(number).ok().and_then(|number| shape.fields.get(number)) else {
            skip(&mut bytes, number, wire, depth)?;
            continue;
        };
        let entry = match (wire, field.what) {
            (VARINT, What::Number) => varint(&mut bytes).map(|_number| ()),
            (FIXED64, What::Number) => take(&mut bytes, 8).map(|_number| ()),
            (FIXED32, What::Number) => take(&mut bytes, 4).map(|_number| ()),
            (LENGTH, _) => {
                let length = varint(&mut bytes)?;
                let inner = take(&mut bytes, usize::try_from(length).unwrap_or(usize::MAX))?;
                sum = sum.saturating_add(inside(shapes, field, &mut counts, inner, depth)?);
                continue;
            }
            // A field with a length must be encoded with one. prost does not check this for a map's entries: it would
            // read a length in any case, and interpret the following bytes differently from this walk.
            _ => Err(malformed()),
        };
        entry.map_err(|oversized| oversized.within(&field.name))?;
        let before = count(field, &mut counts, 1)?;
        sum = sum.saturating_add(room(field, before, 1));
    }
    Ok(sum)
}

/// The memory of a field's bytes.
fn inside(
    shapes: &Shapes,
    field: &Field,
    counts: &mut [u32; COUNTED_MAX],
    inner: &[u8],
    depth: u32,
) -> Result<usize, Oversized> {
    match field.what {
        What::Message(place) => {
            let index = count(field, counts, 1)?;
            let within = |oversized: Oversized| match field.counted {
                Some((_, most)) if most > 1 => oversized.within(&format!("{}[{index}]", field.name)),
                _ => oversized.within(&field.name),
            };
            Ok(room(field, index, 1).saturating_add(decoded_size_in(shapes, place, inner, depth).map_err(within)?))
        }
        What::Text => {
            let before = count(field, counts, 1)?;
            let text = if inner.is_empty() { 0 } else { inner.len().max(TEXT_ROOM) };
            Ok(room(field, before, 1).saturating_add(text))
        }
        // Packed: one number for each byte that ends a varint.
        What::Number => {
            let numbers = inner.iter().filter(|byte| **byte < 0x80).count();
            let before = count(field, counts, u32::try_from(numbers).unwrap_or(u32::MAX))?;
            Ok(room(field, before, numbers))
        }
    }
}

/// The memory of entries within their list or map, which allocates for one more at the first.
const fn room(field: &Field, before: u32, entries: usize) -> usize {
    let first = if before == 0 && entries > 0 { 1 } else { 0 };
    field.each.saturating_mul(entries.saturating_add(first))
}

/// Counts entries of a field, and returns how many there were before.
fn count(field: &Field, counts: &mut [u32; COUNTED_MAX], more: u32) -> Result<u32, Oversized> {
    let Some((place, most)) = field.counted else { return Ok(0) };
    let Some(count) = counts.get_mut(place) else { return Ok(0) };
    let before = *count;
    *count = before.saturating_add(more);
    if *count > most {
        let path = field.name.to_string();
        return Err(if most == 1 { Oversized::Twice { path } } else { Oversized::TooMany { path, most } });
    }
    Ok(before)
}

const fn malformed() -> Oversized {
    Oversized::Malformed { path: String::new() }
}

#[inline]
fn tag(bytes: &mut &[u8]) -> Result<(u64, u64), Oversized> {
    let key = varint(bytes)?;
    let (number, wire) = (key >> 3, key & 7);
    // Field numbers have 29 bits.
    if number == 0 || number >> 29 > 0 { Err(malformed()) } else { Ok((number, wire)) }
}

#[inline]
fn varint(bytes: &mut &[u8]) -> Result<u64, Oversized> {
    // Most varints have one byte.
    if let [first @ ..0x80, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u64::from(*first));
    }
    long_varint(bytes)
}

fn long_varint(bytes: &mut &[u8]) -> Result<u64, Oversized> {
    let mut value = 0_u64;
    for place in 0..10_u32 {
        let Some((byte, rest)) = bytes.split_first() else { return Err(malformed()) };
        *bytes = rest;
        // The tenth byte has only one bit of the 64.
        if place == 9 && *byte > 1 {
            return Err(malformed());
        }
        value |= u64::from(byte & 0x7f) << place.saturating_mul(7);
        if *byte < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed())
}

#[inline]
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Oversized> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or_else(malformed)?;
    *bytes = rest;
    Ok(taken)
}

/// Skips a field that the contract does not have.
fn skip(bytes: &mut &[u8], number: u64, wire: u64, depth: u32) -> Result<(), Oversized> {
    match wire {
        VARINT => varint(bytes).map(|_number| ()),
        FIXED64 => take(bytes, 8).map(|_number| ()),
        FIXED32 => take(bytes, 4).map(|_number| ()),
        LENGTH => {
            let length = varint(bytes)?;
            take(bytes, usize::try_from(length).unwrap_or(usize::MAX)).map(|_bytes| ())
        }
        GROUP => {
            let depth = depth.checked_sub(1).ok_or_else(malformed)?;
            loop {
                let (inner, wire) = tag(bytes)?;
                if wire == GROUP_END {
                    return if inner == number { Ok(()) } else { Err(malformed()) };
                }
                skip(bytes, inner, wire, depth)?;
            }
        }
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use stockade_proto as pb;

    use super::*;

    const REQUESTS: [&str; 3] =
        ["stockade.v1.BatchRequest", "stockade.v1.ReserveRequest", "stockade.v1.CreateDropRequest"];

    fn sized(request: &'static str, bytes: &[u8]) -> Result<usize, Oversized> {
        let (shapes, places) = Shapes::of([request]).expect("the contract");
        decoded_size(&shapes, places[0], bytes)
    }

    fn reserve(lines: usize) -> pb::ReserveRequest {
        let line = pb::Line { sku: "KNIFE/20cm".into(), quantity: 300, pool: String::new() };
        pb::ReserveRequest { hold_id: "h".repeat(36), lines: vec![line; lines], ..pb::ReserveRequest::default() }
    }

    #[test]
    fn what_is_within_its_bounds_is_let_through_with_what_it_takes() {
        for lines in [0, 1, 32, 64] {
            let takes = sized(REQUESTS[1], &reserve(lines).encode_to_vec()).expect("within");
            let least = size_of::<pb::ReserveRequest>() + lines * (size_of::<pb::Line>() + 10) + 36;
            assert!((least..4 * least + 1000).contains(&takes), "{lines} lines: {takes}, at least {least}");
        }
    }

    #[test]
    fn what_has_too_many_is_named() {
        let operation = |lines| pb::Operation { operation: Some(pb::operation::Operation::Reserve(reserve(lines))) };
        let batch = pb::BatchRequest { operations: vec![operation(1), operation(65)], view: 0 };
        let path = "operations[1].reserve.lines".to_owned();
        assert_eq!(sized(REQUESTS[0], &batch.encode_to_vec()), Err(Oversized::TooMany { path, most: 64 }));
        let empty = [0x0a, 0].repeat(10_001);
        let path = "operations".to_owned();
        assert_eq!(sized(REQUESTS[0], &empty), Err(Oversized::TooMany { path, most: 10_000 }));
        assert!(sized(REQUESTS[0], &empty[2..]).is_ok());
    }

    #[test]
    fn what_is_said_twice_would_be_merged_and_is_not_decoded() {
        // Two customers in one request: prost would merge their identities.
        let customer = [0x22, 0];
        let path = "customer".to_owned();
        assert_eq!(sized(REQUESTS[1], &customer.repeat(2)), Err(Oversized::Twice { path }));
        assert!(sized(REQUESTS[1], &customer).is_ok());
    }

    #[test]
    fn a_map_whose_entries_have_no_length_is_not_read_in_another_way_than_it_will_be() {
        // By their wire type eight bytes; prost would read an empty label and the begin of an item with many pools.
        let pools = [0x1a, 0].repeat(1_000);
        let hidden = [&[0x81, 1, 0, 0x5a, 0xd2, 0x8f, 0x80, 0, 0x1a, 0][..], &pools].concat();
        let length = u32::try_from(hidden.len()).expect("short");
        let drop = [&[0x0a, length.to_le_bytes()[0] | 0x80, (length >> 7).to_le_bytes()[0]][..], &hidden].concat();
        let decoded = pb::CreateDropRequest::decode(drop.as_slice()).expect("prost reads it");
        assert_eq!(decoded.drop.map(|drop| drop.items[0].pools.len()), Some(1_001));
        for wire in [0, 1, 3, 5] {
            let mut drop = drop.clone();
            drop[3] = 0x80 | wire;
            let path = "drop.labels".to_owned();
            assert_eq!(sized(REQUESTS[2], &drop), Err(Oversized::Malformed { path }), "{wire}");
        }
    }

    #[test]
    fn what_is_no_protobuf_is_named_as_far_as_it_goes() {
        let malformed = |path: &str| Err(Oversized::Malformed { path: path.into() });
        assert_eq!(sized(REQUESTS[1], &[0x80]), malformed(""));
        assert_eq!(sized(REQUESTS[1], &[0x1a, 5, 1]), malformed(""));
        assert_eq!(sized(REQUESTS[1], &[0x1a, 2, 0x0a, 5]), malformed("lines[0]"));
        assert_eq!(sized(REQUESTS[1], &[0]), malformed(""));
        // Unknown fields: a closed group, one that is not closed, and one that is too deep.
        assert!(sized(REQUESTS[1], &[0xa3, 6, 0xa4, 6]).is_ok());
        assert_eq!(sized(REQUESTS[1], &[0xa3, 6, 0xac, 6]), malformed(""));
        assert_eq!(sized(REQUESTS[1], &[0xa3, 6].repeat(1000)), malformed(""));
        // As deep as prost allows, and one deeper.
        let groups = |deep| [[0xa3, 6].repeat(deep), [0xa4, 6].repeat(deep)].concat();
        for (deep, decoded) in [(100, true), (101, false)] {
            assert_eq!(pb::ReserveRequest::decode(groups(deep).as_slice()).is_ok(), decoded, "{deep}");
            assert_eq!(sized(REQUESTS[1], &groups(deep)).is_ok(), decoded, "{deep}");
        }
    }
}

//! Frames of HTTP/2 and messages of gRPC, written by hand: what no client library would send can be sent.

use super::hpack::literal;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Of data and of headers.
pub const END_STREAM: u8 = 1;
/// Of settings and pings.
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Settings by their numbers.
pub const TABLE: u16 = 1;
pub const WINDOW: u16 = 4;

/// A call that is not wanted any more.
pub const CANCEL: u32 = 8;
/// A call that the server did not take.
pub const REFUSED: u32 = 7;
/// What a server says to a peer that it ends for its manners.
pub const CALM: u32 = 11;

/// Bytes of a frame's payload that each peer takes.
pub const PAYLOAD: usize = 16_384;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const RESERVE: &str = "/stockade.v1.ReservationService/Reserve";
pub const LIST_HOLDS: &str = "/stockade.v1.ReservationService/ListHolds";
pub const BATCH: &str = "/stockade.v1.ReservationService/Batch";
pub const BATCH_STREAM: &str = "/stockade.v1.ReservationService/BatchStream";
pub const GET_DROP: &str = "/stockade.v1.DropService/GetDrop";
pub const WATCH_DROP: &str = "/stockade.v1.DropService/WatchDrop";
pub const CREATE_DROP: &str = "/stockade.v1.DropService/CreateDrop";
pub const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
pub const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
pub const UPDATE_DROP: &str = "/stockade.v1.DropService/UpdateDrop";

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A frame with a number: an update of a window, a reset.
pub fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, 0, stream, &number.to_be_bytes())
}

/// A frame of settings.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        values.iter().flat_map(|(of, value)| [&of.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// The block of headers of a call. Without a state: it may be sent again and again.
pub fn block(path: &str) -> Vec<u8> {
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    headers.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// The begin of a call.
pub fn begin(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(path))
}

/// A whole call, of a short message.
pub fn whole(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    [begin(stream, path), frame(DATA, END_STREAM, stream, &framed(message))].concat()
}

/// A message in its gRPC frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// A field of protobuf that has a length.
pub fn field(number: u32, payload: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(u32::try_from(payload.len()).expect("short")), payload.to_vec()].concat()
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}

/// A unit, as often as it fits into a length.
pub fn filled(unit: &[u8], bytes: usize) -> Vec<u8> {
    unit.repeat(bytes / unit.len())
}

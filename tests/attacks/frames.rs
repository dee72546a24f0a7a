//! Hand-made frames of HTTP/2 and messages of gRPC, to send what no client library would.

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

/// Flag of data and headers.
pub const END_STREAM: u8 = 1;
/// Flag of settings and pings.
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Setting numbers.
pub const TABLE: u16 = 1;
pub const WINDOW: u16 = 4;

/// Error code: the caller no longer wants the call.
pub const CANCEL: u32 = 8;
/// Error code: the server did not process the call.
pub const REFUSED: u32 = 7;
/// Error code: the server ends a connection that misbehaves (`ENHANCE_YOUR_CALM`).
pub const CALM: u32 = 11;

/// Maximum payload of a frame that each peer accepts.
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

/// A frame with a number as its payload: a window update or a reset.
pub fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, 0, stream, &number.to_be_bytes())
}

/// A frame of settings.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        values.iter().flat_map(|(of, value)| [&of.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// The header block of a call. It uses no dynamic table, so it can be sent again and again.
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

/// The headers of a call.
pub fn begin(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(path))
}

/// A whole call with a short message.
pub fn whole(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    [begin(stream, path), frame(DATA, END_STREAM, stream, &framed(message))].concat()
}

/// A message in its gRPC frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// A length-delimited field of protobuf.
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

/// The unit repeated as often as it fits into this length.
pub fn filled(unit: &[u8], bytes: usize) -> Vec<u8> {
    unit.repeat(bytes / unit.len())
}

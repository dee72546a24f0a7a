//! HPACK headers: written as literals, and read as far as the answers need it. The peer was asked to keep no dynamic
//! table.

/// Code lengths in bits of all bytes in HPACK's Huffman code. The code is canonical, so its lengths define it.
const CODE_BITS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26,
];

/// A header that is not added to the peer's table.
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        integer(&mut bytes, text.len());
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// An integer with a prefix of seven bits.
fn integer(bytes: &mut Vec<u8>, value: usize) {
    let small = |value: usize| u8::try_from(value).expect("a byte");
    if value < 127 {
        bytes.push(small(value));
        return;
    }
    bytes.push(127);
    let mut rest = value - 127;
    while rest >= 128 {
        bytes.push(small(rest % 128) | 0x80);
        rest /= 128;
    }
    bytes.push(small(rest));
}

/// The value of a header, if the block has it with its name as a literal.
pub fn find(mut block: &[u8], name: &str) -> Option<String> {
    while let Some(first) = block.first().copied() {
        let index = match first {
            // An indexed header, or a table size update.
            0x80.. => {
                take_integer(&mut block, 7);
                continue;
            }
            0x20..0x40 => {
                take_integer(&mut block, 5);
                continue;
            }
            0x40..0x80 => take_integer(&mut block, 6),
            0..0x20 => take_integer(&mut block, 4),
        };
        let found = if index == 0 { take_text(&mut block) } else { String::new() };
        let value = take_text(&mut block);
        if found == name {
            return Some(value);
        }
    }
    None
}

fn take_byte(bytes: &mut &[u8]) -> u8 {
    let (first, rest) = bytes.split_first().expect("a header block goes on");
    *bytes = rest;
    *first
}

fn take_integer(bytes: &mut &[u8], bits: u32) -> usize {
    let most = (1_usize << bits) - 1;
    let mut value = usize::from(take_byte(bytes)) & most;
    if value == most {
        for place in 0.. {
            let byte = take_byte(bytes);
            value += usize::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                break;
            }
        }
    }
    value
}

fn take_text(bytes: &mut &[u8]) -> String {
    let coded = bytes[0] >= 0x80;
    let length = take_integer(bytes, 7);
    let (text, rest) = bytes.split_at(length);
    *bytes = rest;
    String::from_utf8(if coded { decoded(text) } else { text.to_vec() }).expect("a header in UTF-8")
}

/// Decodes Huffman bits one at a time, with the first code and the bytes of each code length.
fn decoded(coded: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let (mut code, mut first, mut bits) = (0_u64, 0_u64, 0_u8);
    for byte in coded {
        for place in (0..8).rev() {
            (code, first, bits) = (code << 1 | u64::from(byte >> place & 1), first << 1, bits + 1);
            let of_length = || (0..=255_u8).filter(|byte| CODE_BITS[usize::from(*byte)] == bits);
            let count = u64::try_from(of_length().count()).expect("few");
            if code < first + count {
                let nth = usize::try_from(code - first).expect("few");
                text.extend(of_length().nth(nth));
                (code, first, bits) = (0, 0, 0);
            } else {
                first += count;
            }
        }
    }
    text
}

#[test]
fn what_a_server_writes_is_read() {
    // Examples of RFC 7541, C.4.1 and C.6.1.
    let host = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
    assert_eq!(decoded(&host), b"www.example.com");
    assert_eq!(decoded(&[0x64, 0x02]), b"302");
    let block = [vec![0x20, 0x88], literal("grpc-message", &"x".repeat(300)), literal("grpc-status", "13")].concat();
    assert_eq!(find(&block, "grpc-status").as_deref(), Some("13"));
    assert_eq!(find(&block, "grpc-message").map(|message| message.len()), Some(300));
    assert_eq!(find(&block, "te"), None);
}

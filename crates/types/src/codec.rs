//! Encoding for the disk: LEB128 integers and length-prefixed texts.
//!
//! Writing cannot fail. Reading checks every length against the bytes that are left and never allocates more than that.

/// Why bytes could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than announced.
    #[error("ends too early")]
    Short,
    /// Bytes left over.
    #[error("has bytes left over")]
    Long,
    /// A value that its field can't have.
    #[error("has a bad {0}")]
    Bad(&'static str),
}

/// Most bytes of an integer.
const INTEGER_BYTES_MAX: usize = 10;

/// Integers below this take at most eight bytes and are written without a loop.
const SPREAD_END: u64 = 1 << 56;

/// Appends an integer: seven bits a byte, lowest first.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    // Most integers are small: lengths, counts, item numbers.
    match u8::try_from(value) {
        Ok(small) if small < 0x80 => out.push(small),
        Ok(_) | Err(_) if value < SPREAD_END => put_spread(out, value),
        Ok(_) | Err(_) => put_large(out, value),
    }
}

/// Encodes all bytes at once: three shifts spread the integer's groups of seven bits to one byte each. Eight bytes are
/// always appended, then the surplus is truncated: a copy of constant length is one instruction.
#[inline]
fn put_spread(out: &mut Vec<u8>, value: u64) {
    let fours = (value & 0x00ff_ffff_f000_0000) << 4 | (value & 0x0000_0000_0fff_ffff);
    let twos = (fours & 0x0fff_c000_0fff_c000) << 2 | (fours & 0x0000_3fff_0000_3fff);
    let ones = (twos & 0x3f80_3f80_3f80_3f80) << 1 | (twos & 0x007f_007f_007f_007f);
    // The last used byte has no continuation bit. The value is above 0 here: smaller ones took the short path.
    let last = (u64::BITS - 1 - ones.leading_zeros()) / 8;
    let more = 0x8080_8080_8080_8080 & ((1 << (8 * last)) - 1);
    let end = out.len() + usize::try_from(last).unwrap_or(0) + 1;
    out.extend_from_slice(&(ones | more).to_le_bytes());
    out.truncate(end);
}

/// Byte by byte.
#[cold]
fn put_large(out: &mut Vec<u8>, mut value: u64) {
    let mut bytes = [0; INTEGER_BYTES_MAX];
    let mut used = 0;
    for byte in &mut bytes {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        used += 1;
        if value == 0 {
            *byte = low;
            break;
        }
        *byte = low | 0x80;
    }
    out.extend_from_slice(bytes.get(..used).unwrap_or_default());
}

/// Appends a text, preceded by its length.
#[inline]
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u64(out, u64::try_from(text.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(text.as_bytes());
}

/// Appends an optional integer: 0 for none, otherwise the value plus one.
pub fn put_option(out: &mut Vec<u8>, value: Option<u64>) {
    put_u64(out, value.map_or(0, |value| value.saturating_add(1)));
}

/// Reads what the functions above wrote, front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`DecodeError::Long`] when bytes are left.
    pub const fn finish(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Long) }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when there are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// An integer.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end, [`DecodeError::Bad`] when it is over 64 bits.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::Bad("integer"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Bad("integer"))
    }

    /// An integer that must fit a smaller type.
    ///
    /// # Errors
    /// As [`Reader::u64`], and [`DecodeError::Bad`] with `what` when it is too large.
    pub fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        T::try_from(self.u64()?).map_err(|_| DecodeError::Bad(what))
    }

    /// A count of elements of at least `least` bytes each. It is checked against the bytes left, so a hostile count
    /// can't cause a large allocation.
    ///
    /// # Errors
    /// As [`Reader::u64`], and [`DecodeError::Short`] when fewer bytes are left than that many elements need.
    pub fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count: usize = self.small("count")?;
        if count.saturating_mul(least) > self.left() { Err(DecodeError::Short) } else { Ok(count) }
    }

    /// An optional integer.
    ///
    /// # Errors
    /// As [`Reader::u64`].
    pub fn option(&mut self) -> Result<Option<u64>, DecodeError> {
        Ok(self.u64()?.checked_sub(1))
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// As [`Reader::u8`], and [`DecodeError::Bad`] with `what` when it is another number.
    pub fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Bad(what)),
        }
    }

    /// A text.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when it is cut, [`DecodeError::Bad`] when it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.count(1)?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| DecodeError::Bad("text"))
    }

    /// A text that must be an id.
    ///
    /// # Errors
    /// As [`Reader::text`], and [`DecodeError::Bad`] with `what` when it is not one.
    pub fn id<T: for<'t> TryFrom<&'t str>>(&mut self, what: &'static str) -> Result<T, DecodeError> {
        T::try_from(self.text()?).map_err(|_| DecodeError::Bad(what))
    }

    /// The same, or none for an empty text.
    ///
    /// # Errors
    /// As [`Reader::id`].
    pub fn optional_id<T: for<'t> TryFrom<&'t str>>(&mut self, what: &'static str) -> Result<Option<T>, DecodeError> {
        match self.text()? {
            "" => Ok(None),
            text => T::try_from(text).map(Some).map_err(|_| DecodeError::Bad(what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(value: u64, text in ".{0,40}", option: Option<u32>) {
            let mut out = Vec::new();
            put_u64(&mut out, value);
            put_text(&mut out, &text);
            put_option(&mut out, option.map(u64::from));
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.u64(), Ok(value));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert_eq!(reader.option(), Ok(option.map(u64::from)));
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            let _number = reader.u64();
            let _text = reader.text();
            let _count = reader.count(3);
        }
    }

    #[test]
    fn an_integer_takes_as_many_bytes_as_its_bits_need() {
        let bytes = |value| {
            let mut out = vec![7];
            put_u64(&mut out, value);
            assert_eq!(Reader::new(&out[1..]).u64(), Ok(value));
            out.split_off(1)
        };
        assert_eq!((bytes(0), bytes(0x7f)), (vec![0], vec![0x7f]));
        assert_eq!((bytes(0x80), bytes(300)), (vec![0x80, 1], vec![0xac, 2]));
        assert_eq!((bytes(u64::MAX >> 1).len(), bytes(u64::MAX).len()), (9, 10));
    }

    #[test]
    fn whole_and_byte_by_byte_an_integer_has_the_same_bytes() {
        for bits in 0..u64::BITS {
            for value in [(1 << bits) - 1, 1 << bits, 0x5a5a_5a5a_5a5a_5a5a >> (u64::BITS - 1 - bits)] {
                let (mut whole, mut by_byte) = (vec![7], vec![7]);
                put_u64(&mut whole, value);
                put_large(&mut by_byte, value);
                assert_eq!(whole, by_byte, "{value:#x}");
            }
        }
    }

    #[test]
    fn integers_over_64_bits_and_cut_ones_are_refused() {
        assert_eq!(Reader::new(&[0xff; 10]).u64(), Err(DecodeError::Bad("integer")));
        assert_eq!(Reader::new(&[0x80]).u64(), Err(DecodeError::Short));
        assert_eq!(Reader::new(&[200, 1]).count(1), Err(DecodeError::Short));
    }
}

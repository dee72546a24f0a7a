//! Reads the heads of the frames that arrive, and counts the kinds that a peer may not send without limit.
//!
//! A control frame costs its sender nine bytes and makes the server work or answer. Each kind has an allowance, which
//! requests and time refill. A peer that exceeds it is ended. The meter does not check the protocol: malformed frames
//! are passed on, and h2 reports them.

use std::collections::VecDeque;

/// The client's preface: 24 bytes before the first frame.
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The allowance that a peer exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// Resets of calls.
    Resets,
    /// Pings, settings, priorities, empty data, and frames of unknown kinds.
    Control,
    /// Window updates, and repeated resets of one stream.
    WindowUpdates,
}

/// How many more frames of a kind are allowed.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: u32,
    most: u32,
}

impl Allowance {
    const fn full(most: u32) -> Self {
        Self { left: most, most }
    }

    const fn spend(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    const fn is_full(self) -> bool {
        self.left == self.most
    }

    fn earn(&mut self, more: u32) {
        self.left = self.left.saturating_add(more).min(self.most);
    }
}

/// All calls of a connection may be reset at once, and as many again soon after: a proxy whose callers give up is no
/// attacker.
const RESETS_MAX: u32 = 2 * super::STREAMS_MAX;
/// How many reset streams are remembered, the newest. A peer that has given up a call may reset it once more for each
/// frame of the answer that was on its way. Those resets do not count as resets of another call.
const RESET_STREAMS_MAX: usize = 2_048;
/// Resets that each second refills.
const RESETS_A_SECOND: u32 = 100;
/// Control frames that a connection may send at once.
const CONTROL_MAX: u32 = 2_048;
/// Control frames that each second refills.
const CONTROL_A_SECOND: u32 = 100;
/// Window updates and repeated resets that a connection may send at once: one for every answer on each stream, and
/// the connection's own.
const UPDATES_MAX: u32 = 16 * super::STREAMS_MAX;
/// Those that each second refills.
const UPDATES_A_SECOND: u32 = 1_000;
/// Those that each request refills.
const UPDATES_A_REQUEST: u32 = 4;

impl Default for FrameMeter {
    fn default() -> Self {
        Self::new()
    }
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub struct FrameMeter {
    preface_left: usize,
    head: [u8; HEAD_BYTES],
    head_filled: usize,
    payload_left: usize,
    /// A block of headers has begun and not ended.
    in_block: bool,
    /// Requests that have begun.
    requests: u64,
    resets: Allowance,
    /// Streams that were reset, ascending; at most [`RESET_STREAMS_MAX`], the highest ones. Empty once `resets` is
    /// full again.
    reset_streams: VecDeque<u32>,
    control: Allowance,
    updates: Allowance,
}

impl FrameMeter {
    /// A meter at the first byte of a connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            preface_left: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_filled: 0,
            payload_left: 0,
            in_block: false,
            requests: 0,
            resets: Allowance::full(RESETS_MAX),
            reset_streams: VecDeque::new(),
            control: Allowance::full(CONTROL_MAX),
            updates: Allowance::full(UPDATES_MAX),
        }
    }

    /// Requests that have begun.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether the peer has begun something that only it can end: the preface, a frame or a block of headers.
    #[must_use]
    pub const fn in_pieces(&self) -> bool {
        self.preface_left > 0 || self.head_filled > 0 || self.payload_left > 0 || self.in_block
    }

    /// Refills the allowances for time that has passed.
    pub fn seconds_passed(&mut self, seconds: u32) {
        self.resets.earn(RESETS_A_SECOND.saturating_mul(seconds));
        if self.resets.is_full() && !self.reset_streams.is_empty() {
            self.reset_streams = VecDeque::new();
        }
        self.control.earn(CONTROL_A_SECOND.saturating_mul(seconds));
        self.updates.earn(UPDATES_A_SECOND.saturating_mul(seconds));
    }

    /// Each answered call allows one more reset.
    pub fn answered(&mut self, calls: u32) {
        self.resets.earn(calls);
    }

    /// Follows these bytes.
    ///
    /// # Errors
    /// If an allowance is exceeded.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        let mut followed = Ok(());
        let preface = self.preface_left.min(bytes.len());
        self.preface_left = self.preface_left.saturating_sub(preface);
        bytes = bytes.get(preface..).unwrap_or_default();
        while !bytes.is_empty() {
            let payload = self.payload_left.min(bytes.len());
            self.payload_left = self.payload_left.saturating_sub(payload);
            bytes = bytes.get(payload..).unwrap_or_default();
            bytes = self.fill_head(bytes);
            if self.head_filled == HEAD_BYTES {
                self.head_filled = 0;
                followed = followed.and(self.frame());
            }
        }
        followed
    }

    /// Fills the head of the next frame, once the payload of the last one is over.
    fn fill_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let wanted = HEAD_BYTES.saturating_sub(self.head_filled).min(bytes.len());
        let Some((taken, rest)) = bytes.split_at_checked(wanted) else { return bytes };
        let room = self.head.get_mut(self.head_filled..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(taken) {
            *to = *from;
        }
        self.head_filled = self.head_filled.saturating_add(wanted);
        rest
    }

    fn frame(&mut self) -> Result<(), Excess> {
        let [high, mid, low, kind, flags, stream @ ..] = self.head;
        let length = u32::from_be_bytes([0, high, mid, low]);
        self.payload_left = usize::try_from(length).unwrap_or(usize::MAX);
        let (allowed, excess) = match kind {
            HEADERS => {
                self.in_block = flags & END_HEADERS == 0;
                self.requests = self.requests.saturating_add(1);
                self.updates.earn(UPDATES_A_REQUEST);
                (true, Excess::Control)
            }
            CONTINUATION => {
                self.in_block = flags & END_HEADERS == 0;
                (length > 0 || self.control.spend(), Excess::Control)
            }
            DATA if length > 0 || flags & END_STREAM != 0 => (true, Excess::Control),
            RST_STREAM if self.is_first_reset(u32::from_be_bytes(stream)) => (self.resets.spend(), Excess::Resets),
            RST_STREAM | WINDOW_UPDATE => (self.updates.spend(), Excess::WindowUpdates),
            _ => (self.control.spend(), Excess::Control),
        };
        if allowed { Ok(()) } else { Err(excess) }
    }

    /// Whether this stream is reset for the first time, as far as is remembered.
    fn is_first_reset(&mut self, stream: u32) -> bool {
        let Err(place) = self.reset_streams.binary_search(&stream) else { return false };
        self.reset_streams.insert(place, stream);
        if self.reset_streams.len() > RESET_STREAMS_MAX {
            self.reset_streams.pop_front();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).expect("short").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD_BYTES + payload, 0xff);
        frame
    }

    fn reset(stream: u32) -> Vec<u8> {
        let mut frame = frame(RST_STREAM, 0, 4);
        frame[5..HEAD_BYTES].copy_from_slice(&stream.to_be_bytes());
        frame
    }

    /// Resets of different streams, in the order in which streams begin.
    fn resets() -> impl Iterator<Item = Vec<u8>> {
        (1..).step_by(2).map(reset)
    }

    fn greeted() -> FrameMeter {
        let mut meter = FrameMeter::new();
        assert!(meter.in_pieces());
        meter.follow(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("a preface");
        assert!(!meter.in_pieces());
        meter
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for payload in [0, 1, 9, 200] {
            bytes.extend(frame(HEADERS, END_HEADERS, payload));
            bytes.extend(frame(DATA, END_STREAM, payload));
        }
        for step in 1..bytes.len() {
            let mut meter = FrameMeter::new();
            for piece in bytes.chunks(step) {
                meter.follow(piece).expect("nothing in excess");
            }
            assert_eq!((meter.requests(), meter.in_pieces()), (4, false), "in pieces of {step}");
        }
    }

    #[test]
    fn what_only_the_peer_can_end_is_seen() {
        let mut meter = greeted();
        meter.follow(&frame(HEADERS, 0, 3)).expect("a block begins");
        assert!(meter.in_pieces());
        meter.follow(&frame(CONTINUATION, END_HEADERS, 1)).expect("and ends");
        assert!(!meter.in_pieces());
        meter.follow(&frame(DATA, 0, 5)[..12]).expect("half a frame");
        assert!(meter.in_pieces());
    }

    #[test]
    fn each_kind_has_its_allowance() {
        const PING: u8 = 6;
        let count = |kind: u8, flags: u8, payload: usize| {
            let mut meter = greeted();
            let bytes = frame(kind, flags, payload);
            (0..1_000_000).find_map(|n| meter.follow(&bytes).err().map(|excess| (n, excess)))
        };
        assert_eq!(count(PING, 0, 8), Some((CONTROL_MAX, Excess::Control)));
        assert_eq!(count(200, 0, 1), Some((CONTROL_MAX, Excess::Control)));
        assert_eq!(count(DATA, 0, 0), Some((CONTROL_MAX, Excess::Control)));
        assert_eq!(count(CONTINUATION, 0, 0), Some((CONTROL_MAX, Excess::Control)));
        assert_eq!(count(WINDOW_UPDATE, 0, 4), Some((UPDATES_MAX, Excess::WindowUpdates)));
        assert_eq!(count(HEADERS, END_HEADERS, 20), None);
    }

    #[test]
    fn time_and_answers_allow_more() {
        let (mut meter, mut resets) = (greeted(), resets());
        let mut reset = |meter: &mut FrameMeter| meter.follow(&resets.next().expect("without end"));
        for _ in 0..RESETS_MAX {
            reset(&mut meter).expect("allowed");
        }
        assert_eq!(reset(&mut meter), Err(Excess::Resets));
        meter.answered(1);
        assert_eq!(reset(&mut meter), Ok(()));
        meter.seconds_passed(1);
        for _ in 0..RESETS_A_SECOND {
            reset(&mut meter).expect("allowed");
        }
        assert_eq!(reset(&mut meter), Err(Excess::Resets));
    }

    #[test]
    fn a_call_that_is_reset_again_for_what_was_on_its_way_is_no_further_one() {
        let mut meter = greeted();
        for (reset, _) in resets().zip(0..RESETS_MAX) {
            for _ in 0..4 {
                meter.follow(&reset).expect("allowed");
            }
        }
        assert_eq!(meter.follow(&reset(u32::MAX)), Err(Excess::Resets));
        let mut meter = greeted();
        meter.follow(&reset(1)).expect("allowed");
        let ended = (0..1_000_000_u32).find_map(|n| meter.follow(&reset(1)).err().map(|excess| (n, excess)));
        assert_eq!(ended, Some((UPDATES_MAX, Excess::WindowUpdates)), "not without end");
    }
}

//! How far channels are.

use super::*;
use crate::webhook::EventPlace;

/// How far a channel is that has sent to this many audiences.
fn fact(audiences: usize) -> Record {
    let sent = |n: usize| Sent {
        audience: [u8::try_from(n % 256).unwrap_or_default(); 16],
        last_at: Timestamp(u64::MAX),
        count: u32::MAX,
    };
    let decided_to = EventPlace { lsn: Lsn(u64::MAX), place: u16::MAX };
    let progress = Some(ChannelProgress { decided_to, sent: (0..audiences).map(sent).collect() });
    Record::Channel(ChannelFact { at: Timestamp(10), channel: "x".repeat(64).parse().expect("a name"), progress })
}

pub(super) fn samples() -> Vec<Record> {
    let channel = "push".parse().expect("a name");
    let forgotten = Record::Channel(ChannelFact { at: Timestamp(11), channel, progress: None });
    vec![fact(0), fact(2), forgotten]
}

#[test]
fn a_channel_with_the_most_audiences_fits_a_record_and_more_are_refused() {
    let largest = bytes(&fact(AUDIENCES_MAX));
    assert!(largest.len() <= RECORD_BYTES_MAX && Record::decode(&largest).is_ok());
    let more = bytes(&fact(AUDIENCES_MAX + 1));
    assert_eq!(Record::decode(&more), Err(DecodeError::Bad("count of audiences")));
}

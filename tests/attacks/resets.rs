//! Calls that are begun and reset: a peer has an allowance of them, large enough for callers that cancel.

use std::time::Duration;

use futures_util::future::join_all;
use prost::Message as _;
use stockade_proto as pb;
use stockade_proto::drop_service_client::DropServiceClient;
use tonic::transport::Endpoint;

use super::frames::{CALM, CANCEL, GET_DROP, RESERVE, RST_STREAM, WINDOW_UPDATE, begin, framed, number, whole};
use super::measured::Measured;
use super::peer::{Peer, WIDE, WITHIN};
use super::polite::{reserve, runtime};
use super::server::{DROP, MIB, Target};
use super::state::End;

/// Calls sent at once,
const TOGETHER: usize = 200;
/// and the maximum number of rounds: many times more than allowed.
const ROUNDS: usize = 200;

/// The bytes of a call on a stream.
type Call = Box<dyn Fn(u32) -> Vec<u8>>;

/// Sends calls, each with `data` bytes of data, until the connection ends. Returns how it ended, and after how many
/// calls.
fn until_ended(target: &Target, data: usize, call: impl Fn(u32) -> Vec<u8>) -> (End, usize) {
    let mut peer = Peer::connect(target.grpc, WIDE);
    for round in 0..ROUNDS {
        let calls: Vec<u8> = (0..TOGETHER).flat_map(|_| call(peer.stream())).collect();
        // Within the connection's window: a reset call returns its part of it.
        if !peer.may_send(TOGETHER * data) || !peer.send(&calls) || !peer.stands() {
            let goodbye = peer.ended(WITHIN).expect("it ends");
            return (goodbye, round * TOGETHER);
        }
    }
    let goodbye = peer.ended(WITHIN).expect("ended for its resets");
    (goodbye, ROUNDS * TOGETHER)
}

#[test]
fn a_peer_that_resets_without_end_is_ended() {
    let target = Target::start();
    let measured = Measured::beside("calls that are reset", &target);
    let read = pb::GetDropRequest { drop_id: DROP.into() }.encode_to_vec();
    let (of_reserve, of_read) = (framed(&reserve().encode_to_vec()).len(), framed(&read).len());
    let reset = |id| number(RST_STREAM, id, CANCEL);
    let kinds: [(&str, usize, Call); 4] = [
        ("heads", 0, Box::new(move |id| [begin(id, RESERVE), reset(id)].concat())),
        (
            "reserves",
            of_reserve,
            Box::new(move |id| [whole(id, RESERVE, &reserve().encode_to_vec()), reset(id)].concat()),
        ),
        ("reads", of_read, Box::new(move |id| [whole(id, GET_DROP, &read), reset(id)].concat())),
        // Makes the server reset: the window is at its maximum, and is increased.
        ("errors", 0, Box::new(move |id| [begin(id, RESERVE), number(WINDOW_UPDATE, id, 1)].concat())),
    ];
    for (kind, data, call) in kinds {
        let (goodbye, calls) = until_ended(&target, data, call);
        eprintln!("{kind}: ended after {calls} calls with {goodbye:?}");
        assert!(matches!(goodbye, End::Goodbye(CALM) | End::Cut), "{kind}: {goodbye:?}");
    }
    assert!(target.shed("resets") > 0);
    let grown = measured.grown();
    assert!(grown < 48 * MIB, "{} MiB", grown / MIB);
    measured.had_all_answers(1);
    target.ends_well();
}

#[test]
fn callers_who_give_up_together_are_no_attackers() {
    let target = Target::start();
    let measured = Measured::alone("callers who give up together", &target);
    runtime().block_on(async {
        let channel = Endpoint::from_shared(target.server.endpoint.clone()).expect("an endpoint");
        let client = DropServiceClient::new(channel.connect().await.expect("a connection"));
        let watch = || {
            let (mut client, request) = (client.clone(), pb::WatchDropRequest { drop_id: DROP.into() });
            async move { client.watch_drop(request).await }
        };
        for _ in 0..2 {
            let watches = join_all((0..1_000).map(|_| watch())).await;
            assert!(watches.iter().all(Result::is_ok), "{:?}", watches.iter().find(|watch| watch.is_err()));
            // All of them cancel.
            drop(watches);
            tokio::time::sleep(Duration::from_millis(200)).await;
            client.clone().get_drop(pb::GetDropRequest { drop_id: DROP.into() }).await.expect("an answer");
        }
    });
    assert_eq!(target.shed("resets"), 0);
    drop(measured);
    target.ends_well();
}

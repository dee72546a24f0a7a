//! Callers that go away: during a call, with their connection, or because their deadline has passed. A caller can
//! cancel only its waiting, never half of a change.

use std::time::Duration;

use futures_util::future::join_all;
use stockade_client::Client;
use stockade_proto as pb;
use tonic::Code;

use crate::server::{Server, start, verified};
use crate::wire::{Dice, all_shown, books_balance, create, line, reserve};

const STOCK: [(&str, u64); 2] = [("A", 100_000), ("B", 100_000)];

fn cart(id: &str) -> pb::ReserveRequest {
    reserve(id, &format!("for-{id}"), vec![line("A", 1), line("B", 1)])
}

/// Checks that each of these calls was carried out entirely or not at all, and that each gets its units when sent
/// again.
async fn all_is_whole(server: Server, ids: &[String], folder: &std::path::Path) {
    let client = server.client().await;
    let found = all_shown(&client, ids.iter().cloned()).await;
    for hold in found.iter().flatten() {
        assert_eq!(hold.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(), [1, 1], "half a cart");
    }
    books_balance(&client, &found, 2).await;
    eprintln!("{} of {} calls were carried out", found.iter().flatten().count(), found.len());
    let again = join_all(ids.iter().map(|id| client.reserve(cart(id)))).await;
    for (answer, before) in again.into_iter().zip(found) {
        let Some(pb::reserve_response::Outcome::Hold(hold)) = answer.expect("an answer").outcome else {
            panic!("no hold");
        };
        assert!(before.is_none_or(|before| before == hold), "the same hold");
    }
    let settled = all_shown(&client, ids.iter().cloned()).await;
    books_balance(&client, &settled, 2).await;
    server.kill();
    verified(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_no_half_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    let client = server.client().await;
    create(&client, &STOCK, 2).await;
    let mut dice = Dice::seeded("a_caller_that_goes_away_leaves_no_half_change");
    let mut ids = Vec::new();
    for round in 0..40 {
        // Every second time the whole connection ends, with all calls in flight on it.
        let own = if round % 2 == 0 { server.client().await } else { client.clone() };
        let calls: Vec<_> = (0..20)
            .map(|_| {
                let (id, client) = (dice.hold_id(), own.clone());
                ids.push(id.clone());
                tokio::spawn(async move { client.reserve(cart(&id)).await.map(drop) })
            })
            .collect();
        drop(own);
        tokio::time::sleep(Duration::from_micros(dice.below(2_500))).await;
        for call in calls {
            call.abort();
            // Aborted or answered, whichever was first.
            let _ended = call.await;
        }
    }
    all_is_whole(server, &ids, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_leaves_no_half_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = start(folder.path(), &[]);
    let patient = server.client().await;
    create(&patient, &STOCK, 2).await;
    let mut dice = Dice::seeded("a_deadline_that_passes_leaves_no_half_change");
    let ids: Vec<String> = (0..400).map(|_| dice.hold_id()).collect();
    let mut late = 0;
    for (n, ids) in ids.chunks(40).enumerate() {
        let millis = 1 + u64::try_from(n).expect("few") % 4;
        let hasty: Client = server.client().await.with_timeout(Duration::from_millis(millis));
        for answer in join_all(ids.iter().map(|id| hasty.reserve(cart(id)))).await {
            if let Err(status) = answer {
                // The caller's own timeout may end it first, with CANCELLED.
                assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
                late += 1;
            }
        }
    }
    assert!(late > 0, "no deadline has passed");
    all_is_whole(server, &ids, folder.path()).await;
}

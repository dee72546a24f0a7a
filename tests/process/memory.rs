//! Little memory: calls that would take more are refused before it is exhausted, and a restart gets along with the same
//! memory.

use stockade_proto as pb;
use stockade_proto::operation::Operation as Verb;
use stockade_proto::result::Result as Came;

use crate::server::start;
use crate::wire::{Dice, create, line, reserve};

const BUDGET: &str = "48MiB";
/// Holds that do not fit into that.
const TOO_MANY: u64 = 1_000_000;
const A_MESSAGE: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn new_holds_are_refused_before_the_memory_runs_out_and_a_start_has_all_that_were_granted() {
    let folder = tempfile::tempdir().expect("a folder");
    // The bound on holds is far beyond the memory bound, so that the latter is reached.
    let flags = ["--memory-budget", BUDGET, "--max-holds", "5_000_000", "--snapshot-every", "1h,10GiB"];
    let server = start(folder.path(), &flags);
    let client = server.client().await;
    create(&client, &[("SKU", 10_000_000)], 3_600).await;
    let (mut dice, mut granted, mut refused) = (Dice::new(1), Vec::new(), None);
    for message in 0..TOO_MANY / A_MESSAGE {
        let reserve = |n: u64| reserve(&dice.hold_id(), &format!("customer-{message}-{n}"), vec![line("SKU", 1)]);
        let reserves: Vec<_> = (0..A_MESSAGE).map(reserve).collect();
        let ids: Vec<String> = reserves.iter().map(|reserve| reserve.hold_id.clone()).collect();
        let operations = reserves.into_iter().map(|r| pb::Operation { operation: Some(Verb::Reserve(r)) }).collect();
        let request = pb::BatchRequest { operations, view: pb::HoldView::Brief.into() };
        for (id, came) in ids.into_iter().zip(client.batch(request).await.expect("an answer").results) {
            match came.result {
                Some(Came::Hold(_)) => granted.push(id),
                other => refused = Some(other),
            }
        }
        if refused.is_some() {
            break;
        }
    }
    let Some(Some(Came::Error(error))) = refused else { panic!("{} were granted: {refused:?}", granted.len()) };
    assert_eq!(error.code, 8, "RESOURCE_EXHAUSTED: {error:?}");
    assert!(error.message.contains("memory"), "{error:?}");

    // Calls that end or show a hold go on.
    let first = granted.first().cloned().expect("some were granted");
    let release = pb::ReleaseRequest { hold_id: first.clone(), ..pb::ReleaseRequest::default() };
    client.release(release).await.expect("released");
    client.get_hold(pb::GetHoldRequest { hold_id: first, ..Default::default() }).await.expect("shown");
    assert_eq!(server.metric("stockade_holds{state=\"held\"}"), (granted.len() - 1).to_string());
    server.kill();

    let server = start(folder.path(), &flags);
    assert_eq!(server.metric("stockade_holds{state=\"held\"}"), (granted.len() - 1).to_string());
    assert!(server.log().contains("50331648"), "how much memory: {}", server.log());
    assert_eq!(server.stop().code, Some(0));
}

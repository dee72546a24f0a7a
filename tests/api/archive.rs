//! A drop that closed some time ago leaves memory by itself, and its state shows that.

use stockade_proto as pb;
use tonic::Code;

use crate::common::{create, held, hold_id, line, refused, reserve, start};
use crate::shop::{claim, closed, drop_of, eventually, metrics, plain_drop, returning, stocks};

#[tokio::test]
async fn a_drop_is_archived_so_long_after_its_closing_and_its_figures_stay() {
    let server = start(&[("archive-after", "1s")]).await;
    let client = server.client().await;
    create(&client, plain_drop("knife", "KNIFE", 10)).await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 4)])).await;
    client.claim(claim(1, "order")).await.expect("a sale");
    assert_eq!(closed(&client, "knife").await.state(), pb::DropState::Closed);
    let archived = async || drop_of(&client, "knife").await;
    eventually("archived", async || archived().await.state() == pb::DropState::Archived).await;
    let stock = pb::Stock { received: 10, free: 6, claimed: 4, ..Default::default() };
    assert_eq!(stocks(&archived().await), [stock]);

    let gone = client.get_hold(pb::GetHoldRequest { hold_id: hold_id(1), ..Default::default() }).await;
    assert_eq!(gone.expect_err("gone").code(), Code::NotFound);
    assert_eq!(client.return_units(returning(1, Vec::new(), true)).await.expect_err("gone").code(), Code::NotFound);
    let holds = pb::ListHoldsRequest { customer_id: "ada".into(), ..Default::default() };
    assert!(client.list_holds(holds).await.expect("a list").holds.is_empty());
    let no = refused(&client, reserve(2, "knife", "bob", vec![line("KNIFE", 1)])).await;
    assert_eq!(no.reason(), pb::RefusalReason::Closed);
    let drops = |state: pb::DropState| pb::ListDropsRequest { state: state.into(), ..Default::default() };
    assert_eq!(client.list_drops(drops(pb::DropState::Archived)).await.expect("a list").drops.len(), 1);
    assert!(client.list_drops(drops(pb::DropState::Closed)).await.expect("a list").drops.is_empty());

    // The drop is archived first; its holds leave memory after that.
    let left = async || metrics(&server).await.contains("stockade_holds{state=\"claimed\"} 0");
    eventually("no hold is in memory", left).await;
    let metrics = metrics(&server).await;
    assert!(!metrics.contains("stockade_units{drop=\"knife\""), "{metrics}");
    assert!(metrics.contains("stockade_conservation_error_units 0"), "{metrics}");
}

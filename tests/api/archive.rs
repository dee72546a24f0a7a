//! A drop that closed some time ago leaves memory by itself, and its state shows that.

use std::time::Duration;

use stockade_client::Client;
use stockade_proto as pb;
use tonic::Code;

use crate::common::{create, get, held, hold_id, item, line, refused, reserve, start};

async fn shown(client: &Client) -> pb::Drop {
    let answer = client.get_drop(pb::GetDropRequest { drop_id: "knife".into() }).await.expect("a drop");
    answer.drop.expect("a drop")
}

#[tokio::test]
async fn a_drop_is_archived_so_long_after_its_closing_and_its_figures_stay() {
    let server = start(&[("archive-after", "1s")]).await;
    let client = server.client().await;
    create(&client, pb::Drop { id: "knife".into(), items: vec![item("KNIFE", 10)], ..pb::Drop::default() }).await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 4)])).await;
    let claim = pb::ClaimRequest { hold_id: hold_id(1), order_ref: "order".into(), ..pb::ClaimRequest::default() };
    client.claim(claim).await.expect("a sale");
    let closed = client.close_drop(pb::CloseDropRequest { drop_id: "knife".into() }).await.expect("closed");
    assert_eq!(closed.drop.expect("a drop").state(), pb::DropState::Closed);
    let mut archived = shown(&client).await;
    for _ in 0..600 {
        if archived.state() == pb::DropState::Archived {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        archived = shown(&client).await;
    }
    assert_eq!(archived.state(), pb::DropState::Archived);
    let stock = archived.items.first().and_then(|item| item.stock).expect("stock");
    assert_eq!(stock, pb::Stock { received: 10, free: 6, claimed: 4, ..pb::Stock::default() });

    let gone = client.get_hold(pb::GetHoldRequest { hold_id: hold_id(1), ..Default::default() }).await;
    assert_eq!(gone.expect_err("gone").code(), Code::NotFound);
    let request = pb::ReturnUnitsRequest { hold_id: hold_id(1), restock: true, ..pb::ReturnUnitsRequest::default() };
    assert_eq!(client.return_units(request).await.expect_err("gone").code(), Code::NotFound);
    let holds = pb::ListHoldsRequest { customer_id: "ada".into(), ..pb::ListHoldsRequest::default() };
    assert!(client.list_holds(holds).await.expect("a list").holds.is_empty());
    let no = refused(&client, reserve(2, "knife", "bob", vec![line("KNIFE", 1)])).await;
    assert_eq!(no.reason(), pb::RefusalReason::Closed);
    let drops = |state: pb::DropState| pb::ListDropsRequest { state: state.into(), ..pb::ListDropsRequest::default() };
    assert_eq!(client.list_drops(drops(pb::DropState::Archived)).await.expect("a list").drops.len(), 1);
    assert!(client.list_drops(drops(pb::DropState::Closed)).await.expect("a list").drops.is_empty());

    // The drop is archived first; its holds leave memory after that.
    let mut metrics = String::new();
    for _ in 0..600 {
        (_, metrics) = get(server.http, "/metrics", "text/plain").await;
        if metrics.contains("stockade_holds{state=\"claimed\"} 0") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(metrics.contains("stockade_holds{state=\"claimed\"} 0"), "{metrics}");
    assert!(!metrics.contains("stockade_units{drop=\"knife\""), "{metrics}");
    assert!(metrics.contains("stockade_conservation_error_units 0"), "{metrics}");
}

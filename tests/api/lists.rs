//! Lists of large items: a page ends at about 1 MiB or at its count, and the next page continues there.

use std::collections::BTreeMap;

use prost::Message as _;
use stockade_client::Client;
use stockade_proto as pb;
use uuid::Uuid;

use crate::cli::{code, err, json, stockade};
use crate::common::{create, held, item, line, reserve, start};

/// The maximum size of a page.
const PAGE_BYTES_MAX: usize = 1024 * 1024 + 64;

fn skus() -> Vec<String> {
    (0..256).map(|n| format!("{n:0>128}")).collect()
}

/// Number of items that the command line lists, over all pages.
fn by_hand(endpoint: &str, words: &[&str], what: &str) -> usize {
    let listed = stockade(endpoint, &[words, &["--json"]].concat());
    assert_eq!(code(&listed), 0, "{}", err(&listed));
    json(&listed).get(what).and_then(serde_json::Value::as_array).map_or(0, Vec::len)
}

async fn drops(client: &Client, page_size: i32) -> (BTreeMap<String, u32>, usize) {
    let (mut seen, mut token, mut pages) = (BTreeMap::new(), String::new(), 0);
    loop {
        let request = pb::ListDropsRequest { page_size, page_token: token, ..Default::default() };
        let page = client.list_drops(request).await.expect("a page");
        assert!(page.encoded_len() <= PAGE_BYTES_MAX && !page.drops.is_empty(), "{} bytes", page.encoded_len());
        for drop in page.drops {
            *seen.entry(drop.id).or_insert(0) += 1;
        }
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            return (seen, pages);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_drops_are_listed_by_pages_that_end_by_their_bytes() {
    let server = start(&[]).await;
    let client = server.client().await;
    let labels = |n| (0..16).map(|label| (format!("{label:0>64}"), format!("{n:0>256}"))).collect();
    for n in 0..40 {
        let items = skus().iter().map(|sku| item(sku, 1_000_000_000_000)).collect();
        create(&client, pb::Drop { id: format!("d{n:02}"), items, labels: labels(n), ..Default::default() }).await;
    }
    for page_size in [0, 1_000] {
        let (seen, pages) = drops(&client, page_size).await;
        assert!(seen.len() == 40 && seen.values().all(|times| *times == 1) && pages > 2, "{pages} {seen:?}");
    }
    assert_eq!(drops(&client, 7).await.1, 6, "small pages end by their count");
    assert_eq!(by_hand(&server.endpoint, &["drop", "list"], "drops"), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_holds_are_listed_by_pages_that_end_by_their_bytes() {
    let server = start(&[]).await;
    let client = server.client().await;
    let items = skus().iter().map(|sku| item(sku, 1_000_000)).collect();
    create(&client, pb::Drop { id: "fat".into(), items, ..Default::default() }).await;
    let lines: Vec<pb::Line> = skus().iter().take(32).map(|sku| line(sku, 1)).collect();
    for _ in 0..300 {
        let request = reserve(0, "fat", &"c".repeat(128), lines.clone());
        held(&client, pb::ReserveRequest { hold_id: Uuid::now_v7().to_string(), ..request }).await;
    }
    let (mut seen, mut token, mut pages) = (BTreeMap::new(), String::new(), 0);
    loop {
        let filter = pb::ListHoldsRequest { drop_id: "fat".into(), page_size: 1_000, ..Default::default() };
        let page = client.list_holds(pb::ListHoldsRequest { page_token: token, ..filter }).await.expect("a page");
        assert!(page.encoded_len() <= PAGE_BYTES_MAX, "{} bytes", page.encoded_len());
        for hold in page.holds {
            *seen.entry(hold.id).or_insert(0) += 1;
        }
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert!(seen.len() == 300 && seen.values().all(|times| *times == 1) && pages > 1, "{pages}");
    assert_eq!(by_hand(&server.endpoint, &["hold", "list", "--drop", "fat", "--most", "1000"], "holds"), 300);
}

//! Connections that are cut, and a server that restarts, during thousands of calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stockade_client::{Options, Retry, Stockade};
use stockade_proto as pb;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use super::shared::plenty;
use super::{all_at_once, asking, batching, each_granted, granted, id, options};
use crate::common::{create, start};
use crate::shop::plain_drop;

/// A proxy to a server that can cut all its connections.
struct Way {
    endpoint: String,
    cut: broadcast::Sender<()>,
    carrying: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

impl Way {
    async fn to(endpoint: &str) -> Self {
        let there: SocketAddr = endpoint.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (cut, _) = broadcast::channel(1);
        let cuts = cut.clone();
        let carrying = tokio::spawn(async move {
            loop {
                let (mut here, _) = listener.accept().await.expect("a caller");
                let mut cut = cuts.subscribe();
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(there).await.expect("a server");
                    tokio::select! {
                        _ = cut.recv() => {}
                        _ = copy_bidirectional(&mut here, &mut there) => {}
                    }
                });
            }
        });
        Self { endpoint, cut, carrying }
    }

    /// Cuts all connections. Returns how many there were.
    fn cut(&self) -> usize {
        self.cut.send(()).unwrap_or(0)
    }
}

async fn held(stockade: &Stockade) -> u64 {
    let answer = stockade.get_drop(pb::GetDropRequest { drop_id: "plenty".into() }).await.expect("a drop");
    answer.drop.expect("a drop").items.remove(0).stock.expect("stock").held
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_lose_nobodys_answer_and_reserve_nothing_twice() {
    let (server, straight) = plenty().await;
    let way = Arc::new(Way::to(&server.endpoint).await);
    // Small messages, so that there are many to cut between.
    let stockade = Stockade::connect([way.endpoint.as_str()], batching(40, 3, 500)).await.expect("a connection");
    let cutting = tokio::spawn({
        let way = Arc::clone(&way);
        async move {
            let mut cut = 0;
            loop {
                tokio::time::sleep(Duration::from_millis(30)).await;
                cut += way.cut();
                if cut >= 8 {
                    return cut;
                }
            }
        }
    });
    let (mut callers, mut round) = (0, 0);
    while round < 2 || !cutting.is_finished() {
        let from = callers;
        callers += 2_000;
        for (n, ended) in (from..).zip(all_at_once(&stockade, (from..callers).map(|n| asking(n, 1))).await) {
            let reserved = granted(ended.expect("an answer"));
            assert_eq!((reserved.hold.id, reserved.hold.customer_id), (id(n), format!("c{n}")));
        }
        round += 1;
    }
    assert!(cutting.await.expect("no panic") >= 8);
    assert_eq!(held(&straight).await, u64::from(callers), "each once");
    // Acknowledged results stand, and the same requests get the same answers.
    for ended in all_at_once(&straight, (0..callers).map(|n| asking(n, 1))).await {
        assert_eq!(granted(ended.expect("an answer")).hold.state(), pb::HoldState::Held);
    }
    assert_eq!(held(&straight).await, u64::from(callers));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_again_is_outlasted() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().to_str().expect("a name");
    let flags = [("ephemeral", "false"), ("data", data)];
    let server = start(&flags).await;
    let address = server.endpoint.trim_start_matches("http://").to_owned();
    create(&server.client().await, plain_drop("plenty", "SKU", 100_000)).await;
    let retry = Retry { shortest_delay: Duration::from_millis(20), ..options().retry };
    let options = Options { retry, ..batching(50, 4, 1_000) };
    let stockade = Stockade::connect([server.endpoint.as_str()], options).await.expect("a connection");
    let mut calling = Vec::new();
    for from in [0, 3_000] {
        let stockade = stockade.clone();
        calling.push(tokio::spawn(
            async move { all_at_once(&stockade, (from..from + 3_000).map(|n| asking(n, 1))).await },
        ));
    }
    while held(&stockade).await == 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await.expect("no panic").expect("it ends well");
    let again = [("grpc", address.as_str()), flags[0], flags[1]];
    let _server = start(&again).await;
    let mut all = Vec::new();
    for calling in calling {
        all.extend(calling.await.expect("no panic"));
    }
    each_granted(0, all);
    assert_eq!(held(&stockade).await, 6_000, "each once");
}

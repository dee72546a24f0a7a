//! Explanations over a real socket: a hold's whole life, refusals, and a restart.

use stockade_client::Client;
use stockade_proto as pb;
use stockade_proto::explain_request::About;
use tonic::{Code, Status};

use crate::cli::{code, err, out, stockade};
use crate::common::{Server, create, held, hold_id, knife_drop, line, refused, reserve, start};
use crate::shop::{claim, ends_well, faulty, returning};

async fn explain(client: &Client, about: About) -> Result<pb::ExplainResponse, Status> {
    client.explain(pb::ExplainRequest { about: Some(about) }).await
}

fn customer(drop: &str, customer: &str) -> About {
    About::Customer(pb::CustomerInDrop { drop_id: drop.into(), customer_id: customer.into() })
}

fn operations(answer: &pb::ExplainResponse) -> Vec<&str> {
    answer.decisions.iter().map(|decision| decision.operation.as_str()).collect()
}

async fn on(folder: &tempfile::TempDir) -> (Server, Client) {
    let data = folder.path().to_str().expect("a path");
    let server = start(&[("ephemeral", "false"), ("data", data)]).await;
    let client = server.client().await;
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_is_explained_and_its_changes_outlast_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, client) = on(&folder).await;
    create(&client, knife_drop("knife")).await;
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 2)])).await;
    let no = refused(&client, reserve(2, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let successor = pb::ReserveRequest { supersedes: hold_id(1), ..reserve(3, "knife", "ada", vec![line("KNIFE", 1)]) };
    held(&client, successor).await;
    client.claim(claim(3, "A-1")).await.expect("an answer");
    client.return_units(returning(3, vec![line("KNIFE", 1)], true)).await.expect("an answer");

    let of_hold = explain(&client, About::HoldId(hold_id(3))).await.expect("an answer");
    assert_eq!(operations(&of_hold), ["supersede", "claim", "return"]);
    assert_eq!((of_hold.decisions[0].rule_kind.as_str(), of_hold.decisions[0].rule_id.clone()), ("hold", hold_id(1)));
    let superseded = explain(&client, About::HoldId(hold_id(1))).await.expect("an answer");
    assert_eq!(operations(&superseded), ["reserve", "supersede"]);
    let of_refused = explain(&client, About::HoldId(hold_id(2))).await.expect("an answer");
    let [decision] = of_refused.decisions.as_slice() else { panic!("{of_refused:?}") };
    assert_eq!((decision.lsn, decision.refusal.as_ref()), (0, Some(&no)), "the refusal, whole");
    assert_eq!((decision.rule_kind.as_str(), decision.rule_id.as_str()), ("limit", "two-each"));
    assert_eq!((decision.facts["used"], decision.facts["max"]), (2, 2));
    let all = explain(&client, customer("knife", "ada")).await.expect("an answer");
    // The order within a millisecond is not known.
    let mut sorted = operations(&all);
    sorted.sort_unstable();
    assert_eq!(sorted, ["claim", "reserve", "reserve", "return", "supersede", "supersede"]);

    let printed = stockade(&server.endpoint, &["explain", "--drop", "knife", "--customer", "ada"]);
    assert_eq!(code(&printed), 0, "{}", err(&printed));
    assert!(out(&printed).contains("was claimed for order A-1"), "{}", out(&printed));
    assert_eq!(code(&stockade(&server.endpoint, &["explain"])), 64);

    ends_well(server.stop()).await;
    let (_server, client) = on(&folder).await;
    let after = explain(&client, customer("knife", "ada")).await.expect("an answer");
    assert_eq!(operations(&after), ["reserve", "supersede", "supersede", "claim", "return"]);
    let since = |answer: &pb::ExplainResponse| answer.refusals_since.map(|at| (at.seconds, at.nanos));
    assert!(since(&after) > since(&all), "refusals of before are gone");
}

#[tokio::test]
async fn what_can_not_be_explained_is_a_status() {
    let server = start(&[]).await;
    let client = server.client().await;
    create(&client, knife_drop("knife")).await;
    let nothing = client.explain(pb::ExplainRequest { about: None }).await.expect_err("faulty");
    assert_eq!((nothing.code(), faulty(&nothing)), (Code::InvalidArgument, vec!["hold_id".to_owned()]));
    let malformed = explain(&client, About::HoldId("x".into())).await.expect_err("faulty");
    assert_eq!(faulty(&malformed), ["hold_id"]);
    let empty = explain(&client, customer("", "")).await.expect_err("faulty");
    assert_eq!(faulty(&empty), ["customer.drop_id", "customer.customer_id"]);
    for about in [About::HoldId(hold_id(9)), customer("spoon", "ada")] {
        assert_eq!(explain(&client, about).await.expect_err("unknown").code(), Code::NotFound);
    }
    held(&client, reserve(1, "knife", "ada", vec![line("KNIFE", 1)])).await;
    let ephemeral = explain(&client, About::HoldId(hold_id(1))).await.expect("an answer");
    assert!(ephemeral.decisions.is_empty(), "without a journal no change is known");
}

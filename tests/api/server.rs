//! Health, reflection, HTTP pages, and the stop of the server.

use std::time::Duration;

use stockade_proto as pb;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::common::{create, get, knife_drop, start};
use crate::shop::{has_lines, knife_shop};

pub async fn health(channel: &Channel, service: &str) -> Option<ServingStatus> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel.clone()).check(request).await;
    answer.ok().map(|answer| answer.into_inner().status())
}

pub async fn channel(endpoint: &str) -> Channel {
    Channel::from_shared(endpoint.to_owned()).expect("an endpoint").connect().await.expect("a connection")
}

#[tokio::test]
async fn health_is_told_for_the_server_and_each_service() {
    let server = start(&[]).await;
    // An answered call shows that recovery is over.
    create(&server.client().await, knife_drop("knife")).await;
    let channel = channel(&server.endpoint).await;
    for service in ["", "stockade.v1.ReservationService", "stockade.v1.DropService", "stockade.v1.EventService"] {
        assert_eq!(health(&channel, service).await, Some(ServingStatus::Serving), "{service:?}");
    }
    assert_eq!(health(&channel, "stockade.v1.Nope").await, None);
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};
    let server = start(&[]).await;
    let channel = channel(&server.endpoint).await;
    let mut newer = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers = newer.server_reflection_info(tokio_stream::once(request)).await.expect("a stream").into_inner();
    let answer = answers.message().await.expect("an answer").and_then(|answer| answer.message_response);
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(listed)) = answer else {
        panic!("no list: {answer:?}");
    };
    let names: Vec<_> = listed.service.into_iter().map(|service| service.name).collect();
    let ours = ["Admin", "Admission", "Drop", "Event", "Insight", "Reservation", "Series", "Storefront"]
        .map(|service| format!("stockade.v1.{service}Service"));
    for name in ours.iter().map(String::as_str).chain(["grpc.health.v1.Health"]) {
        assert!(names.iter().any(|listed| listed == name), "{name} in {names:?}");
    }
    let mut older = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let symbol = "stockade.v1.ReserveRequest".to_owned();
    let find = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol);
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(find) };
    let mut answers = older.server_reflection_info(tokio_stream::once(request)).await.expect("a stream").into_inner();
    let answer = answers.message().await.expect("an answer").and_then(|answer| answer.message_response);
    let found = matches!(
        &answer,
        Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(files))
            if !files.file_descriptor_proto.is_empty()
    );
    assert!(found, "{answer:?}");
}

#[tokio::test]
async fn the_http_door_tells_how_it_goes() {
    let (server, client) = knife_shop().await;
    client.get_drop(pb::GetDropRequest { drop_id: "spoon".into() }).await.expect_err("no drop");
    assert!(get(server.http, "/healthz", "*/*").await.0.starts_with("HTTP/1.1 200"));
    assert_eq!(get(server.http, "/readyz", "*/*").await.1, "ready\n");
    assert!(get(server.http, "/", "*/*").await.1.contains("href=\"/metrics\""));
    assert!(get(server.http, "/nowhere", "*/*").await.0.starts_with("HTTP/1.1 404"));
    let (head, page) = get(server.http, "/metrics", "text/plain").await;
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    has_lines(
        &page,
        &[
            "stockade_ready 1",
            "stockade_rpcs_total{method=\"CreateDrop\",code=\"OK\"} 1",
            "stockade_rpcs_total{method=\"GetDrop\",code=\"NOT_FOUND\"} 1",
            "stockade_units{drop=\"knife\",sku=\"KNIFE\",pool=\"general\",state=\"free\"} 10",
            "stockade_conservation_error_units 0",
        ],
    );
    let (head, page) = get(server.http, "/metrics", "application/openmetrics-text; version=1.0.0").await;
    assert!(head.contains("application/openmetrics-text"), "{head}");
    assert!(page.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_server_that_stops_says_so_first_and_still_serves_meanwhile() {
    let server = start(&[("drain-delay", "600ms")]).await;
    let client = server.client().await;
    create(&client, knife_drop("knife")).await;
    let (http, endpoint) = (server.http, server.endpoint.clone());
    let channel = channel(&endpoint).await;
    let ended = server.stop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (head, body) = get(http, "/readyz", "*/*").await;
    assert!(head.starts_with("HTTP/1.1 503") && body == "not ready: draining\n", "{head}\n{body}");
    assert_eq!(health(&channel, "").await, Some(ServingStatus::NotServing));
    client.get_drop(pb::GetDropRequest { drop_id: "knife".into() }).await.expect("still served");
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it ends");
    ended.expect("no panic").expect("it ends well");
    let status = client.get_drop(pb::GetDropRequest { drop_id: "knife".into() }).await.expect_err("gone");
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
}

#[tokio::test]
async fn a_port_in_use_is_told_by_its_address() {
    use stockade::config::{Config, Given};
    let taken = start(&[]).await;
    let address = taken.http.to_string();
    let config = Config::from_flags(vec![Given::flag("grpc", address.clone())]).expect("good");
    let error = stockade::server::bind(&config).expect_err("in use");
    assert_eq!(error.exit_code(), 74);
    assert!(error.to_string().contains(&address), "{error}");
}

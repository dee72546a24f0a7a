//! `stockade webhook`: create, change, show, list, delete, test and replay webhooks.

use stockade_client::Client;
use stockade_proto as pb;

use super::args::{
    CreateWebhookOptions, Remote, ReplayOptions, StateWord, UpdateWebhookOptions, WebhookOptions, WebhookParts,
};
use super::drop_file::proto_span;
use super::failure::Failure;
use super::output::{Output, table};
use super::show::{instant, short};
use super::{Finding, json};

/// How long a test may take: the server waits 10 s for the receiver.
const TEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(20);
/// Entries requested for one page.
const PAGE: i32 = 1_000;

/// Creates a webhook.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn create(options: CreateWebhookOptions, output: &mut Output) -> Result<Finding, Failure> {
    let CreateWebhookOptions { webhook: id, url, parts, secret, after, remote } = options;
    let mut webhook = pb::Webhook { id, url, delivered_to: after, ..pb::Webhook::default() };
    put(parts, &mut webhook);
    let request = pb::CreateWebhookRequest { webhook: Some(webhook), secret };
    let answer = Client::connect(&remote.endpoint).await?.create_webhook(request).await?;
    if remote.json {
        output.json(&json::text("CreateWebhookResponse", &answer)?);
        return Ok(Finding::Well);
    }
    print(answer.webhook.as_ref(), &answer.secret, output);
    Ok(Finding::Well)
}

/// Changes a webhook: reads it, and sends it with what is to change.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn update(options: UpdateWebhookOptions, output: &mut Output) -> Result<Finding, Failure> {
    let UpdateWebhookOptions { webhook, url, parts, new_secret, remote } = options;
    let client = Client::connect(&remote.endpoint).await?;
    let mut webhook = read(&client, &webhook).await?;
    webhook.url = url.unwrap_or(webhook.url);
    put(parts, &mut webhook);
    change(&client, pb::UpdateWebhookRequest { new_secret, ..changed(webhook) }, &remote, output).await
}

/// Delivers events again.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn replay(options: &ReplayOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let mut webhook = read(&client, &options.webhook).await?;
    webhook.delivered_to.clone_from(&options.after);
    change(&client, pb::UpdateWebhookRequest { replay: true, ..changed(webhook) }, &options.remote, output).await
}

async fn read(client: &Client, id: &str) -> Result<pb::Webhook, Failure> {
    let answer = client.get_webhook(pb::GetWebhookRequest { webhook_id: id.to_owned() }).await?;
    answer.webhook.ok_or(Failure::Bug("an answer has no webhook"))
}

fn changed(webhook: pb::Webhook) -> pb::UpdateWebhookRequest {
    let revision = webhook.revision;
    pb::UpdateWebhookRequest { webhook: Some(webhook), revision, ..pb::UpdateWebhookRequest::default() }
}

async fn change(
    client: &Client,
    request: pb::UpdateWebhookRequest,
    remote: &Remote,
    output: &mut Output,
) -> Result<Finding, Failure> {
    let answer = client.update_webhook(request).await?;
    if remote.json {
        output.json(&json::text("UpdateWebhookResponse", &answer)?);
    } else {
        print(answer.webhook.as_ref(), "", output);
    }
    Ok(Finding::Well)
}

/// Shows a webhook with its last deliveries.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn show(options: &WebhookOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let answer = client.get_webhook(pb::GetWebhookRequest { webhook_id: options.webhook.clone() }).await?;
    if options.remote.json {
        output.json(&json::text("GetWebhookResponse", &answer)?);
        return Ok(Finding::Well);
    }
    print(answer.webhook.as_ref(), "", output);
    if !answer.recent.is_empty() {
        output.line("");
        let mut rows = table(&["delivered", "event", "events", "status", "took", "error"]);
        answer.recent.iter().for_each(|attempt| {
            rows.add_row(attempt_row(attempt));
        });
        output.table(rows);
    }
    Ok(Finding::Well)
}

/// Lists all webhooks.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn list(remote: &Remote, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&remote.endpoint).await?;
    let mut all = pb::ListWebhooksResponse::default();
    loop {
        let page_token = std::mem::take(&mut all.next_page_token);
        let page = client.list_webhooks(pb::ListWebhooksRequest { page_size: PAGE, page_token }).await?;
        all.webhooks.extend(page.webhooks);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    if remote.json {
        output.json(&json::text("ListWebhooksResponse", &all)?);
        return Ok(Finding::Well);
    }
    let mut rows = table(&["webhook", "state", "behind", "given up", "failing since", "url"]);
    for webhook in &all.webhooks {
        rows.add_row([
            webhook.id.clone(),
            short(webhook.state().as_str_name(), "WEBHOOK_STATE_").to_owned(),
            webhook.behind.to_string(),
            webhook.given_up.to_string(),
            instant(webhook.failing_since.as_ref()),
            webhook.url.clone(),
        ]);
    }
    output.table(rows);
    Ok(Finding::Well)
}

/// Deletes a webhook.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn delete(options: &WebhookOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let answer = client.delete_webhook(pb::DeleteWebhookRequest { webhook_id: options.webhook.clone() }).await?;
    if options.remote.json {
        output.json(&json::text("DeleteWebhookResponse", &answer)?);
    } else {
        output.line(&format!("{} is deleted", options.webhook));
    }
    Ok(Finding::Well)
}

/// Sends a test event.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn test(options: &WebhookOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    // The receiver may take as long as the server waits for it.
    let client = client.with_timeout(TEST_TIMEOUT);
    let answer = client.test_webhook(pb::TestWebhookRequest { webhook_id: options.webhook.clone() }).await?;
    let attempt = answer.attempt.clone().unwrap_or_default();
    if options.remote.json {
        output.json(&json::text("TestWebhookResponse", &answer)?);
    } else {
        let mut rows = table(&["delivered", "event", "events", "status", "took", "error"]);
        rows.add_row(attempt_row(&attempt));
        output.table(rows);
    }
    let is_taken = attempt.error.is_empty() && (200..300).contains(&attempt.http_status);
    Ok(if is_taken { Finding::Well } else { Finding::Amiss })
}

fn attempt_row(attempt: &pb::DeliveryAttempt) -> [String; 6] {
    let took = attempt.took.and_then(|took| std::time::Duration::try_from(took).ok()).unwrap_or_default();
    let status = if attempt.http_status == 0 { "-".to_owned() } else { attempt.http_status.to_string() };
    [
        instant(attempt.time.as_ref()),
        attempt.event_id.clone(),
        attempt.events.to_string(),
        status,
        format!("{} ms", took.as_millis()),
        attempt.error.clone(),
    ]
}

/// Puts what was named into a webhook.
fn put(parts: WebhookParts, webhook: &mut pb::Webhook) {
    let WebhookParts {
        types,
        shop,
        series,
        drop,
        description,
        with_customers,
        with_stock,
        give_up_after,
        max_batch,
        state,
    } = parts;
    let filter = webhook.filter.get_or_insert_default();
    if !types.is_empty() {
        filter.types = types;
    }
    if let Some(shop) = shop {
        filter.shop = shop;
    }
    if let Some(series) = series {
        filter.series = series;
    }
    if let Some(drop) = drop {
        filter.drop_id = drop;
    }
    if let Some(description) = description {
        webhook.description = description;
    }
    webhook.with_customers = with_customers.unwrap_or(webhook.with_customers);
    webhook.with_stock = with_stock.unwrap_or(webhook.with_stock);
    webhook.give_up_after = give_up_after.map(proto_span).or(webhook.give_up_after);
    webhook.max_batch = max_batch.unwrap_or(webhook.max_batch);
    if let Some(state) = state {
        webhook.set_state(match state {
            StateWord::Enabled => pb::WebhookState::Enabled,
            StateWord::Disabled => pb::WebhookState::Disabled,
        });
    }
}

fn print(webhook: Option<&pb::Webhook>, secret: &str, output: &mut Output) {
    let Some(webhook) = webhook else { return };
    let filter = webhook.filter.clone().unwrap_or_default();
    let state = short(webhook.state().as_str_name(), "WEBHOOK_STATE_").to_owned();
    let (behind, given_up) = (webhook.behind.to_string(), webhook.given_up.to_string());
    let (last_success, failing_since) =
        (instant(webhook.last_success_at.as_ref()), instant(webhook.failing_since.as_ref()));
    let rows = [
        ("webhook", webhook.id.clone()),
        ("state", state),
        ("url", webhook.url.clone()),
        ("description", webhook.description.clone()),
        ("types", filter.types.join(" ")),
        ("shop", filter.shop),
        ("series", filter.series),
        ("drop", filter.drop_id),
        ("secret", secret.to_owned()),
        ("delivered to", webhook.delivered_to.clone()),
        ("behind", behind),
        ("given up", given_up),
        ("last success", last_success),
        ("failing since", failing_since),
        ("last error", webhook.last_error.clone()),
    ];
    let mut facts = table(&[]);
    for (what, value) in rows {
        if !value.is_empty() {
            facts.add_row([what, &value]);
        }
    }
    output.table(facts);
}

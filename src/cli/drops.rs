//! `stockade drop apply`, `clone`, `show`, `pause`, `resume`, `close` and `fire`.

use std::io::Read as _;
use std::path::Path;

use stockade_client::Client;
use stockade_proto as pb;
use tonic::Code;

use super::args::{ApplyOptions, CloneOptions, DropOptions, FireOptions, Remote};
use super::drop_file::Wanted;
use super::failure::Failure;
use super::output::Output;
use super::{Finding, apply, drop_file, json, show, timeline};

/// The name of standard input, in place of a file.
const STDIN: &str = "-";

/// Creates a drop from a file, changes the existing one, or says that it is unchanged.
///
/// # Errors
/// If the file is faulty, or the server is not reached or answers with a status.
pub(super) async fn apply(options: &ApplyOptions, output: &mut Output) -> Result<Finding, Failure> {
    let name = options.file.display().to_string();
    let wanted = drop_file::read(&name, &text_of(&options.file)?).map_err(Failure::Usage)?;
    let client = Client::connect(&options.remote.endpoint).await?;
    let before = match client.get_drop(pb::GetDropRequest { drop_id: wanted.drop.id.clone() }).await {
        Ok(answer) => answer.drop,
        // A faulty id is reported together with all other faults, below.
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => None,
        Err(status) => return Err(status.into()),
    };
    match before {
        Some(before) => Box::pin(change(options, &client, (before, wanted), output)).await,
        None => define((options.dry_run, &options.remote), &client, wanted.drop, output).await,
    }
}

async fn define(
    (dry_run, remote): (bool, &Remote),
    client: &Client,
    drop: pb::Drop,
    output: &mut Output,
) -> Result<Finding, Failure> {
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: dry_run };
    let answer = client.create_drop(request).await?;
    if remote.json {
        output.json(&json::text("CreateDropResponse", &answer)?);
        return Ok(Finding::Well);
    }
    let drop = answer.drop.ok_or(Failure::Bug("the server answered with nothing"))?;
    let (id, revision) = (&drop.id, drop.revision);
    if dry_run {
        output.line(&format!("drop {id} would be created"));
        timeline::timeline(output, &drop);
    } else {
        output.line(&format!("drop {id} created, revision {revision}"));
    }
    show::warnings(output, &answer.warnings);
    Ok(Finding::Well)
}

async fn change(
    options: &ApplyOptions,
    client: &Client,
    (before, wanted): (pb::Drop, Wanted),
    output: &mut Output,
) -> Result<Finding, Failure> {
    let Wanted { mut drop, left_out, stated } = wanted;
    for kept in apply::keep(&before, &mut drop, &left_out) {
        // Not within the JSON answer.
        if options.remote.json { output.complain(&kept) } else { output.line(&kept) }
    }
    let update_mask = apply::mask(&before, &mut drop, &stated);
    let stock = apply::stock_advice(&before, &mut drop);
    let advice = stock
        .unwrap_or_else(|| format!("compare the file with: stockade drop show {}; or choose another id", before.id));
    let request = pb::UpdateDropRequest {
        drop: Some(drop),
        update_mask,
        revision: before.revision,
        validate_only: options.dry_run,
    };
    let answer = client.update_drop(request).await.map_err(|status| {
        let forbidden = status.code() == Code::FailedPrecondition;
        if forbidden { Failure::Advised { status: Box::new(status), advice } } else { status.into() }
    })?;
    if options.remote.json {
        output.json(&json::text("UpdateDropResponse", &answer)?);
        return Ok(Finding::Well);
    }
    let after = answer.drop.ok_or(Failure::Bug("the server answered with nothing"))?;
    output.line(&apply::outcome(&before, &after, options.dry_run));
    if options.dry_run {
        for difference in apply::differences(&before, &after) {
            output.line(&format!("  {difference}"));
        }
        timeline::timeline(output, &after);
    }
    show::warnings(output, &answer.warnings);
    Ok(Finding::Well)
}

/// Creates a drop like another one.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn copy(options: &CloneOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let answer = client.get_drop(pb::GetDropRequest { drop_id: options.drop.clone() }).await?;
    let known = answer.drop.ok_or(Failure::Bug("the server answered with nothing"))?;
    let moved = timeline::moved(&known, options.opens_at);
    let moved = moved.ok_or_else(|| Failure::Usage("its times can't be moved to that opening".to_owned()))?;
    let drop = pb::Drop { id: options.id.clone(), ..moved };
    define((options.dry_run, &options.remote), &client, drop, output).await
}

/// Fires a flow by hand.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn fire(options: &FireOptions, output: &mut Output) -> Result<Finding, Failure> {
    let FireOptions { drop, sku, pool, to, remote } = options;
    let (drop_id, sku, pool, to) = (drop.clone(), sku.clone(), pool.clone(), to.clone());
    let request = pb::FireFlowRequest { drop_id, sku, pool, to };
    let answer = Client::connect(&remote.endpoint).await?.fire_flow(request).await?;
    print(output, remote, "FireFlowResponse", &answer, answer.drop.as_ref())
}

pub(super) fn text_of(file: &Path) -> Result<String, Failure> {
    let text = if file == Path::new(STDIN) {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_length| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|source| Failure::File { path: file.to_owned(), source })
}

/// Shows a drop.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn show(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::GetDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.get_drop(request).await?;
    print(output, &options.remote, "GetDropResponse", &answer, answer.drop.as_ref())
}

/// Stops new reserves for now.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn pause(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::PauseDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.pause_drop(request).await?;
    print(output, &options.remote, "PauseDropResponse", &answer, answer.drop.as_ref())
}

/// Ends a pause.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn resume(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::ResumeDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.resume_drop(request).await?;
    print(output, &options.remote, "ResumeDropResponse", &answer, answer.drop.as_ref())
}

/// Ends a sale permanently.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn close(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::CloseDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.close_drop(request).await?;
    print(output, &options.remote, "CloseDropResponse", &answer, answer.drop.as_ref())
}

/// Prints an answer that is a drop.
///
/// # Errors
/// If the answer is empty.
pub(super) fn print(
    output: &mut Output,
    remote: &Remote,
    name: &str,
    answer: &impl prost::Message,
    drop: Option<&pb::Drop>,
) -> Result<Finding, Failure> {
    if remote.json {
        output.json(&json::text(name, answer)?);
    } else {
        show::drop(output, drop.ok_or(Failure::Bug("the server answered with nothing"))?);
    }
    Ok(Finding::Well)
}

//! `stockade drop apply`, `show`, `pause`, `resume` and `close`.

use std::io::Read as _;
use std::path::Path;

use tonic::{Code, Status};

use super::args::{ApplyOptions, DropOptions, Remote};
use super::failure::Failure;
use super::output::Output;
use super::{Finding, drop_file, json, show};
use crate::client::Client;
use crate::proto as pb;

/// Standard input in place of a file.
const STDIN: &str = "-";

/// Creates a drop from a file, or says that it is there already as the file has it.
///
/// # Errors
/// When the file is faulty, the server is not reached, or it answers with a status.
pub async fn apply(options: &ApplyOptions, output: &mut Output) -> Result<Finding, Failure> {
    let name = options.file.display().to_string();
    let drop = drop_file::parse(&name, &read(&options.file)?).map_err(Failure::Usage)?;
    let client = Client::connect(&options.remote.endpoint).await?;
    let before = match client.get_drop(pb::GetDropRequest { drop_id: drop.id.clone() }).await {
        Ok(answer) => answer.drop.map(|drop| drop.revision),
        // A faulty id is told together with all other faults, below.
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => None,
        Err(status) => return Err(status.into()),
    };
    let drop_id = drop.id.clone();
    let request = pb::CreateDropRequest { drop: Some(drop), validate_only: options.dry_run };
    let answer = client.create_drop(request).await.map_err(|status| other_drop(status, &drop_id))?;
    if options.remote.json {
        output.line(&json::text("CreateDropResponse", &answer)?);
        return Ok(Finding::Well);
    }
    let drop = answer.drop.ok_or(Failure::Bug("the server answered with nothing"))?;
    let (id, revision) = (&drop.id, drop.revision);
    let unchanged = before == Some(revision);
    match (options.dry_run, unchanged) {
        (false, false) => output.line(&format!("drop {id} created, revision {revision}")),
        (false, true) => output.line(&format!("drop {id} unchanged, revision {revision}")),
        (true, true) => output.line(&format!("drop {id} would stay unchanged, revision {revision}")),
        (true, false) => output.line(&format!("drop {id} would be created")),
    }
    if options.dry_run {
        show::timeline(output, &drop);
    }
    Ok(Finding::Well)
}

/// Where the id has another drop: what can be done about it.
fn other_drop(status: Status, id: &str) -> Failure {
    if status.code() != Code::AlreadyExists {
        return status.into();
    }
    let advice = format!(
        "a drop's definition can't be changed yet: choose another id, or compare the file with: stockade drop show {id}"
    );
    Failure::Advised { status: Box::new(status), advice }
}

fn read(file: &Path) -> Result<String, Failure> {
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
/// When the server is not reached or answers with a status.
pub async fn show(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::GetDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.get_drop(request).await?;
    if options.remote.json {
        output.line(&json::text("GetDropResponse", &answer)?);
        return Ok(Finding::Well);
    }
    tell(output, answer.drop.as_ref())
}

/// Stops new reserves for now.
///
/// # Errors
/// When the server is not reached or answers with a status.
pub async fn pause(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::PauseDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.pause_drop(request).await?;
    steered(output, &options.remote, "PauseDropResponse", &answer, answer.drop.as_ref())
}

/// Ends a pause.
///
/// # Errors
/// When the server is not reached or answers with a status.
pub async fn resume(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::ResumeDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.resume_drop(request).await?;
    steered(output, &options.remote, "ResumeDropResponse", &answer, answer.drop.as_ref())
}

/// Ends a sale for good.
///
/// # Errors
/// When the server is not reached or answers with a status.
pub async fn close(options: &DropOptions, output: &mut Output) -> Result<Finding, Failure> {
    let request = pb::CloseDropRequest { drop_id: options.drop.clone() };
    let answer = Client::connect(&options.remote.endpoint).await?.close_drop(request).await?;
    steered(output, &options.remote, "CloseDropResponse", &answer, answer.drop.as_ref())
}

fn steered(
    output: &mut Output,
    remote: &Remote,
    name: &str,
    answer: &impl prost::Message,
    drop: Option<&pb::Drop>,
) -> Result<Finding, Failure> {
    if remote.json {
        output.line(&json::text(name, answer)?);
        return Ok(Finding::Well);
    }
    tell(output, drop)
}

fn tell(output: &mut Output, drop: Option<&pb::Drop>) -> Result<Finding, Failure> {
    show::drop(output, drop.ok_or(Failure::Bug("the server answered with nothing"))?);
    Ok(Finding::Well)
}

//! `stockade series`: creates and changes series, and shows what comes of them.

use std::path::Path;

use stockade_client::Client;
use stockade_proto as pb;
use tonic::Code;

use super::args::{ApplySeriesOptions, ListSeriesOptions, PreviewOptions, Remote, SeriesOptions};
use super::failure::Failure;
use super::output::{Output, table};
use super::show::{instant, short};
use super::{Finding, drop_file, drops, json};

/// Series requested for one page.
const PAGE: i32 = 1_000;

/// Creates a series from a file, or changes the one that has its id.
///
/// # Errors
/// If the file is faulty, or the server is not reached or answers with a status.
pub(super) async fn apply(options: &ApplySeriesOptions, output: &mut Output) -> Result<Finding, Failure> {
    let ApplySeriesOptions { file, dry_run, keep, resume, remote } = options;
    let mut series = read(file)?;
    let client = Client::connect(&remote.endpoint).await?;
    let known = client.get_series(pb::GetSeriesRequest { series_id: series.id.clone() }).await;
    let before = match known {
        Ok(answer) => answer.series.unwrap_or_default(),
        Err(status) if status.code() == Code::NotFound => {
            let request = pb::CreateSeriesRequest { series: Some(series), validate_only: *dry_run };
            let answer = Box::pin(client.create_series(request)).await?;
            if remote.json {
                output.json(&json::text("CreateSeriesResponse", &answer)?);
                return Ok(Finding::Well);
            }
            let made = answer.series.unwrap_or_default();
            let what = if *dry_run { "could be created" } else { "created" };
            output.line(&format!("series {} {what}, revision {}", made.id, made.revision));
            warn(&answer.warnings, output);
            return Ok(Finding::Well);
        }
        Err(status) => return Err(status.into()),
    };
    if *resume {
        series.state = pb::SeriesState::Active.into();
    }
    let made_drops = if *keep { pb::MadeDrops::Keep } else { pb::MadeDrops::Follow }.into();
    let revision = before.revision;
    let request = pb::UpdateSeriesRequest { series: Some(series), revision, validate_only: *dry_run, made_drops };
    let answer = Box::pin(client.update_series(request)).await?;
    print_update(&answer, &before, *dry_run, remote, output)
}

fn print_update(
    answer: &pb::UpdateSeriesResponse,
    before: &pb::Series,
    dry_run: bool,
    remote: &Remote,
    output: &mut Output,
) -> Result<Finding, Failure> {
    if remote.json {
        output.json(&json::text("UpdateSeriesResponse", answer)?);
        return Ok(Finding::Well);
    }
    let after = answer.series.clone().unwrap_or_default();
    let (id, was, is) = (&after.id, before.revision, after.revision);
    let differs = pb::Series { revision: 0, state: 0, ..before.clone() }
        != pb::Series { revision: 0, state: 0, ..after.clone() }
        || before.state != after.state;
    output.line(&match (dry_run, was == is && !differs) {
        (true, true) => format!("series {id} would stay unchanged, revision {is}"),
        (true, false) => format!("series {id} would be changed; revision is {was}"),
        (false, true) => format!("series {id} unchanged, revision {is}"),
        (false, false) => format!("series {id} changed; revision {was} became {is}"),
    });
    warn(&answer.warnings, output);
    if !answer.changed.is_empty() {
        print_occurrences(&answer.changed, output);
    }
    Ok(Finding::Well)
}

/// Lists all series.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn list(options: &ListSeriesOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let mut all = pb::ListSeriesResponse::default();
    loop {
        let request = pb::ListSeriesRequest {
            shop: options.shop.clone(),
            page_size: PAGE,
            page_token: std::mem::take(&mut all.next_page_token),
        };
        let page = client.list_series(request).await?;
        all.series.extend(page.series);
        all.next_page_token = page.next_page_token;
        if all.next_page_token.is_empty() {
            break;
        }
    }
    if options.remote.json {
        output.json(&json::text("ListSeriesResponse", &all)?);
        return Ok(Finding::Well);
    }
    let mut rows = table(&["series", "state", "shop", "starts", "time zone", "rules"]);
    for series in &all.series {
        rows.add_row([
            series.id.clone(),
            state(series),
            series.shop.clone(),
            series.starts_at.clone(),
            series.time_zone.clone(),
            series.rules.join(" "),
        ]);
    }
    output.table(rows);
    Ok(Finding::Well)
}

/// Shows a series.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn show(options: &SeriesOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let answer = client.get_series(pb::GetSeriesRequest { series_id: options.series.clone() }).await?;
    if options.remote.json {
        output.json(&json::text("GetSeriesResponse", &answer)?);
        return Ok(Finding::Well);
    }
    let series = answer.series.unwrap_or_default();
    let mut facts = table(&[]);
    let items = series.template.iter().flat_map(|template| &template.items);
    let items: Vec<String> = items.map(|item| format!("{} x {}", item.sku, item.quantity)).collect();
    for (name, value) in [
        ("series", series.id.clone()),
        ("title", series.title.clone()),
        ("shop", series.shop.clone()),
        ("state", state(&series)),
        ("starts", format!("{} [{}]", series.starts_at, series.time_zone)),
        ("rules", series.rules.join("\n")),
        ("items", items.join("\n")),
        ("made ahead", format!("{} days", series.create_ahead_days)),
        ("revision", series.revision.to_string()),
    ] {
        facts.add_row([name.to_owned(), value]);
    }
    output.table(facts);
    Ok(Finding::Well)
}

/// Shows the next occurrences of a series.
///
/// # Errors
/// If the file is faulty, or the server is not reached or answers with a status.
pub(super) async fn preview(options: &PreviewOptions, output: &mut Output) -> Result<Finding, Failure> {
    use pb::preview_series_request::Of;
    let of = match (&options.file, &options.series) {
        (Some(file), _) => Of::Series(read(file)?),
        (None, series) => Of::SeriesId(series.clone().unwrap_or_default()),
    };
    let client = Client::connect(&options.remote.endpoint).await?;
    let request = pb::PreviewSeriesRequest { of: Some(of), count: options.count, from: None };
    let answer = Box::pin(client.preview_series(request)).await?;
    if options.remote.json {
        output.json(&json::text("PreviewSeriesResponse", &answer)?);
    } else {
        print_occurrences(&answer.occurrences, output);
    }
    Ok(Finding::Well)
}

/// Pauses or ends a series.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn steer(
    options: &SeriesOptions,
    state: pb::SeriesState,
    output: &mut Output,
) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let answer = client.get_series(pb::GetSeriesRequest { series_id: options.series.clone() }).await?;
    let before = answer.series.unwrap_or_default();
    let series = Some(pb::Series { state: state.into(), ..before.clone() });
    let request = pb::UpdateSeriesRequest { series, revision: before.revision, ..pb::UpdateSeriesRequest::default() };
    let answer = Box::pin(client.update_series(request)).await?;
    print_update(&answer, &before, false, &options.remote, output)
}

fn read(file: &Path) -> Result<pb::Series, Failure> {
    let text = drops::text_of(file)?;
    drop_file::series(&file.display().to_string(), &text).map_err(Failure::Usage)
}

fn state(series: &pb::Series) -> String {
    short(series.state().as_str_name(), "SERIES_STATE_").to_owned()
}

fn warn(warnings: &[pb::Warning], output: &mut Output) {
    for pb::Warning { code, field, message } in warnings {
        output.complain(&format!("warning: {code}: {field}: {message}"));
    }
}

fn print_occurrences(occurrences: &[pb::Occurrence], output: &mut Output) {
    let mut rows = table(&["occurrence", "opens", "drop", "state", "notes"]);
    for occurrence in occurrences {
        let reason = Some(occurrence.reason.clone()).filter(|reason| !reason.is_empty());
        let notes = occurrence.warnings.iter().map(|warning| format!("{}: {}", warning.code, warning.message));
        rows.add_row([
            occurrence.local_time.clone(),
            instant(occurrence.opens_at.as_ref()),
            occurrence.drop_id.clone(),
            short(occurrence.state().as_str_name(), "OCCURRENCE_STATE_").to_owned(),
            reason.into_iter().chain(notes).collect::<Vec<_>>().join("\n"),
        ]);
    }
    output.table(rows);
}

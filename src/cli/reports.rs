//! `stockade report`: what came of drops, on the terminal, as a page and as CSV.

use std::fs;
use std::path::Path;

use stockade_client::Client;
use stockade_insight::page;
use stockade_proto as pb;

use super::args::{CompareReportsOptions, ExportReportOptions, ListReportsOptions, ReportForm, ShowReportOptions};
use super::failure::Failure;
use super::output::{Output, table};
use super::show::instant;
use super::{Finding, json};
use crate::reports::read_report;

/// Reports requested for one page.
const PAGE: u32 = 1_000;

/// Shows a report.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn show(options: &ShowReportOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.remote.endpoint).await?;
    let answer = client.get_drop_report(pb::GetDropReportRequest { drop_id: options.drop.clone() }).await?;
    if options.remote.json {
        output.json(&json::text("GetDropReportResponse", &answer)?);
        return Ok(Finding::Well);
    }
    let report = read_report(&answer.report.ok_or(Failure::Bug("an answer has no report"))?);
    for line in page::figure_lines(&report) {
        output.line(&line);
    }
    Ok(Finding::Well)
}

/// Lists reports.
///
/// # Errors
/// If the server is not reached or answers with a status.
pub(super) async fn list(options: &ListReportsOptions, output: &mut Output) -> Result<Finding, Failure> {
    let ListReportsOptions { shop, series, limit, remote } = options;
    let client = Client::connect(&remote.endpoint).await?;
    let mut all = pb::ListDropReportsResponse::default();
    loop {
        let found = u32::try_from(all.reports.len()).unwrap_or(u32::MAX);
        let page_size = i32::try_from(limit.saturating_sub(found).min(PAGE)).unwrap_or_default();
        let page_token = std::mem::take(&mut all.next_page_token);
        let (shop, series) = (shop.clone(), series.clone());
        let page = client.list_drop_reports(pb::ListDropReportsRequest { shop, series, page_size, page_token }).await?;
        all.reports.extend(page.reports);
        all.next_page_token = page.next_page_token;
        let found = u32::try_from(all.reports.len()).unwrap_or(u32::MAX);
        if all.next_page_token.is_empty() || found >= *limit {
            break;
        }
    }
    if remote.json {
        output.json(&json::text("ListDropReportsResponse", &all)?);
        return Ok(Finding::Well);
    }
    let mut rows = table(&["drop", "opened", "received", "claimed", "sell-through", "buyers", "customers", "requests"]);
    for report in &all.reports {
        let known = |figure: Option<u64>| figure.map_or_else(|| "-".to_owned(), |figure| figure.to_string());
        rows.add_row(vec![
            report.drop_id.clone(),
            instant(report.opens_at.as_ref()),
            report.units_received.to_string(),
            report.units_claimed.to_string(),
            report.sell_through.map_or_else(|| "-".to_owned(), percent),
            report.buyers.to_string(),
            known(report.customers),
            known(report.requests),
        ]);
    }
    output.table(rows);
    Ok(Finding::Well)
}

/// Writes two reports side by side.
///
/// # Errors
/// If the server is not reached or answers with a status, or the file can't be written.
pub(super) async fn compare(options: &CompareReportsOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.endpoint).await?;
    let (one, other) = (get(&client, &options.one).await?, get(&client, &options.other).await?);
    write(&options.out, &page::comparison_page(&read_report(&one), &read_report(&other)), output)
}

/// Writes a report to a file.
///
/// # Errors
/// If the server is not reached or answers with a status, or the file can't be written.
pub(super) async fn export(options: &ExportReportOptions, output: &mut Output) -> Result<Finding, Failure> {
    let client = Client::connect(&options.endpoint).await?;
    let report = read_report(&get(&client, &options.drop).await?);
    let text = match options.form {
        ReportForm::Page => page::report_page(&report),
        ReportForm::Figures => page::figures_csv(&report),
        ReportForm::Demand => page::demand_csv(&report),
    };
    write(&options.out, &text, output)
}

async fn get(client: &Client, drop: &str) -> Result<pb::DropReport, Failure> {
    let answer = client.get_drop_report(pb::GetDropReportRequest { drop_id: drop.to_owned() }).await?;
    answer.report.ok_or(Failure::Bug("an answer has no report"))
}

fn write(path: &Path, text: &str, output: &mut Output) -> Result<Finding, Failure> {
    if path.as_os_str() == "-" {
        output.bytes(text.as_bytes());
    } else {
        fs::write(path, text).map_err(Failure::Machine)?;
    }
    Ok(Finding::Well)
}

/// Basis points as percent.
fn percent(points: u32) -> String {
    format!("{}.{:02} %", points / 100, points.checked_rem(100).unwrap_or_default())
}

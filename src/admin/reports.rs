//! Reports of drops: as JSON, as CSV and as a page with plots.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use stockade_insight::page;
use stockade_proto as pb;

use super::Admin;
use super::calls::{Caller, Connection, json};
use crate::reports::read_report;
use crate::web::Problem;

const GET: &str = "/stockade.v1.InsightService/GetDropReport";
/// The path of a report's figures ends with this.
const CSV: &str = ".csv";

/// A report as JSON; if the path ends with `.csv`, its figures as CSV.
pub(super) async fn report(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    Path(drop): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = &admin.caller(connection)?;
    if let Some(drop) = drop.strip_suffix(CSV) {
        let report = read(caller, drop, &headers).await?;
        return Ok(text(page::figures_csv(&read_report(&report)), "text/csv; charset=utf-8"));
    }
    let asked = pb::GetDropReportRequest { drop_id: drop };
    Ok(json(caller.services.json_for_page(GET, &asked, &headers, &caller.peer).await?))
}

/// A report as a page.
pub(super) async fn shown(
    State(admin): State<Arc<Admin>>,
    Extension(connection): Extension<Connection>,
    Path(drop): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let report = read(&admin.caller(connection)?, &drop, &headers).await?;
    Ok(text(page::report_page(&read_report(&report)), "text/html; charset=utf-8"))
}

async fn read(caller: &Caller<'_>, drop: &str, headers: &HeaderMap) -> Result<pb::DropReport, Problem> {
    let asked = pb::GetDropReportRequest { drop_id: drop.to_owned() };
    let answer: pb::GetDropReportResponse = caller.services.call_for_page(GET, &asked, headers, &caller.peer).await?;
    Ok(answer.report.unwrap_or_default())
}

/// A text that no cache may keep.
fn text(body: String, content: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

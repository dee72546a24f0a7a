//! The calls about what came of drops.

use std::sync::Arc;

use stockade_engine::answer::{Fault, InvalidField};
use stockade_proto as pb;
use stockade_types::definition::DEFAULT_SHOP;
use stockade_types::ids::{DropId, SeriesId, ShopId};
use stockade_types::time::Timestamp;
use tokio::task::spawn_blocking;
use tonic::Status;

use super::status::of_fault;
use crate::reports::{Listed, Reports};

/// Reports of a page that asks for none.
const PAGE_USUAL: usize = 100;
/// Most reports of a page.
const PAGE_MAX: i32 = 1_000;

/// The calls about reports.
pub(super) struct InsightCalls {
    reports: Arc<Reports>,
}

impl InsightCalls {
    /// Over these reports.
    pub(super) const fn new(reports: Arc<Reports>) -> Self {
        Self { reports }
    }

    /// What came of a drop; while it runs, so far.
    pub(super) async fn report(&self, request: pb::GetDropReportRequest) -> Result<pb::GetDropReportResponse, Status> {
        let drop: DropId = parse("drop_id", &request.drop_id)?;
        let reports = Arc::clone(&self.reports);
        let report = blocking(move || reports.get(&drop)).await?;
        Ok(pb::GetDropReportResponse { report: Some(report) })
    }

    /// Reports of a shop's or a series' drops.
    pub(super) async fn list(
        &self,
        request: pb::ListDropReportsRequest,
    ) -> Result<pb::ListDropReportsResponse, Status> {
        let pb::ListDropReportsRequest { shop, series, page_size, page_token } = request;
        let shop = if shop.is_empty() { DEFAULT_SHOP.to_owned() } else { shop };
        let _shop: ShopId = parse("shop", &shop)?;
        if !series.is_empty() {
            let _series: SeriesId = parse("series", &series)?;
        }
        let most = match page_size {
            0 => PAGE_USUAL,
            1..=PAGE_MAX => usize::try_from(page_size).unwrap_or(PAGE_USUAL),
            _ => return Err(invalid("page_size", format!("must be 1 to {PAGE_MAX}, or 0 for {PAGE_USUAL}"))),
        };
        let after = if page_token.is_empty() {
            None
        } else {
            let place =
                page_token.split_once(':').and_then(|(at, id)| Some((Timestamp(at.parse().ok()?), id.to_owned())));
            Some(place.ok_or_else(|| invalid("page_token", "is not one of this list's".to_owned()))?)
        };
        let listed = Listed { shop, series, after, most: most.saturating_add(1) };
        let reports = Arc::clone(&self.reports);
        let mut reports = blocking(move || reports.list(&listed)).await?;
        let is_more = reports.len() > most;
        reports.truncate(most);
        let next_page_token = match reports.last() {
            Some(last) if is_more => token(last),
            Some(_) | None => String::new(),
        };
        Ok(pb::ListDropReportsResponse { reports, next_page_token })
    }
}

/// The place of a report in its list.
fn token(report: &pb::DropReport) -> String {
    let at = report.opens_at.as_ref().map_or(0, |at| {
        let millis = u64::try_from(at.nanos / 1_000_000).unwrap_or_default();
        u64::try_from(at.seconds).unwrap_or_default().saturating_mul(1_000).saturating_add(millis)
    });
    format!("{at}:{}", report.drop_id)
}

fn invalid(field: &str, description: String) -> Status {
    of_fault(Fault::Invalid(vec![InvalidField { field: field.to_owned(), description }]))
}

fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Status>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| invalid(field, error.to_string()))
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Status> {
    // A panic would have ended the process through its hook.
    spawn_blocking(f).await.unwrap_or(Err(Fault::JournalFailed)).map_err(of_fault)
}

//! The calls that are served: their paths, their requests, and the most bytes of their messages.

use super::REQUEST_BYTES_MAX;

/// Most bytes of a request without operations and without a drop.
const SMALL_REQUEST_BYTES: usize = 64 * 1024;
/// Most bytes of a request with a drop, which has at most 96 KiB.
const DROP_REQUEST_BYTES: usize = 128 * 1024;
/// Most bytes of a request with a series: the template of a drop, and rules.
const SERIES_REQUEST_BYTES: usize = 256 * 1024;

/// A call that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rpc {
    Reserve,
    Extend,
    Claim,
    Release,
    ReturnUnits,
    GetHold,
    ListHolds,
    Batch,
    BatchStream,
    CreateDrop,
    UpdateDrop,
    GetDrop,
    ListDrops,
    PauseDrop,
    ResumeDrop,
    CloseDrop,
    AdjustStock,
    FireFlow,
    ReconcileStock,
    CreateSeries,
    UpdateSeries,
    GetSeries,
    ListSeries,
    PreviewSeries,
    WatchDrop,
    ReadEvents,
    ListEvents,
    Explain,
    GetDropStatus,
    WatchDropStatus,
    ListDropStatuses,
    CreateWebhook,
    UpdateWebhook,
    GetWebhook,
    ListWebhooks,
    DeleteWebhook,
    TestWebhook,
    RecordFacts,
    GetDropReport,
    ListDropReports,
}

/// The description of a call.
#[derive(Debug)]
pub(super) struct Row {
    /// The call.
    pub rpc: Rpc,
    /// Its path in HTTP/2.
    pub path: &'static str,
    /// Its request's full name.
    pub request: &'static str,
    /// Most bytes of one of its messages.
    pub request_bytes_max: usize,
}

const fn row(rpc: Rpc, path: &'static str, request: &'static str, request_bytes_max: usize) -> Row {
    Row { rpc, path, request, request_bytes_max }
}

/// All calls, the most frequent ones first.
pub(super) static CALLS: [Row; 40] = [
    row(Rpc::Reserve, "/stockade.v1.ReservationService/Reserve", "stockade.v1.ReserveRequest", SMALL_REQUEST_BYTES),
    row(Rpc::Claim, "/stockade.v1.ReservationService/Claim", "stockade.v1.ClaimRequest", SMALL_REQUEST_BYTES),
    row(Rpc::Release, "/stockade.v1.ReservationService/Release", "stockade.v1.ReleaseRequest", SMALL_REQUEST_BYTES),
    row(Rpc::Extend, "/stockade.v1.ReservationService/Extend", "stockade.v1.ExtendRequest", SMALL_REQUEST_BYTES),
    row(Rpc::Batch, "/stockade.v1.ReservationService/Batch", "stockade.v1.BatchRequest", REQUEST_BYTES_MAX),
    row(
        Rpc::BatchStream,
        "/stockade.v1.ReservationService/BatchStream",
        "stockade.v1.BatchStreamRequest",
        REQUEST_BYTES_MAX,
    ),
    row(
        Rpc::ReturnUnits,
        "/stockade.v1.ReservationService/ReturnUnits",
        "stockade.v1.ReturnUnitsRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(Rpc::GetHold, "/stockade.v1.ReservationService/GetHold", "stockade.v1.GetHoldRequest", SMALL_REQUEST_BYTES),
    row(
        Rpc::ListHolds,
        "/stockade.v1.ReservationService/ListHolds",
        "stockade.v1.ListHoldsRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(Rpc::Explain, "/stockade.v1.ReservationService/Explain", "stockade.v1.ExplainRequest", SMALL_REQUEST_BYTES),
    row(Rpc::GetDrop, "/stockade.v1.DropService/GetDrop", "stockade.v1.GetDropRequest", SMALL_REQUEST_BYTES),
    row(Rpc::WatchDrop, "/stockade.v1.DropService/WatchDrop", "stockade.v1.WatchDropRequest", SMALL_REQUEST_BYTES),
    row(Rpc::ListDrops, "/stockade.v1.DropService/ListDrops", "stockade.v1.ListDropsRequest", SMALL_REQUEST_BYTES),
    row(Rpc::CreateDrop, "/stockade.v1.DropService/CreateDrop", "stockade.v1.CreateDropRequest", DROP_REQUEST_BYTES),
    row(Rpc::UpdateDrop, "/stockade.v1.DropService/UpdateDrop", "stockade.v1.UpdateDropRequest", DROP_REQUEST_BYTES),
    row(Rpc::PauseDrop, "/stockade.v1.DropService/PauseDrop", "stockade.v1.PauseDropRequest", SMALL_REQUEST_BYTES),
    row(Rpc::ResumeDrop, "/stockade.v1.DropService/ResumeDrop", "stockade.v1.ResumeDropRequest", SMALL_REQUEST_BYTES),
    row(Rpc::CloseDrop, "/stockade.v1.DropService/CloseDrop", "stockade.v1.CloseDropRequest", SMALL_REQUEST_BYTES),
    row(
        Rpc::AdjustStock,
        "/stockade.v1.DropService/AdjustStock",
        "stockade.v1.AdjustStockRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(Rpc::FireFlow, "/stockade.v1.DropService/FireFlow", "stockade.v1.FireFlowRequest", SMALL_REQUEST_BYTES),
    row(
        Rpc::ReconcileStock,
        "/stockade.v1.DropService/ReconcileStock",
        "stockade.v1.ReconcileStockRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::CreateSeries,
        "/stockade.v1.SeriesService/CreateSeries",
        "stockade.v1.CreateSeriesRequest",
        SERIES_REQUEST_BYTES,
    ),
    row(
        Rpc::UpdateSeries,
        "/stockade.v1.SeriesService/UpdateSeries",
        "stockade.v1.UpdateSeriesRequest",
        SERIES_REQUEST_BYTES,
    ),
    row(Rpc::GetSeries, "/stockade.v1.SeriesService/GetSeries", "stockade.v1.GetSeriesRequest", SMALL_REQUEST_BYTES),
    row(Rpc::ListSeries, "/stockade.v1.SeriesService/ListSeries", "stockade.v1.ListSeriesRequest", SMALL_REQUEST_BYTES),
    row(
        Rpc::PreviewSeries,
        "/stockade.v1.SeriesService/PreviewSeries",
        "stockade.v1.PreviewSeriesRequest",
        SERIES_REQUEST_BYTES,
    ),
    row(Rpc::ReadEvents, "/stockade.v1.EventService/ReadEvents", "stockade.v1.ReadEventsRequest", SMALL_REQUEST_BYTES),
    row(Rpc::ListEvents, "/stockade.v1.EventService/ListEvents", "stockade.v1.ListEventsRequest", SMALL_REQUEST_BYTES),
    row(
        Rpc::CreateWebhook,
        "/stockade.v1.EventService/CreateWebhook",
        "stockade.v1.CreateWebhookRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::UpdateWebhook,
        "/stockade.v1.EventService/UpdateWebhook",
        "stockade.v1.UpdateWebhookRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(Rpc::GetWebhook, "/stockade.v1.EventService/GetWebhook", "stockade.v1.GetWebhookRequest", SMALL_REQUEST_BYTES),
    row(
        Rpc::ListWebhooks,
        "/stockade.v1.EventService/ListWebhooks",
        "stockade.v1.ListWebhooksRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::DeleteWebhook,
        "/stockade.v1.EventService/DeleteWebhook",
        "stockade.v1.DeleteWebhookRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::TestWebhook,
        "/stockade.v1.EventService/TestWebhook",
        "stockade.v1.TestWebhookRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::RecordFacts,
        "/stockade.v1.InsightService/RecordFacts",
        "stockade.v1.RecordFactsRequest",
        REQUEST_BYTES_MAX,
    ),
    row(
        Rpc::GetDropReport,
        "/stockade.v1.InsightService/GetDropReport",
        "stockade.v1.GetDropReportRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::ListDropReports,
        "/stockade.v1.InsightService/ListDropReports",
        "stockade.v1.ListDropReportsRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::GetDropStatus,
        "/stockade.v1.StorefrontService/GetDropStatus",
        "stockade.v1.GetDropStatusRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::WatchDropStatus,
        "/stockade.v1.StorefrontService/WatchDropStatus",
        "stockade.v1.WatchDropStatusRequest",
        SMALL_REQUEST_BYTES,
    ),
    row(
        Rpc::ListDropStatuses,
        "/stockade.v1.StorefrontService/ListDropStatuses",
        "stockade.v1.ListDropStatusesRequest",
        SMALL_REQUEST_BYTES,
    ),
];

/// The services with a call that is served; a service is repeated if its calls are not adjacent in [`CALLS`].
pub(super) fn services() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    let name = |row: &'static Row| row.path.trim_start_matches('/').split('/').next().unwrap_or_default();
    CALLS.iter().map(name).filter(move |service| std::mem::replace(&mut last, service) != *service)
}

/// The call at this path, and its place in [`CALLS`].
#[must_use]
pub(super) fn find(path: &str) -> Option<(usize, &'static Row)> {
    CALLS.iter().enumerate().find(|(_, row)| row.path == path)
}

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, MethodDescriptor};
    use stockade_proto::DESCRIPTORS;

    use super::*;

    #[test]
    fn each_call_is_one_of_the_contract_with_its_request() {
        let contract = DescriptorPool::decode(DESCRIPTORS).expect("the contract");
        let methods: Vec<_> = contract.services().flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        let path = |method: &MethodDescriptor| format!("/{}/{}", method.parent_service().full_name(), method.name());
        for row in &CALLS {
            let method = methods.iter().find(|method| path(method) == row.path).expect(row.path);
            assert_eq!(row.request, method.input().full_name());
            assert_eq!(find(row.path).map(|(_, found)| found.rpc), Some(row.rpc), "each path is there once");
        }
        assert!(find("/stockade.v1.ReservationService/CreateDrop").is_none());
        assert!(find("/stockade.v1.InsightService/SuggestSchedule").is_none(), "not built yet");
    }
}

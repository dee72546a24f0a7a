//! The calls of `SeriesService`.

use std::sync::Arc;

use stockade_engine::Engine;
use stockade_engine::context::Context;
use stockade_engine::operators::series::{PreviewOf, SeriesChanged};
use stockade_proto as pb;
use stockade_types::record::Origin;
use tonic::Status;

use super::convert;
use super::edge::Edge;
use super::status::of_fault;

/// Most bytes of a page of series: a page ends behind the one that reaches it.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// The calls about series.
pub(super) struct SeriesCalls {
    edge: Arc<Edge>,
}

impl SeriesCalls {
    /// Over this edge.
    pub(super) const fn new(edge: Arc<Edge>) -> Self {
        Self { edge }
    }

    pub(super) async fn create(
        &self,
        request: pb::CreateSeriesRequest,
        origin: Origin,
    ) -> Result<pb::CreateSeriesResponse, Status> {
        let command = convert::create_series(&request)?;
        // It may make many drops.
        let create = move |engine: &Engine, context: Context<'_>| engine.create_series(&command, context.by(&origin));
        let (changed, _now) = self.edge.ask_at_length(create).await.map_err(of_fault)?;
        let SeriesChanged { view, notes, changed: _ } = changed;
        tracing::info!(series = %view.series.id, revision = view.revision.0, "series defined");
        let warnings = notes.iter().map(convert::warning).collect();
        Ok(pb::CreateSeriesResponse { series: Some(convert::series(&view)), warnings })
    }

    pub(super) async fn update(
        &self,
        request: pb::UpdateSeriesRequest,
        origin: Origin,
    ) -> Result<pb::UpdateSeriesResponse, Status> {
        let command = convert::update_series(&request)?;
        let update = move |engine: &Engine, context: Context<'_>| engine.update_series(&command, context.by(&origin));
        let (changed, _now) = self.edge.ask_at_length(update).await.map_err(of_fault)?;
        let SeriesChanged { view, notes, changed } = changed;
        tracing::info!(series = %view.series.id, revision = view.revision.0, "series changed");
        let zone = &view.series.time_zone;
        Ok(pb::UpdateSeriesResponse {
            series: Some(convert::series(&view)),
            warnings: notes.iter().map(convert::warning).collect(),
            changed: changed.iter().map(|occurrence| convert::occurrence(occurrence, zone)).collect(),
        })
    }

    pub(super) async fn get(&self, request: pb::GetSeriesRequest) -> Result<pb::GetSeriesResponse, Status> {
        let id = convert::get_series(&request)?;
        let get = |engine: &Engine, context: Context<'_>| engine.get_series(&id, context);
        let (view, _now) = self.edge.ask(get).await.map_err(of_fault)?;
        Ok(pb::GetSeriesResponse { series: Some(convert::series(&view)) })
    }

    pub(super) async fn list(&self, request: pb::ListSeriesRequest) -> Result<pb::ListSeriesResponse, Status> {
        let (shop, after, size) = convert::list_series(&request)?;
        let list = move |engine: &Engine, context: Context<'_>| {
            // One more than asked for says whether there is another page.
            engine.list_series(shop.as_ref(), after.as_ref(), size.saturating_add(1), context)
        };
        let (views, _now) = self.edge.list(list).await.map_err(of_fault)?;
        let (mut page, mut bytes, mut behind) = (Vec::new(), 0_usize, None);
        for view in &views {
            if page.len() == size || bytes >= PAGE_BYTES {
                let next_page_token = behind.map(convert::series_token).unwrap_or_default();
                return Ok(pb::ListSeriesResponse { series: page, next_page_token });
            }
            let shown = convert::series(view);
            bytes = bytes.saturating_add(convert::series_bytes(&shown));
            page.push(shown);
            behind = Some(&view.series.id);
        }
        Ok(pb::ListSeriesResponse { series: page, next_page_token: String::new() })
    }

    pub(super) async fn preview(&self, request: pb::PreviewSeriesRequest) -> Result<pb::PreviewSeriesResponse, Status> {
        let (of, from, count) = convert::preview_series(&request)?;
        let preview = move |engine: &Engine, context: Context<'_>| {
            let zone = match &of {
                PreviewOf::Known(id) => engine.get_series(id, context)?.value.series.time_zone,
                PreviewOf::Given(series) => series.time_zone.clone(),
            };
            let shown = engine.preview_series(&of, (from.unwrap_or(context.now), count), context)?;
            Ok(shown.map(|occurrences| (occurrences, zone)))
        };
        let ((occurrences, zone), _now) = self.edge.list(preview).await.map_err(of_fault)?;
        let occurrences = occurrences.iter().map(|occurrence| convert::occurrence(occurrence, &zone)).collect();
        Ok(pb::PreviewSeriesResponse { occurrences })
    }
}

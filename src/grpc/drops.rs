//! The calls of `DropService`.

use std::sync::Arc;

use stockade_engine::Engine;
use stockade_engine::answer::{DropState, DropView, Fault, Reconciled, Reconciling};
use stockade_engine::attempt::Decided;
use stockade_engine::command::{FireFlow, ReconcileStock, Steer};
use stockade_engine::context::Context;
use stockade_engine::inventory::DropEntry;
use stockade_proto as pb;
use stockade_types::definition::Definition;
use stockade_types::ids::Sku;
use stockade_types::record::Origin;
use stockade_types::time::Timestamp;
use tonic::Status;

use super::convert;
use super::convert::Neighbour;
use super::edge::Edge;
use super::events::{Events, Moved};
use super::seats::Seats;
use super::status::of_fault;
use super::stream::Streams;
use super::watch::{Hub, Updates};
use crate::http2::Peer;

/// How often the stock is counted for one reconciliation, if other reconciliations come between.
const COUNTS_MAX: usize = 8;

/// The calls about drops.
pub(super) struct DropsService {
    edge: Arc<Edge>,
    hub: Arc<Hub>,
}

impl DropsService {
    /// Over this edge; watches end with `streams`.
    pub(super) fn new(edge: Arc<Edge>, streams: Streams, seats: Arc<Seats>) -> Self {
        let hub = Arc::new(Hub::new(Arc::clone(&edge), streams, seats));
        Self { edge, hub }
    }

    async fn steer(&self, drop_id: &str, steer: Steer, origin: &Origin) -> Result<Option<pb::Drop>, Status> {
        let id = convert::drop_id(drop_id)?;
        let (view, _now) =
            self.edge.ask(|engine, context| engine.steer(&id, steer, context.by(origin))).await.map_err(of_fault)?;
        tracing::info!(drop = %id, ?steer, state = ?view.state, "drop steered");
        Ok(Some(convert::drop_view(&view)))
    }

    /// What may not be meant about a drop that was made or changed.
    async fn warnings(&self, view: &DropView) -> Result<Vec<pb::Warning>, Status> {
        let definition = Arc::clone(&view.definition);
        let others =
            move |engine: &Engine, _context: Context<'_>| Ok(Decided::at_once(neighbours(engine, &definition)));
        let (others, _now) = self.edge.ask_at_length(others).await.map_err(of_fault)?;
        Ok(convert::warnings(view, &others))
    }
}

/// The other drops of this one's shop that were not cancelled.
fn neighbours(engine: &Engine, drop: &Definition) -> Vec<Neighbour> {
    let neighbour = |entry: &Arc<DropEntry>| {
        let inner = entry.read();
        let other = &inner.definition;
        let is_other = other.shop == drop.shop && other.id != drop.id && inner.state() != DropState::Cancelled;
        let closed_at = inner.lifecycle.closed.map(|closed| closed.at);
        let common = |sku: &&Sku| other.item(sku).is_some();
        is_other.then(|| Neighbour {
            id: other.id.clone(),
            opens_at: inner.opens_at(entry),
            closes_at: closed_at.or(other.schedule.closes_at).unwrap_or(Timestamp::NEVER),
            common: drop.items.iter().map(|item| &item.sku).filter(common).cloned().collect(),
        })
    };
    engine.inventory().drops.all().iter().filter_map(neighbour).collect()
}

impl DropsService {
    pub(super) async fn create_drop(
        &self,
        request: pb::CreateDropRequest,
        origin: Origin,
    ) -> Result<pb::CreateDropResponse, Status> {
        let command = convert::create_drop(&request)?;
        let mut known = false;
        let asked = self.edge.ask(|engine, context| {
            // Only for the log: of two concurrent calls both may log a definition.
            known = engine.get_drop(&command.definition.id, context).is_ok();
            engine.create_drop(&command, context.by(&origin))
        });
        let (view, _now) = asked.await.map_err(of_fault)?;
        let (drop, revision) = (&view.definition.id, view.revision.0);
        match (command.validate_only, known) {
            (false, false) => tracing::info!(%drop, revision, "drop defined"),
            (false, true) => tracing::debug!(%drop, revision, "drop defined before"),
            (true, _) => {}
        }
        let warnings = self.warnings(&view).await?;
        Ok(pb::CreateDropResponse { drop: Some(convert::drop_view(&view)), warnings })
    }

    pub(super) async fn update_drop(
        &self,
        request: pb::UpdateDropRequest,
        origin: Origin,
    ) -> Result<pb::UpdateDropResponse, Status> {
        let asked = convert::update_drop(&request)?;
        let (current, _now) =
            self.edge.ask(|engine, context| engine.get_drop(asked.id(), context)).await.map_err(of_fault)?;
        let command = asked.onto(&current)?;
        let updated = self.edge.ask(|engine, context| engine.update_drop(&command, context.by(&origin)));
        let (view, _now) = updated.await.map_err(of_fault)?;
        let (drop, from, revision) = (&view.definition.id, command.revision.0, view.revision.0);
        if revision > from {
            tracing::info!(%drop, from, revision, "drop changed");
        }
        let warnings = self.warnings(&view).await?;
        Ok(pb::UpdateDropResponse { drop: Some(convert::drop_view(&view)), warnings })
    }

    pub(super) async fn get_drop(&self, request: pb::GetDropRequest) -> Result<pb::GetDropResponse, Status> {
        let id = convert::drop_id(&request.drop_id)?;
        let (view, now) = self.edge.ask(|engine, context| engine.get_drop(&id, context)).await.map_err(of_fault)?;
        let (drop, server_time) = (Some(convert::drop_view(&view)), Some(convert::timestamp(now)));
        Ok(pb::GetDropResponse { drop, server_time })
    }

    pub(super) async fn list_drops(&self, request: pb::ListDropsRequest) -> Result<pb::ListDropsResponse, Status> {
        let (filter, place, size) = convert::list_drops(&request)?;
        let list = move |engine: &Engine, context: Context<'_>| {
            let mut page = convert::drop_page(size);
            let listed = engine.list_drops(&filter, place.as_ref(), &mut page, context)?;
            Ok(listed.map(|next| (page.into_shown(), next)))
        };
        let ((drops, next), _now) = self.edge.list(list).await.map_err(of_fault)?;
        Ok(pb::ListDropsResponse { drops, next_page_token: convert::drop_token(next) })
    }

    pub(super) async fn pause_drop(
        &self,
        request: pb::PauseDropRequest,
        origin: Origin,
    ) -> Result<pb::PauseDropResponse, Status> {
        let drop = self.steer(&request.drop_id, Steer::Pause, &origin).await?;
        Ok(pb::PauseDropResponse { drop })
    }

    pub(super) async fn resume_drop(
        &self,
        request: pb::ResumeDropRequest,
        origin: Origin,
    ) -> Result<pb::ResumeDropResponse, Status> {
        let drop = self.steer(&request.drop_id, Steer::Resume, &origin).await?;
        Ok(pb::ResumeDropResponse { drop })
    }

    pub(super) async fn close_drop(
        &self,
        request: pb::CloseDropRequest,
        origin: Origin,
    ) -> Result<pb::CloseDropResponse, Status> {
        let drop = self.steer(&request.drop_id, Steer::Close, &origin).await?;
        Ok(pb::CloseDropResponse { drop })
    }

    pub(super) async fn adjust_stock(
        &self,
        request: pb::AdjustStockRequest,
        origin: Origin,
    ) -> Result<pb::AdjustStockResponse, Status> {
        let command = convert::adjust_stock(&request)?;
        // Many deadlines of the item may be due, which takes long.
        let asked = command.clone();
        let (view, _now) = self
            .edge
            .ask_at_length(move |engine, context| engine.adjust_stock(&asked, context.by(&origin)))
            .await
            .map_err(of_fault)?;
        tracing::info!(drop = %command.drop, sku = %command.sku, change = ?command.change, "stock adjusted");
        Ok(pb::AdjustStockResponse { drop: Some(convert::drop_view(&view)) })
    }

    pub(super) async fn reconcile_stock(
        &self,
        request: pb::ReconcileStockRequest,
        (origin, peer): (Origin, Arc<Peer>),
        events: &Events,
    ) -> Result<pb::ReconcileStockResponse, Status> {
        let as_of = events.named(&request.as_of).await?;
        let command = convert::reconcile_stock(&request, as_of)?;
        let (mut expected, mut moved) = (None, Moved::since(command.as_of));
        for _ in 0..COUNTS_MAX {
            let (asked, origin) = (command.clone(), origin.clone());
            let ask = move |engine: &Engine, context: Context<'_>| {
                engine.reconcile_stock(&asked, expected, context.by(&origin))
            };
            let Reconciled { drift, applied, shortage, view } =
                match self.edge.ask_at_length(ask).await.map_err(of_fault)?.0 {
                    Reconciling::Done(reconciled) => reconciled,
                    Reconciling::Counted(counted) => {
                        expected = events.expected(&mut moved, &counted, &peer).await?;
                        continue;
                    }
                };
            let ReconcileStock { drop, sku, dry_run, .. } = &command;
            tracing::info!(%drop, %sku, drift, applied, shortage, dry_run, "stock reconciled");
            let drop = Some(convert::drop_view(&view));
            return Ok(pb::ReconcileStockResponse { drift, applied, shortage, drop });
        }
        Err(of_fault(Fault::Overloaded("the item is reconciled too often to be compared")))
    }

    pub(super) async fn fire_flow(
        &self,
        request: pb::FireFlowRequest,
        origin: Origin,
    ) -> Result<pb::FireFlowResponse, Status> {
        let command = convert::fire_flow(&request)?;
        let fired = self.edge.ask(|engine, context| engine.fire_flow(&command, context.by(&origin)));
        let (view, _now) = fired.await.map_err(of_fault)?;
        let FireFlow { drop, sku, pool, to } = &command;
        tracing::info!(%drop, %sku, %pool, %to, "flow fired");
        Ok(pb::FireFlowResponse { drop: Some(convert::drop_view(&view)) })
    }

    /// A stream of a drop's changes, for this peer.
    ///
    /// # Errors
    /// If there is no such drop, or the bound on watchers is reached.
    pub(super) async fn watch_drop(&self, request: pb::WatchDropRequest, peer: &Arc<Peer>) -> Result<Updates, Status> {
        let id = convert::drop_id(&request.drop_id)?;
        self.hub.watch(id, peer).await.map_err(of_fault)
    }
}

//! What `grpc.health.v1` says: serving, or not, for the server as a whole and for each service.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::rpc;

/// The whole server's name in health checks.
const EVERYTHING: &str = "";

/// The switch of the standard health service.
#[derive(Debug, Clone)]
pub struct Health(HealthReporter);

impl Health {
    pub(super) async fn new() -> Self {
        let health = Self(HealthReporter::new());
        health.set(ServingStatus::NotServing).await;
        health
    }

    pub(super) fn reporter(&self) -> HealthReporter {
        self.0.clone()
    }

    /// From now on: serving.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// From now on: not serving. Watchers are told.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for service in rpc::services().chain([EVERYTHING]) {
            self.0.set_service_status(service, status).await;
        }
    }
}

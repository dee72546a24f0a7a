//! The `grpc.health.v1` service: serving or not, for the whole server and for each service.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::rpc;

/// The name of the whole server in health checks.
const EVERYTHING: &str = "";

/// Switches the standard health service.
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

    /// Reports serving from now on.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// Reports not serving from now on, also to watchers.
    pub async fn not_serving(&self) {
        self.set(ServingStatus::NotServing).await;
    }

    async fn set(&self, status: ServingStatus) {
        for service in rpc::services().chain([EVERYTHING]) {
            self.0.set_service_status(service, status).await;
        }
    }
}

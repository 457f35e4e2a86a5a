//! gRPC health (`grpc.health.v1.Health`) beside a service's own gRPC.
//!
//! Asks for no service token: it says no more than whether the process is ready, and who probes it, an
//! orchestrator or a balancer, need not hold the key to everything else.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health as Service, HealthServer},
};

use crate::Health;

/// How often a watcher's answer is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Watchers at once.
const WATCHERS: usize = 64;

/// Answers from [`Health`].
#[derive(Debug)]
pub struct GrpcHealth {
    health: Health,
    service: &'static str,
    watchers: Arc<Semaphore>,
}

/// The service for a listener whose own service is called `service` (`package.Name`).
pub fn grpc_health(health: &Health, service: &'static str) -> HealthServer<GrpcHealth> {
    HealthServer::new(GrpcHealth {
        health: health.clone(),
        service,
        watchers: Arc::new(Semaphore::new(WATCHERS)),
    })
}

fn status(health: &Health) -> ServingStatus {
    if health.missing().is_empty() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

impl GrpcHealth {
    fn knows(&self, service: &str) -> bool {
        service.is_empty() || service == self.service
    }
}

#[tonic::async_trait]
impl Service for GrpcHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.knows(&request.get_ref().service) {
            return Err(Status::not_found("no such service here"));
        }
        Ok(Response::new(answer(status(&self.health))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned();
        let permit = permit.map_err(|_| Status::resource_exhausted("too many watch; try later"))?;
        let known = self.knows(&request.get_ref().service);
        let start = (self.health.clone(), None, permit);
        let changes = stream::unfold(start, move |(health, mut told, permit)| async move {
            loop {
                let now = if known {
                    status(&health)
                } else {
                    ServingStatus::ServiceUnknown
                };
                if told.replace(now) != Some(now) {
                    return Some((Ok(answer(now)), (health, told, permit)));
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Response::new(changes.boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str) -> Request<HealthCheckRequest> {
        let service = service.to_owned();
        Request::new(HealthCheckRequest { service })
    }

    fn served(health: &Health) -> GrpcHealth {
        GrpcHealth {
            health: health.clone(),
            service: "streamr.Test",
            watchers: Arc::new(Semaphore::new(1)),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_follows_readiness() {
        let health = Health::default();
        let need = health.require("database");
        let served = served(&health);
        let mut watch = served.watch(of("")).await.unwrap().into_inner();
        assert!(served.watch(of("")).await.is_err(), "watchers are bounded");
        let not_serving = answer(ServingStatus::NotServing);
        assert_eq!(watch.next().await.unwrap().unwrap(), not_serving);
        need.ok();
        let serving = answer(ServingStatus::Serving);
        assert_eq!(watch.next().await.unwrap().unwrap(), serving);
        for service in ["", "streamr.Test"] {
            let now = served.check(of(service)).await.unwrap();
            assert_eq!(now.into_inner(), serving);
        }
        assert!(served.check(of("another")).await.is_err());
    }
}

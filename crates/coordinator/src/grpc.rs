//! The internal gRPC face (port 9000).

use std::{pin::Pin, sync::Arc};

use futures::Stream;
use proto::coordinator as wire;
use tokio_stream::{
    StreamExt,
    wrappers::{BroadcastStream, errors::BroadcastStreamRecvError},
};
use tonic::{Request, Response, Status};

use crate::{
    lifecycle::Lifecycle, live::Live, origins::Origins, publish::PublishAuthority,
    registry::Registry, swarm::Swarm,
};

/// Implements `streamr.coordinator.v1.Coordinator`.
pub(crate) struct CoordinatorService {
    pub(crate) authority: PublishAuthority,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) registry: Registry,
    pub(crate) origins: Arc<Origins>,
    pub(crate) live: Arc<Live>,
    pub(crate) swarm: Swarm,
}

#[tonic::async_trait]
impl wire::coordinator_server::Coordinator for CoordinatorService {
    async fn authorize_publish(
        &self,
        request: Request<wire::AuthorizePublishRequest>,
    ) -> Result<Response<wire::AuthorizePublishResponse>, Status> {
        let began = tokio::time::Instant::now();
        let answer = self.authority.authorize(request.into_inner()).await;
        metrics::histogram!("streamr_authorize_publish_seconds").record(began.elapsed());
        Ok(Response::new(answer?))
    }

    async fn report_streams(
        &self,
        request: Request<wire::ReportStreamsRequest>,
    ) -> Result<Response<wire::ReportStreamsResponse>, Status> {
        self.lifecycle.report(request.into_inner()).await?;
        Ok(Response::new(wire::ReportStreamsResponse {}))
    }

    async fn heartbeat(
        &self,
        request: Request<wire::HeartbeatRequest>,
    ) -> Result<Response<wire::HeartbeatResponse>, Status> {
        let request = request.into_inner();
        self.swarm.hear_edge(&request);
        self.registry.heartbeat(request).await?;
        Ok(Response::new(wire::HeartbeatResponse {}))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _: Request<wire::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (snapshot, receiver) = self.live.watch();
        let changes = BroadcastStream::new(receiver).map(|change| {
            change.map_err(|BroadcastStreamRecvError::Lagged(_)| {
                Status::data_loss("fell behind; watch again for a snapshot")
            })
        });
        let all = tokio_stream::iter(snapshot.into_iter().map(Ok)).chain(changes);
        Ok(Response::new(Box::pin(all)))
    }

    async fn acquire_origin(
        &self,
        request: Request<wire::AcquireOriginRequest>,
    ) -> Result<Response<wire::AcquireOriginResponse>, Status> {
        Ok(Response::new(
            self.origins.acquire(request.into_inner()).await?,
        ))
    }

    async fn renew_origin(
        &self,
        request: Request<wire::RenewOriginRequest>,
    ) -> Result<Response<wire::RenewOriginResponse>, Status> {
        self.origins.renew(request.into_inner()).await?;
        Ok(Response::new(wire::RenewOriginResponse {}))
    }

    async fn release_origin(
        &self,
        request: Request<wire::ReleaseOriginRequest>,
    ) -> Result<Response<wire::ReleaseOriginResponse>, Status> {
        self.origins.release(request.get_ref()).await?;
        Ok(Response::new(wire::ReleaseOriginResponse {}))
    }

    async fn report_session(
        &self,
        request: Request<wire::ReportSessionRequest>,
    ) -> Result<Response<wire::ReportSessionResponse>, Status> {
        self.registry.opened(request.into_inner().session).await?;
        Ok(Response::new(wire::ReportSessionResponse {}))
    }

    async fn find_session(
        &self,
        request: Request<wire::FindSessionRequest>,
    ) -> Result<Response<wire::FindSessionResponse>, Status> {
        let request = request.get_ref();
        let stream = proto::convert::field(&request.stream_id, "stream_id")?;
        let session = proto::convert::field(&request.session_id, "session_id")?;
        if self.registry.has_session(stream, session).await {
            return Ok(Response::new(wire::FindSessionResponse {}));
        }
        Err(proto::ErrorCode::NotFound.status("no edge opened this session"))
    }
}

//! The origin's internal gRPC face (port 9002): windows and FLV, for edges.

use std::pin::Pin;

use delivery::{
    Batch,
    fanout::{Next, Subscriber},
};
use futures::{Stream, stream};
use proto::packager as wire;
use tokio_stream::{StreamExt, wrappers::BroadcastStream};
use tonic::{Request, Response, Status};
use types::StreamId;

use crate::{registry::Registry, wire as convert};

/// Implements `streamr.packager.v1.Origin`.
pub(crate) struct OriginService {
    pub(crate) registry: Registry,
}

type Events = Pin<Box<dyn Stream<Item = Result<wire::WindowEvent, Status>> + Send>>;
type Batches = Pin<Box<dyn Stream<Item = Result<wire::FlvBatch, Status>> + Send>>;

impl OriginService {
    fn packaged(&self, stream_id: &str) -> Result<std::sync::Arc<delivery::Stream>, Status> {
        let id: StreamId = proto::convert::field(stream_id, "stream_id")?;
        self.registry.packaged(id).ok_or_else(|| {
            proto::ErrorCode::NotFound.status("this origin does not package the stream")
        })
    }
}

#[tonic::async_trait]
impl wire::origin_server::Origin for OriginService {
    type WatchWindowStream = Events;

    async fn watch_window(
        &self,
        request: Request<wire::WatchWindowRequest>,
    ) -> Result<Response<Events>, Status> {
        let stream = self.packaged(&request.get_ref().stream_id)?;
        let (snapshot, receiver) = stream.follow();
        let snapshot: Vec<_> = snapshot
            .iter()
            .map(|event| Ok(convert::event_to_wire(event)))
            .collect();
        let growth = BroadcastStream::new(receiver).map(|event| match event {
            Ok(event) => Ok(convert::event_to_wire(&event)),
            Err(_) => Err(Status::data_loss("fell behind; watch again for a snapshot")),
        });
        Ok(Response::new(Box::pin(
            tokio_stream::iter(snapshot).chain(growth),
        )))
    }

    type WatchFlvStream = Batches;

    async fn watch_flv(
        &self,
        request: Request<wire::WatchFlvRequest>,
    ) -> Result<Response<Batches>, Status> {
        let stream = self.packaged(&request.get_ref().stream_id)?;
        let reader = stream.flv().subscribe();
        Ok(Response::new(Box::pin(stream::unfold(
            reader,
            |mut reader| async move {
                let batch = next(&mut reader).await?;
                Some((Ok(batch), reader))
            },
        ))))
    }
}

async fn next(reader: &mut Subscriber<Batch>) -> Option<wire::FlvBatch> {
    loop {
        match reader.next().await {
            Next::Preamble(preamble) => {
                if let Some(batch) = preamble.into_iter().next() {
                    return Some(convert::batch_to_wire(batch, true));
                }
            }
            Next::Entry(batch) => return Some(convert::batch_to_wire(batch, false)),
            Next::Skipped => {}
            Next::Closed => return None,
        }
    }
}

//! The edge's side of a stream: follows its origin's window, each part fetched once however many ask.
//!
//! A stream is followed from its first viewer until it ends or nobody has asked for half a minute. When
//! the origin changes, the edge moves on; an overtaken one is refused by the window.

use std::{sync::Arc, time::Duration};

use delivery::{Batch, Stream};
use proto::{
    Directory,
    directory::Origin,
    packager::{WatchFlvRequest, WatchWindowRequest, origin_client::OriginClient},
};
use runtime::{
    ServiceTokens, Shutdown,
    backoff::Backoff,
    grpc::{CALL_TIMEOUT, ServiceChannel},
};
use tokio::{sync::watch, time::timeout};
use types::{InstanceId, MediaTime};

use crate::{Error, registry::Registry, wire};

/// A stream that nobody asked for is followed no longer.
const IDLE: Duration = Duration::from_secs(30);
/// How often that is looked at.
const IDLE_CHECK: Duration = Duration::from_secs(5);
/// FLV is followed for so long after its last viewer.
const FLV_LINGER: Duration = Duration::from_secs(10);
/// A step back within this is what was sent already: a GOP, at most.
const REPEATED: MediaTime = MediaTime::from_millis(20_000);

/// Follows origins. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    pub(crate) instance: InstanceId,
    pub(crate) tokens: ServiceTokens,
    pub(crate) shutdown: Shutdown,
}

/// Why following stopped.
enum Stop {
    /// The stream is over.
    Gone,
    /// Nobody watches.
    Idle,
}

impl Edge {
    /// Follows the stream, unless somebody does.
    pub(crate) fn follow(&self, stream: &Arc<Stream>) {
        if !self.registry.start_upstream(stream.id()) {
            return;
        }
        let (edge, stream) = (self.clone(), Arc::clone(stream));
        self.shutdown.spawn_until_cancelled(async move {
            let stop = tokio::select! {
                stop = edge.follow_window(&stream) => stop,
                never = edge.follow_flv(&stream) => match never {},
                stop = idle(&stream) => stop,
            };
            if matches!(stop, Stop::Gone) && edge.registry.packaged(stream.id()).is_none() {
                let _ = stream.apply(&delivery::WindowEvent::Ended);
                stream.flv().close();
            }
            edge.registry.stop_upstream(stream.id());
        });
    }

    /// The origin to follow; waits while there is none or it is here. `None`: the stream is over.
    async fn origin(&self, stream: &Stream, changes: &mut watch::Receiver<u64>) -> Option<Origin> {
        loop {
            changes.borrow_and_update();
            let info = self.directory.by_id(stream.id())?;
            if let Some(origin) = info
                .origin
                .clone()
                .filter(|origin| origin.instance != self.instance)
            {
                return Some(origin);
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn client(&self, origin: &Origin) -> Result<OriginClient<ServiceChannel>, Error> {
        let channel = runtime::grpc::channel(&origin.address, &self.tokens)?;
        Ok(OriginClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES))
    }

    async fn follow_window(&self, stream: &Stream) -> Stop {
        let mut changes = self.directory.changes();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        loop {
            let Some(origin) = self.origin(stream, &mut changes).await else {
                return Stop::Gone;
            };
            tokio::select! {
                result = self.window_of(stream, &origin, &mut backoff) => {
                    if let Err(error) = result {
                        metrics::counter!("streamr_edge_upstream_failures_total").increment(1);
                        tracing::debug!(stream_id = %stream.id(), epoch = %origin.epoch, %error, "edge lost its origin; trying again");
                    }
                    backoff.wait().await;
                }
                () = self.replaced(stream, &origin) => backoff.reset(),
            }
        }
    }

    /// Waits until the stream has another origin, or is over.
    async fn replaced(&self, stream: &Stream, origin: &Origin) {
        let mut changes = self.directory.changes();
        loop {
            changes.borrow_and_update();
            let current = self
                .directory
                .by_id(stream.id())
                .and_then(|info| info.origin.clone());
            // While there is none, the old one may still be right: the lease ran out, not the packaging.
            if current.is_some_and(|current| current != *origin)
                || self.directory.by_id(stream.id()).is_none()
            {
                return;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn window_of(
        &self,
        stream: &Stream,
        origin: &Origin,
        backoff: &mut Backoff,
    ) -> Result<(), Error> {
        let mut client = self.client(origin)?;
        let request = WatchWindowRequest {
            stream_id: stream.id().to_string(),
        };
        let call = timeout(CALL_TIMEOUT, client.watch_window(request)).await;
        let mut events = call
            .map_err(|_| Error::TooSlow("the origin"))??
            .into_inner();
        while let Some(event) = events.message().await? {
            stream
                .apply(&wire::event_from_wire(event)?)
                .inspect_err(|refused| {
                    metrics::counter!("streamr_window_refusals_total", "at" => "edge").increment(1);
                    tracing::debug!(stream_id = %stream.id(), epoch = %origin.epoch, %refused, "an edge's window refused an event");
                })?;
            backoff.reset();
        }
        Ok(())
    }

    /// FLV, while somebody wants it.
    async fn follow_flv(&self, stream: &Stream) -> std::convert::Infallible {
        let mut changes = self.directory.changes();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        let mut last = None;
        loop {
            stream.flv_wanted().await;
            let Some(origin) = self.origin(stream, &mut changes).await else {
                std::future::pending::<()>().await;
                continue;
            };
            tokio::select! {
                result = self.flv_of(stream, &origin, &mut last) => {
                    if let Err(error) = result {
                        tracing::debug!(stream_id = %stream.id(), %error, "origin's FLV");
                    }
                    backoff.wait().await;
                }
                () = self.replaced(stream, &origin) => backoff.reset(),
                // What is left would be the past to whoever comes next.
                () = unwatched(stream) => stream.flv().set_preamble(Vec::new()),
            }
        }
    }

    async fn flv_of(
        &self,
        stream: &Stream,
        origin: &Origin,
        last: &mut Option<MediaTime>,
    ) -> Result<(), Error> {
        let mut client = self.client(origin)?;
        let request = WatchFlvRequest {
            stream_id: stream.id().to_string(),
        };
        let call = timeout(CALL_TIMEOUT, client.watch_flv(request)).await;
        let mut batches = call
            .map_err(|_| Error::TooSlow("the origin"))??
            .into_inner();
        let mut repeats = true;
        while let Some(batch) = batches.message().await? {
            let time = MediaTime::from_millis(batch.decode_time_ms);
            if !batch.preamble.is_empty() {
                stream.flv().set_preamble(vec![Batch {
                    bytes: batch.preamble,
                    join: false,
                    time,
                }]);
            }
            // A subscription begins at a keyframe of the past; a restarted timeline is no repetition.
            repeats &= last.is_some_and(|last| {
                let behind = last.saturating_sub(time);
                (MediaTime::ZERO..REPEATED).contains(&behind)
            });
            if !batch.tags.is_empty() && !repeats {
                *last = Some(time);
                stream.flv().push(
                    Batch {
                        bytes: batch.tags,
                        join: batch.starts_at_keyframe,
                        time,
                    }
                    .into(),
                );
            }
        }
        Ok(())
    }
}

/// Waits until nobody has asked for the stream for a while.
async fn idle(stream: &Stream) -> Stop {
    loop {
        tokio::time::sleep(IDLE_CHECK).await;
        if stream.idle() > IDLE {
            return Stop::Idle;
        }
    }
}

/// Waits until nobody has watched FLV for a while.
async fn unwatched(stream: &Stream) {
    let mut seconds = 0;
    while Duration::from_secs(seconds) < FLV_LINGER {
        tokio::time::sleep(Duration::from_secs(1)).await;
        seconds = if stream.flv().readers() == 0 {
            seconds + 1
        } else {
            0
        };
    }
}

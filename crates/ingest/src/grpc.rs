//! The internal gRPC face (port 9001): `Subscribe`.

use std::{pin::Pin, sync::Arc, time::Duration};

use delivery::fanout::{Next, Subscriber};
use futures::{Stream, stream};
use proto::media::{self as wire, item::Item as Wire};
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use types::StreamId;

use crate::hub::{Hub, Item, LiveStream};

/// A message is sent when it holds so many bytes.
const MESSAGE_BYTES: u64 = 256 * 1024;

/// Implements `streamr.media.v1.Media`.
pub(crate) struct MediaService {
    pub(crate) hub: Hub,
    /// Samples that arrive within this time travel in one message: a message costs more than a sample.
    pub(crate) gather: Duration,
}

type Messages = Pin<Box<dyn Stream<Item = Result<wire::SubscribeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl wire::media_server::Media for MediaService {
    type SubscribeStream = Messages;

    async fn subscribe(
        &self,
        request: Request<wire::SubscribeRequest>,
    ) -> Result<Response<Messages>, Status> {
        let id: StreamId = proto::convert::field(&request.get_ref().stream_id, "stream_id")?;
        let Some(live) = self.hub.by_id(id) else {
            return Err(proto::ErrorCode::NotFound.status("this ingest holds no such stream"));
        };
        let subscription = Subscription {
            reader: live.fanout().subscribe(),
            live,
            opened: false,
            ended: false,
            gather: self.gather,
            sent: Instant::now(),
        };
        Ok(Response::new(Box::pin(stream::unfold(
            subscription,
            |mut subscription| async move {
                let message = subscription.message().await?;
                Some((Ok(message), subscription))
            },
        ))))
    }
}

struct Subscription {
    reader: Subscriber<Item>,
    live: Arc<LiveStream>,
    opened: bool,
    ended: bool,
    gather: Duration,
    sent: Instant,
}

fn wrap(item: Wire) -> wire::Item {
    wire::Item { item: Some(item) }
}

impl Subscription {
    /// The next message; `None` after the last.
    async fn message(&mut self) -> Option<wire::SubscribeResponse> {
        if self.ended {
            return None;
        }
        let mut items = Vec::new();
        let first = self.reader.next().await;
        if !self.opened {
            // With the first sample, which fixes when the timeline began.
            self.opened = true;
            let unix_ms_at_zero = self.live.unix_ms_at_zero();
            items.push(wrap(Wire::Opening(wire::Opening { unix_ms_at_zero })));
        }
        // What is there already goes at once; what trickles in is gathered.
        tokio::time::sleep_until(self.sent + self.gather).await;
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(step) = next {
            bytes += self.add(step, &mut items);
            if bytes >= MESSAGE_BYTES || self.ended {
                break;
            }
            next = self.reader.try_next();
        }
        self.sent = Instant::now();
        Some(wire::SubscribeResponse { items })
    }

    /// Adds a step to the message. Answers its bytes.
    fn add(&mut self, step: Next<Item>, items: &mut Vec<wire::Item>) -> u64 {
        match step {
            Next::Preamble(preamble) => items.extend(preamble.iter().map(wire::Item::from)),
            Next::Entry(item) => {
                items.push((&item).into());
                return item.size().get();
            }
            Next::Skipped => items.push(wrap(Wire::Skipped(wire::Skipped {}))),
            Next::Closed => {
                // What moved did not end: who reads it finds it elsewhere.
                if !self.live.has_moved() {
                    items.push(wrap(Wire::Ended(wire::Ended {})));
                }
                self.ended = true;
            }
        }
        0
    }
}

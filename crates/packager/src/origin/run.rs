//! Running origins: which streams to take, and one task for each.

use std::{collections::HashSet, sync::Arc, time::Duration};

use delivery::{Batcher, Stream, TagFormat, WindowEvent};
use parking_lot::Mutex;
use proto::{
    Directory,
    directory::StreamInfo,
    media::{self as wire, item::Item, media_client::MediaClient},
};
use runtime::{
    Shutdown,
    backoff::Backoff,
    grpc::{CALL_TIMEOUT, Channels},
};
use tokio::time::timeout;
use tracing::Instrument;
use types::{MediaTime, StreamId};

use super::{
    lease::{Lease, Lessee, NotGranted},
    packaging::{Flow, Packaging},
};
use crate::{Error, edge::Edge, registry::Registry};

/// How often streams without an origin are looked for, besides at every change.
const LOOK: Duration = Duration::from_millis(500);
/// How often a lease that another holds is asked for at most.
const RETRY: Duration = Duration::from_millis(250);

/// What origins share.
pub(crate) struct Shared {
    pub(crate) lessee: Lessee,
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
    /// To follow a stream that another origin took over.
    pub(crate) edge: Option<Edge>,
    pub(crate) channels: Channels,
    pub(crate) shutdown: Shutdown,
}

/// Takes streams that nobody packages.
#[derive(Clone)]
pub(crate) struct Origin {
    shared: Arc<Shared>,
    running: Arc<Mutex<HashSet<StreamId>>>,
}

/// How an epoch ended.
enum End {
    /// The stream is over.
    Ended,
    /// Another origin took over.
    Fenced,
    /// The codecs changed.
    NewEpoch,
    /// The coordinator knows the stream no longer.
    Gone,
    /// This process stops; another origin may start at once.
    Stopping,
}

impl Origin {
    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
            running: Arc::default(),
        }
    }

    /// Looks for streams to package, forever.
    pub(crate) async fn run(self) {
        let mut changes = self.shared.directory.changes();
        loop {
            changes.borrow_and_update();
            for info in self.shared.directory.all() {
                let ours = info
                    .origin
                    .as_ref()
                    .is_none_or(|origin| origin.instance == self.shared.lessee.instance);
                if ours && self.running.lock().insert(info.id) {
                    self.start(info);
                }
            }
            let _ = timeout(LOOK, changes.changed()).await;
        }
    }

    fn start(&self, info: Arc<StreamInfo>) {
        let (origin, id) = (self.clone(), info.id);
        self.shared.shutdown.spawn(async move {
            origin.package(&info).await;
            origin.shared.registry.set_origin(id, false);
            tokio::time::sleep(RETRY).await;
            origin.running.lock().remove(&id);
        });
    }

    /// Packages a stream, epoch after epoch, until it ends or another origin has it.
    async fn package(&self, info: &StreamInfo) {
        let shared = &self.shared;
        let mut backoff = Backoff::internal();
        let mut renew_epoch = false;
        loop {
            let acquired = tokio::select! {
                acquired = shared.lessee.acquire(info.id, renew_epoch) => acquired,
                () = shared.shutdown.cancelled() => return,
            };
            let grant = match acquired {
                Ok(grant) => grant,
                Err(NotGranted::Leave) => return,
                Err(NotGranted::Later(error)) => {
                    tracing::debug!(stream_id = %info.id, %error, "lease");
                    backoff.wait().await;
                    continue;
                }
            };
            tracing::info!(stream_id = %info.id, slug = %info.slug, epoch = %grant.epoch, "packaging");
            let stream = shared.registry.stream(info.id, &info.slug);
            shared.registry.set_origin(info.id, true);
            let lease = Lease::new(shared.lessee.clone(), info.id, &grant);
            let packaging = Packaging::new(info.id, grant, Arc::clone(&shared.lessee.digest_key));
            let mut epoch = EpochRun {
                shared: Arc::clone(shared),
                stream: Arc::clone(&stream),
                lease: lease.clone(),
                batcher: Batcher::new(TagFormat::FLV, stream.flv().clone()),
                packaging,
                seen: None,
                repeats_until: None,
                trace_parent: info.trace_parent.clone(),
            };
            let end = tokio::select! {
                end = epoch.run() => end,
                () = lease.keep() => End::Fenced,
                () = shared.shutdown.cancelled() => End::Stopping,
            };
            shared.registry.set_origin(info.id, false);
            match end {
                End::NewEpoch => renew_epoch = true,
                End::Stopping => {
                    lease.release().await;
                    return;
                }
                End::Fenced => {
                    tracing::warn!(stream_id = %info.id, epoch = %grant.epoch, "fenced: another origin took over");
                    if let Some(edge) = &shared.edge {
                        edge.follow(&stream);
                    }
                    return;
                }
                End::Ended | End::Gone => {
                    let _ = stream.apply(&WindowEvent::Ended);
                    stream.flv().close();
                    lease.release().await;
                    return;
                }
            }
        }
    }
}

/// One epoch at work.
struct EpochRun {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    lease: Lease,
    batcher: Batcher,
    packaging: Packaging,
    /// The timeline, and the latest decode time taken on it.
    seen: Option<(i64, MediaTime)>,
    /// A new subscription starts at a keyframe of the past: what was taken before is not taken again.
    repeats_until: Option<MediaTime>,
    /// What put the stream on air, until the first subscription is traced: later ones are no news.
    trace_parent: String,
}

impl EpochRun {
    /// Subscribes, again and again, until the epoch ends.
    async fn run(&mut self) -> End {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        loop {
            let Some(info) = self.shared.directory.by_id(self.stream.id()) else {
                return End::Gone;
            };
            match self.subscribe(&info, &mut backoff).await {
                Ok(Some(end)) => return end,
                Ok(None) => {}
                Err(error) => {
                    metrics::counter!("streamr_origin_subscription_failures_total").increment(1);
                    tracing::debug!(stream_id = %info.id, %error, "origin lost its ingest; trying again");
                }
            }
            backoff.wait().await;
        }
    }

    /// Packages what one subscription brings. `None`: it broke.
    async fn subscribe(
        &mut self,
        info: &StreamInfo,
        backoff: &mut Backoff,
    ) -> Result<Option<End>, Error> {
        let channel = self.shared.channels.to(&info.ingest_address)?;
        let mut client =
            MediaClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
        let trace_parent = std::mem::take(&mut self.trace_parent);
        let span = runtime::trace::child("package", &trace_parent);
        let request = wire::SubscribeRequest {
            stream_id: info.id.to_string(),
        };
        let subscribe = client.subscribe(request).instrument(span);
        let call = timeout(CALL_TIMEOUT, subscribe).await;
        let mut messages = call
            .map_err(|_| Error::TooSlow("the ingest"))??
            .into_inner();
        let mut changes = self.shared.directory.changes();
        // What ingest gathered in one message is written to FLV viewers in one piece.
        loop {
            changes.borrow_and_update();
            if self.has_moved(info) {
                return Ok(None);
            }
            let message = tokio::select! {
                message = messages.message() => message?,
                Ok(()) = changes.changed() => continue,
            };
            let Some(message) = message else {
                return Ok(None);
            };
            backoff.reset();
            for item in message.items {
                if let Some(end) = self.item(item)? {
                    self.deliver().await?;
                    return Ok(Some(end));
                }
            }
            self.batcher.flush();
            if let Some(end) = self.deliver().await? {
                return Ok(Some(end));
            }
        }
    }

    /// Whether the publisher is at another ingest now: what the old one says no longer counts.
    fn has_moved(&self, info: &StreamInfo) -> bool {
        let now = self.shared.directory.by_id(info.id);
        now.is_some_and(|now| now.ingest_address != info.ingest_address)
    }

    fn item(&mut self, item: wire::Item) -> Result<Option<End>, Error> {
        match item.item {
            Some(Item::Opening(opening)) => {
                let timeline = opening.unix_ms_at_zero;
                let same = self.seen.filter(|(known, _)| *known == timeline);
                self.repeats_until = same.map(|(_, latest)| latest);
                let latest = self.repeats_until.unwrap_or(MediaTime::from_millis(-1));
                self.seen = Some((timeline, latest));
                self.packaging.opening(timeline);
            }
            Some(Item::Config(config)) => {
                let config: media::CodecConfig = config.try_into()?;
                self.batcher.config(config.clone());
                if self.packaging.config(config)? == Flow::NewEpoch {
                    return Ok(Some(End::NewEpoch));
                }
            }
            Some(Item::Sample(sample)) => self.sample(sample.try_into()?)?,
            Some(Item::Discontinuity(discontinuity)) => {
                self.packaging.discontinuity(discontinuity.unix_ms_at_zero);
                if let Some((timeline, _)) = &mut self.seen {
                    *timeline = discontinuity.unix_ms_at_zero;
                }
            }
            Some(Item::Paused(_)) => {
                self.batcher.flush();
                self.stream.apply(&WindowEvent::Paused(true))?;
            }
            Some(Item::Ended(_)) => {
                self.batcher.flush();
                self.packaging.finish();
                return Ok(Some(End::Ended));
            }
            Some(Item::Skipped(_)) => {
                metrics::counter!("streamr_origin_skips_total").increment(1);
                tracing::debug!(stream_id = %self.stream.id(), "origin was too slow; it goes on at a keyframe");
            }
            None => {}
        }
        Ok(None)
    }

    fn sample(&mut self, sample: media::Sample) -> Result<(), Error> {
        if self
            .repeats_until
            .is_some_and(|until| sample.decode_time <= until)
        {
            return Ok(());
        }
        if let Some((_, latest)) = &mut self.seen {
            *latest = (*latest).max(sample.decode_time);
        }
        self.batcher.sample(sample.clone());
        self.packaging.sample(sample)
    }

    /// Puts events into the window. A segment's number is recorded before anybody sees it.
    async fn deliver(&mut self) -> Result<Option<End>, Error> {
        let events = self.packaging.take_events();
        if events.is_empty() {
            return Ok(None);
        }
        if let Some((target_duration, part_target)) = self.packaging.fixed() {
            self.lease.fixed(target_duration, part_target);
        }
        for event in events {
            if let WindowEvent::SegmentOpened {
                msn,
                discontinuity_sequence,
                ..
            } = &event
                && !self.lease.record(*msn, *discontinuity_sequence).await
            {
                return Ok(Some(End::Fenced));
            }
            if let Err(refused) = self.stream.apply(&event) {
                metrics::counter!("streamr_window_refusals_total", "at" => "origin").increment(1);
                tracing::warn!(stream_id = %self.stream.id(), epoch = %self.packaging.epoch(), %refused, "an origin's window refused an event; the origin ends");
                return Ok(Some(End::Fenced));
            }
        }
        Ok(None)
    }
}

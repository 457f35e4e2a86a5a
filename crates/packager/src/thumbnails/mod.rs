//! Thumbnails of live streams: made when somebody asks, once for all who ask, and not often.
//!
//! At most one try in ten seconds for each stream, and few at once in the process: a picture is never
//! worth a stall.

mod ffmpeg;

use std::{collections::HashMap, sync::Arc, time::Duration};

use delivery::{Keyframe, Stream, Thumbnail};
use parking_lot::Mutex;
use runtime::Shutdown;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};
use types::StreamId;

use crate::config::ThumbnailSettings;
use ffmpeg::{Failure, Ffmpeg};

/// Between two tries for one stream.
const EVERY: Duration = Duration::from_secs(10);
/// How long whoever asks waits for a picture that is being made.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a stream that nobody watched here may take to its first segment.
const FIRST_SEGMENT: Duration = Duration::from_secs(3);
/// A picture older than this shows what was, not what is.
const STALE: Duration = Duration::from_secs(60);
/// Streams with a picture; further ones have none.
const MAX_STREAMS: usize = 1000;
/// After the program was missing, how long it isn't looked for.
const MISSING: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Slot {
    made: Option<(Instant, Thumbnail)>,
    tried: Instant,
    making: bool,
}

struct Shared {
    ffmpeg: Option<Ffmpeg>,
    slots: Mutex<HashMap<StreamId, Slot>>,
    at_once: Semaphore,
    missing: Mutex<Option<Instant>>,
    /// Counts tries that ended.
    ended: watch::Sender<u64>,
    shutdown: Shutdown,
}

/// The pictures of this edge. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Thumbnails(Arc<Shared>);

impl Thumbnails {
    pub(crate) fn new(settings: ThumbnailSettings, shutdown: Shutdown) -> Self {
        Self(Arc::new(Shared {
            ffmpeg: settings.ffmpeg.map(Ffmpeg::new),
            slots: Mutex::default(),
            at_once: Semaphore::new(settings.at_once.max(1)),
            missing: Mutex::default(),
            ended: watch::Sender::new(0),
            shutdown,
        }))
    }

    /// A picture of the stream, at most some seconds old; `None` when there is none.
    pub(crate) async fn get(&self, stream: &Arc<Stream>) -> Option<Thumbnail> {
        if self.0.ffmpeg.is_none() || self.0.is_missing() {
            return None;
        }
        let (id, deadline) = (stream.id(), Instant::now() + PATIENCE);
        let mut ended = self.0.ended.subscribe();
        if self.0.begin(id)? {
            let (shared, stream) = (Arc::clone(&self.0), Arc::clone(stream));
            self.0
                .shutdown
                .spawn_until_cancelled(async move { shared.make(&stream).await });
        }
        while self.0.is_making(id) {
            if !matches!(timeout_at(deadline, ended.changed()).await, Ok(Ok(()))) {
                break;
            }
        }
        self.0.current(id)
    }
}

impl Shared {
    fn is_missing(&self) -> bool {
        let missing = *self.missing.lock();
        missing.is_some_and(|since| since.elapsed() < MISSING)
    }

    /// Whether it is the caller's to make one; `None` when no stream more can have one.
    fn begin(&self, id: StreamId) -> Option<bool> {
        let mut slots = self.slots.lock();
        if slots.len() >= MAX_STREAMS && !slots.contains_key(&id) {
            slots.retain(|_, slot| slot.making || slot.tried.elapsed() < STALE);
            if slots.len() >= MAX_STREAMS {
                metrics::counter!("streamr_thumbnails_total", "outcome" => "full").increment(1);
                return None;
            }
        }
        let mut first = false;
        let slot = slots.entry(id).or_insert_with(|| {
            first = true;
            Slot {
                made: None,
                tried: Instant::now(),
                making: true,
            }
        });
        let due = first || (!slot.making && slot.tried.elapsed() >= EVERY);
        if due {
            (slot.making, slot.tried) = (true, Instant::now());
        }
        Some(due)
    }

    fn is_making(&self, id: StreamId) -> bool {
        self.slots.lock().get(&id).is_some_and(|slot| slot.making)
    }

    fn current(&self, id: StreamId) -> Option<Thumbnail> {
        let slots = self.slots.lock();
        let (at, picture) = slots.get(&id)?.made.as_ref()?;
        (at.elapsed() < STALE).then(|| picture.clone())
    }

    /// Tries once.
    async fn make(&self, stream: &Stream) {
        let outcome = match stream.keyframe(FIRST_SEGMENT).await {
            Some(_) => self.in_turn(stream).await,
            None => Err(Failure::NoKeyframe),
        };
        let label = match &outcome {
            Ok(_) => "made",
            Err(failure) => failure.label(),
        };
        metrics::counter!("streamr_thumbnails_total", "outcome" => label).increment(1);
        if let Err(failure) = &outcome {
            tracing::debug!(stream_id = %stream.id(), %failure, "thumbnail");
        }
        if let Err(Failure::Missing(program)) = &outcome
            && self.missing.lock().replace(Instant::now()).is_none()
        {
            tracing::warn!(
                "no thumbnails: {program:?} can't be run; install ffmpeg, or set STREAMR__PACKAGER__FFMPEG (packager.ffmpeg) to where it is, or to \"off\" to do without"
            );
        }
        if let Some(slot) = self.slots.lock().get_mut(&stream.id()) {
            slot.making = false;
            if let Ok(picture) = outcome {
                slot.made = Some((Instant::now(), picture));
            }
        }
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// Waits for a place, then makes a picture of what is newest by then.
    async fn in_turn(&self, stream: &Stream) -> Result<Thumbnail, Failure> {
        let waiting = metrics::gauge!("streamr_thumbnails_waiting");
        waiting.increment(1);
        let place = self.at_once.acquire().await;
        waiting.decrement(1);
        let (Ok(_place), Some(ffmpeg)) = (place, &self.ffmpeg) else {
            return Err(Failure::NoKeyframe);
        };
        let keyframe: Option<Keyframe> = stream.keyframe(Duration::ZERO).await;
        let keyframe = keyframe.ok_or(Failure::NoKeyframe)?;
        Ok(Thumbnail::new(ffmpeg.picture(&keyframe).await?))
    }
}

#[cfg(test)]
mod tests;

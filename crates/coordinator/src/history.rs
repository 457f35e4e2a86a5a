//! The last ten minutes of what publishers sent, a sample a second: what the graphs show and what the
//! health light judges by.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use proto::coordinator::StreamHealth;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::Instant;
use types::StreamId;
use utoipa::ToSchema;

/// Samples kept of one stream.
const SAMPLES: usize = 600;
/// Streams kept; the one that was silent for longest makes room.
const STREAMS: usize = 1000;
/// Reports that come sooner after the last sample add none.
const SPACING: Duration = Duration::from_millis(800);

/// What arrived in a second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct HealthSample {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
    /// Bits per second.
    pub(crate) bitrate_bps: u64,
    /// Frames per second.
    pub(crate) frame_rate: f64,
    /// Length of the last whole group of pictures, in milliseconds.
    pub(crate) gop_ms: u32,
    /// Sound's time minus picture's, in milliseconds.
    pub(crate) drift_ms: i32,
    /// How many watched.
    pub(crate) viewers: u32,
}

struct History {
    samples: VecDeque<HealthSample>,
    last: Instant,
}

/// The histories of live streams, and of those that ended a while ago. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Histories {
    streams: Arc<Mutex<HashMap<StreamId, History>>>,
}

impl Histories {
    /// The stream starts anew.
    pub(crate) fn start(&self, id: StreamId) {
        self.streams.lock().remove(&id);
    }

    /// Adds what was reported.
    pub(crate) fn add(&self, id: StreamId, health: &StreamHealth, viewers: u32) {
        let mut streams = self.streams.lock();
        let now = Instant::now();
        // The first report comes with the first bytes: there is no second to speak of yet.
        if !streams.contains_key(&id) && health.bitrate_bps == 0 {
            return;
        }
        if !streams.contains_key(&id) && streams.len() >= STREAMS {
            let oldest = streams.iter().min_by_key(|(_, history)| history.last);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                streams.remove(&oldest);
            }
        }
        let history = streams.entry(id).or_insert_with(|| History {
            samples: VecDeque::new(),
            last: now,
        });
        if !history.samples.is_empty() && now - history.last < SPACING {
            return;
        }
        history.last = now;
        if history.samples.len() == SAMPLES {
            history.samples.pop_front();
        }
        history.samples.push_back(HealthSample {
            at: OffsetDateTime::now_utc(),
            bitrate_bps: health.bitrate_bps,
            frame_rate: f64::from(health.frame_rate_millihertz) / 1000.0,
            gop_ms: health.gop_ms,
            drift_ms: health.drift_ms,
            viewers,
        });
    }

    /// The samples of a stream, oldest first.
    pub(crate) fn of(&self, id: StreamId) -> Vec<HealthSample> {
        let streams = self.streams.lock();
        streams
            .get(&id)
            .map(|history| history.samples.iter().copied().collect())
            .unwrap_or_default()
    }

    /// The last `count` samples of a stream, oldest first.
    pub(crate) fn recent(&self, id: StreamId, count: usize) -> Vec<HealthSample> {
        let streams = self.streams.lock();
        let Some(history) = streams.get(&id) else {
            return Vec::new();
        };
        let skip = history.samples.len().saturating_sub(count);
        history.samples.iter().skip(skip).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_minutes_are_kept_a_sample_a_second() {
        let (histories, id) = (Histories::default(), StreamId::new());
        for second in 0..700_u64 {
            let health = StreamHealth {
                bitrate_bps: second + 1,
                ..StreamHealth::default()
            };
            histories.add(id, &health, 0);
            histories.add(id, &health, 0);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let samples = histories.of(id);
        assert_eq!(samples.len(), SAMPLES);
        assert_eq!(samples[0].bitrate_bps, 101);
        assert_eq!(histories.recent(id, 2)[1].bitrate_bps, 700);
        histories.start(id);
        assert!(histories.of(id).is_empty());
    }
}

//! A player that follows a stream: it takes every segment and notes what it met.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use bytes::{Bytes, BytesMut};
use reqwest::StatusCode;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{MediaPlaylist, Segment, Viewer};

/// A segment as it came.
#[derive(Debug, Clone)]
pub struct SeenSegment {
    /// Media sequence number.
    pub msn: u64,
    /// Epoch.
    pub epoch: u64,
    /// Seconds.
    pub duration: f64,
    /// Whether a discontinuity stands before it.
    pub discontinuity: bool,
    /// The `EXT-X-MAP` it needs.
    pub map: Option<String>,
    /// The initialization segment and it.
    pub bytes: Bytes,
    /// When it had come.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct Notes {
    segments: Vec<SeenSegment>,
    faults: Vec<String>,
    ended: bool,
}

/// A player in the background. It leaves when dropped.
#[derive(Debug)]
pub struct Follower {
    notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Follower {
    /// Follows the stream at a multivariant's URL, from now on.
    pub async fn start(url: &str) -> Result<Self> {
        let viewer = Viewer::open(url).await?;
        let notes = Arc::new(Mutex::new(Notes::default()));
        let follow = Follow {
            viewer,
            notes: Arc::clone(&notes),
            next: 0,
        };
        Ok(Self {
            notes,
            task: tokio::spawn(follow.run()),
        })
    }

    fn notes<T>(&self, look: impl FnOnce(&Notes) -> T) -> T {
        look(&self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Segments so far.
    pub fn segments(&self) -> Vec<SeenSegment> {
        self.notes(|notes| notes.segments.clone())
    }

    /// What went wrong so far. A playlist that is held or refused while nothing happens is no fault.
    pub fn faults(&self) -> Vec<String> {
        self.notes(|notes| notes.faults.clone())
    }

    /// Whether the playlist said that the stream is over.
    pub fn has_ended(&self) -> bool {
        self.notes(|notes| notes.ended)
    }

    /// Waits until `wanted` is content with the segments seen.
    pub async fn wait(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&[SeenSegment]) -> bool,
    ) -> Result<()> {
        crate::eventually(limit, what, || async {
            let content = self.notes(|notes| wanted(&notes.segments));
            anyhow::ensure!(content, "{}", self.summary());
            Ok(Some(()))
        })
        .await
    }

    /// Waits for `count` more segments.
    pub async fn more(&self, limit: Duration, count: usize) -> Result<()> {
        let before = self.notes(|notes| notes.segments.len());
        self.wait(
            limit,
            &format!("{count} more segments by HLS"),
            |segments| segments.len() >= before + count,
        )
        .await
    }

    /// What it met, in a line.
    pub fn summary(&self) -> String {
        self.notes(|notes| {
            let seen: Vec<String> = notes
                .segments
                .iter()
                .map(|s| {
                    format!(
                        "{}/{}{}",
                        s.epoch,
                        s.msn,
                        if s.discontinuity { "!" } else { "" }
                    )
                })
                .collect();
            format!(
                "segments {}; faults {:?}; ended {}",
                seen.join(" "),
                notes.faults,
                notes.ended
            )
        })
    }
}

struct Follow {
    viewer: Viewer,
    notes: Arc<Mutex<Notes>>,
    next: u64,
}

impl Follow {
    async fn run(mut self) {
        loop {
            match self.round().await {
                Ok(true) => return self.note(|notes| notes.ended = true),
                Ok(false) => {}
                Err(error) => {
                    self.note(|notes| notes.faults.push(format!("{error:#}")));
                    sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }

    fn note(&self, change: impl FnOnce(&mut Notes)) {
        change(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One reload and what is new in it; `true` at the end.
    async fn round(&mut self) -> Result<bool> {
        let query = match self.next {
            0 => String::new(),
            next => format!("_HLS_msn={next}"),
        };
        let answer = self.viewer.ask(&query).await?;
        match answer.status {
            StatusCode::OK => {}
            // The publisher is away, or a takeover is under way.
            StatusCode::SERVICE_UNAVAILABLE => {
                sleep(Duration::from_millis(500)).await;
                return Ok(false);
            }
            status => anyhow::bail!("reload {query}: {status} {}", answer.text()),
        }
        let playlist = MediaPlaylist::parse(&answer.text())?;
        if self.next == 0 {
            // As players do: not from the oldest.
            let behind = playlist.last_msn().map_or(0, |last| last.saturating_sub(2));
            self.next = behind.max(playlist.media_sequence);
        }
        let new: Vec<Segment> = playlist
            .whole()
            .filter(|segment| segment.msn >= self.next)
            .cloned()
            .collect();
        if new.is_empty() && !playlist.ended {
            // A playlist without blocking reload.
            sleep(Duration::from_millis(300)).await;
        }
        for segment in new {
            if segment.msn > self.next && !segment.discontinuity {
                let (msn, next) = (segment.msn, self.next);
                self.note(|notes| notes.faults.push(format!("{next} to {msn} are missing")));
            }
            self.next = segment.msn + 1;
            self.take(segment).await?;
        }
        Ok(playlist.ended)
    }

    async fn take(&mut self, segment: Segment) -> Result<()> {
        let mut bytes = BytesMut::new();
        if let Some(map) = &segment.map {
            bytes.extend_from_slice(&self.viewer.object(map).await?.body);
        }
        let uri = segment.uri.clone().unwrap_or_default();
        bytes.extend_from_slice(&self.viewer.object(&uri).await?.body);
        let seen = SeenSegment {
            msn: segment.msn,
            epoch: segment.epoch().unwrap_or(0),
            duration: segment.duration,
            discontinuity: segment.discontinuity,
            map: segment.map,
            bytes: bytes.freeze(),
            at: Instant::now(),
        };
        self.note(|notes| notes.segments.push(seen));
        Ok(())
    }
}

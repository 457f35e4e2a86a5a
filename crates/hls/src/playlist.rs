//! The model of a media playlist: a window of segments, the last of which may be in progress.

use std::collections::VecDeque;

use types::{Epoch, MediaTime, Msn, PartIndex, Timescale};

use crate::LiveEdge;

/// A partial segment (RFC 8216bis §4.4.4.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its index in its segment.
    pub index: PartIndex,
    /// Its duration.
    pub duration: MediaTime,
    /// Whether it starts with a keyframe.
    pub independent: bool,
    /// Whether its bytes are missing (`GAP=YES`).
    pub gap: bool,
}

/// A media segment, complete or in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its media sequence number.
    pub msn: Msn,
    /// The epoch that packaged it; part of its URI.
    pub epoch: Epoch,
    /// Which of the epoch's initialization segments it needs.
    pub init: u32,
    /// Its duration (`EXTINF`); `None` while in progress, when only its parts are there.
    pub duration: Option<MediaTime>,
    /// When its first sample was captured, in milliseconds since 1970 UTC.
    pub program_date_time_ms: i64,
    /// Whether time or encoding breaks before it (`EXT-X-DISCONTINUITY`).
    pub discontinuity: bool,
    /// Whether its bytes are missing (`EXT-X-GAP`).
    pub gap: bool,
    /// Whether it starts with a keyframe.
    pub independent: bool,
    /// Its parts so far. May be emptied once too old to be listed.
    pub parts: Vec<Part>,
    /// SHA-256 of its bytes; for friends' playlists.
    pub sha256: Option<[u8; 32]>,
}

impl Segment {
    /// Its duration, so far if it is in progress.
    pub fn duration_so_far(&self) -> MediaTime {
        self.duration.unwrap_or_else(|| {
            self.parts
                .iter()
                .fold(MediaTime::new(0, Timescale::VIDEO), |sum, part| {
                    sum.saturating_add(part.duration)
                })
        })
    }
}

/// A media playlist's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Playlist {
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target_duration: u32,
    /// `PART-TARGET`.
    pub part_target: MediaTime,
    /// In order, media sequence numbers contiguous (what is missing stands as a gap): a player counts
    /// them from the first. Only the last may be in progress.
    pub segments: VecDeque<Segment>,
    /// Discontinuities that have left the window (§4.4.3.3).
    pub discontinuity_sequence: u64,
    /// Whether no more will come (`EXT-X-ENDLIST`).
    pub ended: bool,
}

impl Playlist {
    /// A playlist without segments.
    pub const fn new(target_duration: u32, part_target: MediaTime) -> Self {
        Self {
            target_duration,
            part_target,
            segments: VecDeque::new(),
            discontinuity_sequence: 0,
            ended: false,
        }
    }

    /// Takes the oldest segment out and counts its discontinuity.
    pub fn pop_front(&mut self) -> Option<Segment> {
        let segment = self.segments.pop_front()?;
        self.discontinuity_sequence += u64::from(segment.discontinuity);
        Some(segment)
    }

    /// Takes out the oldest segments for as long as what remains lasts at least `window`.
    pub fn evict(&mut self, window: MediaTime) -> Vec<Segment> {
        let mut rest = self.duration();
        let mut evicted = Vec::new();
        while let Some(oldest) = self.segments.front() {
            rest = rest.saturating_sub(oldest.duration_so_far());
            if rest < window {
                break;
            }
            evicted.extend(self.pop_front());
        }
        evicted
    }

    /// The duration of everything listed.
    pub fn duration(&self) -> MediaTime {
        self.segments
            .iter()
            .fold(MediaTime::new(0, Timescale::VIDEO), |sum, segment| {
                sum.saturating_add(segment.duration_so_far())
            })
    }

    /// Where the playlist stands, for [`crate::resolve`].
    pub fn live_edge(&self) -> LiveEdge {
        let count = |segment: &Segment| segment.parts.len() as u32;
        let (open, parts, last) = match self.segments.back() {
            None => (Msn::ZERO, 0, None),
            Some(last) if last.duration.is_some() => (last.msn.next(), 0, Some(last)),
            Some(open) => (open.msn, count(open), self.segments.iter().rev().nth(1)),
        };
        let part_millis = self.part_target.as_millis().clamp(1, 1000) as u32;
        LiveEdge {
            open,
            parts,
            last_parts: last.map_or(0, count),
            advance_part_limit: 3000_u32.div_ceil(part_millis),
            ended: self.ended,
        }
    }
}

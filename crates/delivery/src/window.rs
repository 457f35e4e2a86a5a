//! The window of a stream: the newest segments, and how it grows. Pure of I/O and clocks.
//!
//! What can be asked of it is in `lookup`; how long it keeps what, in `retention`.

mod lookup;
mod retention;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use hls::Playlist;
use sha2::{Digest, Sha256};
use types::{Epoch, MediaTime, Msn};

use crate::{EpochInfo, SegmentDigest, WindowEvent, rendered::Rendered};

/// Numbers that a takeover may have skipped, shown as gaps; more, and the old segments go.
const MAX_GAPS: u64 = 3;
/// Initialization segments kept; a publisher that changes its encoding again and again keeps no more.
const MAX_INITS: usize = 64;

/// An event that the window doesn't take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It comes from an origin that was overtaken.
    #[error("epoch {given} is fenced by epoch {known}")]
    Fenced {
        /// Of the event.
        given: Epoch,
        /// Of the window.
        known: Epoch,
    },
    /// Its epoch would reuse numbers.
    #[error("segment {given} would go back behind {known}")]
    Backwards {
        /// Of the event.
        given: Msn,
        /// Of the window.
        known: Msn,
    },
    /// It fits to nothing before it.
    #[error("{0} is out of order")]
    OutOfOrder(&'static str),
}

/// The bytes of a segment.
#[derive(Debug)]
struct SegmentBytes {
    epoch: Epoch,
    parts: Vec<Bytes>,
    /// All parts in one piece, once complete; the parts are slices of it.
    whole: Option<Bytes>,
    digest: Option<SegmentDigest>,
}

/// What there is at an object's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// These bytes, forever.
    Found(Bytes),
    /// Nothing yet, but announced: worth waiting for.
    Announced,
    /// Nothing.
    Missing,
}

/// Where the objects are that a playlist names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// At the URL that is everybody's.
    Public,
    /// Under the session's own.
    Session,
}

/// A stream's window.
#[derive(Debug)]
pub(crate) struct Window {
    epoch: Option<EpochInfo>,
    playlist: Playlist,
    /// Discontinuities up to the newest segment.
    discontinuities: u64,
    media: HashMap<Msn, SegmentBytes>,
    /// Segments that left the playlist and are still served (RFC 8216bis §6.2.2), with their durations.
    retired: VecDeque<(Msn, MediaTime)>,
    inits: VecDeque<((Epoch, u32), Bytes)>,
    paused: bool,
    cache: HashMap<CacheKey, Arc<Rendered>>,
}

/// Whether low latency, whether a delta update of version 2, and where its objects are.
type CacheKey = (bool, Option<bool>, Scope);

impl Default for Window {
    fn default() -> Self {
        Self {
            epoch: None,
            playlist: Playlist::new(0, MediaTime::ZERO),
            discontinuities: 0,
            media: HashMap::new(),
            retired: VecDeque::new(),
            inits: VecDeque::new(),
            paused: false,
            cache: HashMap::new(),
        }
    }
}

impl Window {
    /// What the epoch fixes, once there is one.
    pub(crate) fn epoch(&self) -> Option<&EpochInfo> {
        self.epoch.as_ref()
    }

    /// Whether there is a playlist to play: a complete segment.
    pub(crate) fn is_playable(&self) -> bool {
        self.playlist
            .segments
            .iter()
            .any(|segment| segment.duration.is_some() && !segment.gap)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.playlist.ended
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn live_edge(&self) -> hls::LiveEdge {
        self.playlist.live_edge()
    }

    /// Takes an event. `Ok(false)`: known already, nothing changed.
    pub(crate) fn apply(&mut self, event: &WindowEvent) -> Result<bool, Refused> {
        let changed = match event {
            WindowEvent::EpochOpened(info) => self.open_epoch(info)?,
            WindowEvent::Init { generation, data } => self.add_init(*generation, data)?,
            WindowEvent::SegmentOpened { .. } => self.open_segment(event)?,
            WindowEvent::Part {
                msn,
                index,
                duration,
                independent,
                data,
            } => {
                let part = hls::Part {
                    index: *index,
                    duration: *duration,
                    independent: *independent,
                    gap: false,
                };
                self.add_part(*msn, part, data)?
            }
            WindowEvent::SegmentClosed {
                msn,
                duration,
                digest,
            } => self.close_segment(*msn, *duration, Some(digest.clone()))?,
            WindowEvent::Paused(paused) => std::mem::replace(&mut self.paused, *paused) != *paused,
            WindowEvent::Ended => {
                self.close_partial();
                self.trim_empty();
                !std::mem::replace(&mut self.playlist.ended, true)
            }
        };
        if changed {
            self.paused &= !matches!(event, WindowEvent::Part { .. });
            let whole = !matches!(
                event,
                WindowEvent::Part { .. } | WindowEvent::SegmentOpened { .. }
            );
            self.cache
                .retain(|(low_latency, ..), _| !low_latency && !whole);
        }
        Ok(changed)
    }

    fn open_epoch(&mut self, info: &EpochInfo) -> Result<bool, Refused> {
        let Some(known) = &self.epoch else {
            self.playlist.target_duration = info.target_duration;
            self.playlist.part_target = info.part_target;
            self.epoch = Some(info.clone());
            return Ok(true);
        };
        if info.epoch <= known.epoch {
            let fenced = Refused::Fenced {
                given: info.epoch,
                known: known.epoch,
            };
            return if info.epoch == known.epoch {
                Ok(false)
            } else {
                Err(fenced)
            };
        }
        self.close_partial();
        self.trim_empty();
        let next = self.next_msn();
        if let Some(next) = next {
            let gap = info.first_msn.get().checked_sub(next.get());
            match gap {
                None => {
                    return Err(Refused::Backwards {
                        given: info.first_msn,
                        known: next,
                    });
                }
                Some(gap) if gap > MAX_GAPS => self.retire_all(),
                Some(_) => {}
            }
        }
        // A playlist's target duration must not change; one that must is a new window.
        if self.playlist.ended || info.target_duration != self.playlist.target_duration {
            self.retire_all();
        }
        self.playlist.ended = false;
        self.playlist.target_duration = info.target_duration;
        self.playlist.part_target = info.part_target;
        self.epoch = Some(info.clone());
        Ok(true)
    }

    fn add_init(&mut self, generation: u32, data: &Bytes) -> Result<bool, Refused> {
        let epoch = self
            .epoch
            .as_ref()
            .ok_or(Refused::OutOfOrder("initialization segment"))?
            .epoch;
        if self
            .inits
            .iter()
            .any(|(key, _)| *key == (epoch, generation))
        {
            return Ok(false);
        }
        if self.inits.len() >= MAX_INITS {
            self.inits.pop_front();
        }
        self.inits.push_back(((epoch, generation), data.clone()));
        Ok(true)
    }

    fn next_msn(&self) -> Option<Msn> {
        self.playlist
            .segments
            .back()
            .map(|segment| segment.msn.next())
    }

    fn open_segment(&mut self, event: &WindowEvent) -> Result<bool, Refused> {
        let WindowEvent::SegmentOpened {
            msn,
            init,
            program_date_time_ms,
            discontinuity,
            discontinuity_sequence,
        } = event
        else {
            return Ok(false);
        };
        let info = self.epoch.as_ref().ok_or(Refused::OutOfOrder("segment"))?;
        let epoch = info.epoch;
        if let Some(next) = self.next_msn() {
            if *msn < next {
                return Ok(false);
            }
            if *msn > next {
                self.fill_gap(next, *msn, *program_date_time_ms);
            }
        }
        if self.playlist.segments.is_empty() {
            self.playlist.discontinuity_sequence =
                discontinuity_sequence.saturating_sub(u64::from(*discontinuity));
        }
        self.discontinuities = *discontinuity_sequence;
        self.playlist.segments.push_back(hls::Segment {
            msn: *msn,
            epoch,
            init: *init,
            duration: None,
            program_date_time_ms: *program_date_time_ms,
            discontinuity: *discontinuity,
            gap: false,
            independent: false,
            parts: Vec::new(),
            sha256: None,
        });
        self.media.insert(
            *msn,
            SegmentBytes {
                epoch,
                parts: Vec::new(),
                whole: None,
                digest: None,
            },
        );
        Ok(true)
    }

    /// Stands gaps for numbers that were never served here, sharing the time that passed.
    fn fill_gap(&mut self, from: Msn, to: Msn, until_ms: i64) {
        let count = to.get().saturating_sub(from.get());
        if count > MAX_GAPS {
            self.retire_all();
            return;
        }
        let Some(last) = self.playlist.segments.back() else {
            return;
        };
        let start = last.program_date_time_ms + last.duration_so_far().as_millis();
        let longest = i64::from(self.playlist.target_duration) * 1000;
        let each =
            (until_ms.saturating_sub(start) / count.cast_signed().max(1)).clamp(100, longest);
        for step in 0..count {
            let gap = hls::Segment {
                msn: from.saturating_add(step),
                epoch: last_epoch(&self.playlist),
                init: self
                    .playlist
                    .segments
                    .back()
                    .map_or(0, |segment| segment.init),
                duration: Some(MediaTime::from_millis(each)),
                program_date_time_ms: start + each * step.cast_signed(),
                discontinuity: false,
                gap: true,
                independent: false,
                parts: Vec::new(),
                sha256: None,
            };
            self.playlist.segments.push_back(gap);
        }
    }

    fn open(&mut self, msn: Msn) -> Option<(&mut hls::Segment, &mut SegmentBytes)> {
        let segment = self
            .playlist
            .segments
            .back_mut()
            .filter(|segment| segment.msn == msn)?;
        if segment.duration.is_some() {
            return None;
        }
        Some((segment, self.media.get_mut(&msn)?))
    }

    fn add_part(&mut self, msn: Msn, part: hls::Part, data: &Bytes) -> Result<bool, Refused> {
        if self.next_msn().is_some_and(|next| msn.next() < next) || self.is_complete(msn) {
            return Ok(false);
        }
        let (segment, bytes) = self.open(msn).ok_or(Refused::OutOfOrder("part"))?;
        match (part.index.get() as usize).cmp(&segment.parts.len()) {
            std::cmp::Ordering::Less => return Ok(false),
            std::cmp::Ordering::Greater => return Err(Refused::OutOfOrder("part")),
            std::cmp::Ordering::Equal => {}
        }
        if segment.parts.is_empty() {
            segment.independent = part.independent;
        }
        segment.parts.push(part);
        bytes.parts.push(data.clone());
        Ok(true)
    }

    fn is_complete(&self, msn: Msn) -> bool {
        self.playlist
            .segments
            .back()
            .is_some_and(|segment| segment.msn == msn && segment.duration.is_some())
    }

    fn close_segment(
        &mut self,
        msn: Msn,
        duration: MediaTime,
        digest: Option<SegmentDigest>,
    ) -> Result<bool, Refused> {
        if self.next_msn().is_some_and(|next| msn < next) && self.open(msn).is_none() {
            return Ok(false);
        }
        let (segment, bytes) = self.open(msn).ok_or(Refused::OutOfOrder("segment end"))?;
        // One copy, so that the segment is served in one piece; the parts become slices of it.
        let mut whole = BytesMut::with_capacity(bytes.parts.iter().map(Bytes::len).sum());
        for part in &bytes.parts {
            whole.extend_from_slice(part);
        }
        let whole = whole.freeze();
        let mut at = 0;
        for part in &mut bytes.parts {
            let end = at + part.len();
            *part = whole.slice(at..end);
            at = end;
        }
        segment.duration = Some(duration);
        segment.sha256 = Some(
            digest
                .as_ref()
                .map_or_else(|| Sha256::digest(&whole).into(), |digest| digest.sha256),
        );
        bytes.whole = Some(whole);
        bytes.digest = digest;
        self.slide();
        Ok(true)
    }

    /// Ends the open segment with the parts it has: its origin is gone.
    fn close_partial(&mut self) {
        let Some(open) = self
            .playlist
            .segments
            .back()
            .filter(|segment| segment.duration.is_none())
        else {
            return;
        };
        if !open.parts.is_empty() {
            let (msn, duration) = (open.msn, open.duration_so_far());
            let _ = self.close_segment(msn, duration, None);
        }
    }

    /// Takes out an open segment that has no part.
    fn trim_empty(&mut self) {
        if self
            .playlist
            .segments
            .back()
            .is_some_and(|segment| segment.duration.is_none() && segment.parts.is_empty())
            && let Some(segment) = self.playlist.segments.pop_back()
        {
            self.discontinuities = self
                .discontinuities
                .saturating_sub(u64::from(segment.discontinuity));
            self.media.remove(&segment.msn);
        }
    }
}

fn last_epoch(playlist: &Playlist) -> Epoch {
    playlist
        .segments
        .back()
        .map_or(Epoch::ZERO, |segment| segment.epoch)
}

#[cfg(test)]
mod tests;

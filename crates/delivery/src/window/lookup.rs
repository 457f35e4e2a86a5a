//! What can be asked of a window: playlists, objects, digests, a snapshot.

use std::sync::Arc;

use hls::{Flavour, RenderOptions, Skip};
use types::{Epoch, Msn, PartIndex};

use super::{Object, Scope, Window};
use crate::{Keyframe, SegmentDigest, WindowEvent, rendered::Rendered};

/// How far an edge may lag behind another, in segments beyond the next.
const AHEAD: u64 = 1;
/// The same in parts.
const PARTS_AHEAD: usize = 4;

impl Window {
    /// The playlist, rendered once for all who ask.
    pub(crate) fn render(
        &mut self,
        flavour: Flavour,
        skip: Option<Skip>,
        scope: Scope,
    ) -> Arc<Rendered> {
        let key = (
            flavour == Flavour::LowLatency,
            skip.map(|skip| skip == Skip::V2),
            scope,
        );
        let playlist = &self.playlist;
        let rendered = self.cache.entry(key).or_insert_with(|| {
            let options = RenderOptions {
                flavour,
                skip,
                prefix: match scope {
                    Scope::Public => RenderOptions::SESSION_PREFIX,
                    // The same text for every session.
                    Scope::Session => "",
                },
            };
            Arc::new(Rendered::new(playlist.render(&options)))
        });
        Arc::clone(rendered)
    }

    /// The initialization segment at this URL.
    pub(crate) fn init(&self, epoch: Epoch, generation: u32) -> Object {
        let found = self
            .inits
            .iter()
            .find(|(key, _)| *key == (epoch, generation));
        match found {
            Some((_, data)) => Object::Found(data.clone()),
            None if self.is_behind(epoch) => Object::Announced,
            None => Object::Missing,
        }
    }

    /// Whether another edge may know an epoch that this one is about to hear of: a player that came from
    /// there waits a moment for what this window doesn't have yet.
    fn is_behind(&self, epoch: Epoch) -> bool {
        let known = self.epoch.as_ref().map(|info| info.epoch);
        !self.playlist.ended
            && known.is_none_or(|known| epoch.get() == known.get().saturating_add(1))
    }

    /// Whether a number is what comes next, here or at an edge that heard of it a moment earlier.
    fn is_upcoming(&self, epoch: Epoch, msn: Msn) -> bool {
        let current = self.epoch.as_ref().is_some_and(|info| info.epoch == epoch);
        let ahead = self
            .next_msn()
            .and_then(|next| msn.get().checked_sub(next.get()));
        self.is_behind(epoch)
            || (current && !self.playlist.ended && ahead.is_some_and(|ahead| ahead <= AHEAD))
    }

    /// The segment at this URL.
    pub(crate) fn segment(&self, epoch: Epoch, msn: Msn) -> Object {
        let found = self
            .media
            .get(&msn)
            .filter(|segment| segment.epoch == epoch);
        match found.map(|segment| &segment.whole) {
            Some(Some(whole)) => Object::Found(whole.clone()),
            Some(None) => Object::Announced,
            None if self.is_upcoming(epoch, msn) => Object::Announced,
            None => Object::Missing,
        }
    }

    /// The part at this URL.
    pub(crate) fn part(&self, epoch: Epoch, msn: Msn, index: PartIndex) -> Object {
        if let Some(segment) = self
            .media
            .get(&msn)
            .filter(|segment| segment.epoch == epoch)
        {
            if let Some(part) = segment.parts.get(index.get() as usize) {
                return Object::Found(part.clone());
            }
            let ahead = (index.get() as usize).checked_sub(segment.parts.len());
            let is_upcoming = ahead.is_some_and(|ahead| ahead <= PARTS_AHEAD);
            return if segment.whole.is_none() && is_upcoming {
                Object::Announced
            } else {
                Object::Missing
            };
        }
        // The preload hint behind a segment's last part names part 0 of the next segment.
        if (index.get() as usize) <= PARTS_AHEAD && self.is_upcoming(epoch, msn) {
            Object::Announced
        } else {
            Object::Missing
        }
    }

    /// What a picture of the newest segment can be made from.
    pub(crate) fn keyframe(&self) -> Option<Keyframe> {
        self.epoch.as_ref()?.resolution?;
        let newest = self
            .playlist
            .segments
            .iter()
            .rev()
            .find(|segment| segment.independent && !segment.parts.is_empty())?;
        let Object::Found(init) = self.init(newest.epoch, newest.init) else {
            return None;
        };
        Some(Keyframe {
            at: (newest.epoch, newest.msn),
            init,
            fragment: self.media.get(&newest.msn)?.parts.first()?.clone(),
        })
    }

    /// Digests of segments after `after`, in order.
    pub(crate) fn digests(&self, after: Option<Msn>) -> Vec<SegmentDigest> {
        let wanted = self
            .playlist
            .segments
            .iter()
            .filter(|segment| after.is_none_or(|after| segment.msn > after));
        wanted
            .filter_map(|segment| self.media.get(&segment.msn)?.digest.clone())
            .collect()
    }

    /// The events that make a window like this one.
    pub(crate) fn snapshot(&self) -> Vec<WindowEvent> {
        let Some(info) = &self.epoch else {
            return Vec::new();
        };
        let first_of_epoch = |segment: &&hls::Segment| segment.epoch == info.epoch && !segment.gap;
        let segments: Vec<_> = self
            .playlist
            .segments
            .iter()
            .filter(first_of_epoch)
            .collect();
        let mut events = vec![WindowEvent::EpochOpened(info.clone())];
        let inits = self
            .inits
            .iter()
            .filter(|((epoch, _), _)| *epoch == info.epoch);
        events.extend(inits.map(|((_, generation), data)| WindowEvent::Init {
            generation: *generation,
            data: data.clone(),
        }));
        let tags = segments
            .iter()
            .filter(|segment| segment.discontinuity)
            .count() as u64;
        let mut sequence = self.discontinuities.saturating_sub(tags);
        for segment in segments {
            sequence += u64::from(segment.discontinuity);
            self.snapshot_segment(segment, sequence, &mut events);
        }
        if self.paused {
            events.push(WindowEvent::Paused(true));
        }
        if self.playlist.ended {
            events.push(WindowEvent::Ended);
        }
        events
    }

    fn snapshot_segment(
        &self,
        segment: &hls::Segment,
        discontinuity_sequence: u64,
        events: &mut Vec<WindowEvent>,
    ) {
        let Some(bytes) = self.media.get(&segment.msn) else {
            return;
        };
        events.push(WindowEvent::SegmentOpened {
            msn: segment.msn,
            init: segment.init,
            program_date_time_ms: segment.program_date_time_ms,
            discontinuity: segment.discontinuity,
            discontinuity_sequence,
        });
        for (part, data) in segment.parts.iter().zip(&bytes.parts) {
            events.push(WindowEvent::Part {
                msn: segment.msn,
                index: part.index,
                duration: part.duration,
                independent: part.independent,
                data: data.clone(),
            });
        }
        if let (Some(duration), Some(digest)) = (segment.duration, &bytes.digest) {
            events.push(WindowEvent::SegmentClosed {
                msn: segment.msn,
                duration,
                digest: digest.clone(),
            });
        }
    }
}

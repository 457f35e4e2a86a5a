//! Writing media playlists (RFC 8216bis §4).

use std::fmt::Write as _;

use types::{MediaTime, Msn, PartIndex};

use crate::{
    Playlist, Segment, Skip,
    timing::{Seconds, UtcMillis},
};

/// Which of the two playlists over the same segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Parts, blocking reload, preload hint and delta updates (§6.2.5).
    LowLatency,
    /// Whole segments and their digests: `#EXT-X-STREAMR-SHA256:<hex>`. Carried by friends; peer-to-peer
    /// loaders give up on blocking reload, so nothing of that.
    Friends,
}

/// How to render a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions<'a> {
    /// Which playlist.
    pub flavour: Flavour,
    /// Whether a delta update is welcome (`_HLS_skip`); only for [`Flavour::LowLatency`].
    pub skip: Option<Skip>,
    /// What comes before `<epoch>/` in every URI.
    pub prefix: &'a str,
}

impl RenderOptions<'_> {
    /// The prefix where the playlist is at `/live/<stream>/s/<session>/` and segments are at
    /// `/live/<stream>/<epoch>/`.
    pub const SESSION_PREFIX: &'static str = "../../";

    /// A full playlist for [`Self::SESSION_PREFIX`].
    pub const fn new(flavour: Flavour) -> Self {
        Self {
            flavour,
            skip: None,
            prefix: Self::SESSION_PREFIX,
        }
    }
}

/// `HOLD-BACK`, and how long parts are listed, in target durations (§4.4.3.8, §6.2.2).
const HOLD_BACK: u32 = 3;
/// `CAN-SKIP-UNTIL` in target durations: the least allowed (§4.4.3.8).
const SKIP_UNTIL: u32 = 6;
/// `PART-HOLD-BACK` in part targets: the least advised (§4.4.3.8).
const PART_HOLD_BACK: i64 = 3;
/// Bytes a segment's lines need, about; with parts, more.
const SEGMENT_TEXT: usize = 160;
/// Bytes a part's line needs, about.
const PART_TEXT: usize = 80;

impl Playlist {
    /// The playlist's text. The same content gives the same text, so callers may cache it.
    pub fn render(&self, options: &RenderOptions<'_>) -> String {
        Renderer {
            playlist: self,
            options,
            text: String::with_capacity(
                512 + self.segments.len() * (SEGMENT_TEXT + options.prefix.len()) + 30 * PART_TEXT,
            ),
        }
        .render()
    }

    /// Segments at the start that a delta update leaves out: those before the skip boundary (§6.2.5.1).
    pub fn skippable(&self) -> usize {
        let boundary = self.target_durations(SKIP_UNTIL);
        let mut left = self.duration();
        self.segments
            .iter()
            .take_while(|segment| {
                // A segment that the boundary cuts stays.
                left = left.saturating_sub(segment.duration_so_far());
                left >= boundary && segment.duration.is_some()
            })
            .count()
    }

    fn target_durations(&self, count: u32) -> MediaTime {
        MediaTime::from_millis(i64::from(self.target_duration) * i64::from(count) * 1000)
    }
}

/// Writing into a `String` can't fail, so results are dropped.
struct Renderer<'a> {
    playlist: &'a Playlist,
    options: &'a RenderOptions<'a>,
    text: String,
}

impl Renderer<'_> {
    fn render(mut self) -> String {
        let playlist = self.playlist;
        let low_latency = self.options.flavour == Flavour::LowLatency;
        let listed = |segment: &&Segment| low_latency || segment.duration.is_some();
        let skipped = match self.options.skip {
            Some(Skip::Yes | Skip::V2) if low_latency => playlist.skippable(),
            _ => 0,
        };
        self.header();
        if skipped > 0 {
            let _ = writeln!(self.text, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}");
        }
        let parts_until = playlist.target_durations(HOLD_BACK);
        let mut left = playlist.duration();
        let mut map = None;
        for (index, segment) in playlist.segments.iter().filter(listed).enumerate() {
            left = left.saturating_sub(segment.duration_so_far());
            let needs = (segment.epoch, segment.init);
            let new_map = map.replace(needs) != Some(needs);
            if index >= skipped {
                self.segment(segment, new_map, low_latency && left < parts_until);
            }
        }
        if playlist.ended {
            self.text.push_str("#EXT-X-ENDLIST\n");
        } else if low_latency {
            self.preload_hint();
        }
        self.text
    }

    fn header(&mut self) {
        let playlist = self.playlist;
        let target = playlist.target_duration;
        let low_latency = self.options.flavour == Flavour::LowLatency;
        let version = if low_latency { 9 } else { 6 };
        let _ = write!(
            self.text,
            "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}\n"
        );
        let hold_back = u64::from(target) * u64::from(HOLD_BACK);
        if low_latency {
            let part_target = playlist.part_target;
            let part_hold_back = MediaTime::new(
                part_target.ticks() * PART_HOLD_BACK,
                part_target.timescale(),
            );
            let _ = write!(
                self.text,
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={}.0,HOLD-BACK={hold_back}.0,PART-HOLD-BACK={}\n\
                 #EXT-X-PART-INF:PART-TARGET={}\n",
                u64::from(target) * u64::from(SKIP_UNTIL),
                Seconds(part_hold_back),
                Seconds(part_target),
            );
        } else {
            let _ = writeln!(self.text, "#EXT-X-SERVER-CONTROL:HOLD-BACK={hold_back}.0");
        }
        let first = playlist.segments.front().map_or(Msn::ZERO, |s| s.msn);
        let _ = write!(
            self.text,
            "#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
            playlist.discontinuity_sequence
        );
        if playlist.segments.iter().all(|segment| segment.independent) {
            self.text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
    }

    fn segment(&mut self, segment: &Segment, new_map: bool, with_parts: bool) {
        let prefix = self.options.prefix;
        let (epoch, msn) = (segment.epoch, segment.msn);
        if segment.discontinuity {
            self.text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if new_map {
            let _ = writeln!(
                self.text,
                "#EXT-X-MAP:URI=\"{prefix}{epoch}/init{}.mp4\"",
                segment.init
            );
        }
        let _ = writeln!(
            self.text,
            "#EXT-X-PROGRAM-DATE-TIME:{}",
            UtcMillis(segment.program_date_time_ms)
        );
        for part in segment.parts.iter().filter(|_| with_parts) {
            let _ = write!(
                self.text,
                "#EXT-X-PART:DURATION={},URI=\"{prefix}{epoch}/{msn}.{}.m4s\"",
                Seconds(part.duration),
                part.index
            );
            if part.independent {
                self.text.push_str(",INDEPENDENT=YES");
            }
            if part.gap {
                self.text.push_str(",GAP=YES");
            }
            self.text.push('\n');
        }
        let Some(duration) = segment.duration else {
            return;
        };
        if segment.gap {
            self.text.push_str("#EXT-X-GAP\n");
        }
        if self.options.flavour == Flavour::Friends
            && let Some(digest) = &segment.sha256
        {
            self.text.push_str("#EXT-X-STREAMR-SHA256:");
            for byte in digest {
                let _ = write!(self.text, "{byte:02x}");
            }
            self.text.push('\n');
        }
        let _ = write!(
            self.text,
            "#EXTINF:{},\n{prefix}{epoch}/{msn}.m4s\n",
            Seconds(duration)
        );
    }

    /// The part that comes next, for the player to ask for it ahead (§4.4.5.3).
    fn preload_hint(&mut self) {
        let Some(last) = self.playlist.segments.back() else {
            return;
        };
        let (msn, part) = if last.duration.is_some() {
            (last.msn.next(), PartIndex::ZERO)
        } else {
            let next = last.parts.last().map(|part| part.index.next());
            (last.msn, next.unwrap_or(PartIndex::ZERO))
        };
        let _ = writeln!(
            self.text,
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}{}/{msn}.{part}.m4s\"",
            self.options.prefix, last.epoch
        );
    }
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;

//! Fragments: one `moof` with up to two track fragments, and its `mdat` (ISO 14496-12 §8.8).

use bytes::Bytes;
use media::TrackKind;

use crate::{
    boxes::{HEADER, Writer},
    init::{AUDIO_TRACK_ID, VIDEO_TRACK_ID},
};

/// `sample_depends_on` 2: needs no other sample.
const SYNC: u32 = 0x0200_0000;
/// `sample_depends_on` 1, and `sample_is_non_sync_sample`.
const NON_SYNC: u32 = 0x0101_0000;
/// `tfhd`: offsets count from the `moof`, and the sample flags' default is given.
const TFHD_FLAGS: u32 = 0x02_0020;
/// `trun`: data offset, and per sample duration and size.
const TRUN_FLAGS: u32 = 0x00_0301;
/// `trun`: flags for each sample.
const TRUN_SAMPLE_FLAGS: u32 = 0x00_0400;
/// `trun`: a composition offset for each sample, signed as the version is 1.
const TRUN_COMPOSITION: u32 = 0x00_0800;

/// One sample in a fragment; times are in ticks of its track's timescale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentSample {
    /// Ticks until the next sample is decoded.
    pub duration: u32,
    /// Presentation minus decode time, in ticks.
    pub composition_offset: i32,
    /// Whether decoding can start here.
    pub keyframe: bool,
    /// The coded bytes.
    pub payload: Bytes,
}

/// The samples of one track in a fragment, gapless from [`Self::base_decode_time`] on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackRun {
    /// The track.
    pub track: TrackKind,
    /// When the first sample is decoded, in ticks of the track's timescale.
    pub base_decode_time: u64,
    /// In decode order.
    pub samples: Vec<FragmentSample>,
}

impl TrackRun {
    fn payload_size(&self) -> usize {
        self.samples.iter().map(|s| s.payload.len()).sum()
    }

    /// `trun` flags: what is the same for every sample is left out, four bytes each.
    fn flags(&self) -> u32 {
        let mut flags = TRUN_FLAGS;
        if !self.samples.iter().all(|s| s.keyframe) {
            flags |= TRUN_SAMPLE_FLAGS;
        }
        if self.samples.iter().any(|s| s.composition_offset != 0) {
            flags |= TRUN_COMPOSITION;
        }
        flags
    }

    /// Bytes of the `traf`: its header, `tfhd`, `tfdt`, `trun`.
    fn traf_size(&self) -> usize {
        let per_sample = 4 * (self.flags() >> 8).count_ones() as usize;
        HEADER + 20 + 20 + 20 + per_sample * self.samples.len()
    }
}

/// Writes a fragment: `sequence` goes into `mfhd` and rises from fragment to fragment. Runs without
/// samples are left out. Payloads are copied once, into their place; together they must stay below 4 GiB.
pub fn fragment(sequence: u32, tracks: &[TrackRun]) -> Bytes {
    let runs = || tracks.iter().filter(|run| !run.samples.is_empty());
    let moof_size = HEADER + 16 + runs().map(TrackRun::traf_size).sum::<usize>();
    let payload_size: usize = runs().map(TrackRun::payload_size).sum();
    let mut w = Writer::with_capacity(moof_size + HEADER + payload_size);
    w.boxed(*b"moof", |w| {
        w.full_box(*b"mfhd", 0, 0, |w| w.u32(sequence));
        let mut offset = moof_size + HEADER;
        for run in runs() {
            track_fragment(w, run, offset as u32);
            offset += run.payload_size();
        }
    });
    debug_assert_eq!(w.len(), moof_size, "offsets were computed from this");
    w.boxed(*b"mdat", |w| {
        for sample in runs().flat_map(|run| &run.samples) {
            w.raw(&sample.payload);
        }
    });
    w.finish()
}

fn track_fragment(w: &mut Writer, run: &TrackRun, data_offset: u32) {
    let id = match run.track {
        TrackKind::Video => VIDEO_TRACK_ID,
        TrackKind::Audio => AUDIO_TRACK_ID,
    };
    let flags = run.flags();
    w.boxed(*b"traf", |w| {
        w.full_box(*b"tfhd", 0, TFHD_FLAGS, |w| {
            w.u32(id);
            w.u32(SYNC);
        });
        w.full_box(*b"tfdt", 1, 0, |w| w.u64(run.base_decode_time));
        w.full_box(*b"trun", 1, flags, |w| {
            w.u32(run.samples.len() as u32);
            w.u32(data_offset);
            for sample in &run.samples {
                w.u32(sample.duration);
                w.u32(sample.payload.len() as u32);
                if flags & TRUN_SAMPLE_FLAGS != 0 {
                    w.u32(if sample.keyframe { SYNC } else { NON_SYNC });
                }
                if flags & TRUN_COMPOSITION != 0 {
                    w.i32(sample.composition_offset);
                }
            }
        });
    });
}

//! Track clocks: from stream times, precise to a millisecond and jittered, to gapless ticks of a track.

use media::{AudioConfig, Sample, TrackKind, opus_packet_samples};
use types::{MediaTime, Timescale};

use crate::{FragmentSample, TrackRun};

/// An Opus packet whose duration can't be read counts as the usual 20 ms.
const USUAL_OPUS_PACKET: u32 = 960;

/// Places a track's samples on the track's own timescale.
///
/// *Video*: decode times are those of the stream, and a sample lasts until the next.
///
/// *Audio*: frames are counted, for their length is known exactly while RTMP rounds it to
/// milliseconds, and counting leaves neither gaps nor overlaps to crackle. When the count and the
/// stream's time come apart by more than one frame (lost samples, a sound card's drift), the stream
/// wins: ahead by a gap (in `tfdt`, or in the length of the sample before it), behind by shortening samples to
/// a tick. So sound is never off by more than a frame.
///
/// Ticks never go back while a clock lives: after a discontinuity make a new one, whose `origin` puts
/// its first sample behind the last.
#[derive(Debug, Clone)]
pub struct TrackClock {
    timescale: Timescale,
    /// The stream's time that is tick zero.
    origin: MediaTime,
    /// Where the last sample placed ends, in ticks.
    end: Option<u64>,
    frames: Frames,
}

/// How long a sample lasts.
#[derive(Debug, Clone, Copy)]
enum Frames {
    /// Video: until the next.
    UntilNext,
    /// AAC: this many ticks.
    Fixed(u32),
    /// Opus: as the packet says.
    Opus,
}

impl TrackClock {
    /// A clock of a video track, at 90 kHz. Stream time `origin` becomes tick zero; both tracks need the same.
    pub const fn video(origin: MediaTime) -> Self {
        Self {
            timescale: Timescale::VIDEO,
            origin,
            end: None,
            frames: Frames::UntilNext,
        }
    }

    /// A clock of an audio track, at its sample rate.
    pub fn audio(config: &AudioConfig, origin: MediaTime) -> Self {
        Self {
            timescale: Timescale::new(config.sample_rate).unwrap_or(Timescale::MILLIS),
            origin,
            end: None,
            frames: config
                .samples_per_frame()
                .map_or(Frames::Opus, Frames::Fixed),
        }
    }

    /// The track's timescale.
    pub const fn timescale(&self) -> Timescale {
        self.timescale
    }

    /// Where the last sample placed ends, in ticks; zero before the first.
    pub fn end(&self) -> u64 {
        self.end.unwrap_or(0)
    }

    /// Places the samples of one fragment, in decode order. `end` is the decode time of the sample
    /// that will follow them, or the best guess of it; audio doesn't need it.
    pub fn place(&mut self, samples: &[Sample], end: MediaTime) -> TrackRun {
        match self.frames {
            Frames::UntilNext => self.place_video(samples, end),
            Frames::Fixed(_) | Frames::Opus => self.place_audio(samples),
        }
    }

    fn ticks(&self, time: MediaTime) -> u64 {
        // On the track's timescale already, so that the subtraction rounds once.
        let ticks = time
            .rescale(self.timescale)
            .saturating_sub(self.origin.rescale(self.timescale));
        u64::try_from(ticks).unwrap_or(0)
    }

    fn place_video(&mut self, samples: &[Sample], end: MediaTime) -> TrackRun {
        let mut start = samples
            .first()
            .map_or(0, |first| self.ticks(first.decode_time))
            .max(self.end());
        let base_decode_time = start;
        let mut placed = Vec::with_capacity(samples.len());
        for (index, sample) in samples.iter().enumerate() {
            let next = samples.get(index + 1).map_or(end, |next| next.decode_time);
            // Two samples at one time happen (a publisher's rounding); players want them apart.
            let next = self.ticks(next).max(start.saturating_add(1));
            let shown = self.ticks(sample.presentation_time());
            let offset = i128::from(shown) - i128::from(start);
            placed.push(FragmentSample {
                duration: u32::try_from(next - start).unwrap_or(u32::MAX),
                composition_offset: offset.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
                keyframe: sample.keyframe,
                payload: sample.payload.clone(),
            });
            start = start.saturating_add((next - start).min(u32::MAX.into()));
        }
        self.finish_run(TrackKind::Video, base_decode_time, start, placed)
    }

    fn place_audio(&mut self, samples: &[Sample]) -> TrackRun {
        let mut placed: Vec<FragmentSample> = Vec::with_capacity(samples.len());
        let mut base_decode_time = None;
        let mut next = self.end;
        for sample in samples {
            let frame = u64::from(self.frame_duration(sample)).max(1);
            let said = self.ticks(sample.decode_time);
            let counted = next.unwrap_or(said);
            let mut start = counted;
            let mut end = counted.saturating_add(frame);
            if said > end {
                start = said;
                end = said.saturating_add(frame);
                if let Some(before) = placed.last_mut() {
                    let longer = u64::from(before.duration).saturating_add(said - counted);
                    before.duration = u32::try_from(longer).unwrap_or(u32::MAX);
                }
            } else if counted.saturating_sub(said) > frame {
                end = said.saturating_add(frame).max(counted.saturating_add(1));
            }
            base_decode_time.get_or_insert(start);
            placed.push(FragmentSample {
                duration: u32::try_from(end - start).unwrap_or(u32::MAX),
                composition_offset: 0,
                keyframe: true,
                payload: sample.payload.clone(),
            });
            next = Some(end);
        }
        let base = base_decode_time.unwrap_or_else(|| self.end());
        let end = next.unwrap_or(base);
        self.finish_run(TrackKind::Audio, base, end, placed)
    }

    fn frame_duration(&self, sample: &Sample) -> u32 {
        match self.frames {
            Frames::Fixed(ticks) => ticks,
            Frames::Opus | Frames::UntilNext => {
                opus_packet_samples(&sample.payload).unwrap_or(USUAL_OPUS_PACKET)
            }
        }
    }

    fn finish_run(
        &mut self,
        track: TrackKind,
        base_decode_time: u64,
        end: u64,
        samples: Vec<FragmentSample>,
    ) -> TrackRun {
        if !samples.is_empty() {
            self.end = Some(end);
        }
        TrackRun {
            track,
            base_decode_time,
            samples,
        }
    }
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;

//! Clocks on jittered, lossy and drifting streams.

use bytes::Bytes;
use media::AudioCodec;
use proptest::prelude::*;

use super::*;

fn sample(track: TrackKind, millis: i64) -> Sample {
    Sample {
        track,
        decode_time: MediaTime::from_millis(millis),
        composition_offset: MediaTime::ZERO,
        keyframe: true,
        payload: Bytes::from_static(b"x"),
    }
}

fn aac() -> AudioConfig {
    AudioConfig::parse(AudioCodec::Aac, Bytes::from_static(&[0x12, 0x10])).unwrap()
}

/// Times of frames of 1024 at 44.1 kHz, rounded down to milliseconds as RTMP does.
fn aac_millis(frame: i64) -> i64 {
    frame * 1024 * 1000 / 44_100
}

#[test]
fn video_decode_times_are_exact() {
    let mut clock = TrackClock::video(MediaTime::from_millis(1000));
    let samples = [1000, 1033, 1067].map(|at| sample(TrackKind::Video, at));
    let run = clock.place(&samples, MediaTime::from_millis(1100));
    assert_eq!(run.base_decode_time, 0);
    let durations: Vec<_> = run.samples.iter().map(|s| s.duration).collect();
    assert_eq!(durations, [2970, 3060, 2970]);
    let run = clock.place(
        &[sample(TrackKind::Video, 1100)],
        MediaTime::from_millis(1133),
    );
    assert_eq!(run.base_decode_time, 9000);
}

#[test]
fn video_times_that_stand_still_or_go_back_move_on_by_a_tick() {
    let mut clock = TrackClock::video(MediaTime::ZERO);
    let samples = [0, 0, 40, 20].map(|at| sample(TrackKind::Video, at));
    let run = clock.place(&samples, MediaTime::from_millis(60));
    let durations: Vec<_> = run.samples.iter().map(|s| s.duration).collect();
    assert_eq!(durations, [1, 3599, 1, 1799]);
}

#[test]
fn audio_frames_are_counted_through_rounding() {
    let mut clock = TrackClock::audio(&aac(), MediaTime::ZERO);
    let mut next = 0;
    for part in 0..2000 {
        let samples: Vec<_> = (part * 14..part * 14 + 14)
            .map(|frame| sample(TrackKind::Audio, aac_millis(frame)))
            .collect();
        let run = clock.place(&samples, MediaTime::ZERO);
        assert_eq!(run.base_decode_time, next);
        assert!(run.samples.iter().all(|s| s.duration == 1024));
        next += 14 * 1024;
    }
}

#[test]
fn lost_audio_is_a_gap_before_a_fragment_or_within() {
    let mut clock = TrackClock::audio(&aac(), MediaTime::ZERO);
    clock.place(&[sample(TrackKind::Audio, 0)], MediaTime::ZERO);
    let later = [1000, 1023, 2000].map(|at| sample(TrackKind::Audio, at));
    let run = clock.place(&later, MediaTime::ZERO);
    assert_eq!(run.base_decode_time, 44_100);
    let durations: Vec<_> = run.samples.iter().map(|s| s.duration).collect();
    assert_eq!(durations, [1024, 43_076, 1024]);
}

#[test]
fn audio_from_a_fast_sound_card_stays_within_a_frame() {
    // One percent too many frames.
    let mut clock = TrackClock::audio(&aac(), MediaTime::ZERO);
    for frame in 0..5000 {
        let at = aac_millis(frame) * 99 / 100;
        let run = clock.place(&[sample(TrackKind::Audio, at)], MediaTime::ZERO);
        let said = at * 44_100 / 1000;
        let off = i64::try_from(run.base_decode_time).unwrap() - said;
        assert!(off.abs() <= 2 * 1024, "{off} at {frame}");
    }
}

#[test]
fn opus_packets_are_counted_by_their_own_length() {
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    let config = AudioConfig::parse(AudioCodec::Opus, Bytes::from_static(head)).unwrap();
    let mut clock = TrackClock::audio(&config, MediaTime::ZERO);
    let mut packet = sample(TrackKind::Audio, 0);
    packet.payload = Bytes::from_static(&[30 << 3]);
    let run = clock.place(&[packet], MediaTime::ZERO);
    assert_eq!(run.samples.first().map(|s| s.duration), Some(480));
}

proptest! {
    #[test]
    fn ticks_never_go_back(
        video in any::<bool>(),
        times in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![-5_000..60_000_i64, any::<i64>()], 0..8), 1..20),
    ) {
        let (mut clock, track) = if video {
            (TrackClock::video(MediaTime::ZERO), TrackKind::Video)
        } else {
            (TrackClock::audio(&aac(), MediaTime::ZERO), TrackKind::Audio)
        };
        let mut end = 0;
        for part in times {
            let samples: Vec<_> = part.iter().map(|at| sample(track, *at)).collect();
            let run = clock.place(&samples, MediaTime::from_millis(part.len() as i64));
            prop_assert!(run.base_decode_time >= end || run.samples.is_empty());
            if !run.samples.is_empty() {
                let total: u64 = run.samples.iter().map(|s| u64::from(s.duration)).sum();
                end = run.base_decode_time.saturating_add(total);
                prop_assert!(end <= clock.end());
            }
        }
    }
}

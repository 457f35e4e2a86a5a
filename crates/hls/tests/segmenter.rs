//! The segmenter on streams as publishers send them.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use bytes::Bytes;
use hls::{Cut, PartCut, SegmentCut, Segmenter, SegmenterOptions};
use media::{Sample, TrackKind};
use proptest::prelude::*;
use types::{MediaTime, Msn};

fn sample(track: TrackKind, millis: i64, keyframe: bool) -> Sample {
    Sample {
        track,
        decode_time: MediaTime::from_millis(millis),
        composition_offset: MediaTime::ZERO,
        keyframe,
        payload: Bytes::new(),
    }
}

fn segmenter(lead: TrackKind) -> Segmenter {
    Segmenter::new(SegmenterOptions {
        start_msn: Msn::new(100),
        lead,
        frame_rate: None,
        target_duration: None,
    })
}

/// Video times at `rate` frames a second, rounded to milliseconds, each off by its jitter.
fn video(rate: f64, gop: usize, jitter: &[i64]) -> Vec<Sample> {
    jitter
        .iter()
        .enumerate()
        .map(|(index, off)| {
            let millis = (index as f64 * 1000.0 / rate).round() as i64 + off + 5000;
            sample(TrackKind::Video, millis, index % gop == 0)
        })
        .collect()
}

/// AAC frames at 44.1 kHz over the time of `video`, merged by time.
fn with_audio(video: Vec<Sample>) -> Vec<Sample> {
    let end = video.last().unwrap().decode_time.as_millis();
    let times = (0..).map(|frame| 5000 + frame * 1024 * 1000 / 44_100);
    let audio = times
        .take_while(|at| *at <= end)
        .map(|at| sample(TrackKind::Audio, at, true));
    let mut all: Vec<_> = video.into_iter().chain(audio).collect();
    all.sort_by_key(|sample| sample.decode_time);
    all
}

fn run(segmenter: &mut Segmenter, samples: &[Sample]) -> Vec<Cut> {
    let mut cuts = Vec::new();
    for sample in samples {
        cuts.extend(segmenter.push(sample.clone()));
    }
    cuts.extend(segmenter.finish());
    cuts
}

fn parts(cuts: &[Cut]) -> Vec<&PartCut> {
    cuts.iter()
        .filter_map(|cut| match cut {
            Cut::Part(part) => Some(part),
            Cut::Segment(_) => None,
        })
        .collect()
}

fn segments(cuts: &[Cut]) -> Vec<&SegmentCut> {
    cuts.iter()
        .filter_map(|cut| match cut {
            Cut::Segment(segment) => Some(segment),
            Cut::Part(_) => None,
        })
        .collect()
}

/// Segments' durations. At the end the last frame's is a guess: as long as the one before.
fn millis(cuts: &[Cut]) -> Vec<i64> {
    let durations = segments(cuts).into_iter();
    durations.map(|s| s.duration.as_millis()).collect()
}

/// What every output must satisfy, whatever the input was.
fn check(segmenter: &Segmenter, cuts: &[Cut], input: &[Sample]) {
    for track in [TrackKind::Video, TrackKind::Audio] {
        let of = |part: &PartCut| match track {
            TrackKind::Video => part.video.clone(),
            TrackKind::Audio => part.audio.clone(),
        };
        let output: Vec<_> = parts(cuts).into_iter().flat_map(of).collect();
        let input: Vec<_> = input.iter().filter(|s| s.track == track).cloned().collect();
        assert_eq!(output, input, "nothing is lost or reordered");
    }
    let target = i64::from(segmenter.target_duration().unwrap());
    assert!((2..=10).contains(&target));
    let part_target = segmenter.part_target().unwrap();
    let mut msn = Msn::new(100);
    let mut inside: Vec<&PartCut> = Vec::new();
    for cut in cuts {
        match cut {
            Cut::Part(part) => {
                assert_eq!(part.msn, msn);
                assert_eq!(part.index.get() as usize, inside.len());
                inside.push(part);
            }
            Cut::Segment(segment) => {
                assert_eq!((segment.msn, segment.parts as usize), (msn, inside.len()));
                assert!((segment.duration.as_millis() + 500) / 1000 <= target);
                let sum = inside.iter().map(|part| part.duration.ticks()).sum::<i64>();
                assert_eq!(sum, segment.duration.ticks());
                let (_last, full) = inside.split_last().unwrap();
                for part in full {
                    let share = part.duration.as_secs_f64() / part_target.as_secs_f64();
                    assert!((0.85..=1.0).contains(&share), "{share} of {part_target:?}");
                }
                inside.clear();
                msn = msn.next();
            }
        }
    }
    assert!(inside.is_empty(), "finish closes the segment");
}

#[test]
fn two_second_gops_are_two_second_segments_of_six_parts() {
    let input = with_audio(video(30.0, 60, &[0; 180]));
    let mut segmenter = segmenter(TrackKind::Video);
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
    assert_eq!(millis(&cuts), [2000, 2000, 2001]);
    assert_eq!(segmenter.target_duration(), Some(2));
    assert_eq!(segmenter.part_target(), Some(MediaTime::from_millis(336)));
    assert!(
        segments(&cuts)
            .iter()
            .all(|s| s.independent && s.parts == 6)
    );
    let independent: Vec<_> = parts(&cuts).iter().map(|p| p.independent).collect();
    assert_eq!(
        independent,
        [true, false, false, false, false, false].repeat(3)
    );
}

#[test]
fn one_second_gops_are_paired() {
    let input = video(25.0, 25, &[0; 200]);
    let mut segmenter = segmenter(TrackKind::Video);
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
    assert_eq!(millis(&cuts), [2000, 2000, 2000, 2000]);
}

#[test]
fn the_default_of_obs_250_frames_makes_a_target_duration_of_eight() {
    let input = with_audio(video(30.0, 250, &[0; 750]));
    let mut segmenter = segmenter(TrackKind::Video);
    let mut first_part = None;
    for (index, sample) in input.iter().enumerate() {
        if !segmenter.push(sample.clone()).is_empty() {
            first_part = Some(index);
            break;
        }
    }
    assert!(first_part.is_some() && segmenter.target_duration().is_none());
    let mut segmenter = crate::segmenter(TrackKind::Video);
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
    assert_eq!(millis(&cuts), [8333, 8334, 8334]);
    assert_eq!(segmenter.target_duration(), Some(8));
}

#[test]
fn a_first_gop_without_end_is_closed_at_ten_seconds() {
    let input = video(30.0, 10_000, &[0; 700]);
    let mut segmenter = segmenter(TrackKind::Video);
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
    assert_eq!(segmenter.target_duration(), Some(10));
    let independent: Vec<_> = segments(&cuts).iter().map(|s| s.independent).collect();
    assert_eq!(independent, [true, false, false]);
}

#[test]
fn a_later_longer_gop_is_cut_and_the_next_keyframe_starts_afresh() {
    let mut input = video(30.0, 1000, &[0; 300]);
    for key in [60, 165, 225] {
        input[key].keyframe = true;
    }
    let mut segmenter = segmenter(TrackKind::Video);
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
    assert_eq!(millis(&cuts), [2000, 2467, 1033, 2000, 2467, 34]);
    let independent: Vec<_> = segments(&cuts).iter().map(|s| s.independent).collect();
    assert_eq!(independent, [true, true, false, true, true, false]);
}

#[test]
fn gops_that_cannot_be_paired_stay_alone() {
    let mut input = video(30.0, 1000, &[0; 240]);
    for key in [60, 105, 150, 195] {
        input[key].keyframe = true;
    }
    let mut segmenter = segmenter(TrackKind::Video);
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
    assert_eq!(millis(&cuts), [2000, 1500, 1500, 1500, 1501]);
    assert!(segments(&cuts).iter().all(|s| s.independent));
}

#[test]
fn sound_alone_is_cut_near_two_seconds() {
    let input: Vec<_> = with_audio(video(30.0, 60, &[0; 300]))
        .into_iter()
        .filter(|sample| sample.track == TrackKind::Audio)
        .collect();
    let mut segmenter = segmenter(TrackKind::Audio);
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
    assert!(
        segments(&cuts)[..4]
            .iter()
            .all(|s| (1985..2015).contains(&s.duration.as_millis()))
    );
}

#[test]
fn audio_is_cut_where_the_video_is() {
    let input = with_audio(video(30.0, 60, &[0; 180]));
    let mut segmenter = segmenter(TrackKind::Video);
    let cuts = run(&mut segmenter, &input);
    let (_last, but_last) = parts(&cuts)
        .split_last()
        .map(|(l, r)| (*l, r.to_vec()))
        .unwrap();
    for part in but_last {
        let end = part.start.saturating_add(part.duration);
        assert!(
            part.audio
                .iter()
                .all(|s| s.decode_time >= part.start && s.decode_time < end)
        );
    }
}

#[test]
fn what_comes_before_the_first_keyframe_is_dropped() {
    let input = with_audio(video(30.0, 60, &[0; 120]));
    let mut segmenter = segmenter(TrackKind::Video);
    for at in 0..30 {
        let early = sample(TrackKind::Video, 4000 + at * 33, false);
        assert!(segmenter.push(early).is_empty());
        assert!(
            segmenter
                .push(sample(TrackKind::Audio, 4000 + at * 23, true))
                .is_empty()
        );
    }
    let cuts = run(&mut segmenter, &input);
    check(&segmenter, &cuts, &input);
}

#[test]
fn a_discontinuity_closes_the_segment_and_marks_the_next() {
    let input = with_audio(video(30.0, 60, &[0; 100]));
    let mut segmenter = segmenter(TrackKind::Video);
    let mut cuts = Vec::new();
    for _ in 0..2 {
        for sample in &input {
            cuts.extend(segmenter.push(sample.clone()));
        }
        cuts.extend(segmenter.discontinuity());
    }
    let marks: Vec<_> = segments(&cuts).iter().map(|s| s.discontinuity).collect();
    assert_eq!(marks, [false, false, true, false]);
    assert!(
        parts(&cuts)
            .iter()
            .filter(|p| p.msn == Msn::new(102))
            .all(|p| p.discontinuity)
    );
    check(&segmenter, &cuts, &[input.clone(), input].concat());
}

#[test]
fn a_jump_in_time_breaks_the_timeline_by_itself() {
    for jump in [60_000, -4000] {
        let mut input = video(30.0, 60, &[0; 150]);
        for sample in &mut input[75..] {
            sample.decode_time = sample
                .decode_time
                .saturating_add(MediaTime::from_millis(jump));
        }
        let mut segmenter = segmenter(TrackKind::Video);
        let cuts = run(&mut segmenter, &input);
        check(&segmenter, &cuts, &input);
        let marks: Vec<_> = segments(&cuts).iter().map(|s| s.discontinuity).collect();
        assert_eq!(marks[..3], [false, false, true]);
    }
}

#[test]
fn absurd_times_do_not_panic() {
    let mut segmenter = segmenter(TrackKind::Video);
    for at in [0, i64::MAX, i64::MIN, 5, 5, i64::MAX, i64::MAX] {
        segmenter.push(sample(TrackKind::Video, at, true));
        segmenter.push(sample(TrackKind::Audio, at, true));
    }
    segmenter.finish();
    assert!(segmenter.finish().is_empty());
}

const RATES: [f64; 6] = [24.0, 25.0, 30_000.0 / 1001.0, 30.0, 50.0, 60.0];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn jittered_streams_are_cut_within_the_rules(
        rate in proptest::sample::select(&RATES[..]),
        gop in 5..400_usize,
        jitter in proptest::collection::vec(-1..=1_i64, 300..1500),
        audio in any::<bool>(),
    ) {
        let video = video(rate, gop, &jitter);
        let mut input = video;
        if audio {
            let first = input[0].decode_time;
            input = with_audio(input);
            // The first keyframe's jitter may put a frame of sound before it, which is dropped.
            let start = input.iter().position(|s| s.track == TrackKind::Video).unwrap();
            input.drain(..start);
            input.retain(|s| s.decode_time >= first);
        }
        let mut segmenter = segmenter(TrackKind::Video);
        let cuts = run(&mut segmenter, &input);
        check(&segmenter, &cuts, &input);
    }

    #[test]
    fn variable_frame_rates_lose_nothing(
        steps in proptest::collection::vec((0..400_i64, any::<u8>()), 2..300),
    ) {
        let mut at = 0;
        let input: Vec<_> = steps.iter().enumerate().map(|(index, (step, key))| {
            at += step;
            sample(TrackKind::Video, at, index == 0 || *key < 10)
        }).collect();
        let mut segmenter = segmenter(TrackKind::Video);
        let cuts = run(&mut segmenter, &input);
        let output: Vec<_> = parts(&cuts).into_iter().flat_map(|p| p.video.clone()).collect();
        prop_assert_eq!(output, input);
        let target = i64::from(segmenter.target_duration().unwrap());
        for segment in segments(&cuts) {
            prop_assert!((segment.duration.as_millis() + 500) / 1000 <= target);
        }
    }
}

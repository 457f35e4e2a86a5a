//! The structure of what we write, read back by an independent walk over its boxes.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::Write as _;

use bytes::Bytes;
use fmp4::{FragmentSample, TrackRun, fragment, init_segment};
use media::{AudioCodec, AudioConfig, TrackKind, VideoCodec, VideoConfig};
use proptest::prelude::*;

const CONTAINERS: [&[u8; 4]; 8] = [
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf",
];

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// One line for each box, indented by depth: type and size. Panics unless sizes add up.
fn tree(mut bytes: &[u8], depth: usize, text: &mut String) {
    while !bytes.is_empty() {
        let (this, rest) = bytes.split_at(number(bytes, 0));
        let kind: &[u8; 4] = this[4..8].try_into().unwrap();
        let name = String::from_utf8_lossy(kind);
        writeln!(text, "{:depth$}{name} {}", "", this.len()).unwrap();
        if CONTAINERS.contains(&kind) {
            tree(&this[8..], depth + 1, text);
        }
        bytes = rest;
    }
}

fn sample(duration: u32, offset: i32, keyframe: bool, payload: &'static [u8]) -> FragmentSample {
    FragmentSample {
        duration,
        composition_offset: offset,
        keyframe,
        payload: Bytes::from_static(payload),
    }
}

fn record(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(&bytes[1..])
}

#[test]
fn the_init_segment_has_both_tracks_and_no_samples() {
    let avc = record(include_bytes!(
        "../../media/fuzz/corpus/codec_configuration/avc_high_640x360_30"
    ));
    let aac = record(include_bytes!(
        "../../media/fuzz/corpus/codec_configuration/aac_lc_stereo_48000"
    ));
    let video = VideoConfig::parse(VideoCodec::H264, avc).unwrap();
    let audio = AudioConfig::parse(AudioCodec::Aac, aac).unwrap();
    let init = init_segment(Some(&video), Some(&audio)).unwrap();
    let mut text = String::new();
    tree(&init, 0, &mut text);
    assert_eq!(text, INIT_TREE);
    assert_eq!(init_segment(None, None), Err(fmp4::Error::NoTrack));
}

const INIT_TREE: &str = "\
ftyp 24
moov 1083
 mvhd 108
 trak 475
  tkhd 92
  mdia 375
   mdhd 32
   hdlr 38
   minf 297
    vmhd 20
    dinf 36
    stbl 233
     stsd 157
     stts 16
     stsc 16
     stsz 20
     stco 16
 trak 420
  tkhd 92
  mdia 320
   mdhd 32
   hdlr 38
   minf 242
    smhd 16
    dinf 36
    stbl 182
     stsd 106
     stts 16
     stsc 16
     stsz 20
     stco 16
 mvex 72
  trex 32
  trex 32
";

#[test]
fn a_fragment_is_one_moof_and_one_mdat() {
    let runs = [
        TrackRun {
            track: TrackKind::Video,
            base_decode_time: 90_000,
            samples: vec![
                sample(3000, 6000, true, b"key"),
                sample(3000, -3000, false, b"b"),
            ],
        },
        TrackRun {
            track: TrackKind::Audio,
            base_decode_time: 48_000,
            samples: vec![sample(1024, 0, true, b"sound")],
        },
    ];
    let bytes = fragment(7, &runs);
    let mut text = String::new();
    tree(&bytes, 0, &mut text);
    assert_eq!(
        text,
        "\
moof 200
 mfhd 16
 traf 100
  tfhd 20
  tfdt 20
  trun 52
 traf 76
  tfhd 20
  tfdt 20
  trun 28
mdat 17
"
    );
    // Each trun's data offset points at its own samples.
    let video_run = 24 + 8 + 40;
    let audio_run = 24 + 100 + 8 + 40;
    let video_data = number(&bytes, video_run + 16);
    let audio_data = number(&bytes, audio_run + 16);
    assert_eq!(&bytes[video_data..video_data + 4], b"keyb");
    assert_eq!(&bytes[audio_data..], b"sound");
}

proptest! {
    #[test]
    fn sizes_and_offsets_add_up(
        video in proptest::collection::vec((any::<u32>(), any::<i32>(), any::<bool>(), 0..50_usize), 0..20),
        audio in proptest::collection::vec((any::<u32>(), 0..20_usize), 0..20),
    ) {
        let runs = [
            TrackRun {
                track: TrackKind::Video,
                base_decode_time: u64::MAX,
                samples: video.iter().map(|(duration, offset, keyframe, size)| FragmentSample {
                    duration: *duration,
                    composition_offset: *offset,
                    keyframe: *keyframe,
                    payload: vec![b'v'; *size].into(),
                }).collect(),
            },
            TrackRun {
                track: TrackKind::Audio,
                base_decode_time: 0,
                samples: audio.iter().map(|(duration, size)| FragmentSample {
                    duration: *duration,
                    composition_offset: 0,
                    keyframe: true,
                    payload: vec![b'a'; *size].into(),
                }).collect(),
            },
        ];
        let bytes = fragment(1, &runs);
        let mut text = String::new();
        tree(&bytes, 0, &mut text);
        let moof = number(&bytes, 0);
        let payload = &bytes[moof + 8..];
        let video_size: usize = video.iter().map(|v| v.3).sum();
        let audio_size: usize = audio.iter().map(|a| a.1).sum();
        prop_assert_eq!(payload.len(), video_size + audio_size);
        prop_assert!(payload[..video_size].iter().all(|byte| *byte == b'v'));
        prop_assert_eq!(text.matches("traf").count(), usize::from(!video.is_empty()) + usize::from(!audio.is_empty()));
    }
}

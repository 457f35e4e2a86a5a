//! Video and audio tag bodies as encoders send them.

use super::*;
use crate::AudioTag;

fn frames(codec: VideoCodec, keyframe: bool, composition_time: i32) -> VideoTag {
    VideoTag::Frames {
        codec,
        keyframe,
        composition_time,
        payload: Bytes::from_static(b"data"),
    }
}

fn parse(head: &[u8], tail: &[u8]) -> Result<VideoTag, Error> {
    VideoTag::parse([head, tail].concat().into())
}

#[test]
fn composition_time_is_signed() {
    let tag = parse(&[0x27, 1, 0xff, 0xff, 0xd8], b"data");
    assert_eq!(tag, Ok(frames(VideoCodec::H264, false, -40)));
}

#[test]
fn enhanced_frames_carry_a_composition_time_only_where_specified() {
    let tag = parse(b"\x91hvc1\0\0\x21", b"data");
    assert_eq!(tag, Ok(frames(VideoCodec::H265, true, 33)));
    let tag = parse(b"\xa3hvc1", b"data");
    assert_eq!(tag, Ok(frames(VideoCodec::H265, false, 0)));
    let tag = parse(b"\x91av01", b"data");
    assert_eq!(tag, Ok(frames(VideoCodec::Av1, true, 0)));
}

#[test]
fn legacy_hevc_of_old_encoders_is_read() {
    let tag = parse(&[0x1c, 1, 0, 0, 0], b"data");
    assert_eq!(tag, Ok(frames(VideoCodec::H265, true, 0)));
}

#[test]
fn modifiers_are_skipped() {
    let tag = parse(b"\x97\x02\0\0\x01\x03av01", b"data");
    assert_eq!(tag, Ok(frames(VideoCodec::Av1, true, 0)));
}

#[test]
fn track_zero_is_picked_of_many() {
    let one = parse(b"\x96\x01av01\0", b"data");
    assert_eq!(one, Ok(frames(VideoCodec::Av1, true, 0)));
    let other = parse(b"\x96\x01av01\x01", b"data");
    assert_eq!(other, Ok(VideoTag::Ignored));
    let many = parse(b"\x96\x13av01\x01\0\0\x02no\0\0\0\x04", b"data");
    assert_eq!(many, Ok(frames(VideoCodec::Av1, true, 0)));
    let codecs = parse(b"\x96\x23vp09\x01\0\0\x02nohvc1\0\0\0\x04", b"data");
    assert_eq!(codecs, Ok(frames(VideoCodec::H265, true, 0)));
}

#[test]
fn an_unknown_codec_is_named() {
    let error = parse(b"\x91vp09", b"data").unwrap_err();
    assert_eq!(error.to_string(), "Video codec vp09 is not supported");
    let error = AudioTag::parse(Bytes::from_static(&[0x2f, 1])).unwrap_err();
    assert_eq!(error.to_string(), "Audio codec id 2 is not supported");
    assert!(error.is_fatal());
}

#[test]
fn nothing_to_decode_is_ignored() {
    let bodies: [&[u8]; 6] = [
        b"",
        &[0x17, 1, 0, 0, 0],
        &[0x17, 2, 0, 0, 0],
        &[0x57, 0],
        b"\x92hvc1",
        b"\xd4hvc1colorInfo",
    ];
    for body in bodies {
        assert_eq!(parse(body, b""), Ok(VideoTag::Ignored), "{body:?}");
    }
}

#[test]
fn opus_and_enhanced_aac_are_read() {
    let tag = AudioTag::parse(Bytes::from_static(b"\x91OpusX"));
    let expected = AudioTag::Frames {
        codec: media::AudioCodec::Opus,
        payload: Bytes::from_static(b"X"),
    };
    assert_eq!(tag, Ok(expected));
    let tag = AudioTag::parse(Bytes::from_static(b"\x90mp4a\x12\x10"));
    let expected = AudioTag::SequenceStart {
        codec: media::AudioCodec::Aac,
        record: Bytes::from_static(b"\x12\x10"),
    };
    assert_eq!(tag, Ok(expected));
}

#[test]
fn a_cut_header_says_where() {
    let error = parse(&[0x17, 1, 0], b"").unwrap_err();
    assert_eq!(error.to_string(), "tag is truncated in CompositionTime");
}

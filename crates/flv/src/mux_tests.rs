//! What the muxer writes, the parsers read.

use proptest::prelude::*;
use types::MediaTime;

use super::*;
use crate::{AudioTag, RawTag, Reader, VideoTag, file_header, metadata};

fn video_config(codec: VideoCodec) -> media::VideoConfig {
    media::VideoConfig {
        codec,
        record: Bytes::from_static(b"record"),
        width: 1280,
        height: 720,
        frame_rate: None,
        codec_string: String::new(),
    }
}

fn audio_config(codec: AudioCodec) -> media::AudioConfig {
    media::AudioConfig {
        codec,
        record: Bytes::from_static(b"record"),
        sample_rate: 48_000,
        channels: 2,
        codec_string: String::new(),
    }
}

fn sample(track: TrackKind, at: i64, offset: i64, keyframe: bool, payload: Vec<u8>) -> Packet {
    Packet::Sample(Sample {
        track,
        decode_time: MediaTime::from_millis(at),
        composition_offset: MediaTime::from_millis(offset),
        keyframe,
        payload: payload.into(),
    })
}

#[test]
fn a_file_reads_back_tag_by_tag() {
    let (video, audio) = (
        video_config(VideoCodec::H264),
        audio_config(AudioCodec::Aac),
    );
    let mut file = BytesMut::from(file_header(true, true).as_ref());
    Tag::script(0, metadata(Some(&video), Some(&audio))).write(&mut file);
    let mut muxer = Muxer::new();
    let config = Packet::Config(CodecConfig::Video(video));
    muxer.write_tag(&mut file, &config).unwrap();
    // Past 2^32 the timestamp wraps; past 2^24 the extended byte is used.
    let late = sample(TrackKind::Video, 0x1_0123_4567, 0, true, vec![1]);
    muxer.write_tag(&mut file, &late).unwrap();

    let mut reader = Reader::new();
    let mut tags: Vec<RawTag> = Vec::new();
    for byte in &file {
        reader.push(&[*byte]);
        tags.extend(reader.next_tag().unwrap());
    }
    let kinds: Vec<_> = tags.iter().map(|tag| (tag.kind, tag.timestamp)).collect();
    assert_eq!(
        kinds,
        [
            (TagKind::Script, 0),
            (TagKind::Video, 0),
            (TagKind::Video, 0x0123_4567)
        ]
    );
}

#[test]
fn a_sample_without_configuration_is_refused() {
    let packet = sample(TrackKind::Audio, 0, 0, true, vec![1]);
    assert!(Muxer::new().tag(&packet).is_err());
}

proptest! {
    #[test]
    fn video_round_trips(
        codec in prop_oneof![Just(VideoCodec::H264), Just(VideoCodec::H265), Just(VideoCodec::Av1)],
        at in 0_i64..0xffff_ffff,
        offset in -0x80_0000_i64..=0x7f_ffff,
        keyframe: bool,
        payload in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let mut muxer = Muxer::new();
        let config = muxer.tag(&Packet::Config(CodecConfig::Video(video_config(codec)))).unwrap();
        prop_assert_eq!(
            VideoTag::parse(config.to_body()),
            Ok(VideoTag::SequenceStart { codec, record: Bytes::from_static(b"record") })
        );
        let offset = if codec == VideoCodec::Av1 { 0 } else { offset };
        let tag = muxer.tag(&sample(TrackKind::Video, at, offset, keyframe, payload.clone())).unwrap();
        prop_assert_eq!(i64::from(tag.timestamp), at);
        prop_assert_eq!(
            VideoTag::parse(tag.to_body()),
            Ok(VideoTag::Frames {
                codec, keyframe, composition_time: offset as i32, payload: payload.into(),
            })
        );
    }

    #[test]
    fn audio_round_trips(
        codec in prop_oneof![Just(AudioCodec::Aac), Just(AudioCodec::Opus)],
        payload in prop::collection::vec(any::<u8>(), 1..64),
    ) {
        let mut muxer = Muxer::new();
        let config = muxer.tag(&Packet::Config(CodecConfig::Audio(audio_config(codec)))).unwrap();
        prop_assert_eq!(
            AudioTag::parse(config.to_body()),
            Ok(AudioTag::SequenceStart { codec, record: Bytes::from_static(b"record") })
        );
        let tag = muxer.tag(&sample(TrackKind::Audio, 0, 0, true, payload.clone())).unwrap();
        prop_assert_eq!(
            AudioTag::parse(tag.to_body()),
            Ok(AudioTag::Frames { codec, payload: payload.into() })
        );
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        crate::fuzzing::enhanced_header(&bytes);
        crate::fuzzing::tags(&bytes);
        crate::fuzzing::tags(&[b"FLV\x01\x05\0\0\0\x09\0\0\0\0".as_slice(), &bytes].concat());
    }
}

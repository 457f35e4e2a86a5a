//! Records made by real encoders (x264, x265, libaom, ffmpeg's AAC, libopus), shared with the fuzz corpus.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// The record of a corpus file, without the byte that picks the codec.
macro_rules! record {
    ($name:literal) => {
        Bytes::from_static(
            include_bytes!(concat!("../fuzz/corpus/codec_configuration/", $name))
                .split_first()
                .unwrap()
                .1,
        )
    };
}

fn video(codec: VideoCodec, record: Bytes) -> (String, u32, u32, Option<(u32, u32)>) {
    let config = VideoConfig::parse(codec, record).unwrap();
    let rate = config
        .frame_rate
        .map(|rate| (rate.numerator, rate.denominator));
    (config.codec_string, config.width, config.height, rate)
}

fn audio(codec: AudioCodec, record: Bytes) -> (String, u32, u16, Option<u32>) {
    let config = AudioConfig::parse(codec, record).unwrap();
    let frame = config.samples_per_frame();
    (
        config.codec_string,
        config.sample_rate,
        config.channels,
        frame,
    )
}

#[test]
fn h264_records_tell_size_rate_and_codec_string() {
    assert_eq!(
        video(VideoCodec::H264, record!("avc_high_640x360_30")),
        ("avc1.64001e".into(), 640, 360, Some((30, 1)))
    );
    // 1088 coded lines, cropped to 1080.
    assert_eq!(
        video(VideoCodec::H264, record!("avc_baseline_1080_ntsc")),
        ("avc1.42c028".into(), 1920, 1080, Some((30_000, 1001)))
    );
    assert_eq!(
        video(VideoCodec::H264, record!("avc_422_interlaced_576_25")),
        ("avc1.7a001e".into(), 720, 576, Some((25, 1)))
    );
}

#[test]
fn h265_records_tell_size_rate_and_codec_string() {
    assert_eq!(
        video(VideoCodec::H265, record!("hevc_main_640x360_30")),
        ("hvc1.1.6.L63.90".into(), 640, 360, Some((30, 1)))
    );
    assert_eq!(
        video(VideoCodec::H265, record!("hevc_main10_1080_50")),
        ("hvc1.2.4.L123.90".into(), 1920, 1080, Some((50, 1)))
    );
}

#[test]
fn av1_records_tell_size_and_codec_string() {
    let config = VideoConfig::parse(VideoCodec::Av1, record!("av1_main_640x360")).unwrap();
    assert_eq!((config.width, config.height), (640, 360));
    assert_eq!(config.codec_string, "av01.0.01M.08");
    assert_eq!(config.nal_length_size(), None);
}

#[test]
fn aac_records_tell_rate_channels_and_signalled_type() {
    assert_eq!(
        audio(AudioCodec::Aac, record!("aac_lc_stereo_48000")),
        ("mp4a.40.2".into(), 48_000, 2, Some(1024))
    );
    assert_eq!(
        audio(AudioCodec::Aac, record!("aac_lc_5_1_48000")),
        ("mp4a.40.2".into(), 48_000, 6, Some(1024))
    );
    // A 22.05 kHz mono core that SBR and PS make 44.1 kHz stereo.
    assert_eq!(
        audio(AudioCodec::Aac, record!("aac_he_v2_44100")),
        ("mp4a.40.29".into(), 44_100, 2, Some(2048))
    );
    // Explicit rate 0x00ac44 = 44100.
    let escaped = Bytes::from_static(&[0x17, 0x80, 0x56, 0x22, 0x10, 0x00]);
    assert_eq!(
        audio(AudioCodec::Aac, escaped),
        ("mp4a.40.2".into(), 44_100, 2, Some(1024))
    );
}

#[test]
fn aac_frames_we_cannot_time_are_refused_by_name() {
    // Object type 23, AAC-LD: frames of 512.
    let low_delay = Bytes::from_static(&[0xb9, 0x90, 0x00]);
    assert_eq!(
        AudioConfig::parse(AudioCodec::Aac, low_delay),
        Err(ConfigError::Invalid {
            record: "AudioSpecificConfig",
            field: "audioObjectType",
            value: 23
        })
    );
}

#[test]
fn opus_headers_tell_channels() {
    assert_eq!(
        audio(AudioCodec::Opus, record!("opus_stereo")),
        ("opus".into(), 48_000, 2, None)
    );
}

#[test]
fn nal_length_sizes_come_from_the_record() {
    let config = VideoConfig::parse(VideoCodec::H264, record!("avc_high_640x360_30")).unwrap();
    assert_eq!(config.nal_length_size(), Some(4));
    let config = VideoConfig::parse(VideoCodec::H265, record!("hevc_main_640x360_30")).unwrap();
    assert_eq!(config.nal_length_size(), Some(4));
}

#[test]
fn a_record_cut_short_is_refused_wherever_it_is_cut() {
    for (codec, record) in [
        (VideoCodec::H264, record!("avc_baseline_1080_ntsc")),
        (VideoCodec::H265, record!("hevc_main10_1080_50")),
        (VideoCodec::Av1, record!("av1_main_640x360")),
    ] {
        for length in 0..record.len() {
            let cut = VideoConfig::parse(codec, record.slice(..length));
            assert!(cut.is_err(), "{codec:?} cut to {length}");
        }
    }
}

#[test]
fn a_record_beyond_64_kib_is_refused_unread() {
    let error = VideoConfig::parse(VideoCodec::H264, Bytes::from(vec![1; 65_537])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "video configuration is 65537 bytes, more than the 65536 allowed"
    );
}

#[test]
fn the_fuzz_corpus_replays_clean() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fuzz/corpus/codec_configuration"
    );
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        crate::fuzzing::codec_configuration(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 10);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzzing::codec_configuration(&input);
    }

    #[test]
    fn damaged_records_never_panic(
        which in 0..4_usize,
        damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
    ) {
        let mut input = [
            record!("avc_422_interlaced_576_25"),
            record!("hevc_main10_1080_50"),
            record!("av1_main_640x360"),
            record!("aac_he_v2_44100"),
        ][which].to_vec();
        for (at, byte) in damage {
            let at = usize::from(at) % input.len();
            input[at] = byte;
        }
        input.insert(0, which as u8);
        crate::fuzzing::codec_configuration(&input);
    }
}

//! Bodies of the fuzz targets, so that an ordinary test can replay their corpora.

use bytes::Bytes;

use crate::{AudioCodec, AudioConfig, VideoCodec, VideoConfig, opus_packet_samples};

/// The first byte picks the codec, the rest is its record.
pub fn codec_configuration(input: &[u8]) {
    let Some((codec, record)) = input.split_first() else {
        return;
    };
    let record = Bytes::copy_from_slice(record);
    let video = match codec % 5 {
        0 => VideoCodec::H264,
        1 => VideoCodec::H265,
        2 => VideoCodec::Av1,
        audio => {
            opus_packet_samples(&record);
            let codec = if audio == 3 {
                AudioCodec::Aac
            } else {
                AudioCodec::Opus
            };
            if let Ok(config) = AudioConfig::parse(codec, record) {
                assert!(config.channels > 0 && config.sample_rate > 0);
                assert_ne!(config.samples_per_frame(), Some(0));
            }
            return;
        }
    };
    if let Ok(config) = VideoConfig::parse(video, record) {
        assert!((1..=16_384).contains(&config.width));
        assert!((1..=16_384).contains(&config.height));
        assert_eq!(
            config.nal_length_size().is_none(),
            video == VideoCodec::Av1,
            "only AV1 has no NAL units"
        );
    }
}

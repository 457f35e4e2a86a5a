//! From tag bodies to packets: remembers each track's configuration.

use bytes::Bytes;
use media::{
    AudioCodec, AudioConfig, CodecConfig, Packet, Sample, TrackKind, VideoCodec, VideoConfig,
};
use types::MediaTime;

use crate::{AudioTag, Error, VideoTag};

/// One publisher's demuxer. A tag yields at most one packet.
///
/// After an error the demuxer stands as before the tag; [`Error::is_fatal`] says whether to go on.
#[derive(Debug, Default)]
pub struct Demuxer {
    video: Option<(VideoCodec, Bytes)>,
    audio: Option<(AudioCodec, Bytes)>,
}

impl Demuxer {
    /// A demuxer that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a video tag body whose decode time is `timestamp`.
    ///
    /// `None` if it holds nothing new: a repeated configuration, an end of sequence, an empty frame.
    pub fn video(&mut self, timestamp: MediaTime, body: Bytes) -> Result<Option<Packet>, Error> {
        match VideoTag::parse(body)? {
            VideoTag::SequenceStart { codec, record } => {
                if is_current(self.video.as_ref(), &codec, &record) {
                    return Ok(None);
                }
                // The record outlives its tag: don't hold a whole receive buffer for it.
                let record = Bytes::copy_from_slice(&record);
                let config = VideoConfig::parse(codec, record.clone())?;
                self.video = Some((codec, record));
                Ok(Some(Packet::Config(CodecConfig::Video(config))))
            }
            VideoTag::Frames {
                codec,
                keyframe,
                composition_time,
                payload,
            } => {
                require(self.video.as_ref(), &codec, TrackKind::Video)?;
                Ok(Some(Packet::Sample(Sample {
                    track: TrackKind::Video,
                    decode_time: timestamp,
                    composition_offset: MediaTime::from_millis(i64::from(composition_time)),
                    keyframe,
                    payload,
                })))
            }
            VideoTag::Ignored => Ok(None),
        }
    }

    /// Takes an audio tag body whose time is `timestamp`; `None` as for [`Self::video`].
    pub fn audio(&mut self, timestamp: MediaTime, body: Bytes) -> Result<Option<Packet>, Error> {
        match AudioTag::parse(body)? {
            AudioTag::SequenceStart { codec, record } => {
                if is_current(self.audio.as_ref(), &codec, &record) {
                    return Ok(None);
                }
                let record = Bytes::copy_from_slice(&record);
                let config = AudioConfig::parse(codec, record.clone())?;
                self.audio = Some((codec, record));
                Ok(Some(Packet::Config(CodecConfig::Audio(config))))
            }
            AudioTag::Frames { codec, payload } => {
                require(self.audio.as_ref(), &codec, TrackKind::Audio)?;
                Ok(Some(Packet::Sample(Sample {
                    track: TrackKind::Audio,
                    decode_time: timestamp,
                    composition_offset: MediaTime::ZERO,
                    keyframe: true,
                    payload,
                })))
            }
            AudioTag::Ignored => Ok(None),
        }
    }
}

fn is_current<C: PartialEq>(current: Option<&(C, Bytes)>, codec: &C, record: &Bytes) -> bool {
    current.is_some_and(|(known, bytes)| known == codec && bytes == record)
}

fn require<C: PartialEq>(
    current: Option<&(C, Bytes)>,
    codec: &C,
    track: TrackKind,
) -> Result<(), Error> {
    match current {
        Some((known, _)) if known == codec => Ok(()),
        _ => Err(Error::BeforeConfig { track }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_before_its_configuration_is_counted_not_fatal() {
        let body = Bytes::from_static(&[0x17, 1, 0, 0, 0, 9]);
        let error = Demuxer::new().video(MediaTime::ZERO, body).unwrap_err();
        assert_eq!(
            error,
            Error::BeforeConfig {
                track: TrackKind::Video
            }
        );
        assert!(!error.is_fatal());
    }

    #[test]
    fn a_bad_configuration_is_fatal() {
        let body = Bytes::from_static(&[0x17, 0, 0, 0, 0]);
        let error = Demuxer::new().video(MediaTime::ZERO, body).unwrap_err();
        assert!(error.is_fatal(), "{error}");
    }
}

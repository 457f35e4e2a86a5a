//! From packets to tags: legacy form for H.264 and AAC, enhanced form for what came later.

use bytes::{BufMut, Bytes, BytesMut};
use media::{AudioCodec, CodecConfig, Packet, Sample, TrackKind, VideoCodec};

use crate::{
    Error, FourCc, TAG_HEADER_SIZE, TagKind, audio,
    codec::{LEGACY_AAC, LEGACY_AVC},
    tag_header, video,
};

/// The bytes of a tag body before the payload: no more than eight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BodyHeader {
    bytes: [u8; 8],
    length: u8,
}

impl BodyHeader {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }

    fn push(mut self, more: &[u8]) -> Self {
        for &byte in more {
            if let Some(slot) = self.bytes.get_mut(usize::from(self.length)) {
                *slot = byte;
                self.length += 1;
            }
        }
        self
    }
}

/// A tag ready to write: as an FLV tag with [`Tag::write`], or as an RTMP message whose payload is
/// [`Tag::header`] followed by [`Tag::payload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: TagKind,
    /// Decode time in milliseconds modulo 2^32.
    pub timestamp: u32,
    /// The start of the body.
    pub header: BodyHeader,
    /// The rest of the body, shared with the packet.
    pub payload: Bytes,
}

impl Tag {
    /// A script tag of `body`, such as [`crate::metadata`] makes.
    pub fn script(timestamp: u32, body: Bytes) -> Self {
        Self {
            kind: TagKind::Script,
            timestamp,
            header: BodyHeader::default(),
            payload: body,
        }
    }

    /// Bytes of the body.
    pub fn body_size(&self) -> usize {
        self.header.as_slice().len() + self.payload.len()
    }

    /// The body in one piece, copied.
    pub fn to_body(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(self.body_size());
        body.put_slice(self.header.as_slice());
        body.put_slice(&self.payload);
        body.freeze()
    }

    /// Appends the FLV tag: header, body, `PreviousTagSize`.
    pub fn write(&self, out: &mut BytesMut) {
        let size = self.body_size() as u32;
        out.reserve(TAG_HEADER_SIZE + self.body_size() + 4);
        out.put_slice(&tag_header(self.kind, size, self.timestamp));
        out.put_slice(self.header.as_slice());
        out.put_slice(&self.payload);
        out.put_u32(size + TAG_HEADER_SIZE as u32);
    }
}

/// Makes tags of one stream's packets; remembers the codecs, which samples don't name.
#[derive(Debug, Clone, Default)]
pub struct Muxer {
    video: Option<VideoCodec>,
    audio: Option<AudioCodec>,
    last: u32,
}

impl Muxer {
    /// A muxer that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tag of `packet`. A configuration gets the time of the last sample, as it has none itself.
    ///
    /// Fails with [`Error::BeforeConfig`] on a sample whose track has no configuration yet.
    pub fn tag(&mut self, packet: &Packet) -> Result<Tag, Error> {
        match packet {
            Packet::Config(config) => Ok(self.config(config)),
            Packet::Sample(sample) => self.sample(sample),
        }
    }

    /// Appends the FLV tag of `packet` to `out`.
    pub fn write_tag(&mut self, out: &mut BytesMut, packet: &Packet) -> Result<(), Error> {
        self.tag(packet)?.write(out);
        Ok(())
    }

    fn config(&mut self, config: &CodecConfig) -> Tag {
        let (kind, header, record) = match config {
            CodecConfig::Video(config) => {
                self.video = Some(config.codec);
                let header = video_header(config.codec, true, video::SEQUENCE_START, 0);
                (TagKind::Video, header, &config.record)
            }
            CodecConfig::Audio(config) => {
                self.audio = Some(config.codec);
                let header = audio_header(config.codec, audio::SEQUENCE_START);
                (TagKind::Audio, header, &config.record)
            }
        };
        Tag {
            kind,
            timestamp: self.last,
            header,
            payload: record.clone(),
        }
    }

    fn sample(&mut self, sample: &Sample) -> Result<Tag, Error> {
        let missing = Error::BeforeConfig {
            track: sample.track,
        };
        let (kind, header) = match sample.track {
            TrackKind::Video => {
                let codec = self.video.ok_or(missing)?;
                let offset = sample.composition_offset.as_millis();
                let header = video_header(codec, sample.keyframe, video::CODED_FRAMES, offset);
                (TagKind::Video, header)
            }
            TrackKind::Audio => {
                let codec = self.audio.ok_or(missing)?;
                (TagKind::Audio, audio_header(codec, audio::CODED_FRAMES))
            }
        };
        // Before zero a player would see the far future; nothing is due before the start.
        self.last = sample.decode_time.as_millis().max(0) as u32;
        Ok(Tag {
            kind,
            timestamp: self.last,
            header,
            payload: sample.payload.clone(),
        })
    }
}

/// The largest composition offset that signed 24 bits hold, in milliseconds.
const MAX_COMPOSITION: i64 = 0x7f_ffff;

fn video_header(codec: VideoCodec, keyframe: bool, packet_type: u8, offset: i64) -> BodyHeader {
    let frame_type = if keyframe {
        video::KEY_FRAME
    } else {
        video::INTER_FRAME
    };
    let offset = offset.clamp(-MAX_COMPOSITION - 1, MAX_COMPOSITION) as i32;
    let [_, a, b, c] = offset.to_be_bytes();
    let header = BodyHeader::default();
    let enhanced = |packet_type: u8, code: FourCc| {
        let first = video::EX_HEADER | (frame_type << 4) | packet_type;
        header.push(&[first]).push(&code.0)
    };
    match (codec, packet_type) {
        (VideoCodec::H264, _) => {
            header.push(&[(frame_type << 4) | LEGACY_AVC, packet_type, a, b, c])
        }
        (VideoCodec::H265, video::CODED_FRAMES) if offset == 0 => {
            enhanced(video::CODED_FRAMES_X, FourCc::HEVC)
        }
        (VideoCodec::H265, video::CODED_FRAMES) => {
            enhanced(packet_type, FourCc::HEVC).push(&[a, b, c])
        }
        (VideoCodec::H265, _) => enhanced(packet_type, FourCc::HEVC),
        (VideoCodec::Av1, _) => enhanced(packet_type, FourCc::AV1),
    }
}

fn audio_header(codec: AudioCodec, packet_type: u8) -> BodyHeader {
    let header = BodyHeader::default();
    match codec {
        // §E.4.2.1: AAC always says 44 kHz, 16 bit, stereo here; the configuration has the truth.
        AudioCodec::Aac => header.push(&[(LEGACY_AAC << 4) | 0x0f, packet_type]),
        AudioCodec::Opus => header
            .push(&[(audio::EX_HEADER << 4) | packet_type])
            .push(&FourCc::OPUS.0),
    }
}

#[cfg(test)]
#[path = "mux_tests.rs"]
mod tests;

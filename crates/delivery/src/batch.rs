//! From samples to batches of tags: serialized once, written to every viewer in one piece.
//!
//! A write costs more than the bytes in it, so tags are gathered for a while; a keyframe always begins a
//! batch, so that viewers can start there. Whether a tag is written as FLV or as RTMP chunks is the
//! caller's choice.

use bytes::{Bytes, BytesMut};
use media::{CodecConfig, Packet, Sample, TrackKind};
use types::{ByteCount, MediaTime};

use crate::fanout::{Entry, Fanout};

/// Tags that are written to every viewer in one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Whole tags.
    pub bytes: Bytes,
    /// Whether a viewer can start here.
    pub join: bool,
    /// Decode time of the first tag.
    pub time: MediaTime,
}

impl From<Batch> for Entry<Batch> {
    fn from(batch: Batch) -> Self {
        let size = ByteCount::new(batch.bytes.len() as u64);
        Self {
            size,
            join: batch.join,
            time: batch.time,
            value: batch,
        }
    }
}

/// How tags are written.
#[derive(Debug, Clone, Copy)]
pub struct TagFormat {
    /// What comes before the first tag, for a stream with audio and with video.
    pub header: fn(has_audio: bool, has_video: bool) -> Bytes,
    /// Appends a tag.
    pub write: fn(&flv::Tag, &mut BytesMut),
}

impl TagFormat {
    /// An FLV file.
    pub const FLV: Self = Self {
        header: flv::file_header,
        write: flv::Tag::write,
    };
}

/// Gathers one stream's tags into batches.
#[derive(Debug)]
pub struct Batcher {
    format: TagFormat,
    out: Fanout<Batch>,
    muxer: flv::Muxer,
    video: Option<CodecConfig>,
    audio: Option<CodecConfig>,
    gathered: BytesMut,
    join: bool,
    time: MediaTime,
}

impl Batcher {
    /// A batcher that writes to `out`.
    pub fn new(format: TagFormat, out: Fanout<Batch>) -> Self {
        Self {
            format,
            out,
            muxer: flv::Muxer::new(),
            video: None,
            audio: None,
            gathered: BytesMut::new(),
            join: false,
            time: MediaTime::ZERO,
        }
    }

    /// Takes a track's configuration; who joins gets it first.
    pub fn config(&mut self, config: CodecConfig) {
        let slot = match config.track() {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        };
        if slot.as_ref() == Some(&config) {
            return;
        }
        *slot = Some(config.clone());
        self.flush();
        self.set_preamble();
        self.write(&Packet::Config(config));
    }

    /// Takes a sample.
    pub fn sample(&mut self, sample: Sample) {
        let audio_only = self.video.is_none();
        let join = sample.keyframe && (sample.track == TrackKind::Video || audio_only);
        // Without video every sample can be joined at; a batch of them begins with one anyway.
        if join && !(audio_only && self.join) {
            self.flush();
            self.join = true;
        }
        if self.gathered.is_empty() {
            self.time = sample.decode_time;
        }
        self.write(&Packet::Sample(sample));
    }

    /// Sends what was gathered.
    pub fn flush(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let bytes = self.gathered.split().freeze();
        let join = std::mem::take(&mut self.join);
        self.out.push(
            Batch {
                bytes,
                join,
                time: self.time,
            }
            .into(),
        );
    }

    fn write(&mut self, packet: &Packet) {
        match self.muxer.tag(packet) {
            Ok(tag) => (self.format.write)(&tag, &mut self.gathered),
            Err(error) => {
                metrics::counter!("streamr_tags_dropped_total").increment(1);
                tracing::debug!(%error, "sample can't be written as a tag");
            }
        }
    }

    /// Header, `onMetaData` and sequence headers, for who joins.
    fn set_preamble(&mut self) {
        let video = self.video.as_ref().and_then(CodecConfig::as_video);
        let audio = self.audio.as_ref().and_then(CodecConfig::as_audio);
        let mut preamble =
            BytesMut::from((self.format.header)(audio.is_some(), video.is_some()).as_ref());
        (self.format.write)(
            &flv::Tag::script(0, flv::metadata(video, audio)),
            &mut preamble,
        );
        for config in [&self.video, &self.audio].into_iter().flatten() {
            if let Ok(tag) = self.muxer.tag(&Packet::Config(config.clone())) {
                (self.format.write)(&tag, &mut preamble);
            }
        }
        self.out.set_preamble(vec![Batch {
            bytes: preamble.freeze(),
            join: false,
            time: MediaTime::ZERO,
        }]);
    }
}

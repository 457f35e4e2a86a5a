//! The `onMetaData` script that tells players what comes (FLV 10.1 §E.5), in AMF0.

use bytes::{BufMut, Bytes, BytesMut};
use media::{AudioCodec, AudioConfig, VideoCodec, VideoConfig};

use crate::{
    FourCc,
    codec::{LEGACY_AAC, LEGACY_AVC},
};

/// The body of an `onMetaData` script tag for these tracks.
pub fn metadata(video: Option<&VideoConfig>, audio: Option<&AudioConfig>) -> Bytes {
    let mut pairs = Pairs::default();
    if let Some(video) = video {
        pairs.number("width", f64::from(video.width));
        pairs.number("height", f64::from(video.height));
        if let Some(rate) = video.frame_rate {
            pairs.number("framerate", rate.as_f64());
        }
        let codec = match video.codec {
            VideoCodec::H264 => u32::from(LEGACY_AVC),
            VideoCodec::H265 => FourCc::HEVC.as_u32(),
            VideoCodec::Av1 => FourCc::AV1.as_u32(),
        };
        pairs.number("videocodecid", f64::from(codec));
    }
    if let Some(audio) = audio {
        pairs.number("audiosamplerate", f64::from(audio.sample_rate));
        pairs.boolean("stereo", audio.channels > 1);
        let codec = match audio.codec {
            AudioCodec::Aac => u32::from(LEGACY_AAC),
            AudioCodec::Opus => FourCc::OPUS.as_u32(),
        };
        pairs.number("audiocodecid", f64::from(codec));
    }
    pairs.string("encoder", "Streamr");

    let mut body = BytesMut::with_capacity(pairs.bytes.len() + 32);
    body.put_u8(AMF0_STRING);
    put_text(&mut body, "onMetaData");
    body.put_u8(AMF0_ECMA_ARRAY);
    body.put_u32(pairs.count);
    body.put_slice(&pairs.bytes);
    body.put_slice(&AMF0_OBJECT_END);
    body.freeze()
}

const AMF0_NUMBER: u8 = 0;
const AMF0_BOOLEAN: u8 = 1;
const AMF0_STRING: u8 = 2;
const AMF0_ECMA_ARRAY: u8 = 8;
const AMF0_OBJECT_END: [u8; 3] = [0, 0, 9];

#[derive(Default)]
struct Pairs {
    bytes: BytesMut,
    count: u32,
}

impl Pairs {
    fn key(&mut self, key: &'static str) {
        self.count += 1;
        put_text(&mut self.bytes, key);
    }

    fn number(&mut self, key: &'static str, value: f64) {
        self.key(key);
        self.bytes.put_u8(AMF0_NUMBER);
        self.bytes.put_f64(value);
    }

    fn boolean(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.bytes.put_slice(&[AMF0_BOOLEAN, u8::from(value)]);
    }

    fn string(&mut self, key: &'static str, value: &'static str) {
        self.key(key);
        self.bytes.put_u8(AMF0_STRING);
        put_text(&mut self.bytes, value);
    }
}

fn put_text(out: &mut BytesMut, text: &'static str) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

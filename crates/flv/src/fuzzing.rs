//! Bodies of the fuzz targets, so that tests replay their corpora with the same code.

use bytes::Bytes;
use types::MediaTime;

use crate::{AudioTag, Demuxer, Reader, TagKind, VideoTag};

/// `tags`: a whole FLV file through reader and demuxer.
pub fn tags(input: &[u8]) {
    let mut reader = Reader::new();
    let mut demuxer = Demuxer::new();
    for piece in input.chunks(61) {
        reader.push(piece);
        while let Ok(Some(tag)) = reader.next_tag() {
            let at = MediaTime::from_millis(i64::from(tag.timestamp));
            let _ = match tag.kind {
                TagKind::Audio => demuxer.audio(at, tag.body),
                TagKind::Video => demuxer.video(at, tag.body),
                TagKind::Script => Ok(None),
            };
        }
    }
}

/// `enhanced_header`: one tag body, as video and as audio, as given and with the enhanced flags forced.
pub fn enhanced_header(input: &[u8]) {
    let _ = VideoTag::parse(Bytes::copy_from_slice(input));
    let _ = AudioTag::parse(Bytes::copy_from_slice(input));
    let mut forced = input.to_vec();
    if let Some(first) = forced.first_mut() {
        *first |= 0x80;
    }
    let _ = VideoTag::parse(Bytes::copy_from_slice(&forced));
    if let Some(first) = forced.first_mut() {
        *first = 0x90 | (*first & 0x0f);
    }
    let _ = AudioTag::parse(Bytes::from(forced));
}

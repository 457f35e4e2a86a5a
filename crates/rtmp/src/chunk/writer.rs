//! Cuts messages into chunks: a full header, then type 3, so that each message stands for itself.
//!
//! No header compression on purpose: a message serialized once goes to every player, whatever went
//! before it on that connection.

use bytes::{BufMut, Bytes, BytesMut};

use super::{AUDIO, DATA, EXTENDED, MEDIA_STREAM, PLAY_CHUNK_SIZE, VIDEO};
use crate::MessageHeader;

/// Appends a message on `chunk_stream` (2 to 65599), cut to `chunk_size` bytes. The payload is given in pieces
/// so that nobody has to join them first.
pub fn serialize(
    out: &mut BytesMut,
    chunk_stream: u32,
    header: &MessageHeader,
    payload: &[&[u8]],
    chunk_size: usize,
) {
    let length: usize = payload.iter().map(|piece| piece.len()).sum();
    let chunk_size = chunk_size.max(1);
    out.reserve(length + (length / chunk_size + 1) * 8 + 18);
    let extended = (header.timestamp >= EXTENDED).then_some(header.timestamp);
    put_basic(out, 0, chunk_stream);
    out.put_uint(u64::from(header.timestamp.min(EXTENDED)), 3);
    out.put_uint(length as u64, 3);
    out.put_u8(header.type_id);
    out.put_u32_le(header.stream_id);
    if let Some(timestamp) = extended {
        out.put_u32(timestamp);
    }
    let mut room = chunk_size;
    for mut piece in payload.iter().copied() {
        while !piece.is_empty() {
            if room == 0 {
                put_basic(out, 3, chunk_stream);
                if let Some(timestamp) = extended {
                    out.put_u32(timestamp);
                }
                room = chunk_size;
            }
            let (now, later) = piece.split_at_checked(room).unwrap_or((piece, &[]));
            out.put_slice(now);
            room -= now.len();
            piece = later;
        }
    }
}

/// The chunks of one message, to be sent as they are to every peer whose chunk size is `chunk_size`.
pub fn serialize_message_shared(
    chunk_stream: u32,
    header: &MessageHeader,
    payload: &[&[u8]],
    chunk_size: usize,
) -> Bytes {
    let mut out = BytesMut::new();
    serialize(&mut out, chunk_stream, header, payload, chunk_size);
    out.freeze()
}

/// The chunks of a media or script tag for players of [`crate::session::Server`], which announces
/// [`PLAY_CHUNK_SIZE`]; append them to a player's output any time after its play was accepted.
pub fn serialize_tag(tag: &flv::Tag) -> Bytes {
    let chunk_stream = match tag.kind {
        flv::TagKind::Audio => AUDIO,
        flv::TagKind::Video => VIDEO,
        flv::TagKind::Script => DATA,
    };
    let header = MessageHeader {
        type_id: tag.kind.id(),
        stream_id: MEDIA_STREAM,
        timestamp: tag.timestamp,
    };
    let payload = [tag.header.as_slice(), tag.payload.as_ref()];
    serialize_message_shared(chunk_stream, &header, &payload, PLAY_CHUNK_SIZE)
}

fn put_basic(out: &mut BytesMut, format: u8, chunk_stream: u32) {
    let format = format << 6;
    match chunk_stream {
        ..64 => out.put_u8(format | chunk_stream as u8),
        64..320 => out.put_slice(&[format, (chunk_stream - 64) as u8]),
        _ => {
            out.put_u8(format | 1);
            out.put_u16_le((chunk_stream - 64) as u16);
        }
    }
}

//! The framing of an FLV file (FLV 10.1 §E.2 to §E.4.1).

use bytes::Bytes;

/// The largest tag body we read or that a peer may announce.
pub const MAX_TAG_SIZE: usize = 8 * 1024 * 1024;
/// Bytes of a tag before its body.
pub const TAG_HEADER_SIZE: usize = 11;
/// Bytes of the file header with the first `PreviousTagSize`.
pub const FILE_HEADER_SIZE: usize = 13;

/// `TagType`; the same numbers are RTMP's message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TagKind {
    /// 8.
    Audio,
    /// 9.
    Video,
    /// 18: AMF0 data.
    Script,
}

impl TagKind {
    /// The number on the wire.
    pub const fn id(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::Script => 18,
        }
    }

    /// The kind of this number.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            8 => Some(Self::Audio),
            9 => Some(Self::Video),
            18 => Some(Self::Script),
            _ => None,
        }
    }
}

/// The file header and the first `PreviousTagSize`, zero.
pub fn file_header(has_audio: bool, has_video: bool) -> Bytes {
    let flags = (u8::from(has_audio) << 2) | u8::from(has_video);
    let mut header = *b"FLV\x01\0\0\0\0\x09\0\0\0\0";
    if let Some(byte) = header.get_mut(4) {
        *byte = flags;
    }
    Bytes::copy_from_slice(&header)
}

/// The 11 bytes before a body of `size` bytes; `timestamp` is in milliseconds modulo 2^32.
pub const fn tag_header(kind: TagKind, size: u32, timestamp: u32) -> [u8; TAG_HEADER_SIZE] {
    let [_, s1, s2, s3] = size.to_be_bytes();
    let [extended, t1, t2, t3] = timestamp.to_be_bytes();
    [kind.id(), s1, s2, s3, t1, t2, t3, extended, 0, 0, 0]
}

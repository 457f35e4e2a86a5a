//! What enhanced audio and video headers share: ModEx prefixes and multitrack bodies (Enhanced RTMP v2,
//! `ExAudioTagHeader`, `ExVideoTagHeader`).

use crate::{CodecId, Error, cursor::Cursor};

/// The packet type that announces a modifier, the same for audio and video.
const MOD_EX: u8 = 7;
/// A multitrack body with one track and no size.
const ONE_TRACK: u8 = 0;
/// A multitrack body with several tracks of one codec.
const MANY_TRACKS: u8 = 1;
/// A multitrack body with a codec for each track.
const MANY_TRACKS_MANY_CODECS: u8 = 2;
/// The track we carry of several: the specification's default track.
const OUR_TRACK: u8 = 0;

/// Skips `ModEx` modifiers (a timestamp offset in nanoseconds is below our clock); yields the packet type
/// behind them.
pub(crate) fn skip_modifiers(cursor: &mut Cursor, mut packet_type: u8) -> Result<u8, Error> {
    while packet_type == MOD_EX {
        let mut size = usize::from(cursor.u8("modExDataSize")?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16("modExDataSize")?) + 1;
        }
        cursor.take(size, "modExData")?;
        packet_type = cursor.u8("packetModExType")? & 0x0f;
    }
    Ok(packet_type)
}

/// The part of a body that is ours.
pub(crate) struct Track {
    /// What the part holds.
    pub packet_type: u8,
    /// Its codec.
    pub codec: CodecId,
    /// The part.
    pub body: Cursor,
}

/// Reads the codec and, of a multitrack body, picks track 0; `None` if it has none.
pub(crate) fn pick_track(
    mut cursor: Cursor,
    packet_type: u8,
    multitrack: u8,
) -> Result<Option<Track>, Error> {
    if packet_type != multitrack {
        let codec = CodecId::FourCc(cursor.four_cc()?);
        return Ok(Some(Track {
            packet_type,
            codec,
            body: cursor,
        }));
    }
    let byte = cursor.u8("multitrackType")?;
    let (kind, packet_type) = (byte >> 4, byte & 0x0f);
    if kind > MANY_TRACKS_MANY_CODECS || packet_type == multitrack {
        return Err(Error::Invalid {
            field: "multitrackType",
            value: u32::from(byte),
        });
    }
    let shared_codec = match kind {
        ONE_TRACK | MANY_TRACKS => Some(cursor.four_cc()?),
        _ => None,
    };
    while !cursor.is_empty() {
        let codec = match shared_codec {
            Some(codec) => codec,
            None => cursor.four_cc()?,
        };
        let track = cursor.u8("trackId")?;
        let body = if kind == ONE_TRACK {
            std::mem::replace(&mut cursor, Cursor::new(bytes::Bytes::new()))
        } else {
            let size = cursor.u24("sizeOfTrack")? as usize;
            Cursor::new(cursor.take(size, "track")?)
        };
        if track == OUR_TRACK {
            return Ok(Some(Track {
                packet_type,
                codec: CodecId::FourCc(codec),
                body,
            }));
        }
    }
    Ok(None)
}

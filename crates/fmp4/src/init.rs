//! Initialization segments: `ftyp` and `moov` (ISO 14496-12 §8, ISO 14496-15 §5.4, Opus in ISOBMFF).

use bytes::Bytes;
use media::{AudioCodec, AudioConfig, VideoCodec, VideoConfig};
use types::Timescale;

use crate::{Error, boxes::Writer};

/// The video track's id.
pub const VIDEO_TRACK_ID: u32 = 1;
/// The audio track's id.
pub const AUDIO_TRACK_ID: u32 = 2;

/// Timescale of `mvhd`, which only durations of zero use.
const MOVIE_TIMESCALE: u32 = 1000;
/// `und`, five bits a letter (§8.4.2.3).
const UNDETERMINED_LANGUAGE: u16 = 0x55c4;
/// 1.0 in 16.16 fixed point; also the scale factor of matrices.
const FIXED_ONE: u32 = 0x0001_0000;

/// Writes the initialization segment (`EXT-X-MAP`, RFC 8216bis §4.4.4.5) of a rendition.
pub fn init_segment(
    video: Option<&VideoConfig>,
    audio: Option<&AudioConfig>,
) -> Result<Bytes, Error> {
    if video.is_none() && audio.is_none() {
        return Err(Error::NoTrack);
    }
    let opus = match audio {
        Some(config) if config.codec == AudioCodec::Opus => {
            Some(opus_specific(&config.record).ok_or(Error::Record { record: "OpusHead" })?)
        }
        _ => None,
    };
    let records = video.map_or(0, |config| config.record.len())
        + audio.map_or(0, |config| config.record.len());
    let mut w = Writer::with_capacity(1280 + records);
    w.boxed(*b"ftyp", |w| {
        w.raw(b"iso6");
        w.u32(0);
        // iso6 brings signed composition offsets and tfdt; mp41 is for old readers.
        w.raw(b"iso6mp41");
    });
    w.boxed(*b"moov", |w| {
        movie_header(w);
        if let Some(config) = video {
            video_track(w, config);
        }
        if let Some(config) = audio {
            audio_track(w, config, opus.as_deref());
        }
        w.boxed(*b"mvex", |w| {
            if video.is_some() {
                track_extends(w, VIDEO_TRACK_ID);
            }
            if audio.is_some() {
                track_extends(w, AUDIO_TRACK_ID);
            }
        });
    });
    Ok(w.finish())
}

fn movie_header(w: &mut Writer) {
    w.full_box(*b"mvhd", 0, 0, |w| {
        w.zeros(8); // creation and modification time: a live stream's are not known
        w.u32(MOVIE_TIMESCALE);
        w.u32(0);
        w.u32(FIXED_ONE); // rate
        w.u16(0x0100); // volume
        w.zeros(10);
        unity_matrix(w);
        w.zeros(24);
        w.u32(AUDIO_TRACK_ID + 1); // next_track_ID
    });
}

fn unity_matrix(w: &mut Writer) {
    for value in [FIXED_ONE, 0, 0, 0, FIXED_ONE, 0, 0, 0, 0x4000_0000] {
        w.u32(value);
    }
}

/// All defaults zero: every fragment says everything itself.
fn track_extends(w: &mut Writer, id: u32) {
    w.full_box(*b"trex", 0, 0, |w| {
        w.u32(id);
        w.u32(1); // sample description
        w.zeros(12);
    });
}

fn video_track(w: &mut Writer, config: &VideoConfig) {
    let width = u16::try_from(config.width).unwrap_or(u16::MAX);
    let height = u16::try_from(config.height).unwrap_or(u16::MAX);
    w.boxed(*b"trak", |w| {
        track_header(w, VIDEO_TRACK_ID, 0, (width, height));
        w.boxed(*b"mdia", |w| {
            media_header(w, Timescale::VIDEO.ticks());
            handler(w, *b"vide", "video");
            w.boxed(*b"minf", |w| {
                w.full_box(*b"vmhd", 0, 1, |w| w.zeros(8));
                data_information(w);
                sample_table(w, |w| video_sample_entry(w, config, (width, height)));
            });
        });
    });
}

fn audio_track(w: &mut Writer, config: &AudioConfig, opus: Option<&[u8]>) {
    w.boxed(*b"trak", |w| {
        track_header(w, AUDIO_TRACK_ID, 0x0100, (0, 0));
        w.boxed(*b"mdia", |w| {
            media_header(w, config.sample_rate);
            handler(w, *b"soun", "audio");
            w.boxed(*b"minf", |w| {
                w.full_box(*b"smhd", 0, 0, |w| w.zeros(4));
                data_information(w);
                sample_table(w, |w| audio_sample_entry(w, config, opus));
            });
        });
    });
}

fn track_header(w: &mut Writer, id: u32, volume: u16, (width, height): (u16, u16)) {
    // Flags: enabled, in movie, in preview.
    w.full_box(*b"tkhd", 0, 7, |w| {
        w.zeros(8);
        w.u32(id);
        w.zeros(4 + 4 + 8 + 2 + 2); // reserved, duration, reserved, layer, alternate group
        w.u16(volume);
        w.u16(0);
        unity_matrix(w);
        w.u32(u32::from(width) << 16);
        w.u32(u32::from(height) << 16);
    });
}

fn media_header(w: &mut Writer, timescale: u32) {
    w.full_box(*b"mdhd", 0, 0, |w| {
        w.zeros(8);
        w.u32(timescale);
        w.u32(0);
        w.u16(UNDETERMINED_LANGUAGE);
        w.u16(0);
    });
}

fn handler(w: &mut Writer, kind: [u8; 4], name: &str) {
    w.full_box(*b"hdlr", 0, 0, |w| {
        w.u32(0);
        w.raw(&kind);
        w.zeros(12);
        w.raw(name.as_bytes());
        w.u8(0);
    });
}

/// One data reference: this same file.
fn data_information(w: &mut Writer) {
    w.boxed(*b"dinf", |w| {
        w.full_box(*b"dref", 0, 0, |w| {
            w.u32(1);
            w.full_box(*b"url ", 0, 1, |_| {});
        });
    });
}

/// A sample table with a description and no samples: those are in fragments.
fn sample_table(w: &mut Writer, entry: impl FnOnce(&mut Writer)) {
    w.boxed(*b"stbl", |w| {
        w.full_box(*b"stsd", 0, 0, |w| {
            w.u32(1);
            entry(w);
        });
        w.full_box(*b"stts", 0, 0, |w| w.u32(0));
        w.full_box(*b"stsc", 0, 0, |w| w.u32(0));
        w.full_box(*b"stsz", 0, 0, |w| w.zeros(8));
        w.full_box(*b"stco", 0, 0, |w| w.u32(0));
    });
}

fn video_sample_entry(w: &mut Writer, config: &VideoConfig, (width, height): (u16, u16)) {
    let (entry, record) = match config.codec {
        VideoCodec::H264 => (*b"avc1", *b"avcC"),
        VideoCodec::H265 => (*b"hvc1", *b"hvcC"),
        VideoCodec::Av1 => (*b"av01", *b"av1C"),
    };
    w.boxed(entry, |w| {
        w.zeros(6);
        w.u16(1); // data reference
        w.zeros(16);
        w.u16(width);
        w.u16(height);
        w.u32(0x0048_0000); // 72 dpi
        w.u32(0x0048_0000);
        w.u32(0);
        w.u16(1); // frames per sample
        w.zeros(32); // compressor name
        w.u16(0x0018); // depth
        w.u16(u16::MAX);
        w.boxed(record, |w| w.raw(&config.record));
    });
}

fn audio_sample_entry(w: &mut Writer, config: &AudioConfig, opus: Option<&[u8]>) {
    let entry = if opus.is_some() { *b"Opus" } else { *b"mp4a" };
    w.boxed(entry, |w| {
        w.zeros(6);
        w.u16(1); // data reference
        w.zeros(8);
        w.u16(config.channels);
        w.u16(16); // bits a sample
        w.zeros(4);
        // 16.16 fixed point holds no 88.2 or 96 kHz; then readers take the codec's own record.
        w.u32(u16::try_from(config.sample_rate).map_or(0, |rate| u32::from(rate) << 16));
        match opus {
            Some(specific) => w.boxed(*b"dOps", |w| w.raw(specific)),
            None => elementary_stream(w, &config.record),
        }
    });
}

/// `esds` (ISO 14496-14 §5.6): nested descriptors around the AudioSpecificConfig.
fn elementary_stream(w: &mut Writer, record: &[u8]) {
    /// Bytes of tag and length.
    const DESCRIPTOR: usize = 5;
    let decoder = 13 + DESCRIPTOR + record.len();
    w.full_box(*b"esds", 0, 0, |w| {
        descriptor(w, 0x03, 3 + DESCRIPTOR + decoder + DESCRIPTOR + 1);
        w.u16(0); // ES_ID
        w.u8(0);
        descriptor(w, 0x04, decoder);
        w.u8(0x40); // MPEG-4 audio
        w.u8(0x15); // audio stream
        w.zeros(3 + 4 + 4); // buffer size, bitrates: unknown
        descriptor(w, 0x05, record.len());
        w.raw(record);
        descriptor(w, 0x06, 1);
        w.u8(0x02);
    });
}

/// Tag and length in the four-byte form (ISO 14496-1 §8.3.3).
fn descriptor(w: &mut Writer, tag: u8, length: usize) {
    w.u8(tag);
    for shift in [21, 14, 7] {
        w.u8(0x80 | (length >> shift) as u8 & 0x7f);
    }
    w.u8(length as u8 & 0x7f);
}

/// The content of `dOps`: `OpusHead` without its magic, version 0, and big-endian.
fn opus_specific(head: &[u8]) -> Option<Vec<u8>> {
    let mut rest = head.strip_prefix(b"OpusHead")?;
    let mut take = |count: usize| {
        let (bytes, tail) = rest.split_at_checked(count)?;
        rest = tail;
        Some(bytes)
    };
    take(1)?; // version
    let mut specific = vec![0];
    specific.extend_from_slice(take(1)?);
    for width in [2, 4, 2] {
        // pre-skip, input sample rate, output gain
        specific.extend(take(width)?.iter().rev());
    }
    specific.extend_from_slice(rest);
    (specific.len() >= 11).then_some(specific)
}

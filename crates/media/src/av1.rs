//! AV1: AV1CodecConfigurationRecord (AV1 in ISOBMFF §2.3) and the sequence header OBU
//! (AV1 bitstream §5.5).

use crate::{
    ConfigError, FrameRate,
    bits::BitReader,
    picture::{Picture, check_size, frame_rate},
};

const RECORD: &str = "AV1CodecConfigurationRecord";
const SEQUENCE: &str = "AV1 sequence header";
/// `OBU_SEQUENCE_HEADER` (§6.2.2).
const SEQUENCE_HEADER: u32 = 1;

/// Reads the record and the sequence header among its configOBUs.
pub(crate) fn parse(record: &[u8]) -> Result<Picture, ConfigError> {
    let mut reader = BitReader::new(record, RECORD);
    let marker_and_version = reader.byte()?;
    if marker_and_version != 0x81 {
        return Err(reader.invalid("marker and version", marker_and_version));
    }
    let profile = reader.bits(3)?;
    let level = reader.bits(5)?;
    let tier = if reader.flag()? { 'H' } else { 'M' };
    let depth = match (reader.flag()?, reader.flag()?) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    reader.skip(5 + 8)?; // monochrome, subsampling, presentation delay
    let header = sequence_header(&mut reader)?;
    Ok(Picture {
        codec_string: format!("av01.{profile}.{level:02}{tier}.{depth:02}"),
        ..parse_sequence_header(header)?
    })
}

/// The first sequence header among the OBUs (§5.3), without its header.
fn sequence_header<'a>(reader: &mut BitReader<'a>) -> Result<&'a [u8], ConfigError> {
    while reader.remaining() > 0 {
        reader.skip(1)?; // obu_forbidden_bit
        let kind = reader.bits(4)?;
        let extended = reader.flag()?;
        let sized = reader.flag()?;
        reader.skip(1)?;
        if extended {
            reader.skip(8)?;
        }
        let size = if sized {
            leb128(reader)?
        } else {
            reader.remaining()
        };
        let body = reader.take(size)?;
        if kind == SEQUENCE_HEADER {
            return Ok(body);
        }
    }
    Err(reader.invalid("configOBUs with a sequence header", 0_u8))
}

/// §4.10.5, bounded to what a record can hold.
fn leb128(reader: &mut BitReader<'_>) -> Result<usize, ConfigError> {
    let mut value = 0_usize;
    for shift in [0, 7, 14, 21] {
        let byte = reader.byte()?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(reader.invalid("obu_size", value as u64))
}

fn parse_sequence_header(obu: &[u8]) -> Result<Picture, ConfigError> {
    let mut reader = BitReader::new(obu, SEQUENCE);
    reader.skip(3 + 1)?; // seq_profile, still_picture
    let mut rate = None;
    if reader.flag()? {
        reader.skip(5)?; // reduced_still_picture_header: seq_level_idx only
    } else {
        rate = operating_points(&mut reader)?;
    }
    let width_bits = reader.bits(4)? + 1;
    let height_bits = reader.bits(4)? + 1;
    let width = reader.bits(width_bits)?.checked_add(1);
    let height = reader.bits(height_bits)?.checked_add(1);
    Ok(Picture {
        width: check_size(SEQUENCE, "max_frame_width_minus_1", width)?,
        height: check_size(SEQUENCE, "max_frame_height_minus_1", height)?,
        frame_rate: rate,
        codec_string: String::new(),
    })
}

/// Timing, decoder model and operating points, which stand before the size.
fn operating_points(reader: &mut BitReader<'_>) -> Result<Option<FrameRate>, ConfigError> {
    let mut rate = None;
    let mut delay_bits = None;
    if reader.flag()? {
        let units = u64::from(reader.bits(32)?);
        let time_scale = u64::from(reader.bits(32)?);
        if reader.flag()? {
            let ticks = u64::from(reader.exp_golomb("num_ticks_per_picture_minus_1")?) + 1;
            rate = units
                .checked_mul(ticks)
                .and_then(|per_frame| frame_rate(time_scale, per_frame));
        }
        if reader.flag()? {
            delay_bits = Some(reader.bits(5)? as usize + 1);
            reader.skip(32 + 5 + 5)?;
        }
    }
    let display_delay = reader.flag()?;
    for _ in 0..=reader.bits(5)? {
        reader.skip(12)?; // operating_point_idc
        if reader.bits(5)? > 7 {
            reader.skip(1)?; // seq_tier
        }
        if let Some(bits) = delay_bits
            && reader.flag()?
        {
            reader.skip(2 * bits + 1)?;
        }
        if display_delay && reader.flag()? {
            reader.skip(4)?;
        }
    }
    Ok(rate)
}

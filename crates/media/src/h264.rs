//! H.264: AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3) and the sequence parameter set
//! (ISO 14496-10 §7.3.2.1, VUI in Annex E).

use crate::{
    ConfigError,
    bits::{BitReader, unescape},
    picture::{Picture, check_size, frame_rate},
};

const RECORD: &str = "AVCDecoderConfigurationRecord";
const SPS: &str = "H.264 sequence parameter set";
/// `aspect_ratio_idc` that announces explicit numbers.
const EXTENDED_SAR: u8 = 255;

/// Bytes of a NAL unit's length prefix.
pub(crate) fn nal_length_size(record: &[u8]) -> Option<u8> {
    Some((record.get(4)? & 3) + 1)
}

/// Reads the record and its first sequence parameter set.
pub(crate) fn parse(record: &[u8]) -> Result<Picture, ConfigError> {
    let mut reader = BitReader::new(record, RECORD);
    let version = reader.byte()?;
    if version != 1 {
        return Err(reader.invalid("configurationVersion", version));
    }
    let (profile, constraints, level) = (reader.byte()?, reader.byte()?, reader.byte()?);
    let length_size_minus_one = reader.byte()? & 3;
    if length_size_minus_one == 2 {
        return Err(reader.invalid("lengthSizeMinusOne", 2_u8));
    }
    let mut sps = None;
    for _ in 0..reader.byte()? & 31 {
        let length = reader.bits(16)? as usize;
        let nal = reader.take(length)?;
        sps = sps.or(Some(nal));
    }
    for _ in 0..reader.byte()? {
        let length = reader.bits(16)? as usize;
        reader.take(length)?;
    }
    let sps = sps.ok_or_else(|| reader.invalid("numOfSequenceParameterSets", 0_u8))?;
    Ok(Picture {
        codec_string: format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        ..parse_sps(sps)?
    })
}

fn parse_sps(nal: &[u8]) -> Result<Picture, ConfigError> {
    let plain = unescape(nal);
    let mut reader = BitReader::new(&plain, SPS);
    let nal_unit_type = reader.byte()? & 31;
    if nal_unit_type != 7 {
        return Err(reader.invalid("nal_unit_type", nal_unit_type));
    }
    let profile = reader.byte()?;
    reader.skip(16)?; // constraint flags, level_idc
    reader.exp_golomb_max("seq_parameter_set_id", 31)?;
    let chroma = match profile {
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135 => {
            high_profile_fields(&mut reader)?
        }
        _ => Chroma::Half,
    };
    reader.exp_golomb_max("log2_max_frame_num_minus4", 12)?;
    picture_order_count(&mut reader)?;
    reader.exp_golomb("max_num_ref_frames")?;
    reader.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let width_in_mbs = reader.exp_golomb("pic_width_in_mbs_minus1")?;
    let height_in_units = reader.exp_golomb("pic_height_in_map_units_minus1")?;
    let frames_only = reader.flag()?;
    if !frames_only {
        reader.skip(1)?; // mb_adaptive_frame_field_flag
    }
    reader.skip(1)?; // direct_8x8_inference_flag
    let fields = if frames_only { 1 } else { 2 };
    let (crop_x, crop_y) = match chroma {
        Chroma::Half => (2, 2 * fields),
        Chroma::HalfWidth => (2, fields),
        Chroma::Full => (1, fields),
    };
    let mut crop = [0_u32; 4];
    if reader.flag()? {
        for side in &mut crop {
            *side = reader.exp_golomb_max("frame_cropping", 16_384)?;
        }
    }
    let [left, right, top, bottom] = crop;
    let side = |count: u32, unit: u32, cut: u32| {
        count
            .checked_add(1)?
            .checked_mul(16 * unit)?
            .checked_sub(cut)
    };
    let width = side(width_in_mbs, 1, (left + right) * crop_x);
    let height = side(height_in_units, fields, (top + bottom) * crop_y);
    Ok(Picture {
        width: check_size(SPS, "width", width)?,
        height: check_size(SPS, "height", height)?,
        // Quirky encoders cut the VUI short; decoders play them, so only the rate is lost.
        frame_rate: vui_timing(&mut reader)
            .ok()
            .flatten()
            .and_then(|(ticks, per_field)| frame_rate(ticks, per_field * 2)),
        codec_string: String::new(),
    })
}

/// Chroma subsampling, as far as cropping cares.
#[derive(Clone, Copy)]
enum Chroma {
    /// 4:2:0.
    Half,
    /// 4:2:2.
    HalfWidth,
    /// 4:4:4, separate planes, and monochrome.
    Full,
}

fn high_profile_fields(reader: &mut BitReader<'_>) -> Result<Chroma, ConfigError> {
    let format = reader.exp_golomb_max("chroma_format_idc", 3)?;
    if format == 3 {
        reader.skip(1)?; // separate_colour_plane_flag
    }
    reader.exp_golomb_max("bit_depth_luma_minus8", 6)?;
    reader.exp_golomb_max("bit_depth_chroma_minus8", 6)?;
    reader.skip(1)?; // qpprime_y_zero_transform_bypass_flag
    if reader.flag()? {
        let lists = if format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if reader.flag()? {
                scaling_list(reader, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(match format {
        1 => Chroma::Half,
        2 => Chroma::HalfWidth,
        _ => Chroma::Full,
    })
}

fn scaling_list(reader: &mut BitReader<'_>, size: u32) -> Result<(), ConfigError> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..size {
        if next != 0 {
            let delta = reader.signed_exp_golomb("delta_scale")?;
            next = (last + delta).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

fn picture_order_count(reader: &mut BitReader<'_>) -> Result<(), ConfigError> {
    match reader.exp_golomb_max("pic_order_cnt_type", 2)? {
        0 => {
            reader.exp_golomb_max("log2_max_pic_order_cnt_lsb_minus4", 12)?;
        }
        1 => {
            reader.skip(1)?; // delta_pic_order_always_zero_flag
            reader.signed_exp_golomb("offset_for_non_ref_pic")?;
            reader.signed_exp_golomb("offset_for_top_to_bottom_field")?;
            let count = reader.exp_golomb_max("num_ref_frames_in_pic_order_cnt_cycle", 255)?;
            for _ in 0..count {
                reader.signed_exp_golomb("offset_for_ref_frame")?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `(time_scale, num_units_in_tick)`, where a tick is a field: two make a frame (Annex E.2.1).
fn vui_timing(reader: &mut BitReader<'_>) -> Result<Option<(u64, u64)>, ConfigError> {
    if !reader.flag()? {
        return Ok(None);
    }
    if reader.flag()? && reader.byte()? == EXTENDED_SAR {
        reader.skip(32)?;
    }
    if reader.flag()? {
        reader.skip(1)?; // overscan_appropriate_flag
    }
    if reader.flag()? {
        reader.skip(4)?; // video_format, video_full_range_flag
        if reader.flag()? {
            reader.skip(24)?; // colour description
        }
    }
    if reader.flag()? {
        reader.exp_golomb("chroma_sample_loc_type_top_field")?;
        reader.exp_golomb("chroma_sample_loc_type_bottom_field")?;
    }
    if !reader.flag()? {
        return Ok(None);
    }
    let units_in_tick = reader.bits(32)?;
    let time_scale = reader.bits(32)?;
    Ok(Some((u64::from(time_scale), u64::from(units_in_tick))))
}

//! H.265: HEVCDecoderConfigurationRecord (ISO 14496-15 §8.3.3) and the sequence parameter set
//! (ISO 23008-2 §7.3.2.2, VUI in Annex E).

use std::fmt::Write as _;

use crate::{
    ConfigError,
    bits::{BitReader, unescape},
    picture::{Picture, check_size, frame_rate},
};

const RECORD: &str = "HEVCDecoderConfigurationRecord";
const SPS: &str = "H.265 sequence parameter set";
/// NAL unit type of a sequence parameter set (ISO 23008-2 table 7-1).
const SPS_NUT: u8 = 33;
/// `aspect_ratio_idc` that announces explicit numbers.
const EXTENDED_SAR: u8 = 255;

/// Bytes of a NAL unit's length prefix.
pub(crate) fn nal_length_size(record: &[u8]) -> Option<u8> {
    Some((record.get(21)? & 3) + 1)
}

/// Reads the record and its first sequence parameter set.
pub(crate) fn parse(record: &[u8]) -> Result<Picture, ConfigError> {
    let mut reader = BitReader::new(record, RECORD);
    let version = reader.byte()?;
    // Version 0 was the draft's and some encoders still write it; the layout is the same.
    if version > 1 {
        return Err(reader.invalid("configurationVersion", version));
    }
    let codec_string = codec_string(&mut reader)?;
    reader.skip(48)?; // min_spatial_segmentation_idc .. bitDepthChromaMinus8
    let average_frame_rate = reader.bits(16)?;
    let length_size_minus_one = reader.byte()? & 3;
    if length_size_minus_one == 2 {
        return Err(reader.invalid("lengthSizeMinusOne", 2_u8));
    }
    let mut sps = None;
    for _ in 0..reader.byte()? {
        let kind = reader.byte()? & 63;
        for _ in 0..reader.bits(16)? {
            let length = reader.bits(16)? as usize;
            let nal = reader.take(length)?;
            if kind == SPS_NUT {
                sps = sps.or(Some(nal));
            }
        }
    }
    let sps = sps.ok_or_else(|| reader.invalid("sequence parameter sets", 0_u8))?;
    let picture = parse_sps(sps)?;
    Ok(Picture {
        codec_string,
        // avgFrameRate counts frames in 256 seconds.
        frame_rate: picture
            .frame_rate
            .or_else(|| frame_rate(u64::from(average_frame_rate), 256)),
        ..picture
    })
}

/// `hvc1.<profile>.<compatibility>.<tier and level>.<constraints>` (ISO 14496-15 Annex E.3).
fn codec_string(reader: &mut BitReader<'_>) -> Result<String, ConfigError> {
    let space = reader.bits(2)?;
    let tier = if reader.flag()? { 'H' } else { 'L' };
    let profile = reader.bits(5)?;
    let compatibility = reader.bits(32)?.reverse_bits();
    let constraints = reader.take(6)?;
    let level = reader.byte()?;
    let space = match space {
        0 => "",
        1 => "A",
        2 => "B",
        _ => "C",
    };
    let mut text = format!("hvc1.{space}{profile}.{compatibility:X}.{tier}{level}");
    let used = constraints
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    for byte in constraints.iter().take(used) {
        let _ = write!(text, ".{byte:X}");
    }
    Ok(text)
}

fn parse_sps(nal: &[u8]) -> Result<Picture, ConfigError> {
    let plain = unescape(nal);
    let mut reader = BitReader::new(&plain, SPS);
    let nal_unit_type = reader.byte()? >> 1 & 63;
    if nal_unit_type != SPS_NUT {
        return Err(reader.invalid("nal_unit_type", nal_unit_type));
    }
    reader.skip(8 + 4)?; // rest of the NAL header, sps_video_parameter_set_id
    let sub_layers = reader.bits(3)?;
    if sub_layers > 6 {
        return Err(reader.invalid("sps_max_sub_layers_minus1", sub_layers));
    }
    reader.skip(1)?; // sps_temporal_id_nesting_flag
    profile_tier_level(&mut reader, sub_layers)?;
    reader.exp_golomb_max("sps_seq_parameter_set_id", 15)?;
    let chroma_format = reader.exp_golomb_max("chroma_format_idc", 3)?;
    if chroma_format == 3 {
        reader.skip(1)?; // separate_colour_plane_flag
    }
    let (crop_x, crop_y) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let width = reader.exp_golomb("pic_width_in_luma_samples")?;
    let height = reader.exp_golomb("pic_height_in_luma_samples")?;
    let mut crop = [0_u32; 4];
    if reader.flag()? {
        for side in &mut crop {
            *side = reader.exp_golomb_max("conformance_window", 16_384)?;
        }
    }
    let [left, right, top, bottom] = crop;
    let width = width.checked_sub((left + right) * crop_x);
    let height = height.checked_sub((top + bottom) * crop_y);
    Ok(Picture {
        width: check_size(SPS, "width", width)?,
        height: check_size(SPS, "height", height)?,
        // The rate sits behind a long tail that encoders get wrong and decoders survive.
        frame_rate: timing(&mut reader, sub_layers)
            .ok()
            .flatten()
            .and_then(|(ticks, per_frame)| frame_rate(ticks, per_frame)),
        codec_string: String::new(),
    })
}

/// §7.3.3, with `profilePresentFlag` 1.
fn profile_tier_level(reader: &mut BitReader<'_>, sub_layers: u32) -> Result<(), ConfigError> {
    reader.skip(88 + 8)?;
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((reader.flag()?, reader.flag()?));
    }
    if sub_layers > 0 {
        reader.skip(2 * (8 - sub_layers as usize))?;
    }
    for (profile, level) in present {
        reader.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Ok(())
}

/// From the bit depths on to the VUI: `(vui_time_scale, vui_num_units_in_tick)`.
fn timing(reader: &mut BitReader<'_>, sub_layers: u32) -> Result<Option<(u64, u64)>, ConfigError> {
    reader.exp_golomb("bit_depth_luma_minus8")?;
    reader.exp_golomb("bit_depth_chroma_minus8")?;
    let poc_bits = reader.exp_golomb_max("log2_max_pic_order_cnt_lsb_minus4", 12)? + 4;
    let ordering_for_all = reader.flag()?;
    for _ in if ordering_for_all { 0 } else { sub_layers }..=sub_layers {
        for _ in 0..3 {
            reader.exp_golomb("sps_max_dec_pic_buffering")?;
        }
    }
    for _ in 0..6 {
        reader.exp_golomb("coding block sizes")?;
    }
    if reader.flag()? && reader.flag()? {
        scaling_list_data(reader)?;
    }
    reader.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if reader.flag()? {
        reader.skip(8)?; // pcm bit depths
        reader.exp_golomb("log2_min_pcm_luma_coding_block_size_minus3")?;
        reader.exp_golomb("log2_diff_max_min_pcm_luma_coding_block_size")?;
        reader.skip(1)?;
    }
    short_term_sets(reader)?;
    if reader.flag()? {
        for _ in 0..reader.exp_golomb_max("num_long_term_ref_pics_sps", 32)? {
            reader.skip(poc_bits as usize + 1)?;
        }
    }
    reader.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if !reader.flag()? {
        return Ok(None);
    }
    vui_timing(reader)
}

/// §7.3.4.
fn scaling_list_data(reader: &mut BitReader<'_>) -> Result<(), ConfigError> {
    for size in 0..4_u32 {
        for _ in (0..6).step_by(if size == 3 { 3 } else { 1 }) {
            if !reader.flag()? {
                reader.exp_golomb("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            if size > 1 {
                reader.signed_exp_golomb("scaling_list_dc_coef_minus8")?;
            }
            for _ in 0..64.min(1 << (4 + (size << 1))) {
                reader.signed_exp_golomb("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}

/// `st_ref_pic_set()` of §7.3.7, for every set.
fn short_term_sets(reader: &mut BitReader<'_>) -> Result<(), ConfigError> {
    let count = reader.exp_golomb_max("num_short_term_ref_pic_sets", 64)?;
    let mut pictures = 0_u32;
    for index in 0..count {
        if index > 0 && reader.flag()? {
            reader.skip(1)?; // delta_rps_sign
            reader.exp_golomb("abs_delta_rps_minus1")?;
            let mut kept = 0;
            for _ in 0..=pictures {
                let used = reader.flag()?;
                if used || reader.flag()? {
                    kept += 1;
                }
            }
            pictures = kept;
        } else {
            let negative = reader.exp_golomb_max("num_negative_pics", 16)?;
            let positive = reader.exp_golomb_max("num_positive_pics", 16)?;
            pictures = negative + positive;
            for _ in 0..pictures {
                reader.exp_golomb("delta_poc_minus1")?;
                reader.skip(1)?;
            }
        }
    }
    Ok(())
}

/// Annex E.2.1.
fn vui_timing(reader: &mut BitReader<'_>) -> Result<Option<(u64, u64)>, ConfigError> {
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
    reader.skip(3)?; // neutral_chroma, field_seq, frame_field_info
    if reader.flag()? {
        for _ in 0..4 {
            reader.exp_golomb("default display window")?;
        }
    }
    if !reader.flag()? {
        return Ok(None);
    }
    let units_in_tick = reader.bits(32)?;
    let time_scale = reader.bits(32)?;
    Ok(Some((u64::from(time_scale), u64::from(units_in_tick))))
}

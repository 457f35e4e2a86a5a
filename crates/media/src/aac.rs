//! AAC: AudioSpecificConfig (ISO 14496-3 §1.6.2.1).

use crate::{ConfigError, bits::BitReader};

const RECORD: &str = "AudioSpecificConfig";
/// `samplingFrequencyIndex` 0 to 12 (table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
/// Escape for an explicit rate.
const EXPLICIT_RATE: u32 = 15;
/// The fastest rate that any device offers.
const MAX_RATE: u32 = 192_000;
/// Audio object type of spectral band replication: HE-AAC.
const SBR: u32 = 5;
/// Audio object type of parametric stereo: HE-AAC v2.
const PS: u32 = 29;

/// What the record says of the sound as decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aac {
    /// As signalled: 2 for LC, 5 for HE, 29 for HE v2.
    pub(crate) object_type: u32,
    /// After SBR, if that is signalled.
    pub(crate) sample_rate: u32,
    /// After PS, if that is signalled.
    pub(crate) channels: u16,
    /// At [`Self::sample_rate`].
    pub(crate) samples_per_frame: u32,
}

pub(crate) fn parse(record: &[u8]) -> Result<Aac, ConfigError> {
    let mut reader = BitReader::new(record, RECORD);
    let object_type = read_object_type(&mut reader)?;
    let core_rate = read_sample_rate(&mut reader)?;
    let channel_configuration = reader.bits(4)?;
    let mut sample_rate = core_rate;
    let mut core_type = object_type;
    if object_type == SBR || object_type == PS {
        sample_rate = read_sample_rate(&mut reader)?;
        // Downsampled SBR keeps the core's rate; nothing else but doubling exists.
        if sample_rate != core_rate && sample_rate != core_rate.saturating_mul(2) {
            return Err(reader.invalid("extensionSamplingFrequency", sample_rate));
        }
        core_type = read_object_type(&mut reader)?;
    }
    // Main, LC, SSR and LTP: 1024-sample frames in raw_data_blocks. What has other frames (ER, LD,
    // USAC) is not AAC as RTMP carries it.
    if !(1..=4).contains(&core_type) {
        return Err(reader.invalid("audioObjectType", core_type));
    }
    let short_frames = reader.flag()?; // frameLengthFlag
    if reader.flag()? {
        reader.skip(14)?; // coreCoderDelay
    }
    reader.skip(1)?; // extensionFlag
    let channels = match channel_configuration {
        0 => program_config_channels(&mut reader)?,
        1..=6 => channel_configuration as u16,
        7 | 12 | 14 => 8,
        11 => 7,
        13 => 24,
        other => return Err(reader.invalid("channelConfiguration", other)),
    };
    let core_samples = if short_frames { 960 } else { 1024 };
    Ok(Aac {
        object_type,
        sample_rate,
        channels: if object_type == PS && channels == 1 {
            2
        } else {
            channels
        },
        samples_per_frame: if sample_rate == core_rate {
            core_samples
        } else {
            core_samples * 2
        },
    })
}

fn read_object_type(reader: &mut BitReader<'_>) -> Result<u32, ConfigError> {
    match reader.bits(5)? {
        31 => Ok(32 + reader.bits(6)?),
        plain => Ok(plain),
    }
}

fn read_sample_rate(reader: &mut BitReader<'_>) -> Result<u32, ConfigError> {
    let index = reader.bits(4)?;
    if index == EXPLICIT_RATE {
        let rate = reader.bits(24)?;
        if !(1000..=MAX_RATE).contains(&rate) {
            return Err(reader.invalid("samplingFrequency", rate));
        }
        return Ok(rate);
    }
    SAMPLE_RATES
        .get(index as usize)
        .copied()
        .ok_or_else(|| reader.invalid("samplingFrequencyIndex", index))
}

/// Channels of a `program_config_element` (§4.4.1.1), which stands where `channelConfiguration` is 0.
fn program_config_channels(reader: &mut BitReader<'_>) -> Result<u16, ConfigError> {
    reader.skip(4 + 2 + 4)?; // element_instance_tag, object_type, sampling_frequency_index
    let mut elements = 0;
    for _ in 0..3 {
        elements += reader.bits(4)?; // front, side, back
    }
    let low_frequency = reader.bits(2)?;
    reader.skip(3 + 4)?; // associated data, coupling channels
    for mixdown_bits in [4, 4, 3] {
        if reader.flag()? {
            reader.skip(mixdown_bits)?;
        }
    }
    let mut channels = low_frequency as u16;
    for _ in 0..elements {
        channels += if reader.flag()? { 2 } else { 1 };
        reader.skip(4)?;
    }
    if channels == 0 {
        return Err(reader.invalid("program_config_element channels", 0_u8));
    }
    Ok(channels)
}

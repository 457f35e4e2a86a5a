//! Opus: the identification header (RFC 7845 §5.1) and a packet's duration (RFC 6716 §3.1).

use crate::{ConfigError, bits::BitReader};

const RECORD: &str = "OpusHead";
/// Samples a second that Opus decodes to, whatever went into the encoder.
pub(crate) const SAMPLE_RATE: u32 = 48_000;
/// The longest packet, 120 ms, in samples (RFC 6716 §3.2.5).
const MAX_PACKET: u32 = 5760;

/// Reads the header; returns its channels.
pub(crate) fn parse(record: &[u8]) -> Result<u16, ConfigError> {
    let mut reader = BitReader::new(record, RECORD);
    let magic = reader.take(8)?;
    if magic != b"OpusHead" {
        let first = magic.first().copied().unwrap_or_default();
        return Err(reader.invalid("magic", first));
    }
    let version = reader.byte()?;
    // The upper half is the incompatible version (RFC 7845 §5.1).
    if version == 0 || version >= 16 {
        return Err(reader.invalid("version", version));
    }
    let channels = reader.byte()?;
    reader.skip(16 + 32 + 16)?; // pre-skip, input sample rate, output gain
    let family = reader.byte()?;
    if channels == 0 || (family == 0 && channels > 2) {
        return Err(reader.invalid("output channel count", channels));
    }
    if family != 0 {
        let streams = reader.byte()?;
        let coupled = reader.byte()?;
        if streams == 0 || coupled > streams {
            return Err(reader.invalid("stream count", streams));
        }
        reader.take(usize::from(channels))?;
    }
    Ok(u16::from(channels))
}

/// Duration of an Opus packet in samples at 48 kHz, from its table of contents; `None` if malformed.
pub fn opus_packet_samples(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let config = u32::from(toc >> 3);
    let frame = match config {
        0..=11 => [480, 960, 1920, 2880].get(config as usize % 4)?, // SILK
        12..=15 => [480, 960].get(config as usize % 2)?,            // hybrid
        _ => [120, 240, 480, 960].get(config as usize % 4)?,        // CELT
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 63),
    };
    let samples = frame * frames;
    (1..=MAX_PACKET).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_durations_follow_the_table_of_contents() {
        assert_eq!(opus_packet_samples(&[31 << 3]), Some(960));
        assert_eq!(opus_packet_samples(&[28 << 3 | 1]), Some(240));
        assert_eq!(opus_packet_samples(&[3 << 3 | 2]), Some(5760));
        assert_eq!(opus_packet_samples(&[16 << 3 | 3, 3]), Some(360));
        assert_eq!(opus_packet_samples(&[16 << 3 | 3, 0]), None);
        assert_eq!(opus_packet_samples(&[3 << 3 | 3, 63]), None);
        assert_eq!(opus_packet_samples(&[]), None);
    }
}

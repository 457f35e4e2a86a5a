//! Window events and FLV batches on the wire between origin and edge.

use delivery::{Batch, EpochInfo, SegmentDigest, WindowEvent};
use media::FrameRate;
use proto::{
    ConvertError,
    convert::field,
    packager::{self as wire, window_event::Event as Wire},
};
use types::{Bitrate, ByteCount, Epoch, MediaTime, Msn, PartIndex, StreamId, Timescale};

/// The form of a window event on the wire. `stream` names the stream in digests.
pub(crate) fn event_to_wire(event: &WindowEvent) -> wire::WindowEvent {
    let event = match event {
        WindowEvent::EpochOpened(info) => Wire::EpochOpened(epoch_to_wire(info)),
        WindowEvent::Init { generation, data } => Wire::Init(wire::InitSegment {
            generation: *generation,
            data: data.clone(),
        }),
        WindowEvent::SegmentOpened {
            msn,
            init,
            program_date_time_ms,
            discontinuity,
            discontinuity_sequence,
        } => Wire::SegmentOpened(wire::SegmentOpened {
            msn: msn.get(),
            init_generation: *init,
            program_date_time_unix_ms: *program_date_time_ms,
            discontinuity: *discontinuity,
            discontinuity_sequence: *discontinuity_sequence,
        }),
        WindowEvent::Part {
            msn,
            index,
            duration,
            independent,
            data,
        } => Wire::Part(wire::Part {
            msn: msn.get(),
            index: index.get(),
            duration_ticks: ticks(*duration),
            independent: *independent,
            data: data.clone(),
        }),
        WindowEvent::SegmentClosed {
            msn,
            duration,
            digest,
        } => Wire::SegmentClosed(wire::SegmentClosed {
            msn: msn.get(),
            duration_ticks: ticks(*duration),
            independent: false,
            digest: Some(digest_to_wire(digest)),
        }),
        WindowEvent::Paused(paused) => Wire::Paused(wire::Paused { paused: *paused }),
        WindowEvent::Ended => Wire::Ended(wire::WindowEnded {}),
    };
    wire::WindowEvent { event: Some(event) }
}

/// Reads what [`event_to_wire`] wrote.
pub(crate) fn event_from_wire(event: wire::WindowEvent) -> Result<WindowEvent, ConvertError> {
    Ok(
        match event.event.ok_or(ConvertError::Field { field: "event" })? {
            Wire::EpochOpened(info) => WindowEvent::EpochOpened(epoch_from_wire(&info)),
            Wire::Init(init) => WindowEvent::Init {
                generation: init.generation,
                data: init.data,
            },
            Wire::SegmentOpened(opened) => WindowEvent::SegmentOpened {
                msn: Msn::new(opened.msn),
                init: opened.init_generation,
                program_date_time_ms: opened.program_date_time_unix_ms,
                discontinuity: opened.discontinuity,
                discontinuity_sequence: opened.discontinuity_sequence,
            },
            Wire::Part(part) => WindowEvent::Part {
                msn: Msn::new(part.msn),
                index: PartIndex::new(part.index),
                duration: time(part.duration_ticks),
                independent: part.independent,
                data: part.data,
            },
            Wire::SegmentClosed(closed) => WindowEvent::SegmentClosed {
                msn: Msn::new(closed.msn),
                duration: time(closed.duration_ticks),
                digest: digest_from_wire(
                    closed
                        .digest
                        .ok_or(ConvertError::Field { field: "digest" })?,
                )?,
            },
            Wire::Paused(paused) => WindowEvent::Paused(paused.paused),
            Wire::Ended(_) => WindowEvent::Ended,
        },
    )
}

fn ticks(time: MediaTime) -> u64 {
    u64::try_from(time.rescale(Timescale::VIDEO)).unwrap_or(0)
}

fn time(ticks: u64) -> MediaTime {
    MediaTime::new(i64::try_from(ticks).unwrap_or(i64::MAX), Timescale::VIDEO)
}

fn epoch_to_wire(info: &EpochInfo) -> wire::EpochOpened {
    let (width, height) = info.resolution.unwrap_or((0, 0));
    wire::EpochOpened {
        epoch: info.epoch.get(),
        first_msn: info.first_msn.get(),
        target_duration_s: info.target_duration,
        part_target_ms: info.part_target.as_millis() as u32,
        discontinuity_sequence: 0,
        codecs: info.codecs.join(","),
        width,
        height,
        frame_rate_millihertz: info
            .frame_rate
            .map_or(0, |rate| (rate.as_f64() * 1000.0).round() as u32),
        bandwidth_bps: info.bandwidth.get(),
        average_bandwidth_bps: info.average_bandwidth.get(),
    }
}

fn epoch_from_wire(info: &wire::EpochOpened) -> EpochInfo {
    let rate = FrameRate {
        numerator: info.frame_rate_millihertz,
        denominator: 1000,
    };
    EpochInfo {
        epoch: Epoch::new(info.epoch),
        first_msn: Msn::new(info.first_msn),
        target_duration: info.target_duration_s,
        part_target: MediaTime::from_millis(i64::from(info.part_target_ms)),
        codecs: info
            .codecs
            .split(',')
            .filter(|codec| !codec.is_empty())
            .map(str::to_owned)
            .collect(),
        resolution: (info.width > 0).then_some((info.width, info.height)),
        frame_rate: (info.frame_rate_millihertz > 0).then_some(rate),
        bandwidth: Bitrate::new(info.bandwidth_bps),
        average_bandwidth: Bitrate::new(info.average_bandwidth_bps),
    }
}

fn digest_to_wire(digest: &SegmentDigest) -> wire::SegmentDigest {
    wire::SegmentDigest {
        stream_id: digest.stream.to_string(),
        rendition: digest.rendition.clone(),
        epoch: digest.epoch.get(),
        msn: digest.msn.get(),
        length: digest.length.get(),
        sha256: digest.sha256.to_vec().into(),
        key_id: digest.key_id.clone(),
        signature: digest.signature.to_vec().into(),
    }
}

fn digest_from_wire(digest: wire::SegmentDigest) -> Result<SegmentDigest, ConvertError> {
    Ok(SegmentDigest {
        stream: field::<StreamId>(&digest.stream_id, "stream_id")?,
        rendition: digest.rendition,
        epoch: Epoch::new(digest.epoch),
        msn: Msn::new(digest.msn),
        length: ByteCount::new(digest.length),
        sha256: digest
            .sha256
            .as_ref()
            .try_into()
            .map_err(|_| ConvertError::Field { field: "sha256" })?,
        key_id: digest.key_id,
        signature: digest
            .signature
            .as_ref()
            .try_into()
            .map_err(|_| ConvertError::Field { field: "signature" })?,
    })
}

/// A batch on the wire; a preamble travels as a batch of its own.
pub(crate) fn batch_to_wire(batch: Batch, is_preamble: bool) -> wire::FlvBatch {
    let (tags, preamble) = if is_preamble {
        (bytes::Bytes::new(), batch.bytes)
    } else {
        (batch.bytes, bytes::Bytes::new())
    };
    wire::FlvBatch {
        tags,
        starts_at_keyframe: batch.join,
        preamble,
        decode_time_ms: batch.time.as_millis(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use delivery::DigestKey;

    use super::*;

    #[test]
    fn events_survive_the_wire() {
        let digest =
            DigestKey::generate().digest(StreamId::new(), Epoch::new(2), Msn::new(7), &[b"abc"]);
        let events = [
            WindowEvent::EpochOpened(EpochInfo {
                epoch: Epoch::new(2),
                first_msn: Msn::new(7),
                target_duration: 8,
                part_target: MediaTime::from_millis(336),
                codecs: vec!["avc1.64001f".to_owned(), "mp4a.40.2".to_owned()],
                resolution: Some((1280, 720)),
                frame_rate: Some(FrameRate {
                    numerator: 29_970,
                    denominator: 1000,
                }),
                bandwidth: Bitrate::new(3_000_000),
                average_bandwidth: Bitrate::new(2_600_000),
            }),
            WindowEvent::Init {
                generation: 1,
                data: Bytes::from_static(b"init"),
            },
            WindowEvent::SegmentOpened {
                msn: Msn::new(7),
                init: 1,
                program_date_time_ms: 1_700_000_000_123,
                discontinuity: true,
                discontinuity_sequence: 4,
            },
            WindowEvent::Part {
                msn: Msn::new(7),
                index: PartIndex::new(3),
                duration: MediaTime::new(30_001, Timescale::VIDEO),
                independent: true,
                data: Bytes::from_static(b"part"),
            },
            WindowEvent::SegmentClosed {
                msn: Msn::new(7),
                duration: MediaTime::from_millis(2000),
                digest,
            },
            WindowEvent::Paused(true),
            WindowEvent::Ended,
        ];
        for event in events {
            assert_eq!(event_from_wire(event_to_wire(&event)).unwrap(), event);
        }
    }
}

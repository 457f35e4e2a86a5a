//! Media messages to packets: timestamps unwrapped, aggregates split, metadata unpacked.

use bytes::{Buf, Bytes};
use media::Packet;
use types::MediaTime;

use super::command::amf0_part;
use crate::{
    Error, Message, MessageHeader, amf0, amf0::Value, message_type, time::TimestampUnwrapper,
};

/// One publisher's media.
#[derive(Debug, Default)]
pub(super) struct MediaInput {
    demuxer: flv::Demuxer,
    audio: TimestampUnwrapper,
    video: TimestampUnwrapper,
}

impl MediaInput {
    /// Takes an audio or video message.
    pub(super) fn receive(&mut self, message: Message) -> Result<Option<Packet>, flv::Error> {
        let is_audio = message.header.type_id == message_type::AUDIO;
        let (own, other) = if is_audio {
            (&mut self.audio, &self.video)
        } else {
            (&mut self.video, &self.audio)
        };
        // A track that starts late may start beyond the other's wrap.
        let mut unwrapper = match (own.last(), other.last()) {
            (None, Some(time)) => TimestampUnwrapper::near(time),
            _ => *own,
        };
        let time = MediaTime::from_millis(unwrapper.unwrap(message.header.timestamp));
        let packet = if is_audio {
            self.demuxer.audio(time, message.payload)
        } else {
            self.demuxer.video(time, message.payload)
        }?;
        // Relays send configurations at zero, whatever time the samples have reached.
        if matches!(packet, Some(Packet::Sample(_))) {
            *own = unwrapper;
        }
        Ok(packet)
    }
}

/// The `onMetaData` value of a data message, with or without `@setDataFrame`; `None` of other data.
pub(super) fn metadata(message: &Message) -> Result<Option<Value>, Error> {
    let mut values = amf0::read_all(amf0_part(message))?.into_iter().peekable();
    values.next_if(|value| value.as_str() == Some("@setDataFrame"));
    if values.next().as_ref().and_then(Value::as_str) != Some("onMetaData") {
        return Ok(None);
    }
    Ok(values.next())
}

/// The messages of an aggregate message (§7.1.6): FLV tags whose times are relative to the first.
/// What is cut off at the end is left out.
pub(super) fn split_aggregate(message: &Message) -> Vec<Message> {
    let mut rest: Bytes = message.payload.clone();
    let mut offset = None;
    let mut messages = Vec::new();
    while let Some(&[type_id, s1, s2, s3, t1, t2, t3, t0, _, _, _]) = rest.first_chunk() {
        let size = u32::from_be_bytes([0, s1, s2, s3]) as usize;
        let time = u32::from_be_bytes([t0, t1, t2, t3]);
        rest.advance(flv::TAG_HEADER_SIZE);
        if size > rest.len() {
            break;
        }
        let payload = rest.split_to(size);
        rest.advance(rest.len().min(4));
        let offset = *offset.get_or_insert(message.header.timestamp.wrapping_sub(time));
        // An aggregate in an aggregate is in no specification and would nest without bound.
        if type_id != message_type::AGGREGATE {
            messages.push(Message {
                header: MessageHeader {
                    type_id,
                    stream_id: message.header.stream_id,
                    timestamp: time.wrapping_add(offset),
                },
                payload,
            });
        }
    }
    messages
}

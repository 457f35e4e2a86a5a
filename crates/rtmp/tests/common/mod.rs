//! Streams made of real configuration records, and peers joined in memory.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "shared by several test programs, each of which uses a part"
)]

use bytes::{Bytes, BytesMut};
use media::{
    AudioCodec, AudioConfig, CodecConfig, Packet, Sample, TrackKind, VideoCodec, VideoConfig,
};
use rtmp::{
    Limits, Message, MessageHeader,
    amf0::{self, Value},
    chunk, message_type,
    session::{Client, ClientConfig, ClientEvent, Event, Role, Server, ServerConfig},
};
use types::{MediaTime, Secret};

/// A record of `media`'s fuzz corpus, without the byte that picks the codec.
macro_rules! record {
    ($name:literal) => {
        Bytes::from_static(
            include_bytes!(concat!(
                "../../../media/fuzz/corpus/codec_configuration/",
                $name
            ))
            .get(1..)
            .unwrap(),
        )
    };
}

pub fn video(codec: VideoCodec) -> Packet {
    let record = match codec {
        VideoCodec::H264 => record!("avc_high_640x360_30"),
        VideoCodec::H265 => record!("hevc_main_640x360_30"),
        VideoCodec::Av1 => record!("av1_main_640x360"),
    };
    Packet::Config(CodecConfig::Video(
        VideoConfig::parse(codec, record).unwrap(),
    ))
}

pub fn audio(codec: AudioCodec) -> Packet {
    let record = match codec {
        AudioCodec::Aac => record!("aac_lc_stereo_48000"),
        AudioCodec::Opus => record!("opus_stereo"),
    };
    Packet::Config(CodecConfig::Audio(
        AudioConfig::parse(codec, record).unwrap(),
    ))
}

pub fn sample(track: TrackKind, at: i64, size: usize) -> Packet {
    Packet::Sample(Sample {
        track,
        decode_time: MediaTime::from_millis(at),
        composition_offset: MediaTime::ZERO,
        keyframe: true,
        payload: vec![at as u8; size].into(),
    })
}

/// Configurations, then a second of large video and small audio samples.
pub fn stream(video_codec: VideoCodec, audio_codec: AudioCodec) -> Vec<Packet> {
    let mut packets = vec![video(video_codec), audio(audio_codec)];
    for at in (1..1000).step_by(40) {
        packets.push(sample(TrackKind::Video, at, 70_000));
        packets.push(sample(TrackKind::Audio, at + 5, 200));
    }
    packets
}

pub fn client(role: Role) -> Client {
    let config = ClientConfig {
        app: "live".into(),
        tc_url: Secret::new("rtmp://localhost/live".into()),
        stream: Secret::new("key?token=1".into()),
        role,
    };
    Client::new(Limits::default(), config).unwrap()
}

pub fn server() -> Server {
    Server::new(Limits::default(), ServerConfig::default())
}

/// Carries bytes both ways until neither has more; yields what happened.
pub fn exchange(client: &mut Client, server: &mut Server) -> (Vec<ClientEvent>, Vec<Event>) {
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    loop {
        let (up, down) = (client.take_output(), server.take_output());
        if up.is_empty() && down.is_empty() {
            return (at_client, at_server);
        }
        server.receive(&up).unwrap();
        client.receive(&down).unwrap();
        at_server.extend(std::iter::from_fn(|| server.poll_event()));
        at_client.extend(std::iter::from_fn(|| client.poll_event()));
    }
}

/// A peer that says exactly what a test wants.
pub struct Raw {
    pub server: Server,
    reader: chunk::Reader,
}

impl Raw {
    /// Past the handshake; the replies to it are checked and gone.
    pub fn new() -> Self {
        let mut raw = Self {
            server: server(),
            reader: chunk::Reader::new(Limits::default()),
        };
        let mut hello = vec![0; 3073];
        hello[0] = 3;
        raw.server.receive(&hello).unwrap();
        assert_eq!(raw.server.take_output().len(), 3073);
        raw
    }

    /// Past `connect`.
    pub fn connected() -> Self {
        let mut raw = Self::new();
        let object = Value::object([("app", "/live/?x=1".into())]);
        raw.command("connect", 1.0, &[object]).unwrap();
        raw
    }

    /// Past `publish`, accepted.
    pub fn publishing() -> Self {
        let mut raw = Self::connected();
        let arguments = [Value::Null, "key".into(), "live".into()];
        raw.command("publish", 5.0, &arguments).unwrap();
        for event in raw.events() {
            if let Event::PublishRequested { request, .. } = event {
                assert!(raw.server.accept_publish(request).unwrap());
            }
        }
        raw.replies();
        raw
    }

    pub fn command(&mut self, name: &str, id: f64, rest: &[Value]) -> Result<(), rtmp::Error> {
        let mut payload = BytesMut::new();
        amf0::write_all(&mut payload, &[name.into(), id.into()]);
        amf0::write_all(&mut payload, rest);
        self.message(message_type::COMMAND, 0, &payload)
    }

    pub fn message(&mut self, type_id: u8, at: u32, payload: &[u8]) -> Result<(), rtmp::Error> {
        let header = MessageHeader {
            type_id,
            stream_id: 1,
            timestamp: at,
        };
        let bytes = chunk::serialize_message_shared(8, &header, &[payload], 128);
        self.server.receive(&bytes)
    }

    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.server.poll_event()).collect()
    }

    pub fn replies(&mut self) -> Vec<Message> {
        let output = self.server.take_output();
        let mut rest = output.as_ref();
        std::iter::from_fn(|| self.reader.read(&mut rest).unwrap()).collect()
    }

    /// The replies that are commands.
    pub fn command_replies(&mut self) -> Vec<Vec<Value>> {
        let mut replies = self.replies();
        replies.retain(|message| message.header.type_id == message_type::COMMAND);
        let values = replies.iter().map(|m| amf0::read_all(&m.payload).unwrap());
        values.collect()
    }
}

//! The client's end: a publisher or a player of one stream, for relays and tests.

use std::collections::VecDeque;

use bytes::Bytes;
use media::Packet;
use types::Secret;

use super::{
    command::Command,
    link::{Link, SET_BUFFER_LENGTH},
    media::{MediaInput, metadata, split_aggregate},
};
use crate::{
    Error, Limits, Message,
    amf0::Value,
    chunk::{self, MEDIA_STREAM},
    message_type,
};

/// What a client is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sends a stream.
    Publish,
    /// Receives a stream.
    Play,
}

/// What a client connects for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// The application.
    pub app: String,
    /// The URL up to the application: `rtmp://host/app`.
    pub tc_url: Secret<String>,
    /// The stream's name or key, with its query if any.
    pub stream: Secret<String>,
    /// What to do with it.
    pub role: Role,
}

/// What happened on a client session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The publish or play has started.
    Ready,
    /// The server refused or ended it with an error.
    Rejected {
        /// The status code, such as `NetStream.Publish.BadName`.
        code: String,
        /// The server's explanation.
        description: String,
    },
    /// A configuration or sample of the stream played.
    Packet(Packet),
    /// The `onMetaData` of the stream played.
    Metadata(Value),
    /// A message that can't be used; the play goes on.
    PacketDropped {
        /// Why.
        reason: Error,
    },
    /// The server ended the stream.
    Finished,
}

/// Transaction ids: one command of each, so constants do.
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const START: f64 = 5.0;
const DELETE_STREAM: f64 = 6.0;

/// A player's buffer as we tell servers, in milliseconds.
const BUFFER_LENGTH: u32 = 3000;

/// The client's end of one connection. Send [`Self::take_output`] first: the client speaks first.
#[derive(Debug)]
pub struct Client {
    link: Link,
    config: ClientConfig,
    ready: bool,
    stream_id: u32,
    media: MediaInput,
    muxer: flv::Muxer,
    events: VecDeque<ClientEvent>,
}

impl Client {
    /// The session of a connection just opened.
    pub fn new(limits: Limits, config: ClientConfig) -> Result<Self, Error> {
        Ok(Self {
            link: Link::client(limits)?,
            config,
            ready: false,
            stream_id: MEDIA_STREAM,
            media: MediaInput::default(),
            muxer: flv::Muxer::new(),
            events: VecDeque::new(),
        })
    }

    /// Takes bytes received, in pieces of any size. Then call [`Self::poll_event`] and [`Self::take_output`].
    pub fn receive(&mut self, mut input: &[u8]) -> Result<(), Error> {
        loop {
            let was_open = self.link.is_open();
            match self.link.next(&mut input)? {
                Some(message) => self.message(message)?,
                None if self.link.is_open() != was_open => self.connect(),
                None => break,
            }
        }
        self.link.acknowledge();
        Ok(())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Bytes to send now; may be empty.
    pub fn take_output(&mut self) -> Bytes {
        self.link.take_output()
    }

    /// Publishes a packet; [`Error::NotReady`] before [`ClientEvent::Ready`].
    pub fn send(&mut self, packet: &Packet) -> Result<(), Error> {
        let tag = self.muxer.tag(packet)?;
        self.send_tag(&tag)
    }

    /// Publishes a tag as it is; [`Error::NotReady`] before [`ClientEvent::Ready`].
    pub fn send_tag(&mut self, tag: &flv::Tag) -> Result<(), Error> {
        if !self.ready || self.config.role != Role::Publish {
            return Err(Error::NotReady);
        }
        if self.stream_id == MEDIA_STREAM {
            self.link.append(&chunk::serialize_tag(tag));
            return Ok(());
        }
        let header = crate::MessageHeader {
            type_id: tag.kind.id(),
            stream_id: self.stream_id,
            timestamp: tag.timestamp,
        };
        let payload = [tag.header.as_slice(), tag.payload.as_ref()];
        self.link.message(chunk::VIDEO, &header, &payload);
        Ok(())
    }

    /// Says that the publish or play is over; then send and close.
    pub fn finish(&mut self) {
        let stream = Value::from(self.config.stream.expose().as_str());
        if self.config.role == Role::Publish {
            self.link
                .command(0, "FCUnpublish", DELETE_STREAM, &[Value::Null, stream]);
        }
        let id = f64::from(self.stream_id).into();
        self.link
            .command(0, "deleteStream", DELETE_STREAM, &[Value::Null, id]);
        self.ready = false;
    }

    fn connect(&mut self) {
        let codecs = ["avc1", "hvc1", "av01", "mp4a", "Opus"].map(Value::from);
        let mut pairs = vec![
            ("app", Value::from(self.config.app.as_str())),
            ("tcUrl", self.config.tc_url.expose().as_str().into()),
            ("flashVer", "FMLE/3.0 (compatible; Streamr)".into()),
            ("fourCcList", Value::StrictArray(Vec::from(codecs))),
        ];
        if self.config.role == Role::Publish {
            pairs.push(("type", "nonprivate".into()));
        }
        let pairs = pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value));
        let object = Value::Object(pairs.collect());
        self.link.command(0, "connect", CONNECT, &[object]);
    }

    fn connected(&mut self) {
        self.link.set_chunk_size(chunk::PLAY_CHUNK_SIZE);
        if self.config.role == Role::Publish {
            let arguments = [Value::Null, self.config.stream.expose().as_str().into()];
            self.link
                .command(0, "releaseStream", RELEASE_STREAM, &arguments);
            self.link.command(0, "FCPublish", FC_PUBLISH, &arguments);
        }
        self.link
            .command(0, "createStream", CREATE_STREAM, &[Value::Null]);
    }

    fn created(&mut self, command: &Command) {
        let id = command.arguments.first().and_then(Value::as_f64);
        self.stream_id = id.map_or(MEDIA_STREAM, |id| id as u32);
        let stream = Value::from(self.config.stream.expose().as_str());
        let (name, rest) = match self.config.role {
            Role::Publish => ("publish", [Value::Null, stream, "live".into()]),
            // -2: live if there is such a stream (§7.2.2.1).
            Role::Play => ("play", [Value::Null, stream, (-2.0).into()]),
        };
        self.link.command(self.stream_id, name, START, &rest);
        if self.config.role == Role::Play {
            let data = [self.stream_id.to_be_bytes(), BUFFER_LENGTH.to_be_bytes()].concat();
            self.link.user_control(SET_BUFFER_LENGTH, &data);
        }
    }

    fn message(&mut self, message: Message) -> Result<(), Error> {
        match message.header.type_id {
            message_type::COMMAND | message_type::COMMAND_AMF3 => {
                let command = Command::parse(&message)?;
                self.command(&command);
                Ok(())
            }
            message_type::AGGREGATE => {
                for part in split_aggregate(&message) {
                    self.media_message(part)?;
                }
                Ok(())
            }
            _ => self.media_message(message),
        }
    }

    fn command(&mut self, command: &Command) {
        match command.name.as_str() {
            "_result" if command.transaction == CONNECT => self.connected(),
            "_result" if command.transaction == CREATE_STREAM => self.created(command),
            // Servers may not know releaseStream and FCPublish: no harm.
            "_error" if [CONNECT, CREATE_STREAM, START].contains(&command.transaction) => {
                self.rejected(command);
            }
            "onStatus" if command.information("level") == "error" => self.rejected(command),
            "onStatus" => match command.information("code") {
                "NetStream.Publish.Start" | "NetStream.Play.Start" if !self.ready => {
                    self.ready = true;
                    self.events.push_back(ClientEvent::Ready);
                }
                "NetStream.Play.UnpublishNotify"
                | "NetStream.Play.Stop"
                | "NetStream.Play.Complete" => {
                    self.events.push_back(ClientEvent::Finished);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn rejected(&mut self, command: &Command) {
        self.ready = false;
        self.events.push_back(ClientEvent::Rejected {
            code: command.information("code").to_owned(),
            description: command.information("description").to_owned(),
        });
    }

    fn media_message(&mut self, message: Message) -> Result<(), Error> {
        if self.config.role == Role::Publish {
            return Ok(());
        }
        let outcome = match message.header.type_id {
            message_type::AUDIO | message_type::VIDEO => {
                let packet = self.media.receive(message);
                packet
                    .map(|p| p.map(ClientEvent::Packet))
                    .map_err(Error::Media)
            }
            message_type::DATA | message_type::DATA_AMF3 => {
                metadata(&message).map(|value| value.map(ClientEvent::Metadata))
            }
            _ => Ok(None),
        };
        match outcome {
            Ok(event) => self.events.extend(event),
            Err(Error::Media(fault)) if fault.is_fatal() => return Err(Error::Media(fault)),
            Err(reason) => self.events.push_back(ClientEvent::PacketDropped { reason }),
        }
        Ok(())
    }
}

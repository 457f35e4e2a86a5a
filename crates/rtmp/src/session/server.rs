//! The server's end: what publishers and players of any make expect.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use types::Secret;

use super::{
    ConnectInfo, Event, RequestId,
    command::Command,
    link::{Link, STREAM_BEGIN, STREAM_EOF},
    media::{MediaInput, metadata, split_aggregate},
    replies,
};
use crate::{
    Error, Limits, Message, MessageHeader,
    amf0::{self, Value},
    chunk::{self, MEDIA_STREAM},
    message_type,
};

/// What a server announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerConfig {
    /// Bytes of our chunks; media of [`chunk::serialize_tag`] needs the default.
    pub chunk_size: usize,
    /// Bytes after which a peer shall acknowledge.
    pub window_acknowledgement: u32,
    /// Bytes a peer may have unacknowledged.
    pub peer_bandwidth: u32,
}

impl Default for ServerConfig {
    /// [`chunk::PLAY_CHUNK_SIZE`] and the customary 2.5 MB of both windows.
    fn default() -> Self {
        Self {
            chunk_size: chunk::PLAY_CHUNK_SIZE,
            window_acknowledgement: 2_500_000,
            peer_bandwidth: 2_500_000,
        }
    }
}

/// Media messages kept while a publish awaits its answer: encoders that don't wait send their configuration
/// first. [`Limits::unaccepted`] bounds their bytes.
const MAX_EARLY: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unconnected,
    Idle,
    PublishPending(RequestId),
    Publishing,
    PlayPending(RequestId),
    Playing,
}

/// The server's end of one connection.
///
/// After an error the connection is over: send what [`Self::take_output`] has, which may say why, and close.
#[derive(Debug)]
pub struct Server {
    link: Link,
    config: ServerConfig,
    stage: Stage,
    app: String,
    media: MediaInput,
    early: Vec<Message>,
    events: VecDeque<Event>,
    last_request: u32,
    unaccepted: usize,
    max_unaccepted: usize,
}

impl Server {
    /// The session of a connection just accepted.
    pub fn new(limits: Limits, config: ServerConfig) -> Self {
        Self {
            link: Link::server(limits),
            config,
            stage: Stage::Unconnected,
            app: String::new(),
            media: MediaInput::default(),
            early: Vec::new(),
            events: VecDeque::new(),
            last_request: 0,
            unaccepted: 0,
            max_unaccepted: limits.unaccepted,
        }
    }

    /// Takes bytes received, in pieces of any size. Then call [`Self::poll_event`] and [`Self::take_output`].
    pub fn receive(&mut self, mut input: &[u8]) -> Result<(), Error> {
        loop {
            let (before, was_open) = (input.len(), self.link.is_open());
            let message = self.link.next(&mut input)?;
            self.count(before - input.len())?;
            match message {
                Some(message) => self.message(message)?,
                None if self.link.is_open() != was_open => {}
                None => break,
            }
        }
        self.link.acknowledge();
        Ok(())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Bytes to send now; may be empty.
    pub fn take_output(&mut self) -> Bytes {
        self.link.take_output()
    }

    /// Lets `request` publish; `false` if the peer has withdrawn it. Media it sent early is taken now.
    pub fn accept_publish(&mut self, request: RequestId) -> Result<bool, Error> {
        if self.stage != Stage::PublishPending(request) {
            return Ok(false);
        }
        self.stage = Stage::Publishing;
        self.unaccepted = 0;
        self.media = MediaInput::default();
        self.link
            .user_control(STREAM_BEGIN, &MEDIA_STREAM.to_be_bytes());
        self.status("status", "NetStream.Publish.Start", "Publishing.");
        for message in std::mem::take(&mut self.early) {
            self.media_message(message)?;
        }
        Ok(true)
    }

    /// Lets `request` play; `false` if the peer has withdrawn it. From here on the caller may append
    /// [`chunk::serialize_tag`] bytes to the output.
    pub fn accept_play(&mut self, request: RequestId) -> bool {
        if self.stage != Stage::PlayPending(request) {
            return false;
        }
        self.stage = Stage::Playing;
        self.unaccepted = 0;
        self.link
            .user_control(STREAM_BEGIN, &MEDIA_STREAM.to_be_bytes());
        self.status("status", "NetStream.Play.Reset", "Playing and resetting.");
        self.status("status", "NetStream.Play.Start", "Started playing.");
        let access = [
            "|RtmpSampleAccess".into(),
            Value::Boolean(true),
            Value::Boolean(true),
        ];
        let mut payload = BytesMut::new();
        amf0::write_all(&mut payload, &access);
        let header = MessageHeader {
            type_id: message_type::DATA,
            stream_id: MEDIA_STREAM,
            timestamp: 0,
        };
        self.link.message(chunk::DATA, &header, &[&payload]);
        true
    }

    /// Refuses `request` with a status `code` such as `NetStream.Publish.BadName` and a `description` for
    /// the peer's user; `false` if the request is not pending. Then send and close.
    pub fn reject(&mut self, request: RequestId, code: &str, description: &str) -> bool {
        let pending = [Stage::PublishPending(request), Stage::PlayPending(request)];
        if !pending.contains(&self.stage) {
            return false;
        }
        self.stage = Stage::Idle;
        self.early.clear();
        self.status("error", code, description);
        true
    }

    /// Ends an accepted publish or play with a readable reason, such as a revoked key; no event follows.
    /// Then send and close.
    pub fn end(&mut self, code: &str, description: &str) {
        if matches!(self.stage, Stage::Publishing | Stage::Playing) {
            self.stage = Stage::Idle;
            self.status("error", code, description);
        }
    }

    /// Tells a player that the stream is over; it may close or wait.
    pub fn play_status_end(&mut self) {
        if self.stage == Stage::Playing {
            self.link
                .user_control(STREAM_EOF, &MEDIA_STREAM.to_be_bytes());
            self.status("status", "NetStream.Play.UnpublishNotify", "Stream ended.");
        }
    }

    fn count(&mut self, size: usize) -> Result<(), Error> {
        if matches!(self.stage, Stage::Publishing | Stage::Playing) {
            return Ok(());
        }
        self.unaccepted += size;
        if self.unaccepted > self.max_unaccepted {
            return Err(Error::Limit {
                what: "bytes before publish or play",
                value: self.unaccepted,
                max: self.max_unaccepted,
            });
        }
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), Error> {
        match message.header.type_id {
            message_type::COMMAND | message_type::COMMAND_AMF3 => {
                let command = Command::parse(&message)?;
                self.command(&command)
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

    fn media_message(&mut self, message: Message) -> Result<(), Error> {
        match self.stage {
            Stage::Publishing => {}
            Stage::PublishPending(_) if self.early.len() < MAX_EARLY => {
                self.early.push(message);
                return Ok(());
            }
            _ => return Ok(()),
        }
        let outcome = match message.header.type_id {
            message_type::AUDIO | message_type::VIDEO => {
                let packet = self.media.receive(message);
                packet.map(|p| p.map(Event::Packet)).map_err(Error::Media)
            }
            message_type::DATA | message_type::DATA_AMF3 => {
                metadata(&message).map(|value| value.map(Event::Metadata))
            }
            _ => Ok(None),
        };
        match outcome {
            Ok(event) => self.events.extend(event),
            Err(Error::Media(fault)) if fault.is_fatal() => {
                self.status("error", "NetStream.Publish.Failed", &chain(&fault));
                return Err(Error::Media(fault));
            }
            Err(reason) => self.events.push_back(Event::PacketDropped { reason }),
        }
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<(), Error> {
        let transaction = command.transaction;
        match command.name.as_str() {
            "connect" if self.stage == Stage::Unconnected => self.connect(command),
            _ if self.stage == Stage::Unconnected => return Err(Error::NotReady),
            "createStream" => {
                self.result(transaction, f64::from(MEDIA_STREAM).into());
            }
            "publish" => self.publish(command),
            "play" => self.play(command),
            "releaseStream" | "FCSubscribe" | "_checkbw" => {
                self.result(transaction, Value::Undefined);
            }
            "FCPublish" => {
                self.result(transaction, Value::Undefined);
                let code = "NetStream.Publish.Start";
                let information = replies::information("status", code, command.text(0));
                self.link
                    .command(0, "onFCPublish", 0.0, &[Value::Null, information]);
            }
            "getStreamLength" => self.result(transaction, 0.0.into()),
            "FCUnpublish" | "deleteStream" | "closeStream" => self.finish(),
            // Live streams can't seek; answers to us and hints need no answer.
            "pause" | "pauseRaw" | "seek" | "receiveAudio" | "receiveVideo" | "_result"
            | "_error" | "onStatus" | "onBWDone" => {}
            _ if transaction != 0.0 => {
                let code = "NetConnection.Call.Failed";
                let information = replies::information("error", code, "Unknown command.");
                self.link
                    .command(0, "_error", transaction, &[Value::Null, information]);
            }
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, command: &Command) {
        let text = |key| command.object.get(key).and_then(Value::as_str);
        let app = text("app").unwrap_or_default();
        let (app, query) = match app.split_once('?') {
            Some((app, query)) => (app, Some(Secret::new(query.to_owned()))),
            None => (app, None),
        };
        app.trim_matches('/').clone_into(&mut self.app);
        let info = ConnectInfo {
            app: self.app.clone(),
            app_query: query,
            tc_url: Secret::new(text("tcUrl").unwrap_or_default().to_owned()),
            flash_ver: text("flashVer").unwrap_or_default().to_owned(),
            four_cc_list: four_cc_list(&command.object),
        };
        let window = self.config.window_acknowledgement.to_be_bytes();
        self.link
            .control(message_type::WINDOW_ACKNOWLEDGEMENT_SIZE, &window);
        // Limit type 2: dynamic (§5.4.5).
        let [a, b, c, d] = self.config.peer_bandwidth.to_be_bytes();
        self.link
            .control(message_type::SET_PEER_BANDWIDTH, &[a, b, c, d, 2]);
        self.link.set_chunk_size(self.config.chunk_size);
        self.link
            .command(0, "_result", command.transaction, &replies::connected());
        self.stage = Stage::Idle;
        self.events.push_back(Event::Connected(info));
    }

    fn publish(&mut self, command: &Command) {
        if self.stage != Stage::Idle {
            let text = "This connection is in use already.";
            return self.status("error", "NetStream.Publish.BadConnection", text);
        }
        let request = self.next_request();
        self.stage = Stage::PublishPending(request);
        self.events.push_back(Event::PublishRequested {
            request,
            app: self.app.clone(),
            stream_key: Secret::new(command.text(0).to_owned()),
            mode: command.text(1).to_owned(),
        });
    }

    fn play(&mut self, command: &Command) {
        if self.stage != Stage::Idle {
            let text = "This connection is in use already.";
            return self.status("error", "NetStream.Play.Failed", text);
        }
        let request = self.next_request();
        self.stage = Stage::PlayPending(request);
        self.events.push_back(Event::PlayRequested {
            request,
            app: self.app.clone(),
            stream_name: Secret::new(command.text(0).to_owned()),
        });
    }

    fn next_request(&mut self) -> RequestId {
        self.last_request = self.last_request.wrapping_add(1);
        RequestId(self.last_request)
    }

    fn finish(&mut self) {
        let event = match self.stage {
            Stage::Publishing => Some(Event::PublishFinished),
            Stage::Playing => Some(Event::PlayFinished),
            _ => None,
        };
        if event == Some(Event::PublishFinished) {
            self.status("status", "NetStream.Unpublish.Success", "Stream ended.");
        }
        self.events.extend(event);
        self.early.clear();
        self.stage = Stage::Idle;
    }

    fn result(&mut self, transaction: f64, value: Value) {
        self.link
            .command(0, "_result", transaction, &[Value::Null, value]);
    }

    fn status(&mut self, level: &str, code: &str, description: &str) {
        let information = replies::information(level, code, description);
        self.link
            .command(MEDIA_STREAM, "onStatus", 0.0, &[Value::Null, information]);
    }
}

/// What `connect` offers by Enhanced RTMP: `fourCcList` of v1 and the info maps of v2.
fn four_cc_list(object: &Value) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    if let Some(Value::StrictArray(codes)) = object.get("fourCcList") {
        list.extend(codes.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
        let pairs = object.get(map).map(Value::pairs).unwrap_or_default();
        for (code, _) in pairs {
            if !list.contains(code) {
                list.push(code.clone());
            }
        }
    }
    list
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

//! What both ends of a connection share: handshake, chunks and protocol control (§5.4, §6.2).

use bytes::{BufMut, Bytes, BytesMut};

use super::command;
use crate::{
    Error, Limits, Message, MessageHeader, amf0::Value, chunk, handshake::Handshake, message_type,
};

/// User control events (§7.1.7).
pub(super) const STREAM_BEGIN: u16 = 0;
pub(super) const STREAM_EOF: u16 = 1;
pub(super) const SET_BUFFER_LENGTH: u16 = 3;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// The smallest window we acknowledge by, in bytes: a tiny one would make us talk more than listen.
const MIN_WINDOW: u64 = 4096;

/// One end's protocol state and the bytes it has to send.
#[derive(Debug)]
pub(super) struct Link {
    handshake: Option<Handshake>,
    reader: chunk::Reader,
    out: BytesMut,
    chunk_size: usize,
    received: u64,
    acknowledged: u64,
    window: Option<u64>,
}

impl Link {
    pub(super) fn server(limits: Limits) -> Self {
        Self::new(limits, Handshake::server())
    }

    pub(super) fn client(limits: Limits) -> Result<Self, Error> {
        let (handshake, hello) = Handshake::client()?;
        let mut link = Self::new(limits, handshake);
        link.out.put_slice(&hello);
        Ok(link)
    }

    fn new(limits: Limits, handshake: Handshake) -> Self {
        Self {
            handshake: Some(handshake),
            reader: chunk::Reader::new(limits),
            out: BytesMut::new(),
            chunk_size: chunk::DEFAULT_CHUNK_SIZE,
            received: 0,
            acknowledged: 0,
            window: None,
        }
    }

    pub(super) fn take_output(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// Whether chunks may be exchanged.
    pub(super) fn is_open(&self) -> bool {
        self.handshake.is_none()
    }

    /// Consumes bytes off the front of `input` up to a message that is not protocol control; `None` when
    /// all is used up, or once when the handshake is done.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        let before = input.len();
        let result = self.next_uncounted(input);
        self.received += (before - input.len()) as u64;
        result
    }

    fn next_uncounted(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        if let Some(handshake) = &mut self.handshake {
            let (response, done) = handshake.receive(input)?;
            self.out.put_slice(&response);
            if done {
                self.handshake = None;
            }
            return Ok(None);
        }
        while let Some(message) = self.reader.read(input)? {
            match message.header.type_id {
                message_type::ACKNOWLEDGEMENT | message_type::SET_PEER_BANDWIDTH => {}
                message_type::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                    if let Some(size) = message.payload.first_chunk() {
                        let size = u64::from(u32::from_be_bytes(*size));
                        self.window = Some(size.max(MIN_WINDOW));
                    }
                }
                message_type::USER_CONTROL => self.user_control_received(&message.payload),
                _ => return Ok(Some(message)),
            }
        }
        Ok(None)
    }

    fn user_control_received(&mut self, payload: &[u8]) {
        if let Some((event, rest)) = payload.split_first_chunk()
            && u16::from_be_bytes(*event) == PING_REQUEST
            && let Some(time) = rest.first_chunk::<4>()
        {
            self.user_control(PING_RESPONSE, time);
        }
    }

    /// Acknowledges what was received if the peer's window is full: the running total, modulo 2^32.
    pub(super) fn acknowledge(&mut self) {
        if let Some(window) = self.window
            && self.received - self.acknowledged >= window
        {
            self.acknowledged = self.received;
            let total = self.received as u32;
            self.control(message_type::ACKNOWLEDGEMENT, &total.to_be_bytes());
        }
    }

    /// Announces `size` and cuts by it from here on.
    pub(super) fn set_chunk_size(&mut self, size: usize) {
        self.control(message_type::SET_CHUNK_SIZE, &(size as u32).to_be_bytes());
        self.chunk_size = size;
    }

    pub(super) fn control(&mut self, type_id: u8, payload: &[u8]) {
        let header = MessageHeader {
            type_id,
            stream_id: 0,
            timestamp: 0,
        };
        self.message(chunk::CONTROL, &header, &[payload]);
    }

    pub(super) fn user_control(&mut self, event: u16, data: &[u8]) {
        let payload = [event.to_be_bytes().as_slice(), data].concat();
        self.control(message_type::USER_CONTROL, &payload);
    }

    pub(super) fn command(&mut self, stream_id: u32, name: &str, transaction: f64, rest: &[Value]) {
        let header = MessageHeader {
            type_id: message_type::COMMAND,
            stream_id,
            timestamp: 0,
        };
        let payload = command::encode(name, transaction, rest);
        self.message(chunk::COMMAND, &header, &[&payload]);
    }

    pub(super) fn message(&mut self, chunk_stream: u32, header: &MessageHeader, payload: &[&[u8]]) {
        chunk::serialize(
            &mut self.out,
            chunk_stream,
            header,
            payload,
            self.chunk_size,
        );
    }

    pub(super) fn append(&mut self, chunks: &[u8]) {
        self.out.put_slice(chunks);
    }
}

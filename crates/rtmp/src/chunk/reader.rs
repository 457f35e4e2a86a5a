//! Puts messages together from chunks as they arrive, one copy a byte, within [`Limits`].

use bytes::{BufMut, BytesMut};

use super::header::{self, Body, Header, Inherited, MAX_SIZE, Time};
use crate::{Error, Limits, Message, MessageHeader, message_type};

/// The most reserved for a message before any of it arrived, in bytes.
const FIRST_RESERVE: usize = 16 * 1024;

/// The receiving side of a connection's chunk layer.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    chunk_size: usize,
    streams: Vec<ChunkStream>,
    state: State,
    held: Held,
    buffered: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Payload { stream: usize, left: usize },
}

/// A chunk stream's last header and unfinished message.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    header: MessageHeader,
    length: usize,
    /// The last timestamp or delta as sent.
    time: Time,
    payload: BytesMut,
    receiving: bool,
}

impl Reader {
    /// A reader at the start of a connection's chunks.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunk_size: super::DEFAULT_CHUNK_SIZE,
            streams: Vec::new(),
            state: State::Header,
            held: Held::new(),
            buffered: 0,
        }
    }

    /// Bytes held of unfinished messages.
    pub const fn buffered(&self) -> usize {
        self.buffered
    }

    /// Consumes bytes off the front of `input` until a message is whole; `None` when `input` is used up.
    ///
    /// Set Chunk Size and Abort are obeyed and not handed out. After an error the reader is of no more use.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            match self.state {
                State::Header => {
                    let Some(header) = self.header(input) else {
                        return Ok(None);
                    };
                    self.state = self.begin(header)?;
                }
                State::Payload { stream, left } => {
                    let left = self.payload(stream, left, input)?;
                    if left > 0 {
                        self.state = State::Payload { stream, left };
                        if input.is_empty() && self.held.is_empty() {
                            return Ok(None);
                        }
                        continue;
                    }
                    self.state = State::Header;
                    if let Some(message) = self.finish(stream)
                        && !self.obey(&message)?
                    {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    fn header(&mut self, input: &mut &[u8]) -> Option<Header> {
        let streams = &self.streams;
        let inherited = |id: u32| {
            let stream = streams.iter().find(|stream| stream.id == id);
            stream.map_or(Inherited::Plain, ChunkStream::inherited)
        };
        if self.held.is_empty() {
            if let Some((header, size)) = header::parse(input, inherited) {
                *input = input.get(size..).unwrap_or_default();
                return Some(header);
            }
            self.held.fill(input);
            return None;
        }
        // A header over two inputs: join them; what turns out not to be header stays held.
        self.held.fill(input);
        let (header, size) = header::parse(self.held.as_slice(), inherited)?;
        self.held.consume(size);
        Some(header)
    }

    fn begin(&mut self, header: Header) -> Result<State, Error> {
        let index = self.stream(header)?;
        let Some(stream) = self.streams.get_mut(index) else {
            return Ok(State::Header);
        };
        if !matches!(header.body, Body::Same) {
            self.buffered -= stream.payload.len();
            stream.payload.clear();
            stream.receiving = false;
        }
        match header.body {
            Body::Full {
                timestamp,
                length,
                type_id,
                stream_id,
            } => {
                stream.header = MessageHeader {
                    type_id,
                    stream_id,
                    timestamp: timestamp.value,
                };
                stream.length = length;
                stream.time = timestamp;
            }
            Body::SameStream {
                delta,
                length,
                type_id,
            } => {
                stream.header.type_id = type_id;
                stream.length = length;
                stream.advance(delta);
            }
            Body::SameLength { delta } => stream.advance(delta),
            // §5.3.1.2.4: a new message repeats the last delta; after type 0 the timestamp is the delta.
            Body::Same if !stream.receiving => stream.advance(stream.time),
            Body::Same => {}
        }
        limit("message bytes", stream.length, self.limits.message)?;
        stream.receiving = true;
        let left = (stream.length - stream.payload.len()).min(self.chunk_size);
        Ok(State::Payload {
            stream: index,
            left,
        })
    }

    fn stream(&mut self, header: Header) -> Result<usize, Error> {
        let id = header.chunk_stream;
        if let Some(index) = self.streams.iter().position(|stream| stream.id == id) {
            return Ok(index);
        }
        // librtmp opens a chunk stream with type 1, so only what lacks a length is refused.
        let format = match header.body {
            Body::Full { .. } | Body::SameStream { .. } => None,
            Body::SameLength { .. } => Some(2),
            Body::Same => Some(3),
        };
        if let Some(format) = format {
            return Err(Error::NoPreviousHeader {
                chunk_stream: id,
                format,
            });
        }
        let index = self.streams.len();
        limit("chunk streams", index + 1, self.limits.chunk_streams)?;
        self.streams.push(ChunkStream::new(id));
        Ok(index)
    }

    /// Takes up to `left` payload bytes; yields how many are still to come.
    fn payload(
        &mut self,
        stream: usize,
        mut left: usize,
        input: &mut &[u8],
    ) -> Result<usize, Error> {
        let Some(stream) = self.streams.get_mut(stream) else {
            return Ok(0);
        };
        while left > 0 {
            let source = if self.held.is_empty() {
                *input
            } else {
                self.held.as_slice()
            };
            let piece = source.get(..left).unwrap_or(source);
            if piece.is_empty() {
                break;
            }
            let size = piece.len();
            limit("buffered bytes", self.buffered + size, self.limits.buffered)?;
            stream.append(piece);
            self.buffered += size;
            left -= size;
            if self.held.is_empty() {
                *input = input.get(size..).unwrap_or_default();
            } else {
                self.held.consume(size);
            }
        }
        Ok(left)
    }

    fn finish(&mut self, stream: usize) -> Option<Message> {
        let stream = self.streams.get_mut(stream)?;
        if stream.payload.len() < stream.length {
            return None;
        }
        stream.receiving = false;
        self.buffered -= stream.payload.len();
        Some(Message {
            header: stream.header,
            payload: std::mem::take(&mut stream.payload).freeze(),
        })
    }

    /// Whether `message` concerned this layer only.
    fn obey(&mut self, message: &Message) -> Result<bool, Error> {
        let value = || {
            let bytes = message.payload.first_chunk().copied();
            bytes.map(u32::from_be_bytes).ok_or(Error::Truncated {
                field: "protocol control message",
            })
        };
        match message.header.type_id {
            message_type::SET_CHUNK_SIZE => {
                let size = value()?;
                if size == 0 {
                    return Err(Error::Invalid {
                        field: "chunk size",
                        value: size,
                    });
                }
                limit("chunk size", size as usize, self.limits.chunk_size)?;
                self.chunk_size = size as usize;
                Ok(true)
            }
            message_type::ABORT => {
                let id = value()?;
                if let Some(stream) = self.streams.iter_mut().find(|stream| stream.id == id) {
                    self.buffered -= stream.payload.len();
                    stream.payload = BytesMut::new();
                    stream.receiving = false;
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

impl ChunkStream {
    fn new(id: u32) -> Self {
        Self {
            id,
            header: MessageHeader {
                type_id: 0,
                stream_id: 0,
                timestamp: 0,
            },
            length: 0,
            time: Time {
                value: 0,
                extended: false,
            },
            payload: BytesMut::new(),
            receiving: false,
        }
    }

    fn advance(&mut self, delta: Time) {
        self.header.timestamp = self.header.timestamp.wrapping_add(delta.value);
        self.time = delta;
    }

    fn inherited(&self) -> Inherited {
        match (self.time.extended, self.receiving) {
            (false, _) => Inherited::Plain,
            (true, false) => Inherited::Extended,
            // Some encoders repeat the absolute time where the delta belongs.
            (true, true) => Inherited::Repeated([self.time.value, self.header.timestamp]),
        }
    }

    fn append(&mut self, piece: &[u8]) {
        if self.payload.capacity() - self.payload.len() < piece.len() {
            // Grow with what arrived, not with what was announced.
            let missing = self.length - self.payload.len();
            let reserve = missing.min(self.payload.len().max(FIRST_RESERVE));
            self.payload.reserve(reserve.max(piece.len()));
        }
        self.payload.put_slice(piece);
    }
}

/// Bytes of a header that arrived in pieces.
#[derive(Debug)]
struct Held {
    bytes: [u8; MAX_SIZE],
    length: usize,
}

impl Held {
    const fn new() -> Self {
        Self {
            bytes: [0; MAX_SIZE],
            length: 0,
        }
    }

    const fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Takes bytes off the front of `input` until full.
    fn fill(&mut self, input: &mut &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let size = room.len().min(input.len());
        for (slot, byte) in room.iter_mut().zip(input.iter()) {
            *slot = *byte;
        }
        self.length += size;
        *input = input.get(size..).unwrap_or_default();
    }

    fn consume(&mut self, size: usize) {
        let size = size.min(self.length);
        self.bytes.rotate_left(size);
        self.length -= size;
    }
}

fn limit(what: &'static str, value: usize, max: usize) -> Result<(), Error> {
    if value > max {
        return Err(Error::Limit { what, value, max });
    }
    Ok(())
}

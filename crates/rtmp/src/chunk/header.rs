//! Chunk headers (§5.3.1), parsed without state but for what type 3 inherits.

/// The most a header takes: basic 3, message 11, extended timestamp 4.
pub(super) const MAX_SIZE: usize = 18;

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) chunk_stream: u32,
    pub(super) body: Body,
}

/// The message header (§5.3.1.2) with its timestamp, be it in 24 or 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// Type 0.
    Full {
        timestamp: Time,
        length: usize,
        type_id: u8,
        stream_id: u32,
    },
    /// Type 1.
    SameStream {
        delta: Time,
        length: usize,
        type_id: u8,
    },
    /// Type 2.
    SameLength { delta: Time },
    /// Type 3.
    Same,
}

/// A timestamp or a delta, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time {
    pub(super) value: u32,
    pub(super) extended: bool,
}

/// What a type 3 header of a chunk stream inherits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Inherited {
    /// No extended timestamp follows.
    Plain,
    /// A new message: the extended timestamp follows.
    Extended,
    /// The rest of a message: one of these values follows, or, with encoders that forget it, nothing.
    Repeated([u32; 2]),
}

/// Parses a header off the front of `bytes`: it and its size, or `None` if more bytes are needed.
pub(super) fn parse(
    bytes: &[u8],
    inherited: impl FnOnce(u32) -> Inherited,
) -> Option<(Header, usize)> {
    let mut fields = Fields { bytes, taken: 0 };
    let [first] = fields.array()?;
    let chunk_stream = match first & 0x3f {
        0 => {
            let [id] = fields.array()?;
            64 + u32::from(id)
        }
        1 => 64 + u32::from(u16::from_le_bytes(fields.array()?)),
        id => u32::from(id),
    };
    let body = match first >> 6 {
        0 => {
            let field = fields.u24()?;
            let length = fields.u24()? as usize;
            let [type_id] = fields.array()?;
            let stream_id = u32::from_le_bytes(fields.array()?);
            Body::Full {
                timestamp: fields.time(field)?,
                length,
                type_id,
                stream_id,
            }
        }
        1 => {
            let field = fields.u24()?;
            let length = fields.u24()? as usize;
            let [type_id] = fields.array()?;
            Body::SameStream {
                delta: fields.time(field)?,
                length,
                type_id,
            }
        }
        2 => {
            let field = fields.u24()?;
            Body::SameLength {
                delta: fields.time(field)?,
            }
        }
        _ => {
            match inherited(chunk_stream) {
                Inherited::Plain => {}
                Inherited::Extended => {
                    fields.array::<4>()?;
                }
                Inherited::Repeated(expected) => {
                    let peeked = *fields.bytes.first_chunk::<4>()?;
                    if expected.contains(&u32::from_be_bytes(peeked)) {
                        fields.array::<4>()?;
                    }
                }
            }
            Body::Same
        }
    };
    Some((Header { chunk_stream, body }, fields.taken))
}

struct Fields<'a> {
    bytes: &'a [u8],
    taken: usize,
}

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        self.taken += N;
        Some(*array)
    }

    fn u24(&mut self) -> Option<u32> {
        let [a, b, c] = self.array()?;
        Some(u32::from_be_bytes([0, a, b, c]))
    }

    fn time(&mut self, field: u32) -> Option<Time> {
        let extended = field == super::EXTENDED;
        let value = if extended {
            u32::from_be_bytes(self.array()?)
        } else {
            field
        };
        Some(Time { value, extended })
    }
}

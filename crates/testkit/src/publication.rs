//! A publisher of ours: sends a fixture in real time until it is told to do something nasty.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use flv::TagKind;
use rtmp::{
    MessageHeader, chunk, message_type,
    session::{ClientEvent, Role},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{Fixture, Opening, TimedTag, Wire, open_publisher};

/// How messages are cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunking {
    /// A message after the other, as our client session does.
    Whole,
    /// Chunks of so many bytes, with an audio message's between those of a video message (RTMP §5.3).
    Interleaved(usize),
}

/// What is published and how.
#[derive(Debug, Clone)]
pub struct Source {
    fixture: Fixture,
    start: u32,
    speed: f64,
    chunking: Chunking,
}

impl Source {
    /// `fixture` in real time from timestamp 0.
    pub fn new(fixture: &Fixture) -> Self {
        Self {
            fixture: fixture.clone(),
            start: 0,
            speed: 1.0,
            chunking: Chunking::Whole,
        }
    }

    /// From this timestamp on; it wraps.
    #[must_use]
    pub fn starting_at(mut self, timestamp: u32) -> Self {
        self.start = timestamp;
        self
    }

    /// Faster or slower than real time.
    #[must_use]
    pub fn at_speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// With these chunks.
    #[must_use]
    pub fn chunked(mut self, chunking: Chunking) -> Self {
        self.chunking = chunking;
        self
    }

    /// Publishes it with `key`; the server must accept.
    pub async fn publish(&self, address: SocketAddr, key: &str) -> Result<Publication> {
        let opening = open_publisher(address, key).await?;
        Publication::start(opening, self.clone())
    }

    /// [`Self::publish`] over a transport that is there already, such as TLS.
    pub async fn publish_on(
        &self,
        transport: impl crate::rtmp_wire::Transport + 'static,
        key: &str,
    ) -> Result<Publication> {
        let opening = Wire::open(transport, Role::Publish, key).await?;
        Publication::start(opening, self.clone())
    }
}

/// How a publication ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As it was told to.
    AsTold,
    /// The server said why.
    Rejected {
        /// Such as `NetStream.Publish.BadName`.
        code: String,
        /// In words.
        description: String,
    },
    /// The server hung up.
    HungUp,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    /// Unpublish, then close.
    Stop,
    /// Close without a word.
    Vanish,
    /// Keep the connection, send nothing.
    Hang,
}

/// A running publication. Dropped, its connection closes without a word.
#[derive(Debug)]
pub struct Publication {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<Result<End>>,
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Publication {
    fn start(opening: Opening, source: Source) -> Result<Self> {
        let wire = opening.ready()?;
        let (orders, inbox) = mpsc::channel(1);
        let task = tokio::spawn(run(wire, source, inbox));
        Ok(Self { orders, task })
    }

    /// Ends cleanly: unpublishes, then closes.
    pub async fn stop(mut self) -> Result<()> {
        self.order(Order::Stop).await?;
        self.end(Duration::from_secs(10)).await?;
        Ok(())
    }

    /// Closes the connection without a word.
    pub async fn vanish(mut self) -> Result<()> {
        self.order(Order::Vanish).await?;
        self.end(Duration::from_secs(10)).await?;
        Ok(())
    }

    /// Falls silent, with its connection open.
    pub async fn hang(&self) -> Result<()> {
        self.order(Order::Hang).await
    }

    async fn order(&self, order: Order) -> Result<()> {
        let sent = self.orders.send(order).await;
        sent.context("the publication had ended before it was told to")
    }

    /// Whether it goes on.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Waits for its end.
    pub async fn end(&mut self, limit: Duration) -> Result<End> {
        crate::within(limit, "the end of a publication", &mut self.task).await??
    }
}

async fn run(mut wire: Wire, source: Source, mut orders: mpsc::Receiver<Order>) -> Result<End> {
    let cutter = Cutter::new(source.chunking);
    wire.transport.write_all_buf(&cutter.opening()).await?;
    let began = Instant::now();
    let mut tags = source.fixture.tags().peekable();
    let mut silent = false;
    loop {
        let due = tags.peek().map_or(0, |tag| tag.time);
        let due = began + Duration::from_secs_f64(due as f64 / 1000.0 / source.speed);
        tokio::select! {
            read = wire.read() => {
                if !read? {
                    return Ok(End::HungUp);
                }
                while let Some(event) = wire.client.poll_event() {
                    if let ClientEvent::Rejected { code, description } = event {
                        return Ok(End::Rejected { code, description });
                    }
                }
                if wire.flush().await.is_err() {
                    return last_words(&mut wire).await;
                }
            }
            order = orders.recv() => match order {
                Some(Order::Hang) => silent = true,
                Some(Order::Stop) => {
                    wire.client.finish();
                    wire.flush().await?;
                    return Ok(End::AsTold);
                }
                Some(Order::Vanish) | None => return Ok(End::AsTold),
            },
            () = sleep_until(due), if !silent => {
                let Some(tag) = tags.next() else {
                    return Ok(End::AsTold);
                };
                // The next one goes along if it is to be mixed with this one.
                let next_audio = tags.next_if(|next| cutter.mixes(&tag, next));
                let bytes = cutter.cut(&tag, next_audio.as_ref(), source.start);
                if wire.transport.write_all_buf(&bytes).await.is_err() {
                    return last_words(&mut wire).await;
                }
            }
        }
    }
}

/// What the server said before it hung up while we were writing.
async fn last_words(wire: &mut Wire) -> Result<End> {
    while wire.read().await.unwrap_or(false) {}
    while let Some(event) = wire.client.poll_event() {
        if let ClientEvent::Rejected { code, description } = event {
            return Ok(End::Rejected { code, description });
        }
    }
    Ok(End::HungUp)
}

/// Writing a whole buffer to a boxed transport.
trait WriteAll {
    async fn write_all_buf(&mut self, bytes: &Bytes) -> std::io::Result<()>;
}

impl WriteAll for Box<dyn crate::rtmp_wire::Transport> {
    async fn write_all_buf(&mut self, bytes: &Bytes) -> std::io::Result<()> {
        use tokio::io::AsyncWriteExt;
        self.write_all(bytes).await?;
        self.flush().await
    }
}

struct Cutter {
    chunking: Chunking,
}

impl Cutter {
    fn new(chunking: Chunking) -> Self {
        Self { chunking }
    }

    /// Announces the chunk size, if it is not the session's.
    fn opening(&self) -> Bytes {
        let Chunking::Interleaved(size) = self.chunking else {
            return Bytes::new();
        };
        let header = MessageHeader {
            type_id: message_type::SET_CHUNK_SIZE,
            stream_id: 0,
            timestamp: 0,
        };
        let payload = (size as u32).to_be_bytes();
        chunk::serialize_message_shared(
            chunk::CONTROL,
            &header,
            &[&payload],
            chunk::PLAY_CHUNK_SIZE,
        )
    }

    fn mixes(&self, tag: &TimedTag, next: &TimedTag) -> bool {
        matches!(self.chunking, Chunking::Interleaved(_))
            && tag.kind == TagKind::Video
            && next.kind == TagKind::Audio
    }

    fn cut(&self, tag: &TimedTag, mixed: Option<&TimedTag>, start: u32) -> Bytes {
        let size = match self.chunking {
            Chunking::Whole => chunk::PLAY_CHUNK_SIZE,
            Chunking::Interleaved(size) => size,
        };
        let own = chunks(tag, start, size);
        let mut other = mixed
            .map(|tag| chunks(tag, start, size))
            .unwrap_or_default()
            .into_iter();
        let mut out = BytesMut::new();
        for chunk in own {
            out.put_slice(&chunk);
            if let Some(chunk) = other.next() {
                out.put_slice(&chunk);
            }
        }
        for chunk in other {
            out.put_slice(&chunk);
        }
        out.freeze()
    }
}

/// A tag's chunks, one by one.
fn chunks(tag: &TimedTag, start: u32, size: usize) -> Vec<Bytes> {
    let (chunk_stream, body) = match tag.kind {
        TagKind::Audio => (chunk::AUDIO, tag.body.clone()),
        TagKind::Video => (chunk::VIDEO, tag.body.clone()),
        TagKind::Script => (chunk::DATA, set_data_frame(&tag.body)),
    };
    let header = MessageHeader {
        type_id: tag.kind.id(),
        stream_id: chunk::MEDIA_STREAM,
        timestamp: start.wrapping_add(tag.time as u32),
    };
    let mut whole = chunk::serialize_message_shared(chunk_stream, &header, &[&body], size);
    let extended = if header.timestamp >= 0xff_ffff { 4 } else { 0 };
    let mut head = 12 + extended;
    let mut pieces = Vec::new();
    while !whole.is_empty() {
        let piece = whole.split_to((head + size).min(whole.len()));
        pieces.push(piece);
        head = 1 + extended;
    }
    pieces
}

/// Metadata as publishers send it: `@setDataFrame` before what the file has.
fn set_data_frame(body: &[u8]) -> Bytes {
    let name = b"@setDataFrame";
    let mut out = BytesMut::with_capacity(body.len() + 16);
    out.put_u8(2);
    out.put_u16(name.len() as u16);
    out.put_slice(name);
    out.put_slice(body);
    out.freeze()
}

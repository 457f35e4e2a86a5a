//! A viewer of HTTP-FLV that notes every tag.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use flv::{Reader, TagKind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::Instant,
};

use crate::{is_keyframe, is_sequence_header};

/// A tag as it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenTag {
    /// What it carried.
    pub kind: TagKind,
    /// Its timestamp in milliseconds.
    pub timestamp: u32,
    /// A video keyframe.
    pub keyframe: bool,
    /// A codec's configuration.
    pub configuration: bool,
    /// When it came.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct Seen {
    tags: Vec<SeenTag>,
    ended: bool,
}

/// A connected viewer, reading all the time. It leaves when dropped.
#[derive(Debug)]
pub struct FlvViewer {
    seen: watch::Receiver<Arc<parking::Shared<Seen>>>,
    task: JoinHandle<Result<()>>,
}

mod parking {
    //! A value behind a lock that is never held across an await.

    use std::sync::{Mutex, MutexGuard, PoisonError};

    #[derive(Debug, Default)]
    pub(super) struct Shared<T>(Mutex<T>);

    impl<T> Shared<T> {
        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}

impl Drop for FlvViewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FlvViewer {
    /// Watches `path` (such as `/live/show.flv`) at `address`; the server must answer 200.
    pub async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (stream, rest) = request(stream, path).await?;
        Ok(Self::follow(stream, rest))
    }

    fn follow(mut stream: TcpStream, rest: Vec<u8>) -> Self {
        let shared = Arc::new(parking::Shared::<Seen>::default());
        let (sender, seen) = watch::channel(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            let mut body = Chunked::default();
            let mut reader = Reader::new();
            let mut buffer = rest;
            loop {
                body.push(&buffer, &mut reader)?;
                let at = Instant::now();
                while let Some(tag) = reader.next_tag()? {
                    shared.lock().tags.push(SeenTag {
                        kind: tag.kind,
                        timestamp: tag.timestamp,
                        keyframe: is_keyframe(tag.kind, &tag.body),
                        configuration: is_sequence_header(tag.kind, &tag.body),
                        at,
                    });
                }
                sender.send_modify(|_| {});
                buffer.resize(64 * 1024, 0);
                let size = if body.ended {
                    0
                } else {
                    stream.read(&mut buffer).await?
                };
                buffer.truncate(size);
                if size == 0 {
                    shared.lock().ended = true;
                    sender.send_modify(|_| {});
                    return Ok(());
                }
            }
        });
        Self { seen, task }
    }

    /// Every tag so far.
    pub fn tags(&self) -> Vec<SeenTag> {
        self.seen.borrow().lock().tags.clone()
    }

    /// Video frames so far.
    pub fn frames(&self) -> Vec<SeenTag> {
        self.samples(TagKind::Video)
    }

    /// Samples of one kind so far.
    pub fn samples(&self, kind: TagKind) -> Vec<SeenTag> {
        let mut tags = self.tags();
        tags.retain(|tag| tag.kind == kind && !tag.configuration);
        tags
    }

    /// Whether the server ended it.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished() || self.seen.borrow().lock().ended
    }

    /// Waits until `wanted` is content with the tags seen.
    pub async fn wait(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&[SeenTag]) -> bool,
    ) -> Result<()> {
        let mut seen = self.seen.clone();
        let waiting = seen.wait_for(|shared| wanted(&shared.lock().tags));
        let outcome = crate::within(limit, what, waiting).await?;
        outcome.with_context(|| format!("{what}: the stream ended first"))?;
        Ok(())
    }

    /// Waits for `count` more video frames.
    pub async fn more_frames(&mut self, limit: Duration, count: usize) -> Result<()> {
        let before = self.frames().len();
        self.wait(limit, &format!("{count} more frames by HTTP-FLV"), |tags| {
            let frames = tags
                .iter()
                .filter(|tag| tag.kind == TagKind::Video && !tag.configuration);
            frames.count() >= before + count
        })
        .await
    }
}

/// A viewer that asked and does not read, until it follows.
#[derive(Debug)]
pub struct StalledViewer {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl StalledViewer {
    /// Asks for `path` on a socket that holds little, and reads the head only.
    pub async fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let (stream, rest) = request(socket.connect(address).await?, path).await?;
        Ok(Self { stream, rest })
    }

    /// Reads again.
    pub fn resume(self) -> FlvViewer {
        FlvViewer::follow(self.stream, self.rest)
    }
}

/// Sends the request and reads the head; answers with what came after it.
async fn request(mut stream: TcpStream, path: &str) -> Result<(TcpStream, Vec<u8>)> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: testkit\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut heard = Vec::new();
    let end = loop {
        if let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        let reading = stream.read_buf(&mut heard);
        let size = crate::within(Duration::from_secs(20), "a HTTP head", reading).await??;
        ensure!(
            size > 0,
            "{path}: the server hung up: {}",
            String::from_utf8_lossy(&heard)
        );
    };
    let head = String::from_utf8_lossy(&heard[..end]).to_ascii_lowercase();
    ensure!(
        head.starts_with("http/1.1 200"),
        "{path} was answered with {head}"
    );
    ensure!(head.contains("content-type: video/x-flv"), "{path}: {head}");
    ensure!(
        head.contains("transfer-encoding: chunked"),
        "{path}: {head}"
    );
    Ok((stream, heard.split_off(end)))
}

/// HTTP's chunked coding (RFC 9112 §7.1), as far as servers use it.
#[derive(Debug, Default)]
struct Chunked {
    line: Vec<u8>,
    left: usize,
    /// The line break after a chunk is still to come.
    after: bool,
    ended: bool,
}

impl Chunked {
    fn push(&mut self, mut bytes: &[u8], reader: &mut Reader) -> Result<()> {
        while !bytes.is_empty() && !self.ended {
            if self.left > 0 {
                let (now, later) = bytes.split_at(self.left.min(bytes.len()));
                reader.push(now);
                self.left -= now.len();
                self.after = self.left == 0;
                bytes = later;
                continue;
            }
            let (byte, later) = (bytes[0], &bytes[1..]);
            bytes = later;
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line))?;
            let line = line.trim();
            if self.after && line.is_empty() {
                self.after = false;
                continue;
            }
            let size = line.split(';').next().unwrap_or("");
            self.left =
                usize::from_str_radix(size, 16).with_context(|| format!("chunk size {line:?}"))?;
            self.ended = self.left == 0;
        }
        Ok(())
    }
}

/// The largest step between two tags' timestamps, in milliseconds.
pub fn largest_gap(tags: &[SeenTag]) -> u32 {
    let pairs = tags.iter().zip(tags.iter().skip(1));
    pairs
        .map(|(one, next)| next.timestamp.abs_diff(one.timestamp))
        .max()
        .unwrap_or(0)
}

//! Publishes the content in real time, as an encoder would.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use flv::TagKind;
use rtmp::{
    MessageHeader,
    chunk::{self, MEDIA_STREAM},
    message_type,
    session::{Client, Role},
};

use super::{
    content::{self, Content},
    pause, pause_until,
    target::Rtmp,
};
use crate::say;

/// OBS's.
const CHUNK_SIZE: u32 = 4096;
/// `"@setDataFrame"` as AMF0 writes it; encoders put it before `onMetaData`.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";
/// How often what the server says is read.
const LISTEN: Duration = Duration::from_millis(500);
/// A server that takes nothing for so long is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// When each picture was written, by hash.
#[derive(Default)]
pub(super) struct Sent(Mutex<HashMap<u64, Instant>>);

impl Sent {
    fn note(&self, hash: u64) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.insert(hash, Instant::now());
    }

    /// When this picture was last written.
    pub(super) fn at(&self, hash: u64) -> Option<Instant> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.get(&hash).copied()
    }
}

/// Publishes until dropped.
pub(super) struct Publisher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    sent: Arc<Sent>,
}

impl Publisher {
    /// Returns when the server has accepted it.
    pub(super) fn start(content: &Arc<Content>, to: &Rtmp) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Sent::default());
        let (accepted, wait) = mpsc::sync_channel(1);
        let (content, to) = (Arc::clone(content), to.clone());
        let (stopped, noted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = std::thread::spawn(move || {
            let opened = to.open(Role::Publish);
            let connection = match opened {
                Ok(connection) => connection,
                Err(error) => {
                    let _ = accepted.send(Err(error));
                    return;
                }
            };
            let _ = accepted.send(Ok(()));
            if let Err(error) = publish(connection, &content, &noted, &stopped) {
                say(&format!("publisher: {error:#}"));
            }
        });
        wait.recv().context("start a publisher")??;
        Ok(Self {
            stop,
            thread: Some(thread),
            sent,
        })
    }

    /// When what was written.
    pub(super) fn sent(&self) -> Arc<Sent> {
        Arc::clone(&self.sent)
    }

    /// Fails when the server cut it off.
    pub(super) fn check(&self) -> Result<()> {
        if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
            bail!("a publisher was cut off");
        }
        Ok(())
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn publish(
    (mut stream, mut client): (TcpStream, Client),
    content: &Content,
    sent: &Sent,
    stop: &AtomicBool,
) -> Result<()> {
    stream.set_nonblocking(true)?;
    let mut out = BytesMut::new();
    let control = MessageHeader {
        type_id: message_type::SET_CHUNK_SIZE,
        stream_id: 0,
        timestamp: 0,
    };
    let size = CHUNK_SIZE.to_be_bytes();
    chunk::serialize(&mut out, chunk::CONTROL, &control, &[&size], 128);
    let start = Instant::now();
    let mut listened = start;
    for turn in 0.. {
        let offset = content.duration * turn;
        for tag in &content.tags {
            let due = offset + Duration::from_millis(tag.timestamp.into());
            // Sequence headers and metadata once are enough.
            if turn > 0 && (tag.kind == TagKind::Script || tag.body.get(1) == Some(&0)) {
                continue;
            }
            pause_until(start + due);
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            append(&mut out, tag, due);
            if let Some(picture) = content::picture(tag) {
                sent.note(content::hash(picture));
            }
            write(&mut stream, &out)?;
            out.clear();
            if listened.elapsed() > LISTEN {
                listened = Instant::now();
                listen(&mut stream, &mut client)?;
            }
        }
    }
    Ok(())
}

fn append(out: &mut BytesMut, tag: &flv::RawTag, due: Duration) {
    let header = MessageHeader {
        type_id: tag.kind.id(),
        stream_id: MEDIA_STREAM,
        timestamp: due.as_millis() as u32,
    };
    let (chunk_stream, prefix) = match tag.kind {
        TagKind::Audio => (chunk::AUDIO, &[][..]),
        TagKind::Video => (chunk::VIDEO, &[][..]),
        TagKind::Script => (chunk::DATA, SET_DATA_FRAME),
    };
    let size = CHUNK_SIZE as usize;
    chunk::serialize(out, chunk_stream, &header, &[prefix, &tag.body], size);
}

fn write(stream: &mut TcpStream, mut bytes: &[u8]) -> Result<()> {
    let start = Instant::now();
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock && start.elapsed() < STUCK => {
                pause(Duration::from_micros(200));
            }
            Err(error) => return Err(error).context("publish"),
        }
    }
    Ok(())
}

/// Acknowledges, and answers pings.
fn listen(stream: &mut TcpStream, client: &mut Client) -> Result<()> {
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => bail!("the server closed"),
        Ok(read) => client.receive(buffer.get(..read).unwrap_or_default())?,
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => return Err(error.into()),
    }
    write(stream, &client.take_output())
}

//! RTMP clients over a socket: `rtmp::session::Client` with the I/O it leaves out.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use rtmp::{
    Limits,
    session::{Client, ClientConfig, ClientEvent, Role},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use types::Secret;

/// An answer that takes longer won't come: a wrong key's takes 2 s, and machines are slow.
const ANSWER: Duration = Duration::from_secs(20);

/// What a connection runs over.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// How a publish or play began.
#[derive(Debug)]
pub enum Opening {
    /// It goes on.
    Ready(Box<Wire>),
    /// The server said no.
    Rejected {
        /// Such as `NetStream.Publish.BadName`.
        code: String,
        /// In words.
        description: String,
    },
    /// The server hung up without a word.
    Closed,
}

impl Opening {
    /// The connection, which must have begun.
    pub fn ready(self) -> Result<Wire> {
        match self {
            Self::Ready(wire) => Ok(*wire),
            Self::Rejected { code, description } => bail!("refused: {code}: {description}"),
            Self::Closed => bail!("the server hung up"),
        }
    }

    /// Code and words of a refusal, which this must be.
    pub fn rejection(self) -> Result<(String, String)> {
        match self {
            Self::Rejected { code, description } => Ok((code, description)),
            Self::Ready(_) => bail!("it was accepted"),
            Self::Closed => bail!("the server hung up without a word"),
        }
    }
}

/// One end of an RTMP connection.
pub struct Wire {
    /// The socket.
    pub transport: Box<dyn Transport>,
    /// The session.
    pub client: Client,
    buffer: BytesMut,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl Wire {
    /// Opens a session on a transport and waits for its answer.
    pub async fn open(
        transport: impl Transport + 'static,
        role: Role,
        stream: &str,
    ) -> Result<Opening> {
        let config = ClientConfig {
            app: "live".to_owned(),
            tc_url: Secret::new("rtmp://localhost/live".to_owned()),
            stream: Secret::new(stream.to_owned()),
            role,
        };
        let mut wire = Self {
            transport: Box::new(transport),
            client: Client::new(Limits::default(), config)?,
            buffer: BytesMut::with_capacity(64 * 1024),
        };
        tokio::time::timeout(ANSWER, wire.answer())
            .await
            .with_context(|| format!("the server said neither yes nor no within {ANSWER:?}"))?
            .map(|answer| match answer {
                None => Opening::Ready(Box::new(wire)),
                Some(no) => no,
            })
    }

    async fn answer(&mut self) -> Result<Option<Opening>> {
        loop {
            if self.flush().await.is_err() {
                // What it said before it hung up may still be there to be read.
                while let Some(event) = self.client.poll_event() {
                    if let ClientEvent::Rejected { code, description } = event {
                        return Ok(Some(Opening::Rejected { code, description }));
                    }
                }
            }
            if !self.read().await? {
                return Ok(Some(Opening::Closed));
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    ClientEvent::Ready => return Ok(None),
                    ClientEvent::Rejected { code, description } => {
                        return Ok(Some(Opening::Rejected { code, description }));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Sends what the session wants to send.
    pub async fn flush(&mut self) -> Result<()> {
        let output = self.client.take_output();
        self.transport.write_all(&output).await?;
        self.transport.flush().await?;
        Ok(())
    }

    /// Reads once; `false` when the other side hung up.
    pub async fn read(&mut self) -> Result<bool> {
        self.buffer.clear();
        // A reset is how a server hangs up on unread bytes.
        let size = self.transport.read_buf(&mut self.buffer).await.unwrap_or(0);
        if size == 0 {
            return Ok(false);
        }
        self.client.receive(&self.buffer)?;
        Ok(true)
    }
}

/// Asks to publish with `key`.
pub async fn open_publisher(address: SocketAddr, key: &str) -> Result<Opening> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    Wire::open(socket, Role::Publish, key).await
}

/// Connects and does the handshake (RTMP §5.2) and nothing more.
pub async fn handshake(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let mut hello = vec![0; 1537];
    hello[0] = 3;
    stream.write_all(&hello).await?;
    let mut answer = vec![0; 1 + 2 * 1536];
    let reading = stream.read_exact(&mut answer);
    crate::within(ANSWER, "the RTMP handshake", reading).await??;
    stream.write_all(&answer[1..1537]).await?;
    Ok(stream)
}

/// An RTMP player.
#[derive(Debug)]
pub struct RtmpPlayer {
    wire: Wire,
}

impl RtmpPlayer {
    /// Asks to play `slug`.
    pub async fn open(address: SocketAddr, slug: &str) -> Result<Opening> {
        Wire::open(TcpStream::connect(address).await?, Role::Play, slug).await
    }

    /// Plays `slug`, which must be live.
    pub async fn play(address: SocketAddr, slug: &str) -> Result<Self> {
        let wire = Self::open(address, slug).await?.ready()?;
        Ok(Self { wire })
    }

    /// [`Self::play`] on a socket that holds little: a player that does not read stalls soon.
    pub async fn play_with_small_buffer(address: SocketAddr, slug: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let stream = socket.connect(address).await?;
        let wire = Wire::open(stream, Role::Play, slug).await?.ready()?;
        Ok(Self { wire })
    }

    /// The next event; `None` when the server hung up.
    pub async fn next(&mut self, limit: Duration) -> Result<Option<ClientEvent>> {
        loop {
            if let Some(event) = self.wire.client.poll_event() {
                ensure!(
                    !matches!(event, ClientEvent::PacketDropped { .. }),
                    "the server sent what can't be used: {event:?}"
                );
                return Ok(Some(event));
            }
            if !crate::within(limit, "the RTMP stream", self.wire.read()).await?? {
                return Ok(None);
            }
            self.wire.flush().await?;
        }
    }
}

//! One RTMP connection: its deadlines, and what it becomes.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use proto::Coordinators;
use rtmp::{
    Limits,
    session::{Event, RequestId, Server as Session, ServerConfig},
};
use runtime::Shutdown;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::Instant,
};
use types::{InstanceId, Secret};

use crate::{Error, hub::Hub, play, publish, relay::PlaySources};

/// From connecting to the end of the handshake (promise D2).
const HANDSHAKE: Duration = Duration::from_secs(5);
/// From connecting to `publish` or `play`.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a write may make no progress.
const WRITE: Duration = Duration::from_secs(20);
/// What is read at once from a publisher.
const READ_MEDIA: usize = 64 * 1024;
/// What is read at once from a peer that has only commands to send: most are players, and many.
const READ_COMMANDS: usize = 2 * 1024;

/// What connections share.
pub(crate) struct Context {
    pub(crate) hub: Hub,
    pub(crate) coordinators: Coordinators,
    pub(crate) instance: InstanceId,
    pub(crate) sources: PlaySources,
    pub(crate) shutdown: Shutdown,
}

/// A peer, and the protocol with it.
pub(crate) struct Connection<S> {
    pub(crate) stream: S,
    pub(crate) session: Session,
    pub(crate) peer: IpAddr,
    buffer: BytesMut,
    read_bytes: usize,
}

/// What a peer asked for.
enum Request {
    Publish {
        request: RequestId,
        key: Secret<String>,
    },
    Play {
        request: RequestId,
        name: Secret<String>,
    },
}

/// Counts a connection that ended with an error.
fn count(error: &Error) {
    let reason = match error {
        Error::Rtmp(_) => "protocol",
        Error::TooSlow(_) => "slow",
        _ => "connection",
    };
    metrics::counter!("streamr_rtmp_errors_total", "reason" => reason).increment(1);
}

/// Serves one peer to its end.
pub(crate) async fn serve<S>(stream: S, peer: IpAddr, context: Arc<Context>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let session = Session::new(
        Limits {
            buffered: 8 * 1024 * 1024,
            ..Limits::default()
        },
        ServerConfig::default(),
    );
    let mut connection = Connection {
        stream,
        session,
        peer,
        buffer: BytesMut::new(),
        read_bytes: READ_COMMANDS,
    };
    let result = tokio::select! {
        result = connection.run(&context) => result,
        () = context.shutdown.cancelled() => {
            connection.session.end("NetConnection.Connect.AppShutdown", "the server restarts; reconnect");
            connection.flush().await
        }
    };
    if let Err(error) = result {
        count(&error);
        tracing::debug!(%peer, %error, "rtmp connection");
        // A protocol error may have left a readable answer.
        let _ = connection.flush().await;
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.stream.shutdown()).await;
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    async fn run(&mut self, context: &Context) -> Result<(), Error> {
        match self.request().await? {
            Some(Request::Publish { request, key }) => {
                publish::run(self, request, &key, context).await
            }
            Some(Request::Play { request, name }) => play::run(self, request, &name, context).await,
            None => Ok(()),
        }
    }

    /// Waits for `publish` or `play`. `None`: the peer left.
    async fn request(&mut self) -> Result<Option<Request>, Error> {
        let start = Instant::now();
        let mut connected = false;
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Connected(_) => connected = true,
                    Event::PublishRequested {
                        request,
                        stream_key,
                        ..
                    } => {
                        return Ok(Some(Request::Publish {
                            request,
                            key: stream_key,
                        }));
                    }
                    Event::PlayRequested {
                        request,
                        stream_name,
                        ..
                    } => {
                        return Ok(Some(Request::Play {
                            request,
                            name: stream_name,
                        }));
                    }
                    _ => {}
                }
            }
            self.flush().await?;
            // The handshake's end shows as the first command.
            let deadline = start + if connected { REQUEST } else { HANDSHAKE };
            match tokio::time::timeout_at(deadline, self.receive()).await {
                Ok(received) => {
                    if !received? {
                        return Ok(None);
                    }
                }
                Err(_) => {
                    return Err(Error::TooSlow(if connected {
                        "publish or play"
                    } else {
                        "handshake and connect"
                    }));
                }
            }
        }
    }

    /// Media will come: reads in large pieces from now on.
    pub(crate) fn expect_media(&mut self) {
        self.read_bytes = READ_MEDIA;
    }

    /// Reads once and feeds the session. `false`: the peer closed. Cancel safe.
    pub(crate) async fn receive(&mut self) -> Result<bool, Error> {
        self.buffer.reserve(self.read_bytes);
        let read = self.stream.read_buf(&mut self.buffer).await?;
        if read == 0 {
            return Ok(false);
        }
        let result = self.session.receive(&self.buffer);
        self.buffer.clear();
        result?;
        Ok(true)
    }

    /// Writes what the session has to say.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        self.write(&output).await
    }

    /// Writes, with a deadline.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(WRITE, write)
            .await
            .map_err(|_| Error::TooSlow("a write"))??;
        Ok(())
    }

    /// Refuses what the peer asked for, readably.
    pub(crate) async fn refuse(
        &mut self,
        request: RequestId,
        code: &str,
        reason: &str,
    ) -> Result<(), Error> {
        self.session.reject(request, code, reason);
        self.flush().await
    }
}

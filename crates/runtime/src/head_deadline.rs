//! Cuts off whoever sends a request's head too slowly, and nobody else: an idle keep-alive connection, a held
//! blocking reload and whoever waits for an answer to what it posted wait in silence, and may.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// From a head's first byte to its last (D2).
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// A stream whose HTTP/1 heads must each arrive within [`HEAD_TIMEOUT`], the first one from the start.
pub(crate) struct HeadDeadline<S> {
    inner: S,
    deadline: Option<Pin<Box<Sleep>>>,
    /// How much of `\r\n\r\n` the bytes so far end with.
    matched: usize,
    /// HTTP/2 has frames after its preface and its own keep-alive.
    watched: bool,
    /// A head has come and is not answered: what comes is its body.
    serving: bool,
    served: Served,
}

/// Says how far requests of a connection are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    answered: AtomicBool,
    upgraded: AtomicBool,
}

impl Served {
    /// What comes next is another head.
    pub(crate) fn answered(&self) {
        self.0.answered.store(true, Ordering::Release);
    }

    /// No more heads come: the connection speaks another protocol now.
    pub(crate) fn upgraded(&self) {
        self.0.upgraded.store(true, Ordering::Release);
    }
}

impl<S> HeadDeadline<S> {
    pub(crate) fn new(inner: S, watched: bool) -> Self {
        let deadline = watched.then(|| Box::pin(tokio::time::sleep(HEAD_TIMEOUT)));
        Self {
            inner,
            deadline,
            matched: 0,
            watched,
            serving: false,
            served: Served::default(),
        }
    }

    /// To be told of each answer.
    pub(crate) fn served(&self) -> Served {
        self.served.clone()
    }

    fn observe(&mut self, bytes: &[u8]) {
        const END: &[u8; 4] = b"\r\n\r\n";
        let upgraded = self.served.0.upgraded.load(Ordering::Acquire);
        if bytes.starts_with(b"PRI * HTTP/2.0") || upgraded {
            self.watched = false;
            self.deadline = None;
            return;
        }
        if self.serving {
            if !self.served.0.answered.swap(false, Ordering::AcqRel) {
                return;
            }
            self.serving = false;
        }
        for &byte in bytes {
            if Some(&byte) == END.get(self.matched) {
                self.matched += 1;
            } else {
                self.matched = usize::from(byte == b'\r');
            }
            if self.matched == END.len() {
                self.matched = 0;
                self.serving = true;
                self.deadline = None;
                return;
            }
        }
        if self.deadline.is_none() {
            self.deadline = Some(Box::pin(tokio::time::sleep_until(
                Instant::now() + HEAD_TIMEOUT,
            )));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if self.watched
                    && let Some(bytes) = buf.filled().get(before..)
                    && !bytes.is_empty()
                {
                    self.observe(bytes);
                }
                Poll::Ready(result)
            }
            Poll::Pending => match self
                .deadline
                .as_mut()
                .map(|deadline| deadline.as_mut().poll(cx))
            {
                Some(Poll::Ready(())) => {
                    metrics::counter!("streamr_http_slow_heads_total").increment(1);
                    tracing::debug!("a request's head came too slowly");
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                }
                _ => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadDeadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_never_ends_is_cut_off() {
        let (mut client, server) = duplex(1024);
        let mut server = HeadDeadline::new(server, true);
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut buf = Vec::new();
        let error = server.read_to_end(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_no_head() {
        let (mut client, server) = duplex(1024);
        let mut server = HeadDeadline::new(server, true);
        let served = server.served();
        let mut buf = [0; 256];
        let post = b"POST / HTTP/1.1\r\ncontent-length: 8\r\n\r\nbody";
        client.write_all(post).await.unwrap();
        assert_eq!(server.read(&mut buf).await.unwrap(), post.len());
        client.write_all(b"more").await.unwrap();
        assert_eq!(server.read(&mut buf).await.unwrap(), 4);
        let waiting = tokio::time::timeout(HEAD_TIMEOUT * 4, server.read(&mut buf)).await;
        assert!(waiting.is_err(), "the answer takes its time");
        served.answered();
        let idle = tokio::time::timeout(HEAD_TIMEOUT * 4, server.read(&mut buf)).await;
        assert!(idle.is_err(), "no next head has begun");
        client.write_all(b"GET / HT").await.unwrap();
        assert_eq!(server.read(&mut buf).await.unwrap(), 8);
        let error = server.read(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "the next head");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_may_wait() {
        let (mut client, server) = duplex(1024);
        let mut server = HeadDeadline::new(server, true);
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .await
            .unwrap();
        let mut buf = [0; 256];
        assert_eq!(server.read(&mut buf).await.unwrap(), 27);
        let idle = tokio::time::timeout(HEAD_TIMEOUT * 4, server.read(&mut buf)).await;
        assert!(idle.is_err(), "still open");
    }
}

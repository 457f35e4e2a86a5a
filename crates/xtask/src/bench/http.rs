//! As much of an HTTP client as the bench needs.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};

/// No answer takes longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Connects to a port of this machine.
pub(super) fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("connect to port {port}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The body of `path`; HTTP/1.0, so that it ends with the connection.
pub(super) fn get(port: u16, path: &str) -> Result<Vec<u8>> {
    let mut stream = connect(port)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let Some(head) = find(&answer, b"\r\n\r\n") else {
        bail!("GET {path}: no answer");
    };
    let body = answer.split_off(head + 4);
    if answer.get(9..12) != Some(b"200") {
        let line = String::from_utf8_lossy(&answer);
        bail!("GET {path}: {}", line.lines().next().unwrap_or_default());
    }
    Ok(body)
}

/// Asks for an endless answer and reads its head; also what came behind it.
pub(super) fn open(port: u16, path: &str) -> Result<(TcpStream, BytesMut)> {
    let mut stream = connect(port)?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
    let mut received = BytesMut::new();
    loop {
        if let Some(head) = find(&received, b"\r\n\r\n") {
            if received.get(9..12) != Some(b"200") {
                let line = String::from_utf8_lossy(&received);
                bail!("GET {path}: {}", line.lines().next().unwrap_or_default());
            }
            received.advance(head + 4);
            return Ok((stream, received));
        }
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("GET {path}: the answer ended");
        }
        received.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

/// Takes the chunks of a chunked body apart (RFC 9112 §7.1).
#[derive(Default)]
pub(super) struct Dechunker {
    received: BytesMut,
    /// Bytes of the chunk still to come, with the line end behind it.
    left: usize,
}

impl Dechunker {
    /// Takes bytes; gives the body's bytes to `take`.
    pub(super) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) -> Result<()> {
        self.received.extend_from_slice(bytes);
        loop {
            if self.left == 0 {
                let Some(end) = find(&self.received, b"\r\n") else {
                    return Ok(());
                };
                let line = self.received.split_to(end + 2);
                let size = std::str::from_utf8(&line)?.trim();
                self.left = usize::from_str_radix(size, 16).context("read a chunk's size")? + 2;
            }
            let now = self.left.min(self.received.len());
            if now == 0 {
                return Ok(());
            }
            let piece = self.received.split_to(now);
            let data = now.min(self.left.saturating_sub(2));
            take(piece.get(..data).unwrap_or_default());
            self.left -= now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_however_they_arrive() {
        let wire = b"5\r\nhello\r\n10\r\n, chunked world!\r\n";
        for step in 1..wire.len() {
            let (mut dechunker, mut body) = (Dechunker::default(), Vec::new());
            for piece in wire.chunks(step) {
                dechunker
                    .push(piece, |data| body.extend_from_slice(data))
                    .unwrap();
            }
            assert_eq!(body, b"hello, chunked world!", "in steps of {step}");
        }
    }
}

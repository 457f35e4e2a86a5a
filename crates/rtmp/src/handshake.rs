//! The handshake (RTMP 1.0 §5.2, and Flash's digest variant), as `rml_rtmp` does it.

use rml_rtmp::handshake::{Handshake as Inner, HandshakeProcessResult, PeerType};

use crate::Error;

/// C0, C1 and C2: what each side receives.
const SIZE: usize = 1 + 1536 + 1536;

/// One side's handshake.
pub(crate) struct Handshake {
    inner: Inner,
    left: usize,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Handshake {
    pub(crate) fn server() -> Self {
        Self {
            inner: Inner::new(PeerType::Server),
            left: SIZE,
        }
    }

    /// A client's handshake, and what it says first.
    pub(crate) fn client() -> Result<(Self, Vec<u8>), Error> {
        let mut inner = Inner::new(PeerType::Client);
        let hello = inner
            .generate_outbound_p0_and_p1()
            .map_err(|_| Error::Handshake)?;
        Ok((Self { inner, left: SIZE }, hello))
    }

    /// Consumes the handshake's bytes off the front of `input`; yields what to send, and whether it is done.
    pub(crate) fn receive(&mut self, input: &mut &[u8]) -> Result<(Vec<u8>, bool), Error> {
        // Handing over no byte too many spares copying them back.
        let (ours, rest) = input
            .split_at_checked(self.left)
            .unwrap_or((*input, <&[u8]>::default()));
        *input = rest;
        self.left -= ours.len();
        match self.inner.process_bytes(ours) {
            Ok(HandshakeProcessResult::InProgress { response_bytes }) => {
                Ok((response_bytes, false))
            }
            Ok(HandshakeProcessResult::Completed { response_bytes, .. }) => {
                Ok((response_bytes, true))
            }
            Err(_) => Err(Error::Handshake),
        }
    }
}

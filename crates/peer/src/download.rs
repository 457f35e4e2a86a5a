//! Fetching: one segment at a time from the other end of a link.

use std::time::Instant;

use bytes::Bytes;
use p2p::commands::{Command, RequestId, Transfer};
use tokio::sync::oneshot;
use types::{ByteCount, Msn};

use crate::error::FetchError;

/// A segment that was asked for.
#[derive(Debug)]
pub(crate) struct Download {
    msn: Msn,
    request: RequestId,
    most: ByteCount,
    pub(crate) deadline: Instant,
    transfer: Option<Transfer>,
    reply: oneshot::Sender<Result<Bytes, FetchError>>,
}

/// What a link does after a command for its download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It goes on.
    Wait,
    /// It is over, well or not.
    Over,
    /// It is over, and the other end broke the protocol.
    Violation,
}

impl Download {
    pub(crate) fn new(
        msn: Msn,
        most: ByteCount,
        deadline: Instant,
        reply: oneshot::Sender<Result<Bytes, FetchError>>,
    ) -> Self {
        Self {
            msn,
            request: RequestId(rand::random_range(0..1000)),
            most,
            deadline,
            transfer: None,
            reply,
        }
    }

    pub(crate) const fn ask(&self) -> Command {
        Command::Request {
            segment: self.msn,
            request: self.request,
            offset: ByteCount::ZERO,
        }
    }

    pub(crate) const fn cancel(&self) -> Command {
        Command::Cancel {
            segment: self.msn,
            request: self.request,
        }
    }

    /// Whether a command speaks of this request: late ones of others are passed over.
    fn is(&self, segment: Msn, request: RequestId) -> bool {
        (self.msn, self.request) == (segment, request)
    }

    /// Takes a command; answers itself back unless it is over.
    pub(crate) fn command(mut self, command: &Command) -> (Option<Self>, Then) {
        match *command {
            Command::Data {
                segment,
                request,
                size,
            } if self.is(segment, request) => match Transfer::new(size, self.most) {
                Ok(transfer) => {
                    self.transfer = Some(transfer);
                    (Some(self), Then::Wait)
                }
                Err(error) => self.end(Err(error.into()), Then::Violation),
            },
            Command::Completed { segment, request } if self.is(segment, request) => {
                match self.transfer.take().map(Transfer::finish) {
                    Some(Ok(bytes)) => self.end(Ok(bytes), Then::Over),
                    Some(Err(error)) => self.end(Err(error.into()), Then::Violation),
                    None => (Some(self), Then::Wait),
                }
            }
            Command::Absent { segment, request } if self.is(segment, request) => {
                self.end(Err(FetchError::Absent), Then::Over)
            }
            _ => (Some(self), Then::Wait),
        }
    }

    /// Takes bytes of a segment. Those that nobody waits for are of an earlier request.
    pub(crate) fn chunk(mut self, chunk: &[u8]) -> (Option<Self>, Then) {
        let pushed = self.transfer.as_mut().map(|transfer| transfer.push(chunk));
        match pushed {
            Some(Err(error)) => self.end(Err(error.into()), Then::Violation),
            Some(Ok(())) | None => (Some(self), Then::Wait),
        }
    }

    /// Time is up.
    pub(crate) fn late(mut self) {
        let transfer = self.transfer.take();
        let received = transfer.map_or_else(Bytes::new, Transfer::into_received);
        self.end(Err(FetchError::Late { received }), Then::Over);
    }

    /// The link is gone.
    pub(crate) fn closed(self) {
        self.end(Err(FetchError::Closed), Then::Over);
    }

    fn end(self, result: Result<Bytes, FetchError>, then: Then) -> (Option<Self>, Then) {
        // Whoever asked may have given up.
        let _ = self.reply.send(result);
        (None, then)
    }
}

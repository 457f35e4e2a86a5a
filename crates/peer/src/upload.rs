//! Serving: the messages that go out on one link, and in which order.

use std::collections::VecDeque;

use bytes::Bytes;
use p2p::commands::{self, Command, RequestId};
use types::{ByteCount, Msn};

/// Bytes of a segment in one message. Smaller than pages', so that links take turns under a limit, and so that
/// less is for nothing when a link breaks.
const CHUNK: usize = 32 * 1024;
/// Commands that wait while the channel is full. More only pile up when the other end asks and never reads.
const MAX_WAITING: usize = 64;

/// A message for the channel.
#[derive(Debug)]
pub(crate) enum Message {
    Command(Vec<u8>),
    Payload { bytes: Bytes, ends_segment: bool },
}

/// The other end asks faster than it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

/// What is to go out.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    commands: VecDeque<Vec<u8>>,
    segment: Option<Segment>,
}

#[derive(Debug)]
struct Segment {
    msn: Msn,
    request: RequestId,
    rest: Bytes,
    whole: bool,
}

impl Outgoing {
    /// Queues a command.
    pub(crate) fn say(&mut self, command: &Command) -> Result<(), TooMuch> {
        self.commands.extend(command.frames());
        (self.commands.len() <= MAX_WAITING)
            .then_some(())
            .ok_or(TooMuch)
    }

    /// Answers a request. One that runs is dropped: the other end wants only the newest.
    pub(crate) fn serve(
        &mut self,
        msn: Msn,
        request: RequestId,
        offset: ByteCount,
        segment: Option<Bytes>,
    ) -> Result<(), TooMuch> {
        self.segment = None;
        let from = offset.as_usize();
        let Some(segment) = segment.filter(|segment| from < segment.len()) else {
            return self.say(&Command::Absent {
                segment: msn,
                request,
            });
        };
        let rest = segment.slice(from..);
        let size = ByteCount::new(rest.len() as u64);
        self.segment = Some(Segment {
            msn,
            request,
            rest,
            whole: from == 0,
        });
        self.say(&Command::Data {
            segment: msn,
            request,
            size,
        })
    }

    /// The other end wants it no longer.
    pub(crate) fn cancel(&mut self, msn: Msn, request: RequestId) {
        if let Some(segment) = &self.segment
            && (segment.msn, segment.request) == (msn, request)
        {
            self.segment = None;
        }
    }

    /// Whether a segment is on its way out.
    pub(crate) const fn is_serving(&self) -> bool {
        self.segment.is_some()
    }

    /// Whether a command goes next.
    pub(crate) fn has_commands(&self) -> bool {
        !self.commands.is_empty()
    }

    /// The next message; it stays the next until [`Self::sent`].
    pub(crate) fn next(&self) -> Option<Message> {
        if let Some(command) = self.commands.front() {
            return Some(Message::Command(command.clone()));
        }
        let segment = self.segment.as_ref()?;
        let bytes = commands::chunk(&segment.rest, CHUNK);
        Some(Message::Payload {
            ends_segment: segment.whole && bytes.len() == segment.rest.len(),
            bytes,
        })
    }

    /// The channel took the message.
    pub(crate) fn sent(&mut self, message: &Message) {
        match message {
            Message::Command(_) => {
                self.commands.pop_front();
            }
            Message::Payload { bytes, .. } => self.advance(bytes.len()),
        }
    }

    fn advance(&mut self, length: usize) {
        let Some(segment) = &mut self.segment else {
            return;
        };
        segment.rest = segment.rest.slice(length..);
        if segment.rest.is_empty() {
            let done = Command::Completed {
                segment: segment.msn,
                request: segment.request,
            };
            self.segment = None;
            self.commands.extend(done.frames());
        }
    }
}

#[cfg(test)]
mod tests {
    use p2p::commands::{Joiner, is_frame};

    use super::*;

    /// Everything that goes out now: commands as they are, bytes put together.
    fn drain(outgoing: &mut Outgoing) -> (Vec<Command>, Vec<u8>) {
        let (mut commands, mut payload) = (Vec::new(), Vec::new());
        while let Some(message) = outgoing.next() {
            match &message {
                Message::Command(frame) => {
                    assert!(is_frame(frame));
                    let whole = Joiner::default().push(frame).unwrap().unwrap();
                    commands.push(Command::decode(&whole).unwrap());
                }
                Message::Payload { bytes, .. } => payload.extend_from_slice(bytes),
            }
            outgoing.sent(&message);
        }
        (commands, payload)
    }

    const MSN: Msn = Msn::new(7);
    const REQUEST: RequestId = RequestId(3);

    #[test]
    fn a_request_gets_size_bytes_and_the_end() {
        let mut outgoing = Outgoing::default();
        let segment = Bytes::from(vec![9; 100_000]);
        outgoing
            .serve(MSN, REQUEST, ByteCount::new(40_000), Some(segment))
            .unwrap();
        let (commands, payload) = drain(&mut outgoing);
        assert_eq!(payload.len(), 60_000);
        let (segment, request) = (MSN, REQUEST);
        let size = ByteCount::new(60_000);
        let expected = [
            Command::Data {
                segment,
                request,
                size,
            },
            Command::Completed { segment, request },
        ];
        assert_eq!(commands, expected);
    }

    #[test]
    fn what_is_not_there_or_over_is_absent() {
        let mut outgoing = Outgoing::default();
        let absent = Command::Absent {
            segment: MSN,
            request: REQUEST,
        };
        outgoing.serve(MSN, REQUEST, ByteCount::ZERO, None).unwrap();
        let segment = Some(Bytes::from_static(b"abc"));
        outgoing
            .serve(MSN, REQUEST, ByteCount::new(3), segment)
            .unwrap();
        assert_eq!(drain(&mut outgoing).0, [absent.clone(), absent]);
    }

    #[test]
    fn a_new_request_or_a_cancel_ends_what_runs() {
        let mut outgoing = Outgoing::default();
        let segment = Some(Bytes::from(vec![1; 200_000]));
        outgoing
            .serve(MSN, REQUEST, ByteCount::ZERO, segment.clone())
            .unwrap();
        for _ in 0..2 {
            let message = outgoing.next().unwrap();
            outgoing.sent(&message);
        }
        outgoing.cancel(MSN, RequestId(99));
        assert!(outgoing.is_serving(), "another request's");
        outgoing.cancel(MSN, REQUEST);
        assert_eq!(drain(&mut outgoing), (Vec::new(), Vec::new()));
        outgoing
            .serve(MSN, REQUEST, ByteCount::ZERO, segment)
            .unwrap();
        outgoing
            .serve(MSN.next(), REQUEST, ByteCount::ZERO, None)
            .unwrap();
        assert!(drain(&mut outgoing).1.is_empty());
    }

    #[test]
    fn who_asks_and_never_reads_is_too_much() {
        let mut outgoing = Outgoing::default();
        let mut ask = || outgoing.serve(MSN, REQUEST, ByteCount::ZERO, None);
        assert!((0..MAX_WAITING).all(|_| ask().is_ok()));
        assert_eq!(ask(), Err(TooMuch));
    }
}

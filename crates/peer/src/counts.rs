//! How much of what was written the other end has: what a page counts as received, and no byte more.

use std::collections::VecDeque;

use types::ByteCount;

/// Messages on their way, in order. The channel's queue is bounded, hence this is.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Written to the channel so far, commands and all.
    written: u64,
    on_their_way: VecDeque<Message>,
    taken_bytes: u64,
    bytes: u64,
    segments: u32,
}

#[derive(Debug)]
struct Message {
    /// What `written` was behind it.
    end: u64,
    /// Bytes of a segment in it.
    payload: u64,
    /// It is the last of a whole segment.
    ends_segment: bool,
}

impl Counts {
    /// A command went out.
    pub(crate) fn command(&mut self, length: usize) {
        self.written += length as u64;
    }

    /// Bytes of a segment went out.
    pub(crate) fn payload(&mut self, length: usize, ends_segment: bool) {
        self.written += length as u64;
        self.on_their_way.push_back(Message {
            end: self.written,
            payload: length as u64,
            ends_segment,
        });
    }

    /// Whether anything waits to be acknowledged.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.on_their_way.is_empty()
    }

    /// So many of the bytes written are not acknowledged.
    pub(crate) fn settle(&mut self, unacknowledged: usize) {
        let acknowledged = self.written.saturating_sub(unacknowledged as u64);
        while let Some(message) = self.on_their_way.front() {
            if message.end > acknowledged {
                return;
            }
            self.bytes += message.payload;
            self.segments += u32::from(message.ends_segment);
            self.on_their_way.pop_front();
        }
    }

    /// All that was delivered since the link is there.
    pub(crate) const fn total(&self) -> ByteCount {
        ByteCount::new(self.bytes)
    }

    /// What was delivered since the last call; `None` when it is nothing.
    pub(crate) fn take(&mut self) -> Option<(ByteCount, u32)> {
        let bytes = self.bytes - self.taken_bytes;
        self.taken_bytes = self.bytes;
        let segments = std::mem::take(&mut self.segments);
        (bytes > 0).then_some((ByteCount::new(bytes), segments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_acknowledged_counts() {
        let mut counts = Counts::default();
        counts.command(10);
        counts.payload(100, false);
        counts.payload(50, true);
        counts.settle(51);
        assert_eq!(counts.take(), None);
        counts.settle(50);
        assert_eq!(counts.take(), Some((ByteCount::new(100), 0)));
        counts.settle(1);
        assert_eq!(counts.take(), None);
        counts.settle(0);
        assert_eq!(counts.take(), Some((ByteCount::new(50), 1)));
        assert_eq!(
            (counts.total(), counts.is_waiting()),
            (ByteCount::new(150), false)
        );
    }
}

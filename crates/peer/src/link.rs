//! One link: its transport, and the messages that go out on it.

mod said;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use p2p::commands::Joiner;
use str0m::{
    Event as RtcEvent, IceConnectionState, Input, Output, Rtc,
    change::SdpPendingOffer,
    channel::{ChannelData, ChannelId},
};
use tokio::sync::oneshot;
use types::{ByteCount, Msn, StreamId};

use crate::{
    bucket::Bucket,
    counts::Counts,
    download::Download,
    error::FetchError,
    socket::{Outbox, Outgoing as Datagram},
    source::{Inventory, Source},
    upload::{Message, Outgoing},
    words::{CloseReason, LinkId},
};

/// Bytes of segments wait in the channel up to here: 20 Mbit/s for a viewer 50 ms away. The SCTP library looks
/// through all that is in flight at every packet, so 256 KiB would cost twice the processor time.
const FULL: usize = 96 * 1024;
/// What a link works with while it is its turn.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) source: &'a dyn Source,
    pub(crate) bucket: &'a mut Bucket,
    pub(crate) outbox: &'a mut Outbox,
    /// Nothing new is served.
    pub(crate) draining: bool,
    pub(crate) happened: &'a mut Vec<Happened>,
}

/// What the link's owner is told of a turn.
#[derive(Debug)]
pub(crate) enum Happened {
    Opened,
    Announced(Inventory),
    /// It would send, and the limit doesn't let it.
    Throttled,
}

/// A link.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) stream: StreamId,
    pub(crate) rtc: Rtc,
    pub(crate) pending: Option<SdpPendingOffer>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) counts: Counts,
    /// Where datagrams of this link came from.
    pub(crate) routes: Vec<SocketAddr>,
    /// It is over, and waits to be removed.
    pub(crate) over: Option<CloseReason>,
    channel: Option<ChannelId>,
    open: bool,
    open_until: Instant,
    timeout: Instant,
    joiner: Joiner,
    outgoing: Outgoing,
    download: Option<Download>,
    announce: bool,
    said: Option<Inventory>,
    asked: VecDeque<(Msn, u8)>,
    second: Instant,
    commands: u32,
}

impl Link {
    pub(crate) fn new(
        id: LinkId,
        stream: StreamId,
        rtc: Rtc,
        now: Instant,
        open: Duration,
    ) -> Self {
        Self {
            id,
            stream,
            rtc,
            pending: None,
            address: None,
            counts: Counts::default(),
            routes: Vec::new(),
            over: None,
            channel: None,
            open: false,
            open_until: now + open,
            timeout: now,
            joiner: Joiner::default(),
            outgoing: Outgoing::default(),
            download: None,
            announce: false,
            said: None,
            asked: VecDeque::new(),
            second: now,
            commands: 0,
        }
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) const fn is_serving(&self) -> bool {
        self.outgoing.is_serving()
    }

    /// When it has something to do, whatever comes in.
    pub(crate) fn deadline(&self) -> Instant {
        let opening = (!self.open).then_some(self.open_until);
        let fetching = self.download.as_ref().map(|download| download.deadline);
        [opening, fetching]
            .into_iter()
            .flatten()
            .fold(self.timeout, Instant::min)
    }

    /// The channel that we offered.
    pub(crate) fn offered(&mut self, channel: ChannelId, pending: SdpPendingOffer) {
        self.channel = Some(channel);
        self.pending = Some(pending);
    }

    /// What the source has changed.
    pub(crate) fn announce(&mut self) {
        self.announce = true;
    }

    /// Fetches a segment.
    pub(crate) fn fetch(
        &mut self,
        msn: Msn,
        most: ByteCount,
        deadline: Instant,
        reply: oneshot::Sender<Result<Bytes, FetchError>>,
    ) {
        let refused = match (self.open, &self.download) {
            (false, _) => Some(FetchError::NotOpen),
            (true, Some(_)) => Some(FetchError::Busy),
            (true, None) => None,
        };
        if let Some(error) = refused {
            let _ = reply.send(Err(error));
            return;
        }
        let download = Download::new(msn, most, deadline, reply);
        self.say(&download.ask());
        self.download = Some(download);
    }

    /// Time passed, or a datagram came; then all that follows from it.
    pub(crate) fn turn(&mut self, input: Option<Input<'_>>, turn: &mut Turn<'_>) {
        if let Some(input) = input
            && let Err(error) = self.rtc.handle_input(input)
        {
            self.fail(&error);
            return;
        }
        self.expire(turn.now);
        loop {
            self.drain(turn);
            if self.over.is_some() || !self.write_next(turn) {
                break;
            }
        }
        self.settle();
    }

    /// Ends it: tells the other side, counts what is certain.
    pub(crate) fn finish(&mut self, turn: &mut Turn<'_>) {
        if let Some(download) = self.download.take() {
            download.closed();
        }
        if self.over == Some(CloseReason::Failed) || self.rtc.close().is_err() {
            return;
        }
        // What comes of it goes out; what it says no longer matters.
        while let Ok(output) = self.rtc.poll_output() {
            match output {
                Output::Transmit(transmit) => push(turn.outbox, transmit),
                Output::Event(_) => {}
                Output::Timeout(_) => break,
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        if !self.open && now >= self.open_until {
            self.over = Some(CloseReason::NotOpened);
        }
        if let Some(download) = self.download.take_if(|download| now >= download.deadline) {
            self.say(&download.cancel());
            download.late();
        }
    }

    /// Takes all that the transport has to say, until it only waits.
    fn drain(&mut self, turn: &mut Turn<'_>) {
        while self.over.is_none() {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    if !self.rtc.is_alive() {
                        self.over = Some(CloseReason::Remote);
                    }
                    return;
                }
                Ok(Output::Transmit(transmit)) => push(turn.outbox, transmit),
                Ok(Output::Event(event)) => self.event(event, turn),
                Err(error) => self.fail(&error),
            }
        }
    }

    fn event(&mut self, event: RtcEvent, turn: &mut Turn<'_>) {
        match event {
            RtcEvent::ChannelOpen(id, _) if !self.open && self.channel.is_none_or(|c| c == id) => {
                self.channel = Some(id);
                self.open = true;
                self.announce = true;
                turn.happened.push(Happened::Opened);
            }
            RtcEvent::ChannelData(ChannelData { id, data, .. }) if Some(id) == self.channel => {
                self.message(&data, turn);
            }
            RtcEvent::ChannelClose(id) if Some(id) == self.channel => {
                self.over = Some(CloseReason::Remote);
            }
            RtcEvent::Closed => self.over = Some(CloseReason::Remote),
            RtcEvent::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.over = Some(CloseReason::Lost);
            }
            _ => {}
        }
    }

    /// Writes one message, if there is one and the channel takes it.
    fn write_next(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(channel) = self.channel.filter(|_| self.open) else {
            return false;
        };
        self.say_inventory(turn);
        let Some(message) = self.outgoing.next() else {
            return false;
        };
        let Some(mut channel) = self.rtc.channel(channel) else {
            return false;
        };
        let bytes = match &message {
            Message::Command(bytes) => bytes.as_slice(),
            Message::Payload { bytes, .. } => {
                if channel.buffered_amount() >= FULL {
                    return false;
                }
                if turn.bucket.ready(turn.now).is_err() {
                    turn.happened.push(Happened::Throttled);
                    return false;
                }
                bytes
            }
        };
        match channel.write(true, bytes) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                tracing::debug!(link = ?self.id, %error, "channel takes nothing");
                self.over = Some(CloseReason::Lost);
                return false;
            }
        }
        match &message {
            Message::Command(bytes) => self.counts.command(bytes.len()),
            Message::Payload {
                bytes,
                ends_segment,
            } => {
                self.counts.payload(bytes.len(), *ends_segment);
                turn.bucket.take(ByteCount::new(bytes.len() as u64));
            }
        }
        self.outgoing.sent(&message);
        true
    }

    /// Counts what the other end acknowledged, while the channel can still say so.
    fn settle(&mut self) {
        if self.over.is_some() || !self.counts.is_waiting() {
            return;
        }
        if let Some(mut channel) = self.channel.and_then(|id| self.rtc.channel(id)) {
            self.counts.settle(channel.buffered_amount());
        }
    }

    fn violation(&mut self, what: &str) {
        tracing::info!(link = ?self.id, address = ?self.address, what, "peer broke the protocol, link is closed");
        self.over = Some(CloseReason::Violation);
    }

    fn fail(&mut self, error: &dyn std::fmt::Display) {
        tracing::debug!(link = ?self.id, %error, "transport failed");
        self.over = Some(CloseReason::Failed);
    }
}

fn push(outbox: &mut Outbox, transmit: str0m::net::Transmit) {
    outbox.push(Datagram {
        source: transmit.source.ip(),
        destination: transmit.destination,
        contents: transmit.contents.into(),
    });
}

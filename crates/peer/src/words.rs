//! What the handle and its user talk about.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use types::{ByteCount, Msn, StreamId};

/// The longest name of a link: a coordinator.s, and what tells coordinators apart.
const MAX_LINK: usize = 160;

/// Names a link: opaque bytes, chosen by whoever pairs peers.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(Bytes);

impl LinkId {
    /// Of 1 to 160 bytes.
    pub fn new(bytes: Bytes) -> Option<Self> {
        (1..=MAX_LINK).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its end is enough to tell links apart in a log.
        let end = self.0.iter().rev().take(6).rev();
        write!(f, "LinkId(…")?;
        for byte in end {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

/// How a peer is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; unspecified: on all interfaces, with IPv6 where there is any. Port 0: any.
    pub listen: SocketAddr,
    /// The most links at a time.
    pub max_links: usize,
    /// A link that isn't open after this is given up.
    pub open_within: Duration,
    /// The longest segment that is fetched.
    pub max_segment: ByteCount,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            max_links: 256,
            open_within: Duration::from_secs(15),
            max_segment: ByteCount::mib(64),
        }
    }
}

/// What happens to links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The data channel is open.
    Opened {
        /// The link.
        link: LinkId,
        /// Its stream.
        stream: StreamId,
        /// The other end.
        address: Option<SocketAddr>,
    },
    /// It is gone, whether it was ever open or not.
    Closed {
        /// The link.
        link: LinkId,
        /// Its stream.
        stream: StreamId,
        /// Why.
        reason: CloseReason,
    },
    /// The other end says what it has. Only the newest of a link is kept for who reads slowly.
    Announced {
        /// The link.
        link: LinkId,
        /// What can be fetched.
        loaded: Vec<Msn>,
        /// What it is getting from a server.
        loading: Vec<Msn>,
    },
}

/// Why a link is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// By [`Peer::close`](crate::Peer::close), or because the peer stops.
    Asked,
    /// The other end closed it.
    Remote,
    /// It was not open in time.
    NotOpened,
    /// The network between the two broke.
    Lost,
    /// The other end broke the protocol.
    Violation,
    /// The transport failed on what came.
    Failed,
}

impl CloseReason {
    /// As metrics call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Remote => "remote",
            Self::NotOpened => "not_opened",
            Self::Lost => "lost",
            Self::Violation => "violation",
            Self::Failed => "failed",
        }
    }
}

/// What a link delivered since the last time somebody asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The link, which may be gone by now.
    pub link: LinkId,
    /// Its stream.
    pub stream: StreamId,
    /// Bytes of segments that the other end has acknowledged.
    pub bytes: ByteCount,
    /// Whole segments among them.
    pub segments: u32,
}

/// A link as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkState {
    /// The link.
    pub link: LinkId,
    /// Its stream.
    pub stream: StreamId,
    /// Whether its data channel is open.
    pub open: bool,
    /// The other end, when it was heard of.
    pub address: Option<SocketAddr>,
    /// Bytes of segments delivered since it is there.
    pub delivered: ByteCount,
}

/// What is known of the own address as others see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outer {
    /// The address; none: nobody answered.
    pub address: Option<SocketAddr>,
    /// It is an address of this machine: no translation in between.
    pub direct: bool,
}

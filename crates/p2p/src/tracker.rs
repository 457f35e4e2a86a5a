//! The WebTorrent tracker's messages, as bittorrent-tracker and p2p-media-loader 2 speak them over WebSocket:
//! JSON texts whose ids are *binary strings*, one character (up to U+00FF) for each byte.
//!
//! [`parse`] reads what a page says, [`ServerMessage::to_json`] writes what it is told; the other two directions
//! are for clients of ours that behave like pages. Who is paired with whom is the coordinator's to decide.

mod id;
mod wire;

pub use id::{InfoHash, OfferId, PeerId};
pub use wire::parse;

/// The longest text that is read: ten offers of the usual size fit several times.
pub const MAX_MESSAGE: usize = 192 * 1024;
/// The longest session description.
pub const MAX_SDP: usize = 16 * 1024;
/// The most offers of one announce. Pages send at most five.
pub const MAX_OFFERS: usize = 10;

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// It is there, and may be paired with others.
    Announce(Announce),
    /// It answers an offer that it was told.
    Answer(Answer),
}

/// A page is in a swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The swarm: one rendition of one stream.
    pub info_hash: InfoHash,
    /// The page.
    pub peer_id: PeerId,
    /// What happened; nothing at those that come every interval.
    pub event: Option<Event>,
    /// How many peers it wants; at most [`MAX_OFFERS`].
    pub numwant: u32,
    /// Connections that others may answer, each by one.
    pub offers: Vec<Offer>,
}

/// What an announce is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The first of a page.
    Started,
    /// The page leaves the swarm.
    Stopped,
    /// It has all: says nothing in a live stream.
    Completed,
}

/// A connection offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Names it in the answer.
    pub offer_id: OfferId,
    /// The session description.
    pub sdp: String,
}

/// An offer's answer, on its way to who offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The swarm.
    pub info_hash: InfoHash,
    /// Who answers.
    pub peer_id: PeerId,
    /// Who offered.
    pub to_peer_id: PeerId,
    /// What is answered.
    pub offer_id: OfferId,
    /// The session description.
    pub sdp: String,
}

/// What a page is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage {
    /// The announce is taken.
    Announced {
        /// The swarm.
        info_hash: InfoHash,
        /// Seconds until the next one.
        interval: u32,
        /// Peers that have all.
        complete: u32,
        /// Peers that don't.
        incomplete: u32,
    },
    /// Another peer offers a connection.
    Offer {
        /// The swarm.
        info_hash: InfoHash,
        /// Who offers.
        peer_id: PeerId,
        /// The offer.
        offer: Offer,
    },
    /// Another peer answers an offer of the page's.
    Answer {
        /// The swarm.
        info_hash: InfoHash,
        /// Who answers.
        peer_id: PeerId,
        /// What is answered.
        offer_id: OfferId,
        /// The session description.
        sdp: String,
    },
    /// An announce is refused. The page warns and goes on.
    Failure {
        /// The swarm: the page hears only what names its own.
        info_hash: InfoHash,
        /// For people to read.
        reason: String,
    },
}

/// Why a text is no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Longer than [`MAX_MESSAGE`].
    #[error("message of {0} bytes is longer than {MAX_MESSAGE}")]
    TooLong(usize),
    /// Not JSON, or a field is missing or of the wrong kind.
    #[error("message is malformed: {0}")]
    Malformed(String),
    /// An action other than `announce`.
    #[error("action is not announce")]
    Action,
    /// An id has the wrong length, or a character that is no byte.
    #[error("{0} is not a binary string of the right length")]
    Id(&'static str),
    /// More offers than [`MAX_OFFERS`].
    #[error("{0} offers are more than {MAX_OFFERS}")]
    Offers(usize),
    /// Two offers of one announce with the same id.
    #[error("offer_id is there twice")]
    OfferTwice,
    /// A session description that is empty, longer than [`MAX_SDP`], or of the wrong type.
    #[error("{0} is not a session description of at most {MAX_SDP} bytes")]
    Sdp(&'static str),
    /// A field that the message needs.
    #[error("{0} is missing")]
    Missing(&'static str),
}

#[cfg(test)]
mod tests;

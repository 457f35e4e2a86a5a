//! What a server session tells its caller.

use types::Secret;

use crate::{Error, amf0::Value};

/// Names one publish or play request of a connection, so that a late answer can't hit a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub(super) u32);

/// What `connect` said (§7.2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectInfo {
    /// The application, without slashes around it and without a query.
    pub app: String,
    /// What followed `?` in the application; often a token.
    pub app_query: Option<Secret<String>>,
    /// The URL connected to; may hold a stream key.
    pub tc_url: Secret<String>,
    /// The peer's software, as it says.
    pub flash_ver: String,
    /// The codecs it offers by Enhanced RTMP, such as `hvc1`; `*` for all.
    pub four_cc_list: Vec<String>,
}

/// What happened on a server session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer connected; it has been answered.
    Connected(ConnectInfo),
    /// The peer wants to publish: answer with `accept_publish` or `reject`.
    PublishRequested {
        /// For the answer.
        request: RequestId,
        /// The application connected to.
        app: String,
        /// The stream's name, which is a publisher's key; may end in `?query`.
        stream_key: Secret<String>,
        /// `live`, `record` or `append`.
        mode: String,
    },
    /// The peer wants to play: answer with `accept_play` or `reject`.
    PlayRequested {
        /// For the answer.
        request: RequestId,
        /// The application connected to.
        app: String,
        /// The stream's name; may end in `?query`, which may hold a viewer's token.
        stream_name: Secret<String>,
    },
    /// A configuration or sample of an accepted publish, in milliseconds that don't wrap.
    Packet(media::Packet),
    /// The publisher's `onMetaData`, an object or an ECMA array.
    Metadata(Value),
    /// A tag or data message that can't be used; the publish goes on.
    PacketDropped {
        /// Why.
        reason: Error,
    },
    /// The accepted publish is over.
    PublishFinished,
    /// The accepted play is over.
    PlayFinished,
}

//! What tokens say.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use types::{LoginId, NodeId, Role, SessionId, ShareLinkId, StreamId, UserId};

/// Seconds since 1970, as tokens count (RFC 7519 §2, NumericDate).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// This much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(duration.as_secs()))
    }
}

/// A kind of token: what sets it apart from the others.
pub trait Kind: Serialize + DeserializeOwned {
    /// The header's `typ`.
    const TYPE: &'static str;
    /// The claim `iss`.
    const ISSUER: &'static str;
    /// The claim `aud`.
    const AUDIENCE: &'static str;
    /// How long it is good for.
    const LIFETIME: Duration;

    /// When it was made.
    fn issued_at(&self) -> UnixTime;
}

/// Lets a user call the API (`typ` as in RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The user.
    #[serde(rename = "sub")]
    pub user: UserId,
    /// The log-in it follows from.
    #[serde(rename = "sid")]
    pub login: LoginId,
    /// What the user's account was for when it was made.
    pub role: Role,
    /// When it was made.
    #[serde(rename = "iat")]
    pub issued_at: UnixTime,
}

impl Kind for AccessClaims {
    const TYPE: &'static str = "at+jwt";
    const ISSUER: &'static str = "streamr";
    const AUDIENCE: &'static str = "streamr-api";
    const LIFETIME: Duration = Duration::from_secs(15 * 60);

    fn issued_at(&self) -> UnixTime {
        self.issued_at
    }
}

/// The public half of the key that a page made for its receipts: Ed25519, 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptKey(pub [u8; 32]);

impl std::str::FromStr for ReceiptKey {
    type Err = crate::TokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let key = bytes.and_then(|bytes| bytes.try_into().ok());
        key.map(Self).ok_or(crate::TokenError::Claims)
    }
}

impl Serialize for ReceiptKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for ReceiptKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Lets a viewer open one session, or a connection, on one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaybackClaims {
    /// The session it opens.
    #[serde(rename = "sub")]
    pub session: SessionId,
    /// On this stream.
    pub stream: StreamId,
    /// The share link it was given for, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<ShareLinkId>,
    /// What the page signs its receipts with (Ed25519), if it sends any.
    #[serde(rename = "rkey", default, skip_serializing_if = "Option::is_none")]
    pub receipt_key: Option<ReceiptKey>,
    /// The node that pulls by it, if it is no viewer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// When it was made.
    #[serde(rename = "iat")]
    pub issued_at: UnixTime,
}

impl Kind for PlaybackClaims {
    const TYPE: &'static str = "playback+jwt";
    const ISSUER: &'static str = "streamr-playback";
    const AUDIENCE: &'static str = "streamr-edge";
    const LIFETIME: Duration = Duration::from_secs(5 * 60);

    fn issued_at(&self) -> UnixTime {
        self.issued_at
    }
}

/// The claims that every token has around those of its kind.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope<K> {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) nbf: UnixTime,
    pub(crate) exp: UnixTime,
    #[serde(flatten)]
    pub(crate) kind: K,
}

impl<K: Kind> Envelope<K> {
    pub(crate) fn around(kind: K) -> Self {
        Self {
            iss: K::ISSUER.to_owned(),
            aud: K::AUDIENCE.to_owned(),
            nbf: kind.issued_at(),
            exp: kind.issued_at().after(K::LIFETIME),
            kind,
        }
    }
}

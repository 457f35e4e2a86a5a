//! Pictures of a stream: what one is made from, and what it is once made. Making it is not ours.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use types::{Epoch, Msn};

/// What a picture can be decoded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyframe {
    /// Whose picture it is.
    pub at: (Epoch, Msn),
    /// The initialization segment.
    pub init: Bytes,
    /// A fragment that starts with a keyframe.
    pub fragment: Bytes,
}

/// A picture as viewers get it: WebP.
#[derive(Debug, Clone)]
pub struct Thumbnail {
    pub(crate) webp: Bytes,
    pub(crate) etag: String,
}

impl Thumbnail {
    /// A picture that was made.
    pub fn new(webp: Bytes) -> Self {
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&webp)[..8]));
        Self { webp, etag }
    }

    /// What is shown where there is no picture.
    pub(crate) fn none() -> Self {
        Self {
            webp: Bytes::from_static(include_bytes!("../assets/no-picture.webp")),
            etag: "\"none\"".to_owned(),
        }
    }
}

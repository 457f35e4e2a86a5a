//! Playlists as sent: rendered and compressed once for all who ask.

use std::{io::Write, sync::OnceLock};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// A playlist's bytes, plain and compressed.
#[derive(Debug)]
pub(crate) struct Rendered {
    plain: Bytes,
    gzip: OnceLock<Option<Bytes>>,
}

impl Rendered {
    pub(crate) fn new(text: String) -> Self {
        Self {
            plain: text.into(),
            gzip: OnceLock::new(),
        }
    }

    pub(crate) fn plain(&self) -> Bytes {
        self.plain.clone()
    }

    /// Compressed, the first time it is asked for.
    pub(crate) fn gzip(&self) -> Option<Bytes> {
        self.gzip
            .get_or_init(|| {
                let mut encoder = GzEncoder::new(
                    Vec::with_capacity(self.plain.len() / 4),
                    Compression::fast(),
                );
                encoder.write_all(&self.plain).ok()?;
                encoder.finish().ok().map(Bytes::from)
            })
            .clone()
    }
}

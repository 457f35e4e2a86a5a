//! What the hub passes on, and its form on the wire.

use media::{CodecConfig, Sample};
use proto::media::{self as wire, item::Item as Wire};
use types::ByteCount;

/// One step of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A track's configuration.
    Config(CodecConfig),
    /// An access unit.
    Sample(Sample),
    /// The next samples don't continue the last; Unix time in milliseconds at timeline zero from here on.
    Discontinuity(i64),
    /// The publisher is gone, and may return.
    Paused,
}

impl Item {
    /// What it costs to keep.
    pub(crate) fn size(&self) -> ByteCount {
        match self {
            Self::Sample(sample) => sample.size().saturating_add(64),
            _ => ByteCount::new(64),
        }
    }
}

impl From<&Item> for wire::Item {
    fn from(item: &Item) -> Self {
        let item = match item {
            Item::Config(config) => Wire::Config(config.into()),
            Item::Sample(sample) => Wire::Sample(sample.into()),
            Item::Discontinuity(unix_ms) => Wire::Discontinuity(wire::Discontinuity {
                unix_ms_at_zero: *unix_ms,
            }),
            Item::Paused => Wire::Paused(wire::Paused {}),
        };
        Self { item: Some(item) }
    }
}

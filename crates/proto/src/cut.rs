//! Why a publisher is cut off and who is spared: what it reads, and how that is counted.

use types::PublishId;

/// Its stream's key was replaced.
pub const KEY_CHANGED: &str = "the stream key was changed; use the new one";
/// Its stream was ended by its owner or an admin.
pub const STOPPED: &str = "this stream was ended; start again in a few seconds";
/// Its stream was deleted.
pub const DELETED: &str = "this stream was deleted";
/// Another publisher has the stream now.
pub const REPLACED: &str = "another publisher took over";

/// The reason as a metric's label.
pub fn label(reason: &str) -> &'static str {
    match reason {
        KEY_CHANGED => "key_changed",
        STOPPED => "stopped",
        DELETED => "deleted",
        REPLACED => "replaced",
        _ => "other",
    }
}

/// Which of a stream's publishers is not cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spared {
    /// All are.
    Nobody,
    /// This one: it replaces the others.
    One(PublishId),
    /// Who was authorized after this, Unix time in microseconds.
    After(i64),
}

impl Spared {
    /// Whether it goes on.
    pub fn spares(self, publish: PublishId) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(spared) => spared == publish,
            Self::After(at_us) => came_after(publish, at_us),
        }
    }
}

/// Whether a publisher was authorized after a time (Unix, in microseconds): its id is a UUIDv7, precise to a
/// millisecond.
pub fn came_after(publish: PublishId, at_us: i64) -> bool {
    let created = publish.as_uuid().get_timestamp().map_or(0, |timestamp| {
        let (seconds, nanos) = timestamp.to_unix();
        seconds.cast_signed() * 1_000_000 + i64::from(nanos / 1000)
    });
    created + 1000 > at_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_after_a_change_is_spared() {
        let publish = PublishId::new();
        let (seconds, nanos) = publish.as_uuid().get_timestamp().unwrap().to_unix();
        let made = seconds.cast_signed() * 1_000_000 + i64::from(nanos / 1000);
        assert!(Spared::After(made - 5000).spares(publish));
        assert!(!Spared::After(made + 5000).spares(publish));
        assert!(
            Spared::One(publish).spares(publish) && !Spared::One(PublishId::new()).spares(publish)
        );
        assert!(!Spared::Nobody.spares(publish));
    }

    #[test]
    fn every_reason_has_a_label_and_other_words_share_one() {
        let labels = [KEY_CHANGED, STOPPED, DELETED, REPLACED, "other words"].map(label);
        let known = ["key_changed", "stopped", "deleted", "replaced", "other"];
        assert_eq!(labels, known);
    }
}

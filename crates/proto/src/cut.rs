//! Why a publisher is cut off: what it reads, and how that is counted.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_label_and_other_words_share_one() {
        let labels = [KEY_CHANGED, STOPPED, DELETED, REPLACED, "other words"].map(label);
        let known = ["key_changed", "stopped", "deleted", "replaced", "other"];
        assert_eq!(labels, known);
    }
}

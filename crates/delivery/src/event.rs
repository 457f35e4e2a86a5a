//! What makes a window: the events of its growth.

use bytes::Bytes;
use media::FrameRate;
use types::{Bitrate, Epoch, MediaTime, Msn, PartIndex};

use crate::SegmentDigest;

/// What stays fixed while an epoch lasts; every edge says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochInfo {
    /// The fencing number of the origin's lease.
    pub epoch: Epoch,
    /// The first segment.
    pub first_msn: Msn,
    /// `EXT-X-TARGETDURATION`, in seconds.
    pub target_duration: u32,
    /// `PART-TARGET`.
    pub part_target: MediaTime,
    /// RFC 6381, in playlist order.
    pub codecs: Vec<String>,
    /// Width and height in pixels; none without video.
    pub resolution: Option<(u32, u32)>,
    /// Frames per second, if known.
    pub frame_rate: Option<FrameRate>,
    /// Upper bound of a segment's bitrate.
    pub bandwidth: Bitrate,
    /// Average of segments' bitrates.
    pub average_bandwidth: Bitrate,
}

/// One step of a window's growth.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowEvent {
    /// An origin starts packaging.
    EpochOpened(EpochInfo),
    /// An initialization segment of the epoch.
    Init {
        /// Its number within the epoch.
        generation: u32,
        /// Its bytes.
        data: Bytes,
    },
    /// A segment begins.
    SegmentOpened {
        /// Its number.
        msn: Msn,
        /// The initialization segment it needs.
        init: u32,
        /// When its first sample was captured, Unix time in milliseconds.
        program_date_time_ms: i64,
        /// Whether time or encoding breaks before it.
        discontinuity: bool,
        /// Discontinuities up to it, its own included.
        discontinuity_sequence: u64,
    },
    /// The next part of the open segment.
    Part {
        /// The segment.
        msn: Msn,
        /// Its index there.
        index: PartIndex,
        /// Its duration.
        duration: MediaTime,
        /// Whether it starts with a keyframe.
        independent: bool,
        /// Its bytes.
        data: Bytes,
    },
    /// The open segment is complete.
    SegmentClosed {
        /// Its number.
        msn: Msn,
        /// Its duration.
        duration: MediaTime,
        /// What the origin signed.
        digest: SegmentDigest,
    },
    /// The publisher is gone, or back.
    Paused(bool),
    /// Nothing will follow.
    Ended,
}

//! Segments that a node or a viewer of ours keeps and serves, rightly or not.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;
use peer::{Inventory, Source};
use types::{Msn, StreamId};

/// Segments kept.
const KEPT: usize = 20;

/// What a node of ours does wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    Honest,
    /// Changes a byte of each segment.
    Alter,
    /// Serves the first half of each segment.
    Truncate,
    /// Serves another segment's bytes.
    Swap,
    /// Says that it has segments, and serves none.
    Withhold,
    /// Reports ten times the bytes.
    Inflate,
    /// Reports of tomorrow.
    Future,
    /// Sends each report twice, and once more under another number.
    Replay,
    /// Serves far slower than the stream runs, and never stops.
    Slow,
    /// Says that it has a thousand viewers.
    Boast,
    /// Sends reports that another key signed.
    Forge,
}

/// The newest segments of one stream.
#[derive(Debug, Default)]
pub(super) struct Window {
    fault: Fault,
    segments: Mutex<BTreeMap<Msn, Bytes>>,
}

impl Window {
    pub(super) fn new(fault: Fault) -> Self {
        Self {
            fault,
            segments: Mutex::default(),
        }
    }

    pub(super) fn add(&self, msn: Msn, bytes: Bytes) {
        let mut segments = self.segments.lock();
        segments.insert(msn, bytes);
        while segments.len() > KEPT {
            segments.pop_first();
        }
    }

    pub(super) fn newest(&self) -> Option<Msn> {
        self.segments.lock().keys().next_back().copied()
    }
}

impl Source for Window {
    fn segment(&self, _: StreamId, msn: Msn) -> Option<Bytes> {
        let segments = self.segments.lock();
        let right = segments.get(&msn)?;
        match self.fault {
            Fault::Alter => {
                let mut wrong = right.to_vec();
                let middle = wrong.len() / 2;
                *wrong.get_mut(middle)? ^= 1;
                Some(wrong.into())
            }
            Fault::Truncate => Some(right.slice(..right.len() / 2)),
            Fault::Swap => {
                let other = segments.iter().find(|(other, _)| **other != msn);
                other.map(|(_, bytes)| bytes.clone())
            }
            Fault::Withhold => None,
            Fault::Honest
            | Fault::Inflate
            | Fault::Future
            | Fault::Replay
            | Fault::Slow
            | Fault::Boast
            | Fault::Forge => Some(right.clone()),
        }
    }

    fn inventory(&self, _: StreamId) -> Inventory {
        Inventory {
            loaded: self.segments.lock().keys().copied().collect(),
            loading: Vec::new(),
        }
    }
}

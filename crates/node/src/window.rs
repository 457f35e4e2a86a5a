//! The segments that can be served: a window of each stream, bounded in bytes over all.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use parking_lot::Mutex;
use peer::{Inventory, Source};
use types::{ByteCount, Msn, StreamId};

use crate::verify::Verified;

/// Segments of a stream; a window of 30 s has 15, or fewer.
const MAX_SEGMENTS: usize = 20;

/// Verified segments in memory.
#[derive(Debug)]
pub(crate) struct Window {
    budget: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    streams: HashMap<StreamId, Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    segments: BTreeMap<Msn, Bytes>,
    loading: HashSet<Msn>,
}

impl Window {
    /// Keeps at most so many bytes.
    pub(crate) fn new(budget: ByteCount) -> Self {
        Self {
            budget: budget.as_usize(),
            state: Mutex::default(),
        }
    }

    /// A segment is on its way.
    pub(crate) fn loading(&self, stream: StreamId, msn: Msn) {
        let mut state = self.state.lock();
        state.streams.entry(stream).or_default().loading.insert(msn);
    }

    /// It won't come.
    pub(crate) fn failed(&self, stream: StreamId, msn: Msn) {
        if let Some(kept) = self.state.lock().streams.get_mut(&stream) {
            kept.loading.remove(&msn);
        }
    }

    /// A segment came. The oldest make room; of the stream that takes most where streams compete.
    pub(crate) fn put(&self, segment: Verified) {
        let (stream, msn, bytes) = (segment.stream(), segment.msn(), segment.into_bytes());
        let mut state = self.state.lock();
        let kept = state.streams.entry(stream).or_default();
        kept.loading.remove(&msn);
        let added = bytes.len();
        kept.bytes += added;
        let replaced = kept.segments.insert(msn, bytes).map_or(0, |old| old.len());
        kept.bytes -= replaced;
        let mut dropped = replaced;
        if kept.segments.len() > MAX_SEGMENTS {
            dropped += kept.drop_oldest();
        }
        state.bytes = state.bytes + added - dropped;
        while state.bytes > self.budget {
            let largest = state.streams.values_mut().max_by_key(|kept| kept.bytes);
            let Some(freed) = largest.map(Kept::drop_oldest).filter(|freed| *freed > 0) else {
                return;
            };
            state.bytes -= freed;
        }
    }

    /// The stream is helped no longer.
    pub(crate) fn forget(&self, stream: StreamId) {
        let mut state = self.state.lock();
        if let Some(kept) = state.streams.remove(&stream) {
            state.bytes -= kept.bytes;
        }
    }

    /// The newest segment of a stream.
    pub(crate) fn newest(&self, stream: StreamId) -> Option<Msn> {
        let state = self.state.lock();
        let newest = state.streams.get(&stream)?.segments.last_key_value();
        newest.map(|(msn, _)| *msn)
    }

    /// Bytes kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> ByteCount {
        ByteCount::new(self.state.lock().bytes as u64)
    }
}

impl Kept {
    fn drop_oldest(&mut self) -> usize {
        let freed = self
            .segments
            .pop_first()
            .map_or(0, |(_, bytes)| bytes.len());
        self.bytes -= freed;
        freed
    }
}

impl Source for Window {
    fn segment(&self, stream: StreamId, msn: Msn) -> Option<Bytes> {
        self.state
            .lock()
            .streams
            .get(&stream)?
            .segments
            .get(&msn)
            .cloned()
    }

    fn inventory(&self, stream: StreamId) -> Inventory {
        let state = self.state.lock();
        let Some(kept) = state.streams.get(&stream) else {
            return Inventory::default();
        };
        let mut loading: Vec<Msn> = kept.loading.iter().copied().collect();
        loading.sort_unstable();
        Inventory {
            loaded: kept.segments.keys().copied().collect(),
            loading,
        }
    }
}

#[cfg(test)]
mod tests {
    use delivery::DigestKey;
    use types::Epoch;

    use super::*;
    use crate::verify::{ListedDigest, OriginKeys};

    fn segment(stream: StreamId, msn: u64, length: usize) -> Verified {
        let key = DigestKey::generate();
        let bytes = Bytes::from(vec![msn as u8; length]);
        let digest = key.digest(stream, Epoch::new(1), Msn::new(msn), &[&bytes]);
        let keys = OriginKeys::new(&[proto::node::OriginKey {
            stream_id: stream.to_string(),
            key_id: key.id().to_owned(),
            public_key: key.public().to_bytes().to_vec().into(),
        }]);
        let json = serde_json::json!({
            "stream": stream, "rendition": "main", "epoch": 1, "msn": msn, "length": length,
            "sha256": hex::encode(digest.sha256), "key_id": key.id(),
            "signature": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest.signature),
        });
        let listed: ListedDigest = serde_json::from_value(json).unwrap();
        listed.verify(stream, &keys).unwrap().check(bytes).unwrap()
    }

    fn msns(window: &Window, stream: StreamId) -> Vec<u64> {
        let loaded = window.inventory(stream).loaded.into_iter();
        loaded.map(Msn::get).collect()
    }

    #[test]
    fn the_oldest_of_the_largest_stream_make_room() {
        let (a, b) = (StreamId::new(), StreamId::new());
        let window = Window::new(ByteCount::new(100));
        for msn in 1..=3 {
            window.put(segment(a, msn, 30));
        }
        window.put(segment(b, 9, 10));
        assert_eq!(
            (msns(&window, a), window.bytes()),
            (vec![1, 2, 3], ByteCount::new(100))
        );
        window.put(segment(b, 10, 10));
        assert_eq!(
            (msns(&window, a), msns(&window, b)),
            (vec![2, 3], vec![9, 10])
        );
        window.put(segment(b, 10, 10));
        assert_eq!(window.bytes(), ByteCount::new(80), "the same again");
        window.forget(a);
        assert_eq!(
            (window.bytes(), window.newest(b)),
            (ByteCount::new(20), Some(Msn::new(10)))
        );
        assert_eq!(window.segment(a, Msn::new(3)), None);
    }

    #[test]
    fn what_is_loading_is_told_until_it_is_there_or_given_up() {
        let stream = StreamId::new();
        let window = Window::new(ByteCount::mib(1));
        window.loading(stream, Msn::new(2));
        window.loading(stream, Msn::new(1));
        assert_eq!(window.inventory(stream).loading, [Msn::new(1), Msn::new(2)]);
        window.put(segment(stream, 1, 5));
        window.failed(stream, Msn::new(2));
        assert!(window.inventory(stream).loading.is_empty());
    }

    #[test]
    fn a_stream_keeps_a_window() {
        let stream = StreamId::new();
        let window = Window::new(ByteCount::mib(1));
        for msn in 1..=30 {
            window.put(segment(stream, msn, 1));
        }
        assert_eq!(msns(&window, stream), (11..=30).collect::<Vec<_>>());
        assert_eq!(window.bytes(), ByteCount::new(20));
    }
}

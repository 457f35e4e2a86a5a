//! What edges count: told on by the minute, and sometimes before it is over.

use std::{collections::HashMap, time::Duration};

use events::EdgeBytes;
use parking_lot::Mutex;
use proto::coordinator::HeartbeatRequest;
use tokio::time::Instant;
use types::{ByteCount, InstanceId, StreamId};

use super::{Swarm, state::now_ms};

/// A minute that still grows is told so often.
const EVERY: Duration = Duration::from_secs(5);
/// Minutes remembered as told; older ones go first.
const MOST: usize = 100_000;

type Minute = (InstanceId, StreamId, i64);

/// What was told of each minute, and when.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashMap<Minute, (u64, u64, Instant)>>);

impl Told {
    fn is_news(&self, minute: Minute, to_viewers: u64, to_nodes: u64) -> bool {
        let mut told = self.0.lock();
        if told.len() > MOST {
            let old = now_ms() - 300_000;
            told.retain(|(_, _, began), _| *began > old);
        }
        let is_over = minute.2 + 60_000 <= now_ms();
        if let Some((viewers, nodes, at)) = told.get(&minute) {
            let same = (*viewers, *nodes) == (to_viewers, to_nodes);
            if same || (!is_over && at.elapsed() < EVERY) {
                return false;
            }
        }
        told.insert(minute, (to_viewers, to_nodes, Instant::now()));
        true
    }
}

impl Swarm {
    /// Takes what an edge counted. Every coordinator tells it on; the largest count of a minute holds.
    pub(crate) fn hear_edge(&self, heartbeat: &HeartbeatRequest) {
        let Ok(edge) = heartbeat.instance_id.parse::<InstanceId>() else {
            return;
        };
        for counted in &heartbeat.viewers {
            let Ok(stream) = counted.stream_id.parse::<StreamId>() else {
                continue;
            };
            for minute in &counted.minutes {
                let key = (edge, stream, minute.began_ms);
                if self
                    .inner
                    .told
                    .is_news(key, minute.to_viewers, minute.to_nodes)
                {
                    self.inner.gather.edge(EdgeBytes {
                        edge,
                        stream,
                        minute_ms: minute.began_ms,
                        to_viewers: ByteCount::new(minute.to_viewers),
                        to_nodes: ByteCount::new(minute.to_nodes),
                    });
                }
            }
        }
    }
}

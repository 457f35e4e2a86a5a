//! Keeping the tables true to the rest of the world, once a second: what is live, what streams say of
//! themselves, who fell silent, who is too slow.

use std::{collections::HashMap, time::Duration};

use storage::Stream;
use types::{Bitrate, Flag, NodeId, StreamId};

use super::{
    Swarm,
    seat::Seat,
    state::{State, StreamFacts},
};
use crate::Error;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// A node whose connection broke may come back within this, and finds its viewers.
const BROKEN: Duration = Duration::from_secs(2);
/// A node that says nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(6);
/// Sessions looked through before others have their turn at the tables.
const SLICE: usize = 1000;
/// Sessions that lack nodes and are given some, in one look; the others come first in the next.
const MAX_WANTS: usize = 2000;
/// A stream that a node serves nobody of is pulled for so long.
const IDLE: Duration = Duration::from_secs(30);
/// How often new origins' keys are looked for.
const KEYS: Duration = Duration::from_secs(2);
/// A node more than so many segments behind the others is slow.
const BEHIND: u64 = 2;
/// So many must carry a stream for one of them to be behind the others.
const FEWEST: usize = 3;
/// Nodes that are asked to be measured in one look.
const MEASURED: usize = 20;

impl Swarm {
    /// What is known of a stream, read if need be.
    pub(super) async fn learn(&self, id: StreamId) -> Result<bool, Error> {
        if self.inner.state.lock().streams.contains_key(&id) {
            return Ok(true);
        }
        let Some(stream) = self.inner.database.streams().by_id(id).await? else {
            return Ok(false);
        };
        self.note(&stream).await?;
        Ok(true)
    }

    /// A stream is there, or changed.
    pub(crate) async fn note(&self, stream: &Stream) -> Result<(), Error> {
        if !self.is_kept() {
            return Ok(());
        }
        let owner: Vec<_> = stream.owner.into_iter().collect();
        let names = self.inner.database.users().names(&owner).await?;
        let live = self.inner.live.get(stream.id);
        let facts = StreamFacts {
            slug: stream.slug.to_string(),
            title: stream.title.clone(),
            streamer: names
                .into_iter()
                .next()
                .map(|(_, name)| name)
                .unwrap_or_default(),
            friends_only: stream.friends_only,
            bitrate: Bitrate::new(live.as_ref().map_or(0, |live| live.health.bitrate_bps)),
            live: live.is_some(),
        };
        let mut state = self.inner.state.lock();
        if state.kept {
            let known = state.streams.insert(stream.id, facts);
            if let (Some(known), Some(facts)) = (known, state.streams.get_mut(&stream.id)) {
                facts.bitrate = facts.bitrate.max(known.bitrate);
            }
        }
        Ok(())
    }

    /// A stream changed: what is known of it is read again.
    pub(crate) async fn changed(&self, id: StreamId) -> Result<(), Error> {
        if !self.inner.state.lock().streams.contains_key(&id) {
            return Ok(());
        }
        match self.inner.database.streams().by_id(id).await? {
            Some(stream) => self.note(&stream).await,
            None => {
                self.inner.state.lock().streams.remove(&id);
                Ok(())
            }
        }
    }

    /// Looks once a second, forever.
    pub(crate) async fn run(self) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = tokio::time::Instant::now();
        let (mut keys_read, mut told_key, mut from) = (last, None, 0);
        loop {
            tick.tick().await;
            let slept = last.elapsed().saturating_sub(EVERY * 2);
            last = tokio::time::Instant::now();
            self.look(slept);
            from = self.look_through(from).await;
            self.give_work().await;
            if self.is_kept() && keys_read.elapsed() > KEYS {
                keys_read = tokio::time::Instant::now();
                // While the database is away, the keys that are known go on.
                if let Ok(newest) = self.newest_key().await
                    && newest != told_key
                    && self.tell_origin_keys().await.is_ok()
                {
                    told_key = newest;
                }
            }
        }
    }

    fn look(&self, slept: Duration) {
        self.with(|state| self.keep_true(state, slept));
    }

    /// Looks through all sessions, some at a time. Answers where the next look begins.
    async fn look_through(&self, from: usize) -> usize {
        let all = self.inner.state.lock().everybody.len();
        let (mut next, mut seen, mut wants) = (from, 0, MAX_WANTS);
        let mut resumes = None;
        while seen < all {
            let looked = self.with(|state| {
                let some = state.everybody.part(next, SLICE).to_vec();
                state.review(&some, &mut wants);
                some.len()
            });
            if wants == 0 && resumes.is_none() {
                resumes = Some(next);
            }
            // Past the last, or past who left meanwhile: it goes on with the first.
            next = if looked < SLICE { 0 } else { next + looked };
            seen += looked.max(1);
            tokio::task::yield_now().await;
        }
        resumes.unwrap_or(0)
    }

    fn keep_true(&self, state: &mut State, slept: Duration) {
        let enabled = !self.inner.live.is_off(Flag::Friends);
        state.enabled = enabled;
        for (id, facts) in &mut state.streams {
            let live = self.inner.live.get(*id);
            facts.live = live.is_some();
            if let Some(live) = live.filter(|live| live.health.bitrate_bps > 0) {
                facts.saw(Bitrate::new(live.health.bitrate_bps));
            }
        }
        // What is over and concerns nobody is read again if it comes back.
        let State {
            streams,
            carriers,
            audiences,
            ..
        } = state;
        streams.retain(|id, facts| {
            facts.live || carriers.contains_key(id) || audiences.contains_key(id)
        });
        let mut gone: Vec<NodeId> = Vec::new();
        for seat in state.seats.values_mut() {
            // While this process stood still, nobody could be heard.
            seat.heard += slept;
            seat.idle.retain(|_, since| since.elapsed() < IDLE);
            let broken = seat.broken.is_some_and(|since| since.elapsed() > BROKEN);
            if broken || seat.heard.elapsed() > SILENT {
                gone.push(seat.node);
            }
        }
        for node in gone {
            metrics::counter!("streamr_nodes_lost_total").increment(1);
            tracing::debug!(node_id = %node, "a node is gone; its viewers are given others");
            state.unseat(node);
        }
        for (node, stream) in slow(&mut state.seats) {
            for session in state.sessions_of(node, Some(stream)) {
                metrics::counter!("streamr_nodes_slow_total").increment(1);
                state.part(session, node);
                state.want(session);
            }
        }
        let now = tokio::time::Instant::now();
        let due = |seat: &&mut Seat| {
            seat.serving.is_empty() && seat.broken.is_none() && seat.measure_at <= now
        };
        for seat in state.seats.values_mut().filter(due).take(MEASURED) {
            self.have_measured(seat);
        }
        state.forget_questions();
        metrics::gauge!("streamr_nodes_connected").set(state.seats.len() as f64);
        metrics::gauge!("streamr_swarm_sessions").set(state.viewers.len() as f64);
    }
}

/// Nodes that lag behind others on a stream. What a node says of itself counts for what it was given, and nobody's
/// word decides alone: the middle one of all that carry the stream is what the others are compared with. Who begins
/// to pull has old segments first, and is behind nobody until it had the newest once.
fn slow(seats: &mut HashMap<NodeId, Seat>) -> Vec<(NodeId, StreamId)> {
    let mut told: HashMap<StreamId, Vec<(NodeId, u64)>> = HashMap::new();
    for seat in seats.values() {
        for load in &seat.beat.streams {
            let stream = load.stream_id.parse().ok();
            let stream = stream.filter(|stream| load.newest_msn > 0 && seat.pulls(*stream));
            if let Some(stream) = stream {
                told.entry(stream)
                    .or_default()
                    .push((seat.node, load.newest_msn));
            }
        }
    }
    let mut slow = Vec::new();
    for (stream, mut loads) in told.into_iter().filter(|(_, loads)| loads.len() >= FEWEST) {
        loads.sort_unstable_by_key(|(_, newest)| *newest);
        let Some((_, middle)) = loads.get(loads.len() / 2).copied() else {
            continue;
        };
        for (node, newest) in loads {
            let Some(seat) = seats.get_mut(&node) else {
                continue;
            };
            if newest.saturating_add(1) >= middle {
                seat.current.insert(stream);
            } else if newest.saturating_add(BEHIND) < middle && seat.current.contains(&stream) {
                slow.push((node, stream));
            }
        }
    }
    slow
}

#[cfg(test)]
mod tests {
    use proto::node::StreamLoad;
    use types::SessionId;

    use super::*;

    fn seats(stream: StreamId, newest: &[u64]) -> HashMap<NodeId, Seat> {
        let seats = newest.iter().map(|newest| {
            let mut seat = Seat::stub(NodeId::new());
            seat.serve(stream, SessionId::new());
            tell(&mut seat, stream, *newest);
            (seat.node, seat)
        });
        seats.collect()
    }

    fn tell(seat: &mut Seat, stream: StreamId, newest_msn: u64) {
        seat.beat.streams = vec![StreamLoad {
            stream_id: stream.to_string(),
            newest_msn,
            ..StreamLoad::default()
        }];
    }

    #[test]
    fn who_falls_behind_the_others_is_slow() {
        let stream = StreamId::new();
        let mut all = seats(stream, &[100, 100, 99]);
        assert_eq!(slow(&mut all), []);
        let last = all
            .iter()
            .find(|(_, seat)| seat.beat.streams[0].newest_msn == 99);
        let last = *last.unwrap().0;
        for seat in all.values_mut().filter(|seat| seat.node != last) {
            tell(seat, stream, 103);
        }
        assert_eq!(slow(&mut all), [(last, stream)]);
    }

    #[test]
    fn who_begins_is_behind_nobody() {
        let mut all = seats(StreamId::new(), &[100, 100, 92]);
        assert_eq!(slow(&mut all), []);
    }

    #[test]
    fn nobody_is_slow_by_one_word() {
        let stream = StreamId::new();
        let mut all = seats(stream, &[100, 100, 100]);
        assert_eq!(slow(&mut all), []);
        // One that carries it lies, and one that does not.
        let liar = *all.keys().next().unwrap();
        tell(all.get_mut(&liar).unwrap(), stream, u64::MAX);
        let mut stranger = Seat::stub(NodeId::new());
        tell(&mut stranger, stream, u64::MAX);
        all.insert(stranger.node, stranger);
        assert_eq!(slow(&mut all), []);
        // Two alone: who of them is right can't be told.
        let mut two = seats(stream, &[100, 100]);
        assert_eq!(slow(&mut two), []);
        let liar = *two.keys().next().unwrap();
        tell(two.get_mut(&liar).unwrap(), stream, u64::MAX);
        assert_eq!(slow(&mut two), []);
    }
}

//! The lifecycle in the database follows what ingest sees.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use events::Nudge;
use proto::{
    coordinator::{PublishState, ReportStreamsRequest, StreamReport},
    cut::{self, Spared, came_after},
};
use runtime::Shutdown;
use storage::{Database, Seen, StorageError, Stream};
use tokio::time::Instant;
use tracing::Instrument;
use types::{InstanceId, PublishId, StreamId, StreamState};

use crate::{
    Error,
    events::micros,
    history::Histories,
    live::{Change, Live, LiveStream},
    origins::Origins,
    registry::Registry,
};

/// How much longer than the grace period an ingest may be silent before its streams end: it ends them
/// itself when it lives.
const MARGIN: Duration = Duration::from_secs(5);
/// How often silence is looked for.
const SWEEP: Duration = Duration::from_millis(250);
/// A sweep that comes so late means that this process was stopped.
const STOOD_STILL: Duration = Duration::from_secs(1);
/// How long the others may take to be heard again after that.
const GRACE_AFTER: Duration = Duration::from_secs(2);
/// How far back revocations are looked for that no event told of.
const MISSED: Duration = Duration::from_secs(60);
/// How often the database is compared with what is live.
const RECONCILE: Duration = Duration::from_secs(2);

/// Applies reports and ends what nobody reports.
pub(crate) struct Lifecycle {
    pub(crate) database: Database,
    pub(crate) live: Arc<Live>,
    pub(crate) registry: Registry,
    pub(crate) origins: Arc<Origins>,
    pub(crate) histories: Histories,
    pub(crate) nudge: Nudge,
    pub(crate) grace: Duration,
}

impl Lifecycle {
    /// Takes what an ingest reports of its streams.
    pub(crate) async fn report(&self, request: ReportStreamsRequest) -> Result<(), Error> {
        let ingest: InstanceId = proto::convert::field(&request.instance_id, "instance_id")?;
        let address = self.registry.address(ingest).unwrap_or_default();
        let mut result = Ok(());
        for report in request.streams {
            // One stream's trouble is not the others'.
            result = result.and(self.report_one(ingest, &address, report).await);
        }
        result
    }

    async fn report_one(
        &self,
        ingest: InstanceId,
        address: &str,
        report: StreamReport,
    ) -> Result<(), Error> {
        use proto::convert::field;
        let id: StreamId = field(&report.stream_id, "stream_id")?;
        let state = report.state();
        if state == PublishState::Unspecified {
            return Err(proto::ConvertError::Field { field: "state" }.into());
        }
        let publish: PublishId = field(&report.publish_id, "publish_id")?;
        let known = self.live.get(id);
        let (slug, restricted) = match &known {
            Some(known) => (known.slug.clone(), known.restricted),
            None => {
                let stream = self.database.streams().by_id(id).await?;
                let Some(stream) = stream else {
                    self.live.stop(id, cut::DELETED);
                    return Err(StorageError::NoStream(id).into());
                };
                // Reported a moment before its ingest heard that it was stopped.
                if stream
                    .stopped_at
                    .is_some_and(|at| !came_after(publish, micros(at)))
                {
                    if state != PublishState::Ended {
                        self.live.stop(id, cut::STOPPED);
                    }
                    return Ok(());
                }
                // What is on air already was heard of before a restart: a rehearsal may be over.
                let rehearsal = stream.testing && !stream.state.is_on_air();
                (stream.slug.clone(), stream.is_restricted() || rehearsal)
            }
        };
        let health = report.health.unwrap_or_default();
        let change = self.live.report(LiveStream {
            id,
            slug,
            ingest,
            ingest_address: address.to_owned(),
            publish,
            state,
            health: health.clone(),
            reported: Instant::now(),
            origin: None,
            restricted,
            peak_viewers: 0,
            sessions: HashMap::new(),
            trace_parent: report.trace_parent.clone(),
        });
        match change {
            Change::Started => {
                self.histories.start(id);
                let span = runtime::trace::child("start stream", &report.trace_parent);
                self.start(id).instrument(span).await?;
            }
            Change::Ended => {
                return self
                    .end(id, known.map_or_else(Seen::default, |known| known.seen()))
                    .await;
            }
            Change::None => {}
        }
        let viewers = self.registry.viewers(id);
        self.live.seen_by(id, viewers, self.registry.sessions(id));
        self.histories.add(id, &health, viewers);
        Ok(())
    }

    /// A publisher came: the stream is on air, and edges hear of the sessions that may not watch.
    async fn start(&self, id: StreamId) -> Result<(), Error> {
        self.moved(id, self.database.streams().start(id).await)?;
        for session in self.database.shares().revoked(id).await? {
            self.live.revoke_session(id, session);
        }
        Ok(())
    }

    async fn end(&self, id: StreamId, seen: Seen) -> Result<(), Error> {
        self.origins.forget(id).await?;
        let offline = StreamState::Offline;
        let streams = self.database.streams();
        let moved = streams.transition(id, offline, seen, None).await;
        self.moved(id, moved)
    }

    fn moved(&self, id: StreamId, moved: Result<Stream, StorageError>) -> Result<(), Error> {
        match moved {
            Ok(stream) => {
                tracing::info!(stream_id = %id, slug = %stream.slug, state = %stream.state, "stream changed state");
                self.live.set_restricted(id, stream.is_restricted());
                self.nudge.nudge();
                Ok(())
            }
            // Live already, as after a restart of the coordinator: nothing happened.
            Err(StorageError::Transition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks after streams until cancelled: what is silent ends, what the database missed is made good.
    pub(crate) fn look_after(self: Arc<Self>, shutdown: &Shutdown) {
        shutdown.spawn_until_cancelled(Arc::clone(&self).notice_standstills());
        shutdown.spawn_until_cancelled(Arc::clone(&self).reconcile_often());
        shutdown.spawn_until_cancelled(self.sweep());
    }

    /// Notices when this process stood still, which is nobody's silence. It waits for nothing else, so that a
    /// database that is slow is no standstill.
    async fn notice_standstills(self: Arc<Self>) {
        loop {
            let before = Instant::now();
            tokio::time::sleep(SWEEP).await;
            let gap = before.elapsed().saturating_sub(SWEEP);
            if gap > STOOD_STILL {
                metrics::counter!("streamr_standstills_total").increment(1);
                tracing::warn!(
                    seconds = gap.as_secs(),
                    "this process stood still; nothing is concluded from it"
                );
                self.live.forgive(gap + GRACE_AFTER);
                self.origins.forgive(gap + GRACE_AFTER);
            }
        }
    }

    /// Ends streams that no ingest speaks for, clears origins whose lease ran out, and tells of edges;
    /// forever.
    async fn sweep(self: Arc<Self>) {
        let patience = self.grace + MARGIN;
        loop {
            // After the standstill it may have slept through was noticed.
            tokio::time::sleep(SWEEP + SWEEP / 5).await;
            self.live.set_edges(self.registry.edges());
            self.origins.clear_expired().await;
            for gone in self.live.expire(patience, |id| self.registry.is_held(id)) {
                metrics::counter!("streamr_streams_abandoned_total").increment(1);
                tracing::warn!(stream_id = %gone.id, slug = %gone.slug, "no ingest speaks for the stream; it ends");
                if let Err(error) = self.end(gone.id, gone.seen()).await {
                    metrics::counter!("streamr_stream_end_failures_total").increment(1);
                    tracing::warn!(stream_id = %gone.id, %error, "stream can't be ended yet");
                }
            }
        }
    }

    async fn reconcile_often(self: Arc<Self>) {
        let started = Instant::now();
        let patience = self.grace + MARGIN;
        let mut failing = false;
        loop {
            tokio::time::sleep(RECONCILE).await;
            let result = self.reconcile(started.elapsed() > patience).await;
            note(result, &mut failing);
        }
    }

    /// Makes good what a failing database or a missed event left undone: states, who may watch, and
    /// publishers that must go. `settled`: every ingest has had the time to say what is live.
    async fn reconcile(&self, settled: bool) -> Result<(), Error> {
        let publishers = self.live.publishers();
        let on_air = self.database.streams().on_air().await?;
        let recorded: HashSet<StreamId> = on_air.iter().map(|stream| stream.id).collect();
        for (id, publish) in publishers.iter().filter(|(id, _)| !recorded.contains(id)) {
            self.settle(*id, *publish).await?;
        }
        for stream in on_air {
            if self.live.get(stream.id).is_some() {
                self.live.set_restricted(stream.id, stream.is_restricted());
            } else if settled && !self.registry.is_held(stream.id) {
                self.end(stream.id, Seen::default()).await?;
            }
        }
        if publishers.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = publishers.iter().map(|(id, _)| *id).collect();
        for (id, key_us) in self.database.streams().key_times(&ids).await? {
            let old = publishers
                .iter()
                .any(|(stream, publish)| *stream == id && !came_after(*publish, key_us));
            if old {
                self.live
                    .revoke(id, cut::KEY_CHANGED, Spared::After(key_us));
            }
        }
        for (stream, session) in self.database.shares().revoked_within(MISSED).await? {
            self.live.revoke_session(stream, session);
        }
        Ok(())
    }

    /// A stream that is live here and not in the database: it just started, or was ended while nobody
    /// could tell us.
    async fn settle(&self, id: StreamId, publish: PublishId) -> Result<(), Error> {
        let Some(stream) = self.database.streams().by_id(id).await? else {
            self.live.stop(id, cut::DELETED);
            return Ok(());
        };
        let stopped = stream.stopped_at.map(micros);
        if stopped.is_some_and(|at| !came_after(publish, at)) {
            self.live.stop(id, cut::STOPPED);
            return self.origins.forget(id).await;
        }
        self.start(id).await
    }
}

/// Says when streams can't be reconciled any more, and when they can again; while the database does not
/// answer, that was said.
fn note(result: Result<(), Error>, failing: &mut bool) {
    let before = *failing;
    *failing = result.is_err();
    match result {
        Ok(()) if before => tracing::info!("streams are reconciled with the database again"),
        Ok(()) => {}
        Err(error) => {
            metrics::counter!("streamr_reconcile_failures_total").increment(1);
            if before || error.is_told() {
                tracing::debug!(%error, "streams can't be reconciled with the database");
            } else {
                tracing::warn!(%error, "streams can't be reconciled with the database");
            }
        }
    }
}

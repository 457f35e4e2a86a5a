//! The lifecycle in the database follows what ingest sees.

use std::{collections::HashSet, sync::Arc, time::Duration};

use events::Nudge;
use proto::coordinator::{PublishState, ReportStreamsRequest, StreamReport};
use storage::{Database, StorageError};
use tokio::time::Instant;
use types::{InstanceId, StreamId, StreamState};

use crate::{
    Error,
    events::{KEY_CHANGED, came_after},
    live::{Change, Live, LiveStream},
    origins::Origins,
    registry::Registry,
};

/// How much longer than the grace period an ingest may be silent before its streams end: it ends them
/// itself when it lives.
const MARGIN: Duration = Duration::from_secs(5);
/// How often silence is looked for.
const SWEEP: Duration = Duration::from_millis(250);
/// How often the database is compared with what is live.
const RECONCILE: Duration = Duration::from_secs(2);

/// Applies reports and ends what nobody reports.
pub(crate) struct Lifecycle {
    pub(crate) database: Database,
    pub(crate) live: Arc<Live>,
    pub(crate) registry: Registry,
    pub(crate) origins: Arc<Origins>,
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
        let slug = match self.live.get(id) {
            Some(known) => known.slug,
            None => {
                self.database
                    .streams()
                    .by_id(id)
                    .await?
                    .ok_or(StorageError::NoStream(id))?
                    .slug
            }
        };
        let state = report.state();
        if state == PublishState::Unspecified {
            return Err(proto::ConvertError::Field { field: "state" }.into());
        }
        let change = self.live.report(LiveStream {
            id,
            slug,
            ingest,
            ingest_address: address.to_owned(),
            publish: field(&report.publish_id, "publish_id")?,
            state,
            health: report.health.unwrap_or_default(),
            reported: Instant::now(),
            origin: None,
        });
        match change {
            Change::Started => self.move_to(id, StreamState::Live).await,
            Change::Ended => self.end(id).await,
            Change::None => Ok(()),
        }
    }

    async fn end(&self, id: StreamId) -> Result<(), Error> {
        self.origins.forget(id).await?;
        self.move_to(id, StreamState::Offline).await
    }

    async fn move_to(&self, id: StreamId, to: StreamState) -> Result<(), Error> {
        match self.database.streams().transition(id, to).await {
            Ok(stream) => {
                tracing::info!(stream_id = %id, slug = %stream.slug, state = %to, "stream changed state");
                self.nudge.nudge();
                Ok(())
            }
            // Live already, as after a restart of the coordinator: nothing happened.
            Err(StorageError::Transition(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends streams that no ingest speaks for, and clears origins whose lease ran out; forever.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let started = Instant::now();
        let patience = self.grace + MARGIN;
        let mut reconciled = started;
        loop {
            tokio::time::sleep(SWEEP).await;
            self.origins.clear_expired();
            for id in self.live.expire(patience) {
                if let Err(error) = self.end(id).await {
                    tracing::warn!(stream_id = %id, %error, "stream can't be ended yet");
                }
            }
            if reconciled.elapsed() >= RECONCILE {
                reconciled = Instant::now();
                if let Err(error) = self.reconcile(started.elapsed() > patience).await {
                    tracing::warn!(%error, "streams can't be reconciled with the database");
                }
            }
        }
    }

    /// Makes good what a failing database or a missed event left undone: states, and publishers whose
    /// key was replaced. `settled`: every ingest has had the time to say what is live.
    async fn reconcile(&self, settled: bool) -> Result<(), Error> {
        let publishers = self.live.publishers();
        let streams = self.database.streams();
        let recorded: HashSet<StreamId> = streams
            .in_state(StreamState::Live)
            .await?
            .into_iter()
            .map(|stream| stream.id)
            .collect();
        for (id, _) in publishers.iter().filter(|(id, _)| !recorded.contains(id)) {
            self.move_to(*id, StreamState::Live).await?;
        }
        for id in recorded
            .into_iter()
            .filter(|id| settled && self.live.get(*id).is_none())
        {
            self.end(id).await?;
        }
        if publishers.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = publishers.iter().map(|(id, _)| *id).collect();
        for (id, key_us) in streams.key_times(&ids).await? {
            let old = publishers
                .iter()
                .any(|(stream, publish)| *stream == id && !came_after(*publish, key_us));
            if old {
                self.live.revoke(id, KEY_CHANGED, None);
            }
        }
        Ok(())
    }
}

//! The lifecycle in the database follows what ingest sees.

use std::{sync::Arc, time::Duration};

use events::Nudge;
use proto::coordinator::{PublishState, ReportStreamsRequest, StreamReport};
use storage::{Database, StorageError};
use tokio::time::Instant;
use types::{InstanceId, StreamId, StreamState};

use crate::{
    Error,
    live::{Change, Live, LiveStream},
    origins::Origins,
    registry::Registry,
};

/// How much longer than the grace period an ingest may be silent before its streams end: it ends them
/// itself when it lives.
const MARGIN: Duration = Duration::from_secs(5);
/// How often silence is looked for.
const SWEEP: Duration = Duration::from_millis(250);

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
        for report in request.streams {
            self.report_one(ingest, &address, report).await?;
        }
        Ok(())
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
        let mut restored = false;
        loop {
            tokio::time::sleep(SWEEP).await;
            self.origins.clear_expired();
            let mut gone = self.live.expire(patience);
            if !restored && started.elapsed() > patience {
                // What the database calls live since before this start, and no ingest has spoken for.
                restored = true;
                let recorded = self
                    .database
                    .streams()
                    .in_state(StreamState::Live)
                    .await
                    .unwrap_or_default();
                gone.extend(
                    recorded
                        .into_iter()
                        .map(|s| s.id)
                        .filter(|id| self.live.get(*id).is_none()),
                );
            }
            for id in gone {
                if let Err(error) = self.end(id).await {
                    tracing::warn!(stream_id = %id, %error, "stream can't be ended");
                }
            }
        }
    }
}

//! Ten thousand events on their way to the stream history, whatever is pulled meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use events::{Broadcast, Event, Fact};
use storage::{Database, KeyHash, NewAudit, NewStream, StorageError};
use testkit::eventually;
use tokio::{task::JoinHandle, time::sleep};
use types::{BroadcastId, EventId, Secret, Slug, StreamId};

/// Streams they are of.
const STREAMS: u8 = 50;
/// Broadcasts of each: two events.
const BROADCASTS: u64 = 100;
/// Playback sessions that each broadcast had.
const SESSIONS: u64 = 3;
/// Between two writes, each of a broadcast of every stream.
const PACE: Duration = Duration::from_secs(3);
/// Before a write is tried again that the database did not take.
const AGAIN: Duration = Duration::from_millis(200);

/// Writes events for minutes.
pub(crate) struct Flood {
    database: Database,
    streams: Vec<(StreamId, Slug)>,
    writer: JoinHandle<Result<()>>,
}

fn write(streams: &[(StreamId, Slug)], version: u64) -> Vec<Event> {
    let now_us = i64::try_from(version).unwrap_or(0) * 1_000_000;
    let event = |fact, version| Event {
        id: EventId::new(),
        time_us: now_us,
        version,
        trace_parent: String::new(),
        fact,
    };
    let broadcasts = streams.iter().flat_map(|(stream, slug)| {
        let id = BroadcastId::new();
        let started = Fact::StreamStarted {
            stream: *stream,
            slug: slug.clone(),
            broadcast: id,
        };
        let ended = Fact::StreamEnded {
            stream: *stream,
            slug: slug.clone(),
            broadcast: Broadcast {
                id,
                started_us: now_us,
                ended_us: now_us + 1_000_000,
                peak_viewers: 1,
                sessions: SESSIONS,
            },
        };
        [event(started, version * 2), event(ended, version * 2 + 1)]
    });
    broadcasts.collect()
}

impl Flood {
    /// Starts it on the database at `url`.
    pub(crate) async fn start(url: &str) -> Result<Self> {
        let database = Database::connect(&Secret::new(url.to_owned())).await?;
        let mut streams = Vec::new();
        for number in 0..STREAMS {
            let slug: Slug = format!("flood-{number}").parse()?;
            let new = NewStream::new(slug.clone(), "flood".to_owned(), KeyHash([number; 32]));
            let repository = database.streams();
            let made = repository.create(new, NewAudit::new("stream.made")).await?;
            streams.push((made.id, slug));
        }
        let (outbox, known) = (database.outbox(), streams.clone());
        let writer = tokio::spawn(async move {
            for version in 1..=BROADCASTS {
                let events = write(&known, version);
                // One that was taken although its answer was lost is refused when it comes again.
                while let Err(error) = outbox.write_for_tests(&events).await {
                    if !error.is_unavailable() {
                        ensure!(matches!(error, StorageError::Database(_)), "{error}");
                        break;
                    }
                    sleep(AGAIN).await;
                }
                sleep(PACE).await;
            }
            Ok(())
        });
        Ok(Self {
            database,
            streams,
            writer,
        })
    }

    /// Waits until all are written and took effect; then each took effect once.
    pub(crate) async fn took_effect_once(self, limit: Duration) -> Result<()> {
        testkit::within(limit, "all events are written", self.writer).await???;
        let history = self.database.history();
        let expected = u64::from(STREAMS) * BROADCASTS;
        eventually(limit, "every event takes effect", || async {
            let mut count = 0;
            for (stream, _) in &self.streams {
                count += history.totals(*stream).await?.broadcasts;
            }
            ensure!(count >= expected, "{count} of {expected} broadcasts");
            Ok(Some(()))
        })
        .await?;
        // What would take effect twice has time to.
        sleep(Duration::from_secs(5)).await;
        for (stream, slug) in &self.streams {
            let totals = history.totals(*stream).await?;
            let rows = history.of(*stream, None, 1000).await?;
            ensure!(
                totals.broadcasts == BROADCASTS && totals.sessions == BROADCASTS * SESSIONS,
                "{slug}: {totals:?}"
            );
            let ended = rows.iter().filter(|row| row.ended_at.is_some()).count();
            ensure!(
                ended as u64 == BROADCASTS,
                "{slug}: {ended} broadcasts are kept"
            );
        }
        let backlog = self.database.outbox();
        let pending = events::Outbox::pending(&backlog, 1).await;
        ensure!(
            pending.context("read the outbox")?.is_empty(),
            "events still wait"
        );
        Ok(())
    }
}

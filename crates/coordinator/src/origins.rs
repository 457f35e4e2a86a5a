//! The origin lease: exactly one origin per stream, fenced by a number counted in the database.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use cache::{Cache, CacheError, Lease};
use parking_lot::Mutex;
use proto::coordinator::{
    AcquireOriginRequest, AcquireOriginResponse, ReleaseOriginRequest, RenewOriginRequest,
};
use storage::{Database, OriginKey, OriginRecord};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use types::{Epoch, InstanceId, Msn, StreamId};

use crate::{
    Error,
    live::{Live, OriginRef},
};

/// How long a lease lasts unrenewed; origins renew three times as often, so that a takeover stays
/// within 3 s.
const LEASE: Duration = Duration::from_millis(1500);
/// How long a coordinator that restarted waits for the origins there are.
const RECOVERY: Duration = Duration::from_secs(3);
/// After so long without a record, an origin that could not reach us may have used more numbers.
const UNRECORDED_AFTER: Duration = Duration::from_secs(5);
/// An unchanged record is written again after so long, so that its age tells whether its origin could
/// reach us, and so that an origin is fenced by the database while the cache is away.
const REWRITE: Duration = Duration::from_secs(2);
/// How long the database may take to record a renewal; packaging goes on without.
const DATABASE: Duration = Duration::from_millis(400);

/// Grants, renews and ends leases.
pub(crate) struct Origins {
    pub(crate) database: Database,
    pub(crate) cache: Cache,
    pub(crate) live: Arc<Live>,
    /// What was written last, and when; of live streams.
    pub(crate) recorded: Mutex<HashMap<StreamId, (OriginRecord, Instant)>>,
    /// When each live stream's origin was last heard here.
    pub(crate) heard: Mutex<HashMap<StreamId, Instant>>,
    /// Streams that were live when this coordinator started.
    pub(crate) recovering: Mutex<HashSet<StreamId>>,
    pub(crate) started: Instant,
}

fn key(stream: StreamId) -> String {
    format!("origin/{stream}")
}

/// Counts an origin that another has overtaken, and says so.
fn fenced(stream: StreamId, wanted: Lease) -> Error {
    metrics::counter!("streamr_origin_fenced_total").increment(1);
    tracing::warn!(stream_id = %stream, epoch = wanted.fencing, instance_id = %wanted.holder, "origin fenced: another has a higher epoch");
    Error::Fenced
}

/// The first media sequence number of a new epoch: above every number that may have been used.
fn first_msn(record: &OriginRecord, now_unix_ms: i64) -> Msn {
    let unrecorded =
        Duration::from_millis(now_unix_ms.saturating_sub(record.updated_unix_ms).max(0) as u64);
    // No segment is shorter than half a second.
    let slack = if unrecorded > UNRECORDED_AFTER {
        unrecorded.as_secs() * 2
    } else {
        0
    };
    record.msn.saturating_add(1 + slack)
}

fn now_unix_ms() -> i64 {
    (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64
}

impl Origins {
    pub(crate) async fn acquire(
        &self,
        request: AcquireOriginRequest,
    ) -> Result<AcquireOriginResponse, Error> {
        use proto::convert::field;
        let stream: StreamId = field(&request.stream_id, "stream_id")?;
        let holder: InstanceId = field(&request.instance_id, "instance_id")?;
        if self.live.get(stream).is_none() {
            return Err(Error::NotLive(stream));
        }
        if let Ok(public_key) = <[u8; 32]>::try_from(request.digest_public_key.as_ref()) {
            self.database
                .origins()
                .put_key(&OriginKey {
                    key_id: request.digest_key_id,
                    public_key,
                })
                .await?;
        }
        if self.is_recovering(stream, holder) {
            return Err(Error::OriginTaken);
        }
        let held_before = self.cache.lease_holder(&key(stream)).await;
        // Not known yet: whatever was given out before is lower than what the database counts next.
        let fencing = held_before.map_or(0, |lease| lease.fencing);
        let wanted = Lease { holder, fencing };
        let held = self.lease(stream, wanted).await?;
        if held.holder != holder {
            return Err(Error::OriginTaken);
        }
        let again = held_before.filter(|lease| lease.holder == holder && lease.fencing > 0);
        let origins = self.database.origins();
        let record = match again {
            // The same holder asks again, its answer was lost: the same epoch.
            Some(lease) if !request.renew_epoch => {
                let record = origins
                    .get(stream)
                    .await?
                    .filter(|record| record.epoch.get() == lease.fencing);
                match record {
                    Some(record) => record,
                    None => origins.open_epoch(stream).await?,
                }
            }
            _ => origins.open_epoch(stream).await?,
        };
        let fencing = record.epoch.get();
        self.lease(stream, Lease { holder, fencing }).await?;
        self.heard.lock().insert(stream, Instant::now());
        let origin = OriginRef {
            instance: holder,
            address: request.address,
            epoch: record.epoch,
        };
        tracing::info!(stream_id = %stream, epoch = %record.epoch, instance_id = %holder, "origin acquired");
        metrics::counter!("streamr_origin_epochs_total").increment(1);
        self.live.set_origin(stream, Some(origin));
        Ok(AcquireOriginResponse {
            epoch: record.epoch.get(),
            first_msn: first_msn(&record, now_unix_ms()).get(),
            target_duration_s: record.target_duration_s,
            part_target_ms: record.part_target_ms,
            discontinuity_sequence: record.discontinuity_sequence,
        })
    }

    pub(crate) async fn renew(&self, request: RenewOriginRequest) -> Result<(), Error> {
        use proto::convert::field;
        let stream: StreamId = field(&request.stream_id, "stream_id")?;
        let holder: InstanceId = field(&request.instance_id, "instance_id")?;
        // Late, after the broadcast's end: it must not leave its target duration to the next one.
        if self.live.get(stream).is_none() && !self.recovering.lock().contains(&stream) {
            return Err(Error::NotLive(stream));
        }
        let wanted = Lease {
            holder,
            fencing: request.epoch,
        };
        // A restart of the cache loses leases, not epochs: who still has the latest epoch gets it back.
        let record = OriginRecord {
            epoch: Epoch::new(request.epoch),
            msn: Msn::new(request.msn),
            target_duration_s: request.target_duration_s,
            part_target_ms: request.part_target_ms,
            discontinuity_sequence: request.discontinuity_sequence,
            updated_unix_ms: 0,
        };
        // The lease first: who packages the stream already goes on, however long the database takes.
        let goes_on = self.goes_on(stream, wanted).await;
        let mut held = None;
        if goes_on {
            held = Some(self.lease(stream, wanted).await?);
            self.heard.lock().insert(stream, Instant::now());
        }
        let current =
            self.is_recorded(stream, record) || self.record(stream, goes_on, record).await?;
        if current && held.is_none() {
            held = Some(self.lease(stream, wanted).await?);
        }
        if held.is_none_or(|held| held.holder != holder) || !current {
            return Err(fenced(stream, wanted));
        }
        self.heard.lock().insert(stream, Instant::now());
        self.recovering.lock().remove(&stream);
        let epoch = record.epoch;
        self.live.set_origin(
            stream,
            Some(OriginRef {
                instance: holder,
                address: request.address,
                epoch,
            }),
        );
        Ok(())
    }

    /// Whether the stream was live when this coordinator started, and its origin has had no time yet to
    /// say that it goes on.
    fn is_recovering(&self, stream: StreamId, holder: InstanceId) -> bool {
        let known = self.live.get(stream).and_then(|live| live.origin);
        known.is_none_or(|origin| origin.instance != holder)
            && self.started.elapsed() < RECOVERY
            && self.recovering.lock().contains(&stream)
    }

    async fn lease(&self, stream: StreamId, wanted: Lease) -> Result<Lease, Error> {
        match self.cache.lease(&key(stream), wanted, LEASE).await {
            Ok(held) => Ok(held),
            Err(CacheError::Fenced { .. }) => Err(fenced(stream, wanted)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a renewal says nothing new: it comes several times a second, and a write costs more.
    fn is_recorded(&self, stream: StreamId, record: OriginRecord) -> bool {
        let recorded = self.recorded.lock();
        let fresh =
            |(known, at): &(OriginRecord, Instant)| *known == record && at.elapsed() < REWRITE;
        recorded.get(&stream).is_some_and(fresh)
    }

    /// Whether the stream is known to be packaged by `wanted` already.
    async fn goes_on(&self, stream: StreamId, wanted: Lease) -> bool {
        let known = self.live.get(stream).and_then(|live| live.origin);
        known.is_some_and(|origin| {
            origin.instance == wanted.holder && origin.epoch.get() == wanted.fencing
        }) || self.cache.lease_holder(&key(stream)).await == Some(wanted)
    }

    /// Records what an origin uses. While the database is away, who packages the stream already goes on:
    /// nobody can get a higher epoch meanwhile.
    async fn record(
        &self,
        stream: StreamId,
        goes_on: bool,
        record: OriginRecord,
    ) -> Result<bool, Error> {
        let origins = self.database.origins();
        let recorded = timeout(DATABASE, origins.record(stream, record)).await;
        let current = match recorded {
            Ok(Ok(current)) => current,
            failed => {
                metrics::counter!("streamr_origin_unrecorded_total").increment(1);
                tracing::debug!(stream_id = %stream, "origin's renewal is not recorded");
                if goes_on {
                    return Ok(true);
                }
                return match failed {
                    Ok(failed) => Ok(failed?),
                    Err(_) => Err(Error::TooSlow("the database")),
                };
            }
        };
        if current {
            self.recorded
                .lock()
                .insert(stream, (record, Instant::now()));
        }
        Ok(current)
    }

    pub(crate) async fn release(&self, request: &ReleaseOriginRequest) -> Result<(), Error> {
        use proto::convert::field;
        let stream: StreamId = field(&request.stream_id, "stream_id")?;
        let holder: InstanceId = field(&request.instance_id, "instance_id")?;
        self.cache.release(&key(stream), holder).await;
        let ours = self
            .live
            .get(stream)
            .and_then(|live| live.origin)
            .is_some_and(|origin| origin.instance == holder);
        if ours {
            self.live.set_origin(stream, None);
        }
        Ok(())
    }

    /// The broadcast is over: the next one's target duration is its own.
    pub(crate) async fn forget(&self, stream: StreamId) -> Result<(), Error> {
        if let Some(lease) = self.cache.lease_holder(&key(stream)).await {
            self.cache.release(&key(stream), lease.holder).await;
        }
        self.recorded.lock().remove(&stream);
        self.heard.lock().remove(&stream);
        let origins = self.database.origins();
        if let Some(record) = origins.get(stream).await? {
            let fresh = OriginRecord {
                target_duration_s: 0,
                part_target_ms: 0,
                ..record
            };
            origins.record(stream, fresh).await?;
        }
        Ok(())
    }

    /// Clears origins whose lease ran out, so that others take over. What was not heard here may have been
    /// heard by another coordinator: the cache knows.
    pub(crate) async fn clear_expired(&self) {
        for stream in self.live.ids() {
            let Some(origin) = self.live.get(stream).and_then(|live| live.origin) else {
                continue;
            };
            let heard = self.heard.lock().get(&stream).copied();
            if heard.is_some_and(|at| at.elapsed() <= LEASE) {
                continue;
            }
            let holder = self.cache.lease_holder(&key(stream)).await;
            if holder.is_none_or(|lease| lease.holder != origin.instance) {
                metrics::counter!("streamr_origin_leases_lost_total").increment(1);
                tracing::warn!(stream_id = %stream, epoch = %origin.epoch, "origin's lease ran out");
                self.live.set_origin(stream, None);
            }
        }
    }

    /// This process stood still for so long: renewals that came meanwhile are heard only now.
    pub(crate) fn forgive(&self, gap: Duration) {
        for heard in self.heard.lock().values_mut() {
            *heard += gap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_epoch_starts_above_what_may_have_been_used() {
        let record = OriginRecord {
            epoch: Epoch::new(3),
            msn: Msn::new(40),
            target_duration_s: 2,
            part_target_ms: 335,
            discontinuity_sequence: 0,
            updated_unix_ms: 1_000_000,
        };
        assert_eq!(first_msn(&record, 1_001_000), Msn::new(41));
        assert_eq!(
            first_msn(&record, 1_010_000),
            Msn::new(61),
            "ten seconds unrecorded: twenty more"
        );
        assert_eq!(
            first_msn(&record, 0),
            Msn::new(41),
            "a clock that went back"
        );
    }
}

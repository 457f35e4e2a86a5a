//! Being the origin of a stream: acquiring the lease, renewing it, and learning that it is lost.

use std::{sync::Arc, time::Duration};

use delivery::DigestKey;
use futures::future::{join_all, select_all};
use parking_lot::Mutex;
use proto::{
    Coordinators,
    coordinator::{
        AcquireOriginRequest, AcquireOriginResponse, ReleaseOriginRequest, RenewOriginRequest,
    },
    coordinators::Coordinator,
};
use tokio::time::timeout;
use tonic::Code;
use types::{Epoch, InstanceId, MediaTime, Msn, StreamId};

use crate::Error;

/// How often a lease is renewed; it lasts 1.5 s.
const RENEW: Duration = Duration::from_millis(500);
/// How long a call may take: a hanging coordinator must not hold up packaging.
const CALL: Duration = Duration::from_secs(1);
/// How long a new segment waits for its number to be recorded.
const RECORD: Duration = Duration::from_millis(300);

/// What an origin may use, and what it must continue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grant {
    pub(crate) epoch: Epoch,
    pub(crate) first_msn: Msn,
    /// Of the epoch before in the same broadcast.
    pub(crate) target_duration: Option<u32>,
    pub(crate) discontinuity_sequence: u64,
}

/// What the epoch uses, for whoever comes next.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct InUse {
    pub(crate) msn: Msn,
    pub(crate) target_duration: u32,
    pub(crate) part_target_ms: u32,
    pub(crate) discontinuity_sequence: u64,
}

/// Why a lease was not granted.
pub(crate) enum NotGranted {
    /// Another origin has it, or the stream is not live: leave it.
    Leave,
    /// The coordinator can't be asked now.
    Later(Error),
}

/// Who asks for leases.
#[derive(Clone)]
pub(crate) struct Lessee {
    pub(crate) coordinators: Coordinators,
    pub(crate) instance: InstanceId,
    pub(crate) address: String,
    pub(crate) digest_key: Arc<DigestKey>,
}

impl Lessee {
    /// Asks for a stream. `renew_epoch`: its codecs changed.
    pub(crate) async fn acquire(
        &self,
        stream: StreamId,
        renew_epoch: bool,
    ) -> Result<Grant, NotGranted> {
        let request = AcquireOriginRequest {
            stream_id: stream.to_string(),
            instance_id: self.instance.to_string(),
            address: self.address.clone(),
            renew_epoch,
            digest_key_id: self.digest_key.id().to_owned(),
            digest_public_key: self.digest_key.public().as_bytes().to_vec().into(),
        };
        let answer = self
            .coordinators
            .ask("acquire_origin", CALL, |mut coordinator| {
                let request = request.clone();
                async move { coordinator.acquire_origin(request).await }
            });
        match answer.await {
            Ok(answer) => Ok(grant(&answer)),
            Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::NotFound) => {
                Err(NotGranted::Leave)
            }
            Err(status) => Err(NotGranted::Later(status.into())),
        }
    }
}

fn grant(answer: &AcquireOriginResponse) -> Grant {
    Grant {
        epoch: Epoch::new(answer.epoch),
        first_msn: Msn::new(answer.first_msn),
        target_duration: (answer.target_duration_s > 0).then_some(answer.target_duration_s),
        discontinuity_sequence: answer.discontinuity_sequence,
    }
}

/// A lease held.
#[derive(Clone)]
pub(crate) struct Lease {
    lessee: Lessee,
    stream: StreamId,
    epoch: Epoch,
    in_use: Arc<Mutex<InUse>>,
}

impl Lease {
    pub(crate) fn new(lessee: Lessee, stream: StreamId, grant: &Grant) -> Self {
        let in_use = InUse {
            msn: Msn::new(grant.first_msn.get().saturating_sub(1)),
            target_duration: grant.target_duration.unwrap_or(0),
            part_target_ms: 0,
            discontinuity_sequence: grant.discontinuity_sequence,
        };
        Self {
            lessee,
            stream,
            epoch: grant.epoch,
            in_use: Arc::new(Mutex::new(in_use)),
        }
    }

    /// Says what the epoch fixed.
    pub(crate) fn fixed(&self, target_duration: u32, part_target: MediaTime) {
        let mut in_use = self.in_use.lock();
        in_use.target_duration = target_duration;
        in_use.part_target_ms = part_target.as_millis() as u32;
    }

    /// Records a number before it is shown to anybody, so that whoever takes over starts above it.
    /// Bounded: while the coordinator is away packaging goes on. `false`: fenced.
    pub(crate) async fn record(&self, msn: Msn, discontinuity_sequence: u64) -> bool {
        {
            let mut in_use = self.in_use.lock();
            in_use.msn = in_use.msn.max(msn);
            in_use.discontinuity_sequence = discontinuity_sequence;
        }
        let told = self.lessee.coordinators.tell_one_of_all(|mut coordinator| {
            let request = self.request();
            async move { coordinator.renew_origin(request).await }
        });
        match timeout(RECORD, told).await {
            Ok(Err(status)) => status.code() != Code::Aborted,
            _ => true,
        }
    }

    /// Renews with every coordinator until one says that it is fenced: another origin has a higher epoch.
    /// Each is told by itself, so that one that hangs holds up no other.
    pub(crate) async fn keep(&self) {
        let kept = self.lessee.coordinators.each().map(|coordinator| {
            let lease = self.clone();
            Box::pin(async move { lease.keep_with(coordinator).await })
        });
        let kept: Vec<_> = kept.collect();
        if kept.is_empty() {
            std::future::pending::<()>().await;
        }
        select_all(kept).await;
    }

    /// At once too: those that were not asked learn from it who packages the stream.
    async fn keep_with(&self, mut coordinator: Coordinator) {
        loop {
            match timeout(CALL, coordinator.renew_origin(self.request())).await {
                Ok(Err(status)) if status.code() == Code::Aborted => return,
                Ok(Ok(_)) => {}
                // A coordinator that can't be reached has not said that it is fenced.
                _ => {
                    metrics::counter!("streamr_coordinator_failures_total", "call" => "renew_origin")
                        .increment(1);
                    tracing::debug!(stream_id = %self.stream, epoch = %self.epoch, "a coordinator did not renew the lease");
                }
            }
            tokio::time::sleep(RENEW).await;
        }
    }

    fn request(&self) -> RenewOriginRequest {
        let in_use = *self.in_use.lock();
        RenewOriginRequest {
            stream_id: self.stream.to_string(),
            instance_id: self.lessee.instance.to_string(),
            epoch: self.epoch.get(),
            msn: in_use.msn.get(),
            target_duration_s: in_use.target_duration,
            part_target_ms: in_use.part_target_ms,
            discontinuity_sequence: in_use.discontinuity_sequence,
            address: self.lessee.address.clone(),
        }
    }

    /// Gives the stream back, so that another origin may start at once.
    pub(crate) async fn release(&self) {
        let request = ReleaseOriginRequest {
            stream_id: self.stream.to_string(),
            instance_id: self.lessee.instance.to_string(),
            epoch: self.epoch.get(),
        };
        let released = self.lessee.coordinators.each().map(|mut coordinator| {
            let request = request.clone();
            async move { coordinator.release_origin(request).await }
        });
        let _ = timeout(CALL, join_all(released)).await;
    }
}

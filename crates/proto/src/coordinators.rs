//! The coordinators there are: each hears what a service reports, any of them answers what it asks.
//!
//! A service reports to all of them, so that each knows what is live by itself, whichever engine is away.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use runtime::{
    ServiceTokens,
    grpc::{AddressError, ServiceChannel, channel},
};
use tonic::{Code, Response, Status};

use crate::coordinator::coordinator_client::CoordinatorClient;

/// The channel to one coordinator.
pub type Coordinator = CoordinatorClient<ServiceChannel>;

/// All coordinators. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Coordinators {
    members: Arc<[Coordinator]>,
    /// Who answered last is asked first.
    preferred: Arc<AtomicUsize>,
}

impl Coordinators {
    /// Channels to `addresses`, connected when first used.
    pub fn connect(addresses: &[String], tokens: &ServiceTokens) -> Result<Self, AddressError> {
        let members: Result<Vec<_>, _> = addresses
            .iter()
            .map(|address| channel(address, tokens).map(CoordinatorClient::new))
            .collect();
        Ok(Self {
            members: members?.into(),
            preferred: Arc::default(),
        })
    }

    /// Each of them, to be told something.
    pub fn each(&self) -> impl Iterator<Item = Coordinator> + '_ {
        self.members.iter().cloned()
    }

    /// The one to be asked first, and its place.
    pub(crate) fn first(&self) -> (usize, Option<Coordinator>) {
        let at = self.preferred.load(Ordering::Relaxed);
        (at, self.members.get(at).or(self.members.first()).cloned())
    }

    /// The one at `failed` is away: the next is asked first from now on.
    pub(crate) fn pass_over(&self, failed: usize) {
        let next = (failed + 1) % self.members.len().max(1);
        // Somebody else may have moved on already.
        let _ = self
            .preferred
            .compare_exchange(failed, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Asks one, and the next when it is away or takes longer than `patience`; each once. When none can,
    /// the answer is what one of them said, or that none answers.
    pub async fn ask<R, F, Asked>(
        &self,
        what: &'static str,
        patience: Duration,
        call: F,
    ) -> Result<R, Status>
    where
        F: Fn(Coordinator) -> Asked,
        Asked: Future<Output = Result<Response<R>, Status>>,
    {
        let mut last = Status::unavailable("no coordinator answers; try again");
        for _ in 0..self.members.len() {
            let (at, Some(coordinator)) = self.first() else {
                break;
            };
            let answer = tokio::time::timeout(patience, call(coordinator)).await;
            let failed = match answer {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) if !is_away(&status) => return Err(status),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("it did not answer in time"),
            };
            metrics::counter!("streamr_coordinator_failures_total", "call" => what).increment(1);
            tracing::debug!(
                call = what,
                coordinator = at,
                reason = failed.message(),
                "a coordinator could not answer"
            );
            if is_said(&failed) {
                last = failed;
            }
            self.pass_over(at);
        }
        Err(last)
    }

    /// Tells all of them at once, until one has answered: what it says is what all would say. The others
    /// hear the same again soon.
    pub async fn tell_one_of_all<R, F, Told>(&self, call: F) -> Result<R, Status>
    where
        F: Fn(Coordinator) -> Told,
        Told: Future<Output = Result<Response<R>, Status>>,
    {
        let mut calls: FuturesUnordered<_> = self.each().map(call).collect();
        let mut last = Status::unavailable("no coordinator is configured");
        while let Some(answer) = calls.next().await {
            match answer {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if !is_away(&status) => return Err(status),
                Err(status) => last = status,
            }
        }
        Err(last)
    }
}

/// Whether a coordinator said so, and not the connection to it.
fn is_said(status: &Status) -> bool {
    status.code() == Code::Unavailable && std::error::Error::source(status).is_none()
}

/// Whether the next coordinator may know better: this one could not be asked, or lacks what it needs.
pub fn is_away(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_coordinator_said_is_passed_on() {
        assert!(is_said(&Status::unavailable(
            "the service can't reach its database now; try again"
        )));
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(!is_said(&Status::from_error(Box::new(broken))));
        assert!(!is_said(&Status::deadline_exceeded("it did not answer")));
    }
}

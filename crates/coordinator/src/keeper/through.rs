//! The public face of a coordinator that does not keep the swarm: what concerns the swarm is handed through.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use runtime::{ServiceTokens, log::Seldom, pass::Line};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::{
    Keeper, Keeping, There,
    paths::{Kind, kind},
};

/// How long a request waits for somebody to keep the swarm: longer than the lease of who died.
const PATIENCE: Duration = Duration::from_secs(6);
/// Between two attempts to reach the keeper.
const AGAIN: Duration = Duration::from_millis(200);

static SAID: Seldom = Seldom::new();

/// Hands through. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Through {
    keeper: Keeper,
    tokens: ServiceTokens,
    places: Arc<Semaphore>,
}

/// One of the places for what is handed through.
struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("streamr_handed_through").decrement(1.0);
    }
}

impl Through {
    /// Hands through so many at once.
    pub(crate) fn new(keeper: Keeper, tokens: ServiceTokens, most: u32) -> Self {
        Self {
            keeper,
            tokens,
            places: Arc::new(Semaphore::new(most as usize)),
        }
    }

    fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        metrics::gauge!("streamr_handed_through").increment(1.0);
        Some(Place { _permit: permit })
    }

    /// Hands one request through to who keeps the swarm; back it comes if that is this process.
    async fn hand(&self, kind: Kind, request: Request) -> Result<Response, Request> {
        let Some(place) = self.place() else {
            return Ok(refuse(kind, "full"));
        };
        let mut keeping = self.keeper.watch();
        let gives_up = Instant::now() + PATIENCE;
        loop {
            let now = keeping.borrow_and_update().clone();
            match now {
                Keeping::Here => return Err(request),
                Keeping::There(there) => match Line::open(&there.address).await {
                    Ok(line) => return Ok(self.pass(kind, line, &there, request, place).await),
                    Err(error) => {
                        count(kind, "connect");
                        tracing::debug!(%error, address = &*there.address, "the keeper of the swarm can't be reached");
                    }
                },
                Keeping::Nowhere => {}
            }
            if Instant::now() >= gives_up {
                return Ok(refuse(kind, "no_keeper"));
            }
            // Who kept it may have died a moment ago: another will.
            let _ = timeout(AGAIN, keeping.changed()).await;
            sleep(AGAIN / 10).await;
        }
    }

    async fn pass(
        &self,
        kind: Kind,
        line: Line,
        there: &There,
        request: Request,
        place: Place,
    ) -> Response {
        metrics::counter!("streamr_handed_through_total", "kind" => kind.label()).increment(1);
        let passed = line.pass(request, &self.tokens, &there.life, place).await;
        passed.unwrap_or_else(|error| {
            tracing::debug!(%error, address = &*there.address, "the keeper of the swarm did not answer");
            refuse(kind, "broken")
        })
    }
}

fn count(kind: Kind, reason: &'static str) {
    metrics::counter!("streamr_handed_through_failures_total", "kind" => kind.label(), "reason" => reason)
        .increment(1);
}

fn refuse(kind: Kind, reason: &'static str) -> Response {
    count(kind, reason);
    if let Some(unsaid) = SAID.say() {
        tracing::warn!(
            kind = kind.label(),
            reason,
            unsaid,
            "what concerns the swarm can't be handed through to who keeps it"
        );
    }
    kind.refusal()
}

/// The middleware of the public listener.
pub(crate) async fn hand(State(through): State<Through>, request: Request, next: Next) -> Response {
    let Some(kind) = kind(request.uri().path()).filter(|_| !through.keeper.is_here()) else {
        return next.run(request).await;
    };
    match through.hand(kind, request).await {
        Ok(response) => response,
        Err(request) => next.run(request).await,
    }
}

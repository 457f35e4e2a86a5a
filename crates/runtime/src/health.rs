//! Liveness and readiness: what a service needs, and whether it has it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use parking_lot::RwLock;

/// The state of what a process needs, by name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<RwLock<BTreeMap<&'static str, Need>>>,
}

/// How it is with a need.
#[derive(Debug, Clone)]
enum Need {
    /// It was never met yet, nor looked for in vain.
    Starting,
    Met,
    /// It is not, and why.
    Missing(String),
}

impl Health {
    /// Registers a need that isn't met yet.
    pub fn require(&self, name: &'static str) -> Check {
        self.checks.write().insert(name, Need::Starting);
        metrics::gauge!("streamr_ready", "need" => name).set(0.0);
        Check {
            health: self.clone(),
            name,
        }
    }

    /// What is missing, as `name: why`; empty when ready.
    pub fn missing(&self) -> Vec<String> {
        let checks = self.checks.read();
        checks
            .iter()
            .filter_map(|(name, need)| match need {
                Need::Met => None,
                Need::Starting => Some(format!("{name}: starting")),
                Need::Missing(why) => Some(format!("{name}: {why}")),
            })
            .collect()
    }

    /// `/health/live`, `/health/ready` and `/metrics`.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/health/live", get(|| async { "live\n" }))
            .route("/health/ready", get(ready))
            .with_state(self.clone())
    }
}

/// One need of a process.
#[derive(Debug, Clone)]
pub struct Check {
    health: Health,
    name: &'static str,
}

impl Check {
    /// The need is met.
    pub fn ok(&self) {
        let before = self.set(Need::Met);
        if matches!(before, Need::Met) {
            return;
        }
        metrics::gauge!("streamr_ready", "need" => self.name).set(1.0);
        if matches!(before, Need::Missing(_)) {
            tracing::info!(need = self.name, "ready again");
        }
    }

    /// The need is not met, and why.
    pub fn fail(&self, why: impl Into<String>) {
        let why = why.into();
        let before = self.set(Need::Missing(why.clone()));
        match before {
            Need::Met => {
                metrics::gauge!("streamr_ready", "need" => self.name).set(0.0);
                tracing::warn!(need = self.name, why, "not ready");
            }
            // Others may be starting too: that is no alarm yet.
            Need::Starting => tracing::info!(need = self.name, why, "not ready yet"),
            Need::Missing(_) => {}
        }
    }

    /// Notes how it is now; answers how it was.
    fn set(&self, now: Need) -> Need {
        let before = self.health.checks.write().insert(self.name, now);
        before.unwrap_or(Need::Starting)
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let missing = health.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready\n{}\n", missing.join("\n")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_need_is_met() {
        let health = Health::default();
        let database = health.require("database");
        assert_eq!(health.missing(), ["database: starting"]);
        database.ok();
        assert!(health.missing().is_empty());
        database.fail("connection refused");
        assert_eq!(health.missing(), ["database: connection refused"]);
    }
}

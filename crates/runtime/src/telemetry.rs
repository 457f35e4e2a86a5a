//! Logs and metrics of a process.

use axum::{Router, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{LogFormat, LogSection};

/// Buckets of every histogram in seconds, from 1 ms to 10 s.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Telemetry that could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error(
        "log.level is {value:?}, which is no filter; write a level such as \"info\" or \"ingest=debug,info\""
    )]
    Filter {
        /// The value given.
        value: String,
    },
    /// The metrics recorder refused its set-up.
    #[error("metrics recorder: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// The process's telemetry.
#[derive(Debug, Clone)]
pub struct Telemetry {
    prometheus: PrometheusHandle,
}

impl Telemetry {
    /// Starts logging to standard error and collecting metrics; once per process.
    pub fn init(log: &LogSection) -> Result<Self, TelemetryError> {
        let filter = EnvFilter::try_new(&log.level).map_err(|_| TelemetryError::Filter {
            value: log.level.clone(),
        })?;
        let registry = tracing_subscriber::registry().with(filter);
        // A second subscriber (tests run several services in a process) leaves the first in place.
        let _ = match log.format {
            LogFormat::Json => registry
                .with(
                    fmt::layer()
                        .json()
                        .flatten_event(true)
                        .with_writer(std::io::stderr),
                )
                .try_init(),
            LogFormat::Text => registry
                .with(fmt::layer().with_writer(std::io::stderr))
                .try_init(),
        };
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let prometheus = recorder.handle();
        // The same for a second recorder: the first goes on collecting.
        let _ = metrics::set_global_recorder(recorder);
        Ok(Self { prometheus })
    }

    /// Histograms grow until they are drained: call every few seconds.
    pub fn upkeep(&self) {
        self.prometheus.run_upkeep();
    }

    /// `/metrics`, in Prometheus' text format.
    pub fn routes(&self) -> Router {
        let prometheus = self.prometheus.clone();
        Router::new().route(
            "/metrics",
            get(move || {
                let text = prometheus.render();
                async move { ([("content-type", "text/plain; version=0.0.4")], text) }
            }),
        )
    }
}

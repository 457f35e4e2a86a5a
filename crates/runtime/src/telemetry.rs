//! Logs, metrics and traces of a process.
//!
//! Metrics are called `streamr_<part>_<what>`: counters end in `_total`, histograms in their unit
//! (`_seconds`, `_bytes`), gauges in neither. Labels have few values, all known when the program is built:
//! never a slug, a key, an id or an address. A test reads the metrics of a whole run and holds them to it.

use std::time::Duration;

use axum::{Router, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{FilterExt, filter_fn},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    Config,
    config::{LogFormat, TelemetrySection},
    trace,
};

/// How often histograms are drained.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long sending a batch of spans may take.
const EXPORT: Duration = Duration::from_secs(3);
/// How long a process that ends waits for its last spans.
const FLUSH: Duration = Duration::from_secs(3);

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
    /// The exporter refused its endpoint.
    #[error("telemetry.otlp_endpoint: {0}; write a URL such as http://127.0.0.1:4317")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The metrics recorder refused its set-up.
    #[error("metrics recorder: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// The process's telemetry.
#[derive(Debug, Clone)]
pub struct Telemetry {
    prometheus: PrometheusHandle,
    tracer: Option<SdkTracerProvider>,
}

/// Sends spans to the endpoint, batched by a thread of its own; what its queue can't hold is dropped.
fn exporter(
    section: &TelemetrySection,
    service: &'static str,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let Some(endpoint) = &section.otlp_endpoint else {
        return Ok(None);
    };
    crate::tls::install_provider();
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT)
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(2048)
        .with_max_export_batch_size(512)
        .with_scheduled_delay(Duration::from_secs(1))
        .build();
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches)
        .build();
    let ratio = Sampler::TraceIdRatioBased(section.sample_ratio);
    let name = format!("streamr-{service}");
    Ok(Some(
        SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(ratio)))
            .with_resource(Resource::builder_empty().with_service_name(name).build())
            .build(),
    ))
}

impl Telemetry {
    /// Starts logging to standard error, collecting metrics, and sending traces as `service` when the
    /// configuration says where to; once per process, within tokio.
    pub fn init(config: &Config, service: &'static str) -> Result<Self, TelemetryError> {
        let log = &config.log;
        let filter = EnvFilter::try_new(&log.level).map_err(|_| TelemetryError::Filter {
            value: log.level.clone(),
        })?;
        // Control spans are for traces; log lines say what they mean themselves.
        let filter = filter.and(filter_fn(|metadata| !trace::is_control(metadata)));
        let tracer = exporter(&config.telemetry, service)?;
        let traces = tracer.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("streamr"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(filter_fn(trace::is_control))
        });
        let lines = match log.format {
            LogFormat::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(std::io::stderr)
                .with_filter(filter)
                .boxed(),
            LogFormat::Text => fmt::layer()
                .with_writer(std::io::stderr)
                .with_filter(filter)
                .boxed(),
        };
        // A second subscriber (tests run several services in a process) leaves the first in place.
        let _ = tracing_subscriber::registry()
            .with(lines)
            .with(traces)
            .try_init();
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .build_recorder();
        let prometheus = recorder.handle();
        // The same for a second recorder: the first goes on collecting.
        let _ = metrics::set_global_recorder(recorder);
        Ok(Self { prometheus, tracer })
    }

    /// Sends the traces that wait, within [`FLUSH`]; at a process's end.
    pub async fn flush(&self) {
        let Some(tracer) = self.tracer.clone() else {
            return;
        };
        let flushed =
            tokio::task::spawn_blocking(move || tracer.shutdown_with_timeout(FLUSH)).await;
        if !matches!(flushed, Ok(Ok(()))) {
            metrics::counter!("streamr_traces_unsent_total").increment(1);
            tracing::warn!("the last traces were not sent");
        }
    }

    /// Drains histograms, which grow until then. Never returns: its owner ends it.
    pub async fn keep_up(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.prometheus.run_upkeep();
        }
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

//! A receiver of traces: OTLP over gRPC, as a collector takes them.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use anyhow::Result;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::ResourceSpans,
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, transport::Server};

use crate::ports::free_address;

/// A span as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenSpan {
    /// The process that sent it, as `service.name`.
    pub service: String,
    /// Its name.
    pub name: String,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Itself.
    pub id: String,
    /// Its parent; empty at a trace's root.
    pub parent: String,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<SeenSpan>,
    /// Everything received, readable: for what must not be in it.
    texts: Vec<String>,
}

/// A running receiver; it ends when dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
    server: JoinHandle<()>,
}

struct Receiver(Arc<Mutex<Received>>);

fn service_of(spans: &ResourceSpans) -> String {
    let attributes = spans
        .resource
        .iter()
        .flat_map(|resource| &resource.attributes);
    let mut named = attributes.filter(|attribute| attribute.key == "service.name");
    let value = named
        .next()
        .and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::StringValue(name)) => name,
        _ => String::new(),
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut received = self.0.lock();
        for resource in request.into_inner().resource_spans {
            received.texts.push(format!("{resource:?}"));
            let service = service_of(&resource);
            let spans = resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            received.spans.extend(spans.map(|span| SeenSpan {
                service: service.clone(),
                name: span.name,
                trace: hex::encode(span.trace_id),
                id: hex::encode(span.span_id),
                parent: hex::encode(span.parent_span_id),
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let (address, received) = (free_address(), Arc::<Mutex<Received>>::default());
        let service = TraceServiceServer::new(Receiver(Arc::clone(&received)));
        let server = tokio::spawn(async move {
            // Nothing is received then, which the test says.
            let _ = Server::builder().add_service(service).serve(address).await;
        });
        Self {
            address,
            received,
            server,
        }
    }

    /// For `telemetry.otlp_endpoint`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans so far.
    pub fn spans(&self) -> Vec<SeenSpan> {
        self.received.lock().spans.clone()
    }

    /// Everything received so far, readable.
    pub fn text(&self) -> String {
        self.received.lock().texts.join("\n")
    }

    /// The services that took part in a trace.
    pub fn services_of(&self, trace: &str) -> BTreeSet<String> {
        let received = self.received.lock();
        let spans = received.spans.iter().filter(|span| span.trace == trace);
        spans.map(|span| span.service.clone()).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

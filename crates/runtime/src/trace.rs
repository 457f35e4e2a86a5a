//! Traces of control actions over processes: W3C `traceparent` on HTTP, gRPC and events.
//!
//! A span is one control action, never a media message: what is published all the time costs nothing here.
//! Spans carry fixed names and no values, so no secret and nobody's address can be in them. Without
//! `telemetry.otlp_endpoint` no span is made.

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
};
use http::Method;
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header that joins traces, on HTTP and gRPC.
pub const HEADER: &str = "traceparent";

/// Whether a span is one of ours, to be exported.
pub(crate) fn is_control(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == "streamr::control"
}

fn span(name: &str, kind: &str) -> Span {
    tracing::info_span!(target: "streamr::control", parent: None, "control", otel.name = name, otel.kind = kind)
}

/// A span that begins a trace.
pub fn root(name: &str) -> Span {
    span(name, "internal")
}

/// A span within the trace that `parent` (a `traceparent`) names; none when it names none.
pub fn child(name: &str, parent: &str) -> Span {
    within(name, "internal", parent)
}

/// A span of an event's consumer, within the trace of what caused the event.
pub fn consumer(name: &str, parent: &str) -> Span {
    within(name, "consumer", parent)
}

fn within(name: &str, kind: &str, parent: &str) -> Span {
    let Some(parent) = parse(parent) else {
        return Span::none();
    };
    let span = span(name, kind);
    // Without an exporter there is nothing to be joined.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    span
}

/// The `traceparent` of `span`; empty when it is not traced.
pub fn parent_of(span: &Span) -> String {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    if !context.is_valid() {
        return String::new();
    }
    format!(
        "00-{}-{}-{:02x}",
        context.trace_id(),
        context.span_id(),
        context.trace_flags().to_u8()
    )
}

/// The `traceparent` of the current span; empty when there is none.
pub fn current() -> String {
    let span = Span::current();
    if span.is_disabled() {
        return String::new();
    }
    parent_of(&span)
}

/// W3C Trace Context, level 1: `version-trace-parent-flags`.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let lengths = [version.len(), trace.len(), span.len(), flags.len()];
    if lengths != [2, 32, 16, 2] || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

fn sent(request: &Request) -> Option<&str> {
    request.headers().get(HEADER)?.to_str().ok()
}

/// Internal gRPC: a call within a trace is a span of it, until it is answered; others are none.
pub fn grpc(routes: Router) -> Router {
    routes.layer(middleware::from_fn(
        async |request: Request, next: Next| -> Response {
            let name = request.uri().path().trim_start_matches('/').to_owned();
            let span = within(&name, "server", sent(&request).unwrap_or_default());
            next.run(request).instrument(span).await
        },
    ))
}

/// The API: a request that changes something is a span, of the caller's trace if it names one.
pub fn http(routes: Router) -> Router {
    routes.layer(middleware::from_fn(
        async |request: Request, next: Next| -> Response {
            if matches!(
                *request.method(),
                Method::GET | Method::HEAD | Method::OPTIONS
            ) {
                return next.run(request).await;
            }
            let path = request.extensions().get::<MatchedPath>();
            let path = path.map_or("unknown", MatchedPath::as_str);
            let name = format!("{} {path}", request.method());
            let span = match sent(&request).filter(|parent| parse(parent).is_some()) {
                Some(parent) => within(&name, "server", parent),
                None => span(&name, "server"),
            };
            next.run(request).instrument(span).await
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_traceparent_is_followed() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = parse(good).unwrap();
        assert!(context.is_sampled() && context.is_remote());
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn without_an_exporter_nothing_is_traced() {
        assert!(parent_of(&root("publish")).is_empty() && current().is_empty());
    }
}

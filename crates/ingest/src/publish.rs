//! A publisher: authorized, then read until it leaves.

use std::time::Duration;

use futures::FutureExt;
use media::FrameRate;
use proto::coordinator::AuthorizePublishRequest;
use rtmp::{
    amf0::Value,
    session::{Event, RequestId},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::{Code, Status};
use tracing::Instrument;
use types::Secret;

use crate::{
    Error,
    connection::{Connection, Context},
    hub::{Authorized, Publication},
};

/// A publisher that sends nothing for so long is gone (promise D2).
const IDLE: Duration = Duration::from_secs(15);
/// How long one coordinator may take; then the next is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// A wrong key is answered after a time within this, so that guessing is slow and its timing says nothing.
const WRONG_KEY_DELAY: std::ops::Range<f64> = 0.2..2.0;
/// Between two looks at a publisher's socket. An encoder writes a tag at a time, and waking up costs more
/// than reading it.
const PAUSE: Duration = Duration::from_millis(15);
/// What a stream key may have at most; longer names are no keys.
const MAX_KEY: usize = 256;

/// Serves a publisher to its end.
pub(crate) async fn run<S>(
    connection: &mut Connection<S>,
    request: RequestId,
    key: &Secret<String>,
    context: &Context,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let span = runtime::trace::root("publish");
    let authorized = authorize(connection, key, context);
    let authorized = match authorized.instrument(span).await {
        Ok(authorized) => authorized,
        Err(status) => return refuse(connection, request, &status).await,
    };
    let Ok(publication) = context.hub.publish(&authorized) else {
        refused(connection, "busy");
        let reason = "this stream is being published already; stop the other publisher first";
        return connection
            .refuse(request, "NetStream.Publish.BadName", reason)
            .await;
    };
    if !connection.session.accept_publish(request)? {
        return Ok(());
    }
    connection.expect_media();
    tracing::info!(stream_id = %authorized.stream, slug = %authorized.slug, publish_id = %authorized.publish, peer = %connection.peer, "publisher came");
    let result = read(connection, &publication).await;
    tracing::info!(stream_id = %authorized.stream, publish_id = %authorized.publish, "publisher left");
    result
}

async fn authorize<S>(
    connection: &Connection<S>,
    key: &Secret<String>,
    context: &Context,
) -> Result<Authorized, Status> {
    let query = key.expose();
    // Some encoders append a query; the key ends before it.
    let stream_key = query.split('?').next().unwrap_or(query);
    if stream_key.len() > MAX_KEY {
        return Err(Status::unauthenticated("no such stream key"));
    }
    let request = AuthorizePublishRequest {
        stream_key: stream_key.to_owned(),
        peer_address: connection.peer.to_string(),
        instance_id: context.instance.to_string(),
    };
    let answer = context
        .coordinators
        .ask("authorize_publish", PATIENCE, |mut coordinator| {
            let request = request.clone();
            async move { coordinator.authorize_publish(request).await }
        })
        .await
        .map_err(ours)?;
    Ok(Authorized {
        stream: proto::convert::field(&answer.stream_id, "stream_id")?,
        slug: proto::convert::field(&answer.slug, "slug")?,
        publish: proto::convert::field(&answer.publish_id, "publish_id")?,
        began_unix_ms: (answer.began_unix_ms > 0).then_some(answer.began_unix_ms),
        trace_parent: runtime::trace::current(),
    })
}

/// Services that don't accept each other are no publisher's fault.
fn ours(status: Status) -> Status {
    if status.message().starts_with("service token") {
        return Status::internal(status.message());
    }
    status
}

/// Counts a publisher that was not let in, and says so.
fn refused<S>(connection: &Connection<S>, reason: &'static str) {
    metrics::counter!("streamr_publish_refused_total", "reason" => reason).increment(1);
    tracing::info!(reason, peer = %connection.peer, "publisher refused");
}

async fn refuse<S>(
    connection: &mut Connection<S>,
    request: RequestId,
    status: &Status,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (code, label) = match status.code() {
        Code::Unauthenticated => ("NetStream.Publish.BadName", "wrong_key"),
        Code::ResourceExhausted => ("NetStream.Publish.BadName", "too_many_wrong_keys"),
        Code::AlreadyExists => ("NetStream.Publish.BadName", "busy"),
        // Its owner or an admin doesn't want it now; the message says why.
        Code::FailedPrecondition | Code::PermissionDenied => {
            ("NetStream.Publish.Denied", "not_allowed")
        }
        _ => ("NetStream.Publish.Failed", "unavailable"),
    };
    refused(connection, label);
    if label == "wrong_key" {
        let delay = Duration::from_secs_f64(rand::random_range(WRONG_KEY_DELAY));
        tokio::time::sleep(delay).await;
    }
    // A coordinator that can't says why; what else goes wrong is nothing to a publisher.
    let reason = if label == "unavailable" && status.code() != Code::Unavailable {
        "streams can't be authorized at the moment; try again"
    } else {
        status.message()
    };
    connection.refuse(request, code, reason).await
}

/// What `onMetaData` says of the frame rate, if it is one.
fn frame_rate(metadata: &Value) -> Option<FrameRate> {
    let Some(Value::Number(said)) = metadata.get("framerate") else {
        return None;
    };
    let plausible = (0.1..=1000.0).contains(said);
    plausible.then(|| FrameRate {
        numerator: (said * 1000.0).round() as u32,
        denominator: 1000,
    })
}

/// Reads the publisher until it leaves, falls silent, or must go.
async fn read<S>(connection: &mut Connection<S>, publication: &Publication) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let cut = publication.cut();
    loop {
        while let Some(event) = connection.session.poll_event() {
            match event {
                Event::Packet(packet) => publication.packet(packet),
                Event::Metadata(metadata) => {
                    if let Some(rate) = frame_rate(&metadata) {
                        publication.declare_frame_rate(rate);
                    }
                }
                Event::PacketDropped { reason } => {
                    metrics::counter!("streamr_publish_packets_dropped_total").increment(1);
                    tracing::debug!(%reason, "packet dropped");
                }
                Event::PublishFinished => return connection.flush().await,
                _ => {}
            }
        }
        connection.flush().await?;
        // Everything there is at once; then a pause, in which more gathers.
        let received = if let Some(received) = connection.receive().now_or_never() {
            Ok(received)
        } else {
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                received = tokio::time::timeout(IDLE, connection.receive()) => received,
                () = cut.cancelled() => {
                    connection.session.end("NetStream.Publish.Denied", &publication.reason());
                    return connection.flush().await;
                }
            }
        };
        match received {
            Err(_) => return Err(Error::TooSlow("the publisher's next byte")),
            Ok(Ok(false)) => return Ok(()),
            Ok(Ok(true)) => {}
            Ok(Err(error)) => {
                // What arrived whole before the error still counts.
                while let Some(event) = connection.session.poll_event() {
                    if let Event::Packet(packet) = event {
                        publication.packet(packet);
                    }
                }
                return Err(error);
            }
        }
    }
}

//! An RTMP player: written to until it leaves, the stream ends, or its right to it does.

use delivery::{
    Batch,
    fanout::{Next, Subscriber},
};
use rtmp::session::{Event, RequestId};
use tokio::io::{AsyncRead, AsyncWrite};
use types::Secret;

use crate::{
    Error,
    connection::{Connection, Context},
    rights::{self, Refusal, Right},
};

/// Serves a player to its end.
pub(crate) async fn run<S>(
    connection: &mut Connection<S>,
    request: RequestId,
    name: &Secret<String>,
    context: &Context,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let sources = &context.sources;
    let right = match rights::open(&sources.hub, &sources.directory, name.expose()).await {
        Ok(right) => right,
        Err(refusal) => return refuse(connection, request, &refusal).await,
    };
    let Some(source) = sources.open(right.stream).await? else {
        return connection
            .refuse(request, "NetStream.Play.StreamNotFound", "the stream ended")
            .await;
    };
    let mut reader = source.subscribe();
    if !connection.session.accept_play(request) {
        return Ok(());
    }
    connection.flush().await?;
    write(connection, &mut reader, right).await
}

async fn refuse<S>(
    connection: &mut Connection<S>,
    request: RequestId,
    refusal: &Refusal,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (reason, peer) = (refusal.label, connection.peer);
    tracing::debug!(protocol = "rtmp", reason, %peer, "viewer refused");
    if refusal.label == "unknown" {
        metrics::counter!("streamr_unknown_plays_total", "protocol" => "rtmp").increment(1);
    } else {
        metrics::counter!("streamr_playback_refused_total", "protocol" => "rtmp", "reason" => refusal.label)
            .increment(1);
    }
    connection
        .refuse(request, refusal.code, &refusal.text)
        .await
}

async fn write<S>(
    connection: &mut Connection<S>,
    reader: &mut Subscriber<Batch>,
    mut right: Right,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let lost = right.lost();
    tokio::pin!(lost);
    loop {
        let next = tokio::select! {
            why = &mut lost => {
                metrics::counter!("streamr_viewers_cut_total", "protocol" => "rtmp").increment(1);
                tracing::debug!(protocol = "rtmp", reason = why, "viewer cut off");
                connection.session.end("NetStream.Play.Failed", why);
                return connection.flush().await;
            }
            next = reader.next() => next,
            received = connection.receive() => {
                if !received? {
                    return Ok(());
                }
                while let Some(event) = connection.session.poll_event() {
                    if matches!(event, Event::PlayFinished) {
                        return Ok(());
                    }
                }
                connection.flush().await?;
                continue;
            }
        };
        match next {
            Next::Entry(batch) => connection.write(&batch.bytes).await?,
            Next::Preamble(preamble) => {
                for batch in preamble {
                    connection.write(&batch.bytes).await?;
                }
            }
            Next::Skipped => {}
            Next::Closed => {
                connection.session.play_status_end();
                return connection.flush().await;
            }
        }
    }
}

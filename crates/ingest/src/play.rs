//! An RTMP player: written to until it leaves or the stream ends.

use delivery::{
    Batch,
    fanout::{Next, Subscriber},
};
use rtmp::session::{Event, RequestId};
use tokio::io::{AsyncRead, AsyncWrite};
use types::{Secret, Slug};

use crate::{
    Error,
    connection::{Connection, Context},
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
    let name = name.expose();
    let slug: Option<Slug> = name.split('?').next().and_then(|name| name.parse().ok());
    let source = match slug {
        Some(slug) => context.sources.open(&slug).await?,
        None => None,
    };
    let Some(source) = source else {
        metrics::counter!("streamr_unknown_plays_total", "protocol" => "rtmp").increment(1);
        return connection
            .refuse(
                request,
                "NetStream.Play.StreamNotFound",
                "no such live stream",
            )
            .await;
    };
    let mut reader = source.subscribe();
    if !connection.session.accept_play(request) {
        return Ok(());
    }
    connection.flush().await?;
    write(connection, &mut reader).await
}

async fn write<S>(
    connection: &mut Connection<S>,
    reader: &mut Subscriber<Batch>,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    loop {
        let next = tokio::select! {
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

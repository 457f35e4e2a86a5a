//! Services die and start again under a live stream.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::{
    Fixture, FlvViewer, Sandbox, Source, eventually,
    hls::{Follower, Viewer},
    largest_gap,
};
use tokio::time::sleep;

use crate::support::{PLAYABLE, SOON, flv_path, live, scenario_of_the_dead};

#[tokio::test]
async fn playback_does_not_notice_that_the_coordinator_dies_and_returns() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let fixture = Fixture::plain().await?;
        let (stream, publication) = live(&sandbox, "headless", &fixture).await?;
        let slug = stream.slug.as_str();
        let follower = Follower::start(&sandbox.hls(slug)).await?;
        let mut flv = FlvViewer::open(sandbox.playback_address(), &flv_path(slug)).await?;
        follower.more(PLAYABLE, 2).await?;
        sandbox.kill("coordinator").await?;
        // Longer than a lease lasts.
        sleep(Duration::from_secs(8)).await;
        flv.more_frames(SOON, 60).await?;
        follower.more(SOON, 2).await?;
        // A newcomer is served too.
        FlvViewer::open(sandbox.playback_address(), &flv_path(slug))
            .await?
            .more_frames(SOON, 10)
            .await?;
        sandbox.launch("coordinator").await?;
        sandbox.ready("coordinator").await?;
        sandbox
            .view_until(slug, SOON, |view| view.state == "live")
            .await?;
        sleep(Duration::from_secs(4)).await;
        follower.more(SOON, 2).await?;
        ensure!(follower.faults().is_empty(), "{}", follower.summary());
        let gap = largest_gap(&flv.frames());
        ensure!(gap <= 40 && !flv.has_ended(), "HTTP-FLV missed {gap} ms");
        ensure!(publication.is_running(), "the publisher was cut off");
        // And it is a coordinator again: others may publish.
        let other = sandbox.add_stream("newcomer").await?;
        Source::new(&fixture)
            .publish(sandbox.rtmp(), &other.key)
            .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_killed_streamr_starts_again_and_numbers_go_on() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let fixture = Fixture::plain().await?;
        let (stream, publication) = live(&sandbox, "phoenix", &fixture).await?;
        let slug = stream.slug.as_str();
        let follower = Follower::start(&sandbox.hls(slug)).await?;
        follower.more(PLAYABLE, 3).await?;
        sandbox.kill("streamr").await?;
        drop((follower.summary(), publication));
        let (last, epoch) = follower
            .segments()
            .last()
            .map_or((0, 0), |last| (last.msn, last.epoch));
        sandbox.launch("streamr").await?;
        sandbox.ready("streamr").await?;
        let _again = eventually(SOON, "the publisher is back", || async {
            Ok(Some(
                Source::new(&fixture)
                    .publish(sandbox.rtmp(), &stream.key)
                    .await?,
            ))
        })
        .await?;
        let playlist = eventually(PLAYABLE, "it plays again", || async {
            let playlist = Viewer::open(&sandbox.hls(slug)).await?.load("").await?;
            Ok(playlist.last_msn().is_some().then_some(playlist))
        })
        .await?;
        ensure!(
            playlist.media_sequence > last,
            "numbers went back from {last} to {}",
            playlist.media_sequence
        );
        let new = playlist.segments[0].epoch();
        ensure!(new > Some(epoch), "the epoch went from {epoch} to {new:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_edge_that_dies_and_returns_serves_the_same_bytes() -> Result<()> {
    let sandbox = Sandbox::two_origins().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let (stream, _publication) = live(&sandbox, "edge", &Fixture::plain().await?).await?;
        let slug = stream.slug.as_str();
        let follower = Follower::start(&sandbox.hls(slug)).await?;
        follower.more(PLAYABLE, 3).await?;
        let session = Viewer::open(&sandbox.hls(slug)).await?;
        let playlist = session.load("").await?;
        let newest = playlist
            .whole()
            .next_back()
            .and_then(|segment| segment.uri.clone());
        let uri = newest.unwrap_or_default();
        let before = session.object(&uri).await?.body;
        sandbox.kill("edge").await?;
        sandbox.launch("edge").await?;
        sandbox.ready("edge").await?;
        // The session is the viewer's own: any edge takes it.
        let after = eventually(SOON, "the segment is there again", || async {
            Ok(Some(session.object(&uri).await?.body))
        })
        .await?;
        ensure!(before == after, "{uri} has other bytes than before");
        let again = session.load("").await?;
        ensure!(
            again.media_sequence >= playlist.media_sequence,
            "numbers went back"
        );
        Ok(())
    })
    .await
}

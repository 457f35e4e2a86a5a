//! A publisher that leaves and returns, or does not.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::{
    Fixture, FlvViewer, RtmpPlayer, Sandbox, Source, eventually, ffmpeg,
    hls::{Follower, SeenSegment, Viewer},
};
use tokio::time::{Instant, sleep};

use crate::support::{PLAYABLE, SOON, flv_path, live, scenario, shared};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Dropping,
    Stopping,
}

/// Plays by RTMP in the background; answers how many frames came before the server ended it.
async fn count_packets(mut player: RtmpPlayer, until: Instant) -> Result<usize> {
    let mut packets = 0;
    while Instant::now() < until {
        match player.next(SOON).await? {
            Some(rtmp::session::ClientEvent::Packet(_)) => packets += 1,
            Some(rtmp::session::ClientEvent::Finished) | None => break,
            Some(_) => {}
        }
    }
    Ok(packets)
}

async fn the_publisher_returns(sandbox: &Sandbox, slug: &str, leaving: Leaving) -> Result<()> {
    let fixture = Fixture::plain().await?;
    let (stream, publication) = live(sandbox, slug, &fixture).await?;
    let low = Follower::start(&sandbox.hls(slug)).await?;
    let friends = Follower::start(&sandbox.friends(slug)).await?;
    let mut flv = FlvViewer::open(sandbox.playback_address(), &flv_path(slug)).await?;
    let mut rtmp = RtmpPlayer::play(sandbox.rtmp(), slug).await?;
    low.more(PLAYABLE, 2).await?;
    friends.more(PLAYABLE, 2).await?;

    match leaving {
        Leaving::Dropping => publication.vanish().await?,
        Leaving::Stopping => publication.stop().await?,
    }
    let away = sandbox
        .view_until(slug, SOON, |view| view.reconnecting)
        .await?;
    ensure!(
        away.state == "live",
        "the stream waits for its publisher: {away:?}"
    );
    sleep(Duration::from_secs(2)).await;
    ensure!(
        !flv.has_ended() && !low.has_ended(),
        "players were sent away"
    );

    let again = Source::new(&fixture)
        .publish(sandbox.rtmp(), &stream.key)
        .await?;
    sandbox
        .view_until(slug, SOON, |view| {
            view.state == "live" && !view.reconnecting
        })
        .await?;
    flv.more_frames(SOON, 90).await?;
    // What the player's socket held goes by at once; then it is at the new publisher's packets.
    let packets = count_packets(
        RtmpPlayer::play(sandbox.rtmp(), slug).await?,
        Instant::now() + Duration::from_secs(3),
    )
    .await?;
    ensure!(
        packets > 90,
        "a new RTMP player got {packets} packets in 3 s"
    );
    for _ in 0..120 {
        ensure!(
            rtmp.next(SOON).await?.is_some(),
            "the RTMP player was sent away"
        );
    }
    for follower in [&low, &friends] {
        follower
            .wait(PLAYABLE, "segments of the returned publisher", |segments| {
                let first_new = segments.iter().position(|segment| segment.discontinuity);
                first_new.is_some_and(|first| segments.len() >= first + 2)
            })
            .await?;
        ensure!(follower.faults().is_empty(), "{}", follower.summary());
        goes_on(&follower.segments())?;
    }
    let segments = low.segments();
    let joint = segments
        .iter()
        .position(|segment| segment.discontinuity)
        .unwrap_or(0);
    for segment in &segments[joint.saturating_sub(1)..=joint + 1] {
        let decoded = ffmpeg::decode_bytes(&segment.bytes).await?;
        ensure!(
            decoded.complaints.is_empty() && decoded.video > 0,
            "segment {}: {decoded:?}",
            segment.msn
        );
    }
    let back = flv
        .frames()
        .windows(2)
        .find(|pair| pair[1].timestamp < pair[0].timestamp)
        .map(<[_]>::to_vec);
    ensure!(back.is_none(), "HTTP-FLV timestamps went back: {back:?}");
    ensure!(again.is_running(), "the returned publisher was cut off");
    Ok(())
}

/// Numbers only rise, one by one, and so do epochs.
fn goes_on(segments: &[SeenSegment]) -> Result<()> {
    for pair in segments.windows(2) {
        ensure!(
            pair[1].msn > pair[0].msn,
            "{} after {}",
            pair[1].msn,
            pair[0].msn
        );
        ensure!(
            pair[1].epoch >= pair[0].epoch,
            "epoch {} after {}",
            pair[1].epoch,
            pair[0].epoch
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_publisher_that_drops_and_returns_goes_on_with_the_same_stream() -> Result<()> {
    let sandbox = shared().await?;
    scenario(
        sandbox,
        the_publisher_returns(sandbox, "dropped", Leaving::Dropping),
    )
    .await
}

#[tokio::test]
async fn a_publisher_that_stops_and_returns_goes_on_with_the_same_stream() -> Result<()> {
    let sandbox = shared().await?;
    scenario(
        sandbox,
        the_publisher_returns(sandbox, "stopped", Leaving::Stopping),
    )
    .await
}

#[tokio::test]
async fn a_publisher_that_drops_and_returns_goes_on_across_processes() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario(
        &sandbox,
        the_publisher_returns(&sandbox, "dropped", Leaving::Dropping),
    )
    .await
}

#[tokio::test]
async fn a_stream_whose_publisher_stays_away_ends_and_can_start_again() -> Result<()> {
    let sandbox = Sandbox::embedded()
        .set("INGEST__GRACE", "3s")
        .start()
        .await?;
    scenario(&sandbox, async {
        let fixture = Fixture::plain().await?;
        let (stream, publication) = live(&sandbox, "ends", &fixture).await?;
        let slug = stream.slug.as_str();
        let low = Follower::start(&sandbox.hls(slug)).await?;
        let flv = FlvViewer::open(sandbox.playback_address(), &flv_path(slug)).await?;
        low.more(PLAYABLE, 2).await?;
        publication.vanish().await?;
        sandbox
            .view_until(slug, SOON, |view| view.state == "offline")
            .await?;
        eventually(SOON, "players see the end", || async {
            ensure!(low.has_ended(), "HLS goes on: {}", low.summary());
            ensure!(flv.has_ended(), "HTTP-FLV goes on");
            Ok(Some(()))
        })
        .await?;
        ensure!(low.faults().is_empty(), "{}", low.summary());
        let last = low.segments().last().map_or(0, |segment| segment.msn);

        let _again = Source::new(&fixture)
            .publish(sandbox.rtmp(), &stream.key)
            .await?;
        sandbox
            .view_until(slug, SOON, |view| view.state == "live")
            .await?;
        let playlist = eventually(PLAYABLE, "it plays again", || async {
            let playlist = Viewer::open(&sandbox.hls(slug)).await?.load("").await?;
            Ok((!playlist.ended && playlist.last_msn().is_some()).then_some(playlist))
        })
        .await?;
        ensure!(
            playlist.media_sequence > last,
            "numbers went back from {last} to {}",
            playlist.media_sequence
        );
        Ok(())
    })
    .await
}

//! The origin dies, or hangs and wakes: another takes over, and the old one is refused.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{
    Fixture, FlvViewer, Sandbox, eventually,
    hls::{Follower, Viewer},
    http,
};
use tokio::time::{Instant, sleep};

use crate::support::{PLAYABLE, SOON, flv_path, live, scenario, scenario_of_the_dead};

/// Three times the promised 3 s.
const TAKEOVER: Duration = Duration::from_secs(9);

/// Which of the two origins packages a stream: the one that said so last.
async fn holder(sandbox: &Sandbox, slug: &str) -> Result<&'static str> {
    eventually(SOON, "an origin packages the stream", || async {
        for name in ["origin-1", "origin-2"] {
            let log = sandbox.log(name).await?;
            let says = |line: &str| line.contains(": packaging") && line.contains(slug);
            if log.lines().any(says) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    })
    .await
}

/// The newest epoch that the playlist lists.
async fn epoch(viewer: &Viewer) -> Result<u64> {
    let playlist = viewer.load("").await?;
    let last = playlist.segments.last().context("no segments")?;
    last.epoch().context("no epoch in a URI")
}

async fn wait_for_takeover(viewer: &Viewer, before: u64) -> Result<Duration> {
    let began = Instant::now();
    eventually(TAKEOVER, "another origin takes over", || async {
        Ok((epoch(viewer).await? > before).then_some(()))
    })
    .await?;
    Ok(began.elapsed())
}

#[tokio::test]
async fn a_killed_origin_is_replaced_and_players_go_on() -> Result<()> {
    let sandbox = Sandbox::two_origins().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let (stream, _publication) = live(&sandbox, "killed", &Fixture::plain().await?).await?;
        let follower = Follower::start(&sandbox.hls(&stream.slug)).await?;
        let friends = Follower::start(&sandbox.friends(&stream.slug)).await?;
        follower.more(PLAYABLE, 3).await?;
        let path = flv_path(&stream.slug);
        let mut flv = FlvViewer::open(sandbox.playback_address(), &path).await?;
        flv.more_frames(SOON, 30).await?;
        let viewer = Viewer::open(&sandbox.hls(&stream.slug)).await?;
        let before = epoch(&viewer).await?;
        sandbox.kill(holder(&sandbox, &stream.slug).await?).await?;
        wait_for_takeover(&viewer, before).await?;
        flv.more_frames(TAKEOVER, 90).await?;
        ensure!(!flv.has_ended(), "the HTTP-FLV viewer was sent away");
        for follower in [&follower, &friends] {
            follower
                .wait(PLAYABLE, "segments of the new epoch", |segments| {
                    segments
                        .iter()
                        .filter(|segment| segment.epoch > before)
                        .count()
                        >= 3
                })
                .await?;
            let segments = follower.segments();
            for pair in segments.windows(2) {
                ensure!(
                    pair[1].msn > pair[0].msn,
                    "numbers went back: {}",
                    follower.summary()
                );
                ensure!(
                    pair[1].epoch >= pair[0].epoch,
                    "epochs went back: {}",
                    follower.summary()
                );
                let new = pair[1].epoch > pair[0].epoch;
                ensure!(
                    !new || (pair[1].discontinuity && pair[1].map != pair[0].map),
                    "a new epoch without a discontinuity and a new map: {}",
                    follower.summary()
                );
            }
            ensure!(follower.faults().is_empty(), "{}", follower.summary());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_origin_that_hung_and_wakes_is_refused() -> Result<()> {
    let sandbox = Sandbox::two_origins().start().await?;
    scenario(&sandbox, async {
        let (stream, _publication) = live(&sandbox, "woken", &Fixture::plain().await?).await?;
        let follower = Follower::start(&sandbox.hls(&stream.slug)).await?;
        follower.more(PLAYABLE, 2).await?;
        let viewer = Viewer::open(&sandbox.hls(&stream.slug)).await?;
        let before = epoch(&viewer).await?;
        let hung = holder(&sandbox, &stream.slug).await?;
        sandbox.signal(hung, "STOP").await?;
        wait_for_takeover(&viewer, before).await?;
        sandbox.signal(hung, "CONT").await?;
        sleep(Duration::from_secs(6)).await;
        // The other one's media goes on, and nothing of the old epoch came after it.
        follower.more(SOON, 2).await?;
        let segments = follower.segments();
        let first_new = segments
            .iter()
            .position(|segment| segment.epoch > before)
            .context("no segment of the new epoch")?;
        let after = &segments[first_new..];
        ensure!(
            after.iter().all(|segment| segment.epoch == after[0].epoch),
            "epochs after the takeover: {}",
            follower.summary()
        );
        ensure!(follower.faults().is_empty(), "{}", follower.summary());
        let old = segments[first_new - 1].msn;
        let fenced = viewer.url(&format!("../../{before}/{}.m4s", old + 3))?;
        let answer = http::get(viewer.client(), &fenced).await?;
        ensure!(
            answer.status == reqwest::StatusCode::NOT_FOUND,
            "{fenced}, of a fenced origin, was answered with {}",
            answer.status
        );
        eventually(
            SOON,
            "the woken origin knows that it was replaced",
            || async { Ok(sandbox.log(hung).await?.contains("fenced").then_some(())) },
        )
        .await
    })
    .await
}

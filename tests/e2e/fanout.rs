//! Many viewers, one of whom stalls.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{Fixture, FlvViewer, RtmpPlayer, Sandbox, StalledViewer, Turn, largest_gap};
use tokio::time::sleep;

use crate::support::{SOON, flv_path, live, scenario};

const VIEWERS: usize = 200;
/// A frame each 33 or 34 ms: more means that one is missing.
const ONE_FRAME: u32 = 40;

#[tokio::test]
async fn a_stalled_viewer_among_two_hundred_delays_nobody() -> Result<()> {
    // A small queue, so that the stalled one fills it soon.
    let sandbox = Sandbox::embedded()
        .set("PACKAGER__QUEUE_SIZE", "256KiB")
        .start()
        .await?;
    let fixture = Fixture::plain().await?;
    let _turn = Turn::at_load().await?;
    scenario(&sandbox, async {
        let (stream, publication) = live(&sandbox, "crowd", &fixture).await?;
        let (address, path) = (sandbox.playback_address(), flv_path(&stream.slug));
        let mut first = FlvViewer::open(address, &path).await?;
        first.more_frames(SOON, 10).await?;
        let stalled = StalledViewer::open(address, &path).await?;
        let _stalled_by_rtmp =
            RtmpPlayer::play_with_small_buffer(sandbox.rtmp(), &stream.slug).await?;
        let mut viewers = vec![first];
        for _ in 1..VIEWERS {
            viewers.push(FlvViewer::open(address, &path).await?);
        }
        sleep(Duration::from_secs(15)).await;
        for (index, viewer) in viewers.iter_mut().enumerate() {
            let frames = viewer.frames();
            ensure!(!viewer.has_ended(), "viewer {index} was sent away");
            ensure!(
                frames.len() > 400,
                "viewer {index} got {} frames in 15 s",
                frames.len()
            );
            ensure!(
                frames.first().is_some_and(|first| first.keyframe),
                "viewer {index} did not start at a keyframe"
            );
            let gap = largest_gap(&frames);
            ensure!(gap <= ONE_FRAME, "viewer {index} missed {gap} ms");
        }
        ensure!(publication.is_running(), "the publisher was cut off");
        drop(viewers.split_off(1));

        // The stalled one reads again: it is at the live edge soon, and lands on a keyframe.
        let live_edge = viewers[0].frames().last().context("no frames")?.timestamp;
        let mut resumed = stalled.resume();
        resumed
            .wait(SOON, "the stalled viewer is live again", |tags| {
                tags.iter().any(|tag| tag.timestamp >= live_edge)
            })
            .await?;
        let frames = resumed.frames();
        for pair in frames.windows(2) {
            let jump = pair[1].timestamp.abs_diff(pair[0].timestamp) > ONE_FRAME;
            ensure!(
                !jump || pair[1].keyframe,
                "it skipped to no keyframe: {pair:?}"
            );
        }
        Ok(())
    })
    .await
}

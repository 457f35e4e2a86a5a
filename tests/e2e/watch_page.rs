//! The watch page in Chromium.

use anyhow::{Result, ensure};
use testkit::{Browser, Fixture, Source, Turn, Watch};

use crate::support::{SOON, live, scenario, screenshots, shared};

#[tokio::test]
async fn the_watch_page_plays_with_picture_and_sound() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let (stream, _publication) = live(sandbox, "page", &Fixture::plain().await?).await?;
        // The first segment is there before the page asks: what is tested is the page.
        testkit::hls::Viewer::open(&sandbox.hls(&stream.slug)).await?;
        let _turn = Turn::at_load().await?;
        let watch = Watch {
            screenshot: Some(screenshots()?.join("watch-page.png")),
            ..Watch::playing(&sandbox.watch_page(&stream.slug), 8)
        };
        let report = Browser::watch(watch).await?;
        ensure!(report.state == "playing", "{report:?}");
        ensure!(report.advanced > 6.0 && report.frames > 180, "{report:?}");
        ensure!(report.audio_bytes > 50_000, "no sound: {report:?}");
        ensure!(report.stalls.is_none_or(|stalls| stalls <= 1), "{report:?}");
        // At most 2 s behind, with a margin for a loaded machine.
        ensure!(
            report.latency.is_some_and(|latency| latency < 6.0),
            "{report:?}"
        );
        ensure!(report.errors.is_empty(), "{report:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_watch_page_of_an_offline_stream_turns_live_by_itself() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let stream = sandbox.add_stream("later").await?;
        let _turn = Turn::at_load().await?;
        let mut watch = Watch::playing(&sandbox.watch_page(&stream.slug), 4);
        watch.patience_ms = 60_000;
        let page = tokio::spawn(Browser::watch(watch));
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
        let fixture = Fixture::plain().await?;
        let _publication = Source::new(&fixture)
            .publish(sandbox.rtmp(), &stream.key)
            .await?;
        let report = testkit::within(SOON * 5, "the page", page).await???;
        ensure!(report.advanced > 2.0, "{report:?}");
        ensure!(report.errors.is_empty(), "{report:?}");
        Ok(())
    })
    .await
}

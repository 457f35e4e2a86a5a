//! Codecs by Enhanced RTMP, published by a current ffmpeg.

use anyhow::{Result, ensure};
use testkit::{Browser, Fixture, Turn, Vlc, Watch, ffmpeg, hls::Viewer};

use crate::support::{PLAYABLE, SOON, scenario, shared};

#[tokio::test]
async fn av1_and_opus_play_in_chromium_and_ffmpeg() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::av1_opus().await?;
        let stream = sandbox.add_stream("av1").await?;
        let url = sandbox.rtmp_url(&stream.key);
        let _publisher = ffmpeg::Publisher::start(&ffmpeg::current()?, &fixture.path, &url)?;
        sandbox
            .view_until("av1", SOON, |view| view.state == "live")
            .await?;
        let multivariant = Viewer::open(&sandbox.hls("av1")).await?.multivariant;
        ensure!(
            multivariant.contains("av01.") && multivariant.to_lowercase().contains("opus"),
            "{multivariant}"
        );
        let by_hls = ffmpeg::decode_with(&ffmpeg::system(), &sandbox.hls("av1"), 5).await?;
        ensure!(
            by_hls.complaints.is_empty() && by_hls.video >= 140,
            "{by_hls:?}"
        );
        ensure!(by_hls.audio >= 4 * 48_000, "{by_hls:?}");
        let current = ffmpeg::current()?;
        let (flv, rtmp) = (sandbox.flv("av1"), sandbox.rtmp_url("av1"));
        let (by_flv, by_rtmp) = tokio::join!(
            ffmpeg::decode_with(&current, &flv, 5),
            ffmpeg::decode_with(&current, &rtmp, 5)
        );
        for (name, decoded) in [("HTTP-FLV", by_flv?), ("RTMP", by_rtmp?)] {
            ensure!(
                decoded.video >= 140 && decoded.audio >= 4 * 48_000,
                "{name}: {decoded:?}"
            );
        }
        let _turn = Turn::at_load().await?;
        let report = Browser::watch(Watch::playing(&sandbox.watch_page("av1"), 6)).await?;
        ensure!(report.advanced > 4.0 && report.frames > 100, "{report:?}");
        ensure!(report.audio_bytes > 10_000, "no sound: {report:?}");
        ensure!(report.errors.is_empty(), "{report:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn hevc_plays_in_ffmpeg_and_vlc() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::hevc().await?;
        let stream = sandbox.add_stream("hevc").await?;
        let url = sandbox.rtmp_url(&stream.key);
        let _publisher = ffmpeg::Publisher::start(&ffmpeg::current()?, &fixture.path, &url)?;
        sandbox
            .view_until("hevc", PLAYABLE, |view| view.state == "live")
            .await?;
        let multivariant = Viewer::open(&sandbox.hls("hevc")).await?.multivariant;
        ensure!(multivariant.contains("hvc1."), "{multivariant}");
        let by_hls = ffmpeg::decode_with(&ffmpeg::system(), &sandbox.hls("hevc"), 5).await?;
        ensure!(
            by_hls.complaints.is_empty() && by_hls.video >= 140,
            "{by_hls:?}"
        );
        let by_flv = ffmpeg::decode_with(&ffmpeg::current()?, &sandbox.flv("hevc"), 5).await?;
        ensure!(
            by_flv.video >= 140 && by_flv.audio >= 4 * 48_000,
            "{by_flv:?}"
        );
        let _turn = Turn::at_load().await?;
        Vlc::watch(&sandbox.hls("hevc"), 6).await?;
        Ok(())
    })
    .await
}

//! A stream plays in every player, in one process, in three, and from two of each.

use anyhow::{Result, ensure};
use testkit::{Fixture, Sandbox, Turn, Vlc, ffmpeg};

use crate::support::{SOON, live, scenario, shared};

/// Seconds of media each player decodes.
const SECONDS: u32 = 6;

async fn plays_everywhere(sandbox: &Sandbox, slug: &str) -> Result<()> {
    let fixture = Fixture::plain().await?;
    let stream = sandbox.add_stream(slug).await?;
    let url = sandbox.rtmp_url(&stream.key);
    let mut publisher = ffmpeg::Publisher::start(&ffmpeg::system(), &fixture.path, &url)?;
    sandbox
        .view_until(slug, SOON, |view| view.state == "live")
        .await?;
    let urls = [
        sandbox.hls(slug),
        sandbox.friends(slug),
        sandbox.flv(slug),
        sandbox.rtmp_url(slug),
    ];
    let decoded = tokio::join!(
        ffmpeg::decode(&urls[0], SECONDS),
        ffmpeg::decode(&urls[1], SECONDS),
        ffmpeg::decode(&urls[2], SECONDS),
        ffmpeg::decode(&urls[3], SECONDS),
    );
    for (url, decoded) in urls
        .iter()
        .zip([decoded.0, decoded.1, decoded.2, decoded.3])
    {
        let decoded = decoded?;
        ensure!(
            decoded.complaints.is_empty(),
            "ffmpeg on {url}: {:?}",
            decoded.complaints
        );
        ensure!(
            (170..=190).contains(&decoded.video),
            "{url}: {} frames in {SECONDS} s at 30 a second",
            decoded.video
        );
        let seconds_of_sound = decoded.audio as f64 / 48_000.0;
        ensure!(
            (5.5..6.5).contains(&seconds_of_sound),
            "{url}: {seconds_of_sound} s of sound"
        );
    }
    let view = sandbox.view(slug).await?;
    let health = view.health.unwrap_or_default();
    ensure!(
        health["codecs"]
            .as_str()
            .is_some_and(|codecs| codecs.contains("avc1")),
        "the API shows {health}"
    );
    ensure!(
        health["width"] == 320 && health["height"] == 180,
        "{health}"
    );
    ensure!(publisher.is_running(), "the publisher was cut off");
    Ok(())
}

#[tokio::test]
async fn a_stream_plays_everywhere_in_one_process() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, plays_everywhere(sandbox, "everywhere")).await
}

#[tokio::test]
async fn a_stream_plays_everywhere_in_three_processes() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario(&sandbox, plays_everywhere(&sandbox, "everywhere")).await
}

#[tokio::test]
async fn a_stream_plays_everywhere_from_two_of_each() -> Result<()> {
    let sandbox = Sandbox::cluster().start().await?;
    scenario(&sandbox, plays_everywhere(&sandbox, "everywhere")).await
}

#[tokio::test]
async fn vlc_plays_hls_and_flv() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let (stream, _publication) = live(sandbox, "vlc", &Fixture::plain().await?).await?;
        let _turn = Turn::at_load().await?;
        for url in [sandbox.hls(&stream.slug), sandbox.flv(&stream.slug)] {
            Vlc::watch(&url, 6).await?;
        }
        Ok(())
    })
    .await
}

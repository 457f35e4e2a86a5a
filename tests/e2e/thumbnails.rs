//! Pictures of live streams, made by a real ffmpeg of what is really on air.

use anyhow::{Result, ensure};
use testkit::{Fixture, Sandbox, eventually, http};

use crate::support::{PLAYABLE, live, shared};

const NEUTRAL: &[u8] = include_bytes!("../../crates/delivery/assets/no-picture.webp");

/// Width and height in a lossy WebP's header (RFC 9649 §2.5, RFC 6386 §9.1).
fn size(webp: &[u8]) -> Option<(u16, u16)> {
    let frame = webp.strip_prefix(b"RIFF")?.get(4..)?;
    let frame = frame.strip_prefix(b"WEBPVP8 ")?.get(4 + 6..)?;
    let number = |at: usize| Some(u16::from_le_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    Some((number(0)? & 0x3fff, number(2)? & 0x3fff))
}

async fn shows_what_is_on_air(sandbox: &Sandbox, slug: &str) -> Result<()> {
    let client = http::client()?;
    let url = format!(
        "http://{}/live/{slug}/thumbnail.webp",
        sandbox.playback_address()
    );
    let before = http::get(&client, &url).await?;
    ensure!(before.status == 200, "{}", before.status);
    ensure!(before.body == NEUTRAL, "a picture of what is not on air");
    let (_stream, publication) = live(sandbox, slug, &Fixture::plain().await?).await?;
    let picture = eventually(PLAYABLE, "a picture", || async {
        let answer = http::get(&client, &url).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        Ok((answer.body != NEUTRAL).then_some(answer))
    })
    .await?;
    ensure!(
        size(&picture.body) == Some((640, 360)),
        "{:?}",
        size(&picture.body)
    );
    ensure!(
        picture.body.len() > NEUTRAL.len(),
        "{} bytes",
        picture.body.len()
    );
    ensure!(picture.header("content-type") == "image/webp");
    ensure!(picture.header("cache-control") == "public, max-age=10");
    ensure!(picture.header("access-control-allow-origin") == "*");
    let etag = [("if-none-match", picture.header("etag"))];
    let again = http::request(&client, reqwest::Method::GET, &url, &etag).await?;
    ensure!(
        again.status == 304 && again.body.is_empty(),
        "{}",
        again.status
    );
    ensure!(publication.is_running(), "the publisher was cut off");
    Ok(())
}

#[tokio::test]
async fn a_live_stream_has_a_picture() -> Result<()> {
    let sandbox = shared().await?;
    crate::support::scenario(sandbox, shows_what_is_on_air(sandbox, "pictured")).await
}

#[tokio::test]
async fn an_edge_far_from_the_origin_has_one_too() -> Result<()> {
    let sandbox = Sandbox::two_origins().start().await?;
    crate::support::scenario(&sandbox, shows_what_is_on_air(&sandbox, "pictured")).await
}

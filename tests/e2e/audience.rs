//! Who watches is counted, by whatever protocol.

use anyhow::{Result, ensure};
use testkit::{
    Fixture, FlvViewer, Sandbox, eventually,
    hls::{Follower, Viewer},
};

use crate::support::{PLAYABLE, SOON, flv_path, live, scenario, shared};

async fn viewers_are_counted(sandbox: &Sandbox) -> Result<()> {
    let (stream, _publication) = live(sandbox, "audience", &Fixture::plain().await?).await?;
    let slug = stream.slug.as_str();
    let mut hls = Vec::new();
    for url in [sandbox.hls(slug), sandbox.friends(slug), sandbox.hls(slug)] {
        hls.push(Follower::start(&url).await?);
    }
    let mut flv = Vec::new();
    for _ in 0..2 {
        flv.push(FlvViewer::open(sandbox.playback_address(), &flv_path(slug)).await?);
    }
    // Who opens a multivariant and never polls its playlist is no viewer.
    Viewer::open(&sandbox.hls(slug)).await?;
    sandbox
        .view_until(slug, PLAYABLE, |view| view.viewers == 5)
        .await?;
    flv.clear();
    sandbox
        .view_until(slug, SOON, |view| view.viewers == 3)
        .await?;
    hls.clear();
    // Three target durations without a poll.
    sandbox
        .view_until(slug, SOON, |view| view.viewers == 0)
        .await?;
    Ok(())
}

#[tokio::test]
async fn viewers_are_counted_in_one_process() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, viewers_are_counted(sandbox)).await
}

#[tokio::test]
async fn viewers_are_counted_across_processes() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario(&sandbox, viewers_are_counted(&sandbox)).await
}

#[tokio::test]
async fn the_api_lists_streams_and_answers_readably() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let client = testkit::http::client()?;
        let (stream, _publication) = live(sandbox, "listed", &Fixture::plain().await?).await?;
        let url = format!("{}/api/v1/streams?state=live", sandbox.pages());
        eventually(SOON, "the list has the stream", || async {
            let list = testkit::http::fetch(&client, &url).await?.text();
            ensure!(list.contains(&stream.slug), "{list}");
            ensure!(!list.contains(&stream.key), "a key is listed: {list}");
            Ok(Some(()))
        })
        .await?;
        for (path, status) in [
            ("/api/v1/streams/nobody-made-this", 404),
            ("/api/v1/streams?state=nonsense", 400),
            ("/api/v1/nothing", 404),
        ] {
            let answer = testkit::http::get(&client, &format!("{}{path}", sandbox.pages())).await?;
            let kind = answer.header("content-type").to_owned();
            ensure!(
                answer.status.as_u16() == status && kind == "application/problem+json",
                "{path}: {} {kind}",
                answer.status
            );
        }
        Ok(())
    })
    .await
}

//! Who may publish.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::{End, Fixture, FlvViewer, Sandbox, Source, eventually, open_publisher};
use tokio::time::{Instant, sleep};

use crate::support::{SOON, flv_path, live, scenario, shared};

#[tokio::test]
async fn a_wrong_key_is_told_so() -> Result<()> {
    let sandbox = Sandbox::embedded().start().await?;
    scenario(&sandbox, async {
        for key in [
            "a-key-that-nobody-ever-made",
            "short",
            "with spaces and / signs and so on",
            "",
        ] {
            let (code, description) = open_publisher(sandbox.rtmp(), key).await?.rejection()?;
            ensure!(
                code.starts_with("NetStream.Publish."),
                "{key:?}: {code}: {description}"
            );
            ensure!(
                description.contains("key"),
                "{key:?}: {code}: {description}"
            );
            ensure!(
                key.is_empty() || !description.contains(key),
                "the key is repeated: {description}"
            );
        }
        // The slug is no key, and who guesses does not lock the owner out.
        open_publisher(sandbox.rtmp(), &Sandbox::first_stream().slug)
            .await?
            .rejection()?;
        let fixture = Fixture::plain().await?;
        let first = Sandbox::first_stream();
        let publication = Source::new(&fixture)
            .publish(sandbox.rtmp(), &first.key)
            .await?;
        sleep(Duration::from_secs(1)).await;
        ensure!(publication.is_running(), "the owner was locked out");
        let log = sandbox.log("streamr").await?;
        ensure!(!log.contains(&first.key), "a stream key stands in the log");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_publisher_is_refused_while_the_first_is_alive() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::plain().await?;
        let (stream, first) = live(sandbox, "two", &fixture).await?;
        sleep(Duration::from_secs(2)).await;
        let opening = open_publisher(sandbox.rtmp(), &stream.key).await?;
        let (code, description) = opening.rejection()?;
        ensure!(
            code.starts_with("NetStream.Publish."),
            "{code}: {description}"
        );
        ensure!(first.is_running(), "the first was cut off");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_publisher_replaces_one_that_fell_silent() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let fixture = Fixture::plain().await?;
        let (stream, silent) = live(sandbox, "silent", &fixture).await?;
        let path = flv_path(&stream.slug);
        let mut viewer = FlvViewer::open(sandbox.playback_address(), &path).await?;
        viewer.more_frames(SOON, 30).await?;
        silent.hang().await?;
        let since = Instant::now();
        // Encoders try again and again; 3 s of silence are enough for one of them.
        let second = eventually(
            Duration::from_secs(12),
            "the second may publish",
            || async {
                let publication = Source::new(&fixture)
                    .publish(sandbox.rtmp(), &stream.key)
                    .await?;
                Ok(Some(publication))
            },
        )
        .await?;
        let waited = since.elapsed();
        ensure!(
            waited >= Duration::from_secs(2),
            "it was let in after {waited:?}"
        );
        viewer.more_frames(SOON, 30).await?;
        ensure!(second.is_running(), "the second was cut off");
        Ok(())
    })
    .await
}

async fn a_new_key_cuts(sandbox: &Sandbox, slug: &str) -> Result<()> {
    let fixture = Fixture::plain().await?;
    let (old, mut publication) = live(sandbox, slug, &fixture).await?;
    let new = sandbox.new_key(slug).await?;
    ensure!(
        new.key != old.key && new.key.len() >= 22,
        "the new key is {}",
        new.key
    );
    let end = publication.end(SOON).await?;
    ensure!(end != End::AsTold, "it ended by itself");
    open_publisher(sandbox.rtmp(), &old.key)
        .await?
        .rejection()?;
    let again = Source::new(&fixture)
        .publish(sandbox.rtmp(), &new.key)
        .await?;
    sleep(Duration::from_secs(1)).await;
    ensure!(again.is_running(), "the new key does not hold");
    Ok(())
}

#[tokio::test]
async fn a_new_key_cuts_the_old_publisher_off() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, a_new_key_cuts(sandbox, "rekeyed")).await
}

#[tokio::test]
async fn a_new_key_cuts_the_old_publisher_off_across_processes() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario(&sandbox, a_new_key_cuts(&sandbox, "rekeyed")).await
}

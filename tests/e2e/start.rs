//! What a person meets who starts `streamr`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{Fixture, Sandbox, Source, eventually};

use crate::support::{SOON, scenario_of_the_dead};

#[tokio::test]
async fn the_first_start_prints_links_and_a_key_that_works() -> Result<()> {
    let sandbox = Sandbox::one_process()
        .unset("BOOTSTRAP__STREAM")
        .unset("BOOTSTRAP__STREAM_KEY")
        .unset("LOG__LEVEL")
        .start()
        .await?;
    scenario_of_the_dead(&sandbox, async {
        let banner = eventually(SOON, "the banner", || async {
            let said = sandbox.log("streamr").await?;
            Ok(said.contains("rtmp://").then_some(said))
        })
        .await?;
        for word in ["/watch/live", "this machine", "OBS"] {
            ensure!(banner.contains(word), "no {word:?} in {banner}");
        }
        let noise = ["INFO", "WARN", "ERROR", "{\""];
        ensure!(
            !noise.iter().any(|noise| banner.contains(noise)),
            "noise: {banner}"
        );
        let key = banner
            .split_whitespace()
            .find(|word| word.len() >= 22 && !word.contains(['/', ':', '.']))
            .with_context(|| format!("no key in {banner}"))?
            .to_owned();
        let fixture = Fixture::plain().await?;
        let publication = Source::new(&fixture).publish(sandbox.rtmp(), &key).await?;
        sandbox
            .view_until("live", SOON, |view| view.state == "live")
            .await?;

        // Told to stop, it stops well, with a publisher on; the second start shows no key.
        sandbox.signal("streamr", "TERM").await?;
        eventually(SOON, "it stops", || async {
            let ended = sandbox
                .with("streamr", |process| Ok(!process.is_running()))
                .await?;
            Ok(ended.then_some(()))
        })
        .await?;
        drop(publication);
        let before = sandbox.log("streamr").await?.len();
        sandbox.launch("streamr").await?;
        sandbox.ready("streamr").await?;
        let second = eventually(SOON, "the second banner", || async {
            let said = sandbox.log("streamr").await?.split_off(before);
            Ok(said.contains("rtmp://").then_some(said))
        })
        .await?;
        ensure!(!second.contains(&key), "the key is shown again: {second}");
        Source::new(&fixture).publish(sandbox.rtmp(), &key).await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stop_is_clean_while_people_watch() -> Result<()> {
    let sandbox = Sandbox::three_processes().start().await?;
    scenario_of_the_dead(&sandbox, async {
        let fixture = Fixture::plain().await?;
        let (stream, _publication) = crate::support::live(&sandbox, "stops", &fixture).await?;
        let path = crate::support::flv_path(&stream.slug);
        let mut viewer = testkit::FlvViewer::open(sandbox.playback_address(), &path).await?;
        viewer.more_frames(SOON, 30).await?;
        for name in ["packager", "ingest", "coordinator"] {
            sandbox.signal(name, "TERM").await?;
            // A drain has its bound; ended by itself and well is what counts.
            eventually(
                Duration::from_secs(30),
                &format!("{name} stops well"),
                || async {
                    let ended = sandbox.with(name, |process| Ok(process.epitaph())).await?;
                    ensure!(
                        ended
                            .as_ref()
                            .is_none_or(|epitaph| epitaph.contains("code 0")),
                        "{ended:?}"
                    );
                    Ok(ended)
                },
            )
            .await?;
        }
        Ok(())
    })
    .await
}

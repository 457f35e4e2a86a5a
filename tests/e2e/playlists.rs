//! The server's duties of RFC 8216bis on what we serve.

use anyhow::{Result, ensure};
use testkit::{
    Fixture, Sandbox, eventually,
    hls::{self, Flavour, Viewer},
};

use crate::support::{PLAYABLE, SOON, live, scenario};

#[tokio::test]
async fn both_playlists_keep_the_specification_from_start_to_end() -> Result<()> {
    let sandbox = Sandbox::embedded()
        .set("INGEST__GRACE", "3s")
        .start()
        .await?;
    scenario(&sandbox, async {
        let (stream, publication) = live(&sandbox, "duties", &Fixture::plain().await?).await?;
        let (low, friends) = (sandbox.hls(&stream.slug), sandbox.friends(&stream.slug));
        let low_session = Viewer::open(&low).await?;
        let friends_session = Viewer::open(&friends).await?;
        // The window must be full for segments to be removed: 30 s.
        let first = low_session.load("").await?.media_sequence;
        eventually(PLAYABLE * 3, "the window is full", || async {
            let playlist = low_session.load("").await?;
            Ok((playlist.media_sequence > first).then_some(()))
        })
        .await?;
        let (on_low, on_friends) = tokio::join!(
            hls::check(&low, Flavour::LowLatency),
            hls::check(&friends, Flavour::Friends)
        );
        let (on_low, on_friends) = (on_low?, on_friends?);
        ensure!(on_low.0.is_empty(), "index.m3u8:\n{}", on_low.0.join("\n"));
        ensure!(
            on_friends.0.is_empty(),
            "friends.m3u8:\n{}",
            on_friends.0.join("\n")
        );

        publication.stop().await?;
        eventually(SOON, "the playlist ends", || async {
            Ok(low_session.load("").await?.ended.then_some(()))
        })
        .await?;
        let on_low = hls::check_ended(&low_session, Flavour::LowLatency).await?;
        let on_friends = hls::check_ended(&friends_session, Flavour::Friends).await?;
        ensure!(
            on_low.0.is_empty(),
            "index.m3u8, ended:\n{}",
            on_low.0.join("\n")
        );
        ensure!(
            on_friends.0.is_empty(),
            "friends.m3u8, ended:\n{}",
            on_friends.0.join("\n")
        );
        Ok(())
    })
    .await
}

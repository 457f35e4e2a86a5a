//! Private streams: who has a token plays everywhere, nobody else anywhere, and rights end at once.

use std::time::Duration;

use anyhow::{Result, ensure};
use rtmp::session::ClientEvent;
use testkit::{
    Fixture, FlvViewer, Opening, RtmpPlayer, Sandbox, eventually, ffmpeg, hls::Viewer, http,
};

use crate::{
    owner::{Owner, Ticket, owned},
    support::{PLAYABLE, SOON, flv_path, scenario, scenario_of_the_dead},
};

/// Promised: a second. Machines are slow and shared.
const AT_ONCE: Duration = Duration::from_secs(3);

fn with_token(slug: &str, ticket: &Ticket) -> String {
    format!("{}?token={}", flv_path(slug), ticket.token)
}

async fn status(url: &str) -> Result<u16> {
    Ok(http::get(&http::client()?, url).await?.status.as_u16())
}

/// A session on the low-latency playlist, once there is one.
async fn session(ticket: &Ticket) -> Result<Viewer> {
    eventually(PLAYABLE, "the playlist opens", || async {
        Viewer::open(&ticket.playlist).await.map(Some)
    })
    .await
}

/// Reads until the server says no or hangs up; within `limit`.
async fn end_of(player: &mut RtmpPlayer, limit: Duration) -> Result<Option<ClientEvent>> {
    let ended = async {
        loop {
            match player.next(SOON).await? {
                Some(ClientEvent::Packet(_) | ClientEvent::Metadata(_) | ClientEvent::Ready) => {}
                other => return anyhow::Ok(other),
            }
        }
    };
    testkit::within(limit, "the player is cut off", ended).await?
}

async fn ends(viewer: &FlvViewer, limit: Duration) -> Result<()> {
    eventually(limit, "the viewer is cut off", || async {
        Ok(viewer.has_ended().then_some(()))
    })
    .await
}

async fn plays_with_a_token_only(sandbox: &Sandbox, slug: &str) -> Result<()> {
    let owner = Owner::log_in(sandbox).await?;
    let _publication = owner
        .live(slug, "private", &Fixture::plain().await?)
        .await?;
    let ticket = owner.ticket(slug).await?;
    let viewer = session(&ticket).await?;
    ensure!(
        viewer.playlist.path().contains(&ticket.session),
        "{}",
        viewer.playlist
    );
    let playlist = viewer.load("").await?;
    let uri = playlist
        .segments
        .iter()
        .find_map(|segment| segment.uri.clone());
    let uri = uri.unwrap_or_default();
    let object = viewer.object(&uri).await?;
    ensure!(object.header("cache-control").starts_with("private"));
    // Everything that plays, plays; players open more than once.
    let decoded = tokio::join!(
        ffmpeg::decode(&ticket.playlist, 4),
        ffmpeg::decode(&ticket.friends, 4),
        ffmpeg::decode(&ticket.rtmp, 4),
    );
    for decoded in [decoded.0?, decoded.1?, decoded.2?] {
        ensure!((110..=130).contains(&decoded.video), "{decoded:?}");
    }
    let playback = sandbox.playback_address();
    FlvViewer::open(playback, &with_token(slug, &ticket))
        .await?
        .more_frames(SOON, 10)
        .await?;
    // And nothing without.
    let public = format!("http://{playback}/live/{slug}");
    for url in [sandbox.hls(slug), sandbox.friends(slug), sandbox.flv(slug)] {
        ensure!(status(&url).await? == 404, "{url}");
        ensure!(status(&format!("{url}?token=x")).await? == 401, "{url}");
    }
    ensure!(
        status(&format!("{public}/{uri}")).await? == 403,
        "{public}/{uri}"
    );
    ensure!(
        status(&format!("{public}/digests")).await? == 403,
        "{public}/digests"
    );
    let opening = RtmpPlayer::open(sandbox.rtmp(), slug).await?;
    ensure!(
        matches!(&opening, Opening::Rejected { code, .. } if code == "NetStream.Play.StreamNotFound"),
        "{opening:?}"
    );
    let neutral = http::get(&http::client()?, &format!("{public}/thumbnail.webp")).await?;
    let picture = format!("{public}/thumbnail.webp?token={}", ticket.token);
    let picture = http::get(&http::client()?, &picture).await?;
    ensure!(neutral.status == 200 && picture.status == 200);
    ensure!(
        neutral.body != picture.body,
        "a private stream's picture is neutral"
    );
    Ok(())
}

#[tokio::test]
async fn a_private_stream_plays_with_a_token_only() -> Result<()> {
    let sandbox = owned(Sandbox::embedded()).start().await?;
    scenario(&sandbox, plays_with_a_token_only(&sandbox, "secret")).await
}

#[tokio::test]
async fn three_processes_keep_a_stream_private_also_without_the_coordinator() -> Result<()> {
    let sandbox = owned(Sandbox::distributed()).start().await?;
    scenario_of_the_dead(&sandbox, async {
        plays_with_a_token_only(&sandbox, "secret").await?;
        let owner = Owner::log_in(&sandbox).await?;
        let _publication = owner
            .live("alone", "private", &Fixture::plain().await?)
            .await?;
        let ticket = owner.ticket("alone").await?;
        session(&ticket).await?;
        sandbox.kill("coordinator").await?;
        let ticket = Viewer::open(&ticket.playlist).await?;
        ensure!(
            ticket.ask("").await?.status == 200,
            "the token is worth nothing"
        );
        ensure!(status(&sandbox.hls("alone")).await? == 404, "anybody plays");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_revoked_session_ends_and_the_others_go_on() -> Result<()> {
    let sandbox = owned(Sandbox::embedded()).start().await?;
    scenario(&sandbox, async {
        let owner = Owner::log_in(&sandbox).await?;
        let _publication = owner.live("guests", "private", &Fixture::plain().await?).await?;
        let (out, stays) = (owner.ticket("guests").await?, owner.ticket("guests").await?);
        let playback = sandbox.playback_address();
        let (hls_out, hls_stays) = (session(&out).await?, session(&stays).await?);
        let flv_out = FlvViewer::open(playback, &with_token("guests", &out)).await?;
        let mut flv_stays = FlvViewer::open(playback, &with_token("guests", &stays)).await?;
        let name = |ticket: &Ticket| format!("guests?token={}", ticket.token);
        let mut rtmp_out = RtmpPlayer::play(sandbox.rtmp(), &name(&out)).await?;
        let mut rtmp_stays = RtmpPlayer::play(sandbox.rtmp(), &name(&stays)).await?;
        owner.revoke("guests", &out).await?;
        ends(&flv_out, AT_ONCE).await?;
        let end = end_of(&mut rtmp_out, AT_ONCE).await?;
        ensure!(
            matches!(&end, Some(ClientEvent::Rejected { code, .. }) if code == "NetStream.Play.Failed"),
            "{end:?}"
        );
        ensure!(hls_out.ask("").await?.status == 403, "its playlist goes on");
        ensure!(status(&out.playlist).await? == 403, "its token opens");
        ensure!(hls_stays.ask("").await?.status == 200, "another's playlist ended");
        flv_stays.more_frames(SOON, 10).await?;
        ensure!(rtmp_stays.next(SOON).await?.is_some(), "another player was cut off");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_that_becomes_private_keeps_who_has_a_token() -> Result<()> {
    let sandbox = owned(Sandbox::embedded()).start().await?;
    scenario(&sandbox, async {
        let owner = Owner::log_in(&sandbox).await?;
        let _publication = owner
            .live("turning", "public", &Fixture::plain().await?)
            .await?;
        let ticket = owner.ticket("turning").await?;
        let anybody = eventually(PLAYABLE, "the playlist opens", || async {
            Viewer::open(&sandbox.hls("turning")).await.map(Some)
        })
        .await?;
        let token = format!("{}?token={}", sandbox.hls("turning"), ticket.token);
        let friend = Viewer::open(&token).await?;
        let playback = sandbox.playback_address();
        let stranger = FlvViewer::open(playback, &flv_path("turning")).await?;
        let mut flv = FlvViewer::open(playback, &with_token("turning", &ticket)).await?;
        let mut player = RtmpPlayer::play(sandbox.rtmp(), "turning").await?;
        owner.set_visibility("turning", "private").await?;
        ends(&stranger, AT_ONCE).await?;
        end_of(&mut player, AT_ONCE).await?;
        ensure!(
            anybody.ask("").await?.status == 403,
            "anybody's playlist goes on"
        );
        ensure!(
            friend.ask("").await?.status == 200,
            "the friend's playlist ended"
        );
        flv.more_frames(SOON, 10).await?;
        owner.set_visibility("turning", "public").await?;
        eventually(AT_ONCE, "everybody plays again", || async {
            Ok((anybody.ask("").await?.status == 200).then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_stream_that_its_owner_ends_is_over_at_once() -> Result<()> {
    let sandbox = owned(Sandbox::embedded()).start().await?;
    scenario(&sandbox, async {
        let owner = Owner::log_in(&sandbox).await?;
        let fixture = Fixture::b_frames().await?;
        let mut publication = owner.live("ending", "public", &fixture).await?;
        let viewer = eventually(PLAYABLE, "the playlist opens", || async {
            Viewer::open(&sandbox.hls("ending")).await.map(Some)
        })
        .await?;
        eventually(SOON, "health of what is sent", || async {
            let health = owner.stream("ending").await?["health"].clone();
            let seen = health["b_frames"] == true && health["declared_frame_rate"] == 30.0;
            ensure!(seen, "{health}");
            Ok(Some(()))
        })
        .await?;
        let flv = FlvViewer::open(sandbox.playback_address(), &flv_path("ending")).await?;
        let mut player = RtmpPlayer::play(sandbox.rtmp(), "ending").await?;
        owner.end("ending").await?;
        ends(&flv, AT_ONCE).await?;
        end_of(&mut player, AT_ONCE).await?;
        publication.end(AT_ONCE).await?;
        eventually(AT_ONCE, "the playlist ends", || async {
            Ok(viewer
                .ask("")
                .await?
                .text()
                .contains("#EXT-X-ENDLIST")
                .then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn features_that_are_switched_off_say_what_to_do() -> Result<()> {
    let sandbox = owned(Sandbox::embedded()).start().await?;
    scenario(&sandbox, async {
        let owner = Owner::log_in(&sandbox).await?;
        let _publication = owner.live("flags", "public", &Fixture::plain().await?).await?;
        let flv = FlvViewer::open(sandbox.playback_address(), &flv_path("flags")).await?;
        let mut player = RtmpPlayer::play(sandbox.rtmp(), "flags").await?;
        for flag in ["http_flv", "rtmp_play", "thumbnails"] {
            owner.switch(flag, false).await?;
        }
        ends(&flv, AT_ONCE).await?;
        end_of(&mut player, AT_ONCE).await?;
        let refused = http::get(&http::client()?, &sandbox.flv("flags")).await?;
        ensure!(refused.status == 403 && refused.text().contains("index.m3u8"));
        let opening = RtmpPlayer::open(sandbox.rtmp(), "flags").await?;
        ensure!(
            matches!(&opening, Opening::Rejected { description, .. } if description.contains("index.m3u8")),
            "{opening:?}"
        );
        owner.switch("http_flv", true).await?;
        eventually(AT_ONCE, "HTTP-FLV plays again", || async {
            FlvViewer::open(sandbox.playback_address(), &flv_path("flags")).await.map(Some)
        })
        .await
        .map(drop)
    })
    .await
}

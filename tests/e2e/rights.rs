//! Rights in every player: who has a token plays everywhere, nobody else anywhere; and a right that ends is
//! nobody else's end.

use std::time::Duration;

use anyhow::{Result, ensure};
use rtmp::session::ClientEvent;
use serde::Deserialize;
use serde_json::json;
use testkit::{
    Account, Fixture, FlvViewer, Opening, Publication, RtmpPlayer, Sandbox, Source, eventually,
    ffmpeg, hls::Viewer, http,
};

use crate::support::{PLAYABLE, SOON, flv_path, scenario, scenario_of_the_dead, shared};

/// Promised: a second. Machines are slow and shared.
const AT_ONCE: Duration = Duration::from_secs(3);

/// What a viewer is given: a token, and where it plays.
#[derive(Debug, Clone, Deserialize)]
struct Ticket {
    session: String,
    token: String,
    playlist: String,
    friends_playlist: String,
    rtmp: String,
}

impl Ticket {
    async fn of(owner: &Account, slug: &str) -> Result<Self> {
        let path = format!("/streams/{slug}/sessions");
        Ok(serde_json::from_value(
            owner.post(&path, &json!({})).await?,
        )?)
    }

    fn flv(&self, slug: &str) -> String {
        format!("{}?token={}", flv_path(slug), self.token)
    }

    /// A session on the low-latency playlist, once there is one.
    async fn session(&self) -> Result<Viewer> {
        eventually(PLAYABLE, "the playlist opens", || async {
            Viewer::open(&self.playlist).await.map(Some)
        })
        .await
    }
}

/// Frames are reordered, and the encoder says how many there are.
async fn live(
    sandbox: &Sandbox,
    owner: &Account,
    slug: &str,
    visibility: &str,
) -> Result<Publication> {
    let key = owner.stream(slug, visibility).await?.key;
    let fixture = Fixture::b_frames().await?;
    let publication = Source::new(&fixture).publish(sandbox.rtmp(), &key).await?;
    eventually(SOON, "health of what is sent", || async {
        let stream = owner.get(&format!("/streams/{slug}")).await?;
        let health = &stream["health"];
        ensure!(stream["state"] == "live", "it is {}", stream["state"]);
        ensure!(health["declared_frame_rate"] == 30.0, "{health}");
        ensure!(health["b_frames"] == true, "{health}");
        Ok(Some(()))
    })
    .await?;
    Ok(publication)
}

async fn status(url: &str) -> Result<u16> {
    Ok(http::get(&http::client()?, url).await?.status.as_u16())
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
    let owner = sandbox.owner().await?;
    let _publication = live(sandbox, &owner, slug, "private").await?;
    let ticket = Ticket::of(&owner, slug).await?;
    let viewer = ticket.session().await?;
    let at = viewer.playlist.path();
    ensure!(at.contains(&ticket.session), "{at}");
    let playlist = viewer.load("").await?;
    let uri = playlist
        .segments
        .iter()
        .find_map(|segment| segment.uri.clone());
    let uri = uri.unwrap_or_default();
    viewer.object(&uri).await?;
    // Real players open more than once.
    let decoded = tokio::join!(
        ffmpeg::decode(&ticket.playlist, 4),
        ffmpeg::decode(&ticket.friends_playlist, 4),
        ffmpeg::decode(&ticket.rtmp, 4),
    );
    for decoded in [decoded.0?, decoded.1?, decoded.2?] {
        ensure!((110..=130).contains(&decoded.video), "{decoded:?}");
    }
    let playback = sandbox.playback_address();
    let mut flv = FlvViewer::open(playback, &ticket.flv(slug)).await?;
    flv.more_frames(SOON, 10).await?;
    // And nothing without.
    let public = format!("http://{playback}/live/{slug}");
    for url in [sandbox.hls(slug), sandbox.friends(slug), sandbox.flv(slug)] {
        ensure!(status(&url).await? == 404, "{url}");
        ensure!(status(&format!("{url}?token=x")).await? == 401, "{url}");
    }
    for path in [uri.as_str(), "digests"] {
        let url = format!("{public}/{path}");
        ensure!(status(&url).await? == 403, "{url}");
    }
    let opening = RtmpPlayer::open(sandbox.rtmp(), slug).await?;
    ensure!(
        matches!(&opening, Opening::Rejected { code, .. } if code == "NetStream.Play.StreamNotFound"),
        "{opening:?}"
    );
    let client = http::client()?;
    let neutral = http::get(&client, &format!("{public}/thumbnail.webp")).await?;
    let picture = format!("{public}/thumbnail.webp?token={}", ticket.token);
    let picture = http::get(&client, &picture).await?;
    ensure!(neutral.status == 200 && picture.status == 200);
    ensure!(neutral.body != picture.body, "no picture, or everybody's");
    Ok(())
}

#[tokio::test]
async fn a_private_stream_plays_in_real_players_with_a_token_only() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, plays_with_a_token_only(sandbox, "confidential")).await
}

#[tokio::test]
async fn a_stream_stays_private_and_opens_while_the_coordinator_is_away() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario_of_the_dead(&sandbox, async {
        plays_with_a_token_only(&sandbox, "confidential").await?;
        let owner = sandbox.owner().await?;
        let _publication = live(&sandbox, &owner, "alone", "private").await?;
        let (first, late) = (
            Ticket::of(&owner, "alone").await?,
            Ticket::of(&owner, "alone").await?,
        );
        let viewer = first.session().await?;
        sandbox.kill("coordinator").await?;
        let opened = Viewer::open(&late.playlist).await?;
        for viewer in [viewer, opened] {
            ensure!(viewer.ask("").await?.status == 200, "{}", viewer.playlist);
        }
        ensure!(status(&sandbox.hls("alone")).await? == 404, "anybody plays");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_revoked_session_ends_in_every_player_and_the_others_go_on() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let _publication = live(sandbox, &owner, "guests", "private").await?;
        let (out, stays) = (
            Ticket::of(&owner, "guests").await?,
            Ticket::of(&owner, "guests").await?,
        );
        let playback = sandbox.playback_address();
        let hls_stays = stays.session().await?;
        let flv_out = FlvViewer::open(playback, &out.flv("guests")).await?;
        let mut flv_stays = FlvViewer::open(playback, &stays.flv("guests")).await?;
        let name = |ticket: &Ticket| format!("guests?token={}", ticket.token);
        let mut rtmp_out = RtmpPlayer::play(sandbox.rtmp(), &name(&out)).await?;
        let mut rtmp_stays = RtmpPlayer::play(sandbox.rtmp(), &name(&stays)).await?;
        owner
            .delete(&format!("/streams/guests/sessions/{}", out.session))
            .await?;
        ends(&flv_out, AT_ONCE).await?;
        let end = end_of(&mut rtmp_out, AT_ONCE).await?;
        ensure!(
            matches!(&end, Some(ClientEvent::Rejected { code, .. }) if code == "NetStream.Play.Failed"),
            "{end:?}"
        );
        ensure!(status(&out.playlist).await? == 403, "its token opens");
        ensure!(hls_stays.ask("").await?.status == 200, "another's ended");
        flv_stays.more_frames(SOON, 10).await?;
        let next = rtmp_stays.next(SOON).await?;
        ensure!(next.is_some(), "another player was cut off");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_stream_that_becomes_private_keeps_who_has_a_token() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let _publication = live(sandbox, &owner, "turning", "public").await?;
        let ticket = Ticket::of(&owner, "turning").await?;
        let anybody = eventually(PLAYABLE, "the playlist opens", || async {
            Viewer::open(&sandbox.hls("turning")).await.map(Some)
        })
        .await?;
        let url = format!("{}?token={}", sandbox.hls("turning"), ticket.token);
        let friend = Viewer::open(&url).await?;
        let playback = sandbox.playback_address();
        let stranger = FlvViewer::open(playback, &flv_path("turning")).await?;
        let mut flv = FlvViewer::open(playback, &ticket.flv("turning")).await?;
        let mut player = RtmpPlayer::play(sandbox.rtmp(), "turning").await?;
        let make = async |visibility: &str| {
            let change = json!({ "visibility": visibility });
            owner.patch("/streams/turning", &change).await
        };
        make("private").await?;
        ends(&stranger, AT_ONCE).await?;
        end_of(&mut player, AT_ONCE).await?;
        ensure!(anybody.ask("").await?.status == 403, "anybody's goes on");
        ensure!(friend.ask("").await?.status == 200, "the friend's ended");
        flv.more_frames(SOON, 10).await?;
        make("public").await?;
        eventually(AT_ONCE, "everybody plays again", || async {
            Ok((anybody.ask("").await?.status == 200).then_some(()))
        })
        .await
    })
    .await
}

#[tokio::test]
async fn an_ended_stream_ends_in_every_player() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let mut publication = live(sandbox, &owner, "ending", "public").await?;
        let viewer = eventually(PLAYABLE, "the playlist opens", || async {
            Viewer::open(&sandbox.hls("ending")).await.map(Some)
        })
        .await?;
        let flv = FlvViewer::open(sandbox.playback_address(), &flv_path("ending")).await?;
        let mut player = RtmpPlayer::play(sandbox.rtmp(), "ending").await?;
        let offline = json!({ "state": "offline" });
        owner.post("/streams/ending/state", &offline).await?;
        ends(&flv, AT_ONCE).await?;
        end_of(&mut player, AT_ONCE).await?;
        publication.end(AT_ONCE).await?;
        eventually(AT_ONCE, "the playlist ends", || async {
            let text = viewer.ask("").await?.text();
            Ok(text.contains("#EXT-X-ENDLIST").then_some(()))
        })
        .await
    })
    .await
}

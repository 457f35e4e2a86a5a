//! Who may watch what isn't public: by token only, in every protocol, until the right ends.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use testkit::{
    Account, Fixture, FlvViewer, Publication, RtmpPlayer, Sandbox, Source, eventually, hls, http,
    send,
};

use crate::support::{PLAYABLE, SOON, scenario, shared};

/// A second for every service to hear of it, and twice that for a loaded machine.
const CUT_OFF: Duration = Duration::from_secs(3);

struct Private {
    owner: Account,
    slug: String,
    _publication: Publication,
}

async fn private(sandbox: &Sandbox, slug: &str) -> Result<Private> {
    let owner = sandbox.owner().await?;
    let stream = owner.stream(slug, "private").await?;
    let fixture = Fixture::plain().await?;
    let publication = Source::new(&fixture)
        .publish(sandbox.rtmp(), &stream.key)
        .await?;
    eventually(SOON, "it is live", || async {
        let view = owner.get(&format!("/streams/{slug}")).await?;
        Ok((view["state"] == "live").then_some(()))
    })
    .await?;
    Ok(Private {
        owner,
        slug: slug.to_owned(),
        _publication: publication,
    })
}

impl Private {
    async fn session(&self) -> Result<Value> {
        self.owner
            .post(&format!("/streams/{}/sessions", self.slug), &json!({}))
            .await
    }
}

fn text(value: &Value, name: &str) -> Result<String> {
    value[name]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("no {name} in {value}"))
}

/// Opens a session with `secret`, as the watch page does.
async fn by_link(sandbox: &Sandbox, slug: &str, secret: &str) -> Result<http::Answer> {
    let url = format!("{}/api/v1/streams/{slug}/sessions", sandbox.pages());
    send(
        &http::client()?,
        Method::POST,
        &url,
        &[],
        Some(&json!({ "share": secret })),
    )
    .await
}

/// The media playlist that a multivariant names.
async fn media_playlist(client: &Client, url: &str) -> Result<String> {
    let multivariant = http::fetch(client, url).await?.text();
    let uri = multivariant
        .lines()
        .rfind(|line| !line.starts_with('#') && !line.is_empty())
        .context("no URI")?;
    Ok(reqwest::Url::parse(url)?.join(uri)?.to_string())
}

/// `host:port` and path of a URL, for viewers that speak HTTP themselves.
fn parts(url: &str) -> Result<(std::net::SocketAddr, String)> {
    let url = reqwest::Url::parse(url)?;
    let address = url
        .socket_addrs(|| None)?
        .into_iter()
        .next()
        .context("no address")?;
    let query = url
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    Ok((address, format!("{}{query}", url.path())))
}

/// Waits until the viewer is cut off.
async fn ended(viewer: &FlvViewer) -> Result<()> {
    eventually(CUT_OFF * 3, "the viewer is cut off", || async {
        Ok(viewer.has_ended().then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_private_stream_plays_by_token_only_in_every_protocol() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let stream = private(sandbox, "secret").await?;
        let client = http::client()?;
        let view = stream.owner.get("/streams/secret").await?;
        for name in ["hls", "friends", "flv"] {
            let url = text(&view["playback"], name)?;
            let refused = http::get(&client, &url).await?;
            ensure!(
                refused.status == StatusCode::NOT_FOUND,
                "{url}: {} {}",
                refused.status,
                refused.text()
            );
            let forged = http::get(&client, &format!("{url}?token=a.b.c")).await?;
            ensure!(
                forged.status == StatusCode::UNAUTHORIZED,
                "{url}: {}",
                forged.status
            );
        }
        ensure!(
            RtmpPlayer::play(sandbox.rtmp(), "secret").await.is_err(),
            "RTMP plays without a token"
        );
        let session = stream.session().await?;
        let viewer = hls::Viewer::open(&text(&session, "playlist")?).await?;
        drop(viewer);
        let (address, path) = parts(&text(&session, "flv")?)?;
        let mut flv = FlvViewer::open(address, &path).await?;
        flv.more_frames(PLAYABLE, 30).await?;
        let name = format!("secret?token={}", text(&session, "token")?);
        let mut rtmp = RtmpPlayer::play(sandbox.rtmp(), &name).await?;
        ensure!(rtmp.next(PLAYABLE).await?.is_some(), "RTMP ends at once");
        // Segments stay under the session.
        let media = media_playlist(&client, &text(&session, "playlist")?).await?;
        let playlist = http::fetch(&client, &media).await?.text();
        let segment = playlist
            .lines()
            .rfind(|line| !line.starts_with('#') && line.contains(".m4s"))
            .context("no segment")?;
        let under = reqwest::Url::parse(&media)?.join(segment)?.to_string();
        let answer = http::fetch(&client, &under).await?;
        ensure!(
            answer.header("cache-control").starts_with("private"),
            "{answer:?}"
        );
        let public = under.replace(
            &under[under.find("/s/").context("not under the session")?
                ..under.find("/s/").unwrap_or(0) + 39],
            "",
        );
        let answer = http::get(&client, &public).await?;
        ensure!(
            answer.status.is_client_error(),
            "{public}: {}",
            answer.status
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_share_link_lets_in_until_it_is_revoked() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let stream = private(sandbox, "shared").await?;
        let link = stream
            .owner
            .post("/streams/shared/links", &json!({ "label": "Friends" }))
            .await?;
        let secret = text(&link, "secret")?;
        ensure!(
            secret.len() >= 22
                && text(&link, "url")?.ends_with(&format!("/watch/shared#share={secret}")),
            "{link}"
        );
        ensure!(
            by_link(sandbox, "shared", "not-the-secret-of-it")
                .await?
                .status
                == StatusCode::NOT_FOUND
        );
        let opened = by_link(sandbox, "shared", &secret).await?;
        ensure!(opened.status == StatusCode::CREATED, "{}", opened.text());
        let session: Value = serde_json::from_slice(&opened.body)?;
        let client = http::client()?;
        let media = media_playlist(&client, &text(&session, "playlist")?).await?;
        http::fetch(&client, &media).await?;
        let (address, path) = parts(&text(&session, "flv")?)?;
        let mut flv = FlvViewer::open(address, &path).await?;
        flv.more_frames(PLAYABLE, 30).await?;
        let listed = stream.owner.get("/streams/shared/sessions").await?;
        ensure!(
            listed["items"][0]["via"] == "link" && listed["items"][0]["link"]["label"] == "Friends",
            "{listed}"
        );
        ensure!(!listed.to_string().contains(&secret));
        let id = text(&link, "id")?;
        stream
            .owner
            .delete(&format!("/streams/shared/links/{id}"))
            .await?;
        eventually(CUT_OFF * 3, "the playlist is refused", || async {
            let answer = http::get(&client, &media).await?;
            Ok((answer.status == StatusCode::FORBIDDEN).then_some(()))
        })
        .await?;
        ended(&flv).await?;
        ensure!(by_link(sandbox, "shared", &secret).await?.status == StatusCode::NOT_FOUND);
        // The owner goes on.
        let own = stream.session().await?;
        http::fetch(&client, &text(&own, "playlist")?).await?;
        Ok(())
    })
    .await
}

async fn becoming_private(sandbox: &Sandbox) -> Result<()> {
    let owner = sandbox.owner().await?;
    let made = owner.stream("turned", "public").await?;
    let fixture = Fixture::plain().await?;
    let _publication = Source::new(&fixture)
        .publish(sandbox.rtmp(), &made.key)
        .await?;
    sandbox
        .view_until("turned", SOON, |view| view.state == "live")
        .await?;
    let client = http::client()?;
    hls::Viewer::open(&sandbox.hls("turned")).await?;
    let media = media_playlist(&client, &sandbox.hls("turned")).await?;
    let mut flv = FlvViewer::open(sandbox.playback_address(), "/live/turned.flv").await?;
    flv.more_frames(PLAYABLE, 30).await?;
    owner
        .patch("/streams/turned", &json!({ "visibility": "private" }))
        .await?;
    ended(&flv).await?;
    eventually(CUT_OFF * 3, "the playlist is refused", || async {
        let answer = http::get(&client, &media).await?;
        Ok(answer.status.is_client_error().then_some(()))
    })
    .await?;
    let hidden = http::get(
        &client,
        &format!("{}/api/v1/streams/turned", sandbox.pages()),
    )
    .await?;
    ensure!(hidden.status == StatusCode::NOT_FOUND, "{}", hidden.text());
    owner
        .patch("/streams/turned", &json!({ "visibility": "unlisted" }))
        .await?;
    eventually(SOON, "everybody plays again", || async {
        let answer = http::get(&client, &sandbox.hls("turned")).await?;
        Ok((answer.status == StatusCode::OK).then_some(()))
    })
    .await?;
    let listed = http::fetch(&client, &format!("{}/api/v1/streams", sandbox.pages()))
        .await?
        .text();
    ensure!(!listed.contains("turned"), "unlisted is not listed");
    Ok(())
}

#[tokio::test]
async fn making_a_stream_private_cuts_strangers_off() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, becoming_private(sandbox)).await
}

#[tokio::test]
async fn making_a_stream_private_cuts_strangers_off_across_processes() -> Result<()> {
    let sandbox = Sandbox::distributed().start().await?;
    scenario(&sandbox, becoming_private(&sandbox)).await
}

#[tokio::test]
async fn a_rehearsal_is_for_its_owner_until_it_goes_live() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let owner = sandbox.owner().await?;
        let made = owner
            .post(
                "/streams",
                &json!({ "title": "Rehearsal", "slug": "rehearsal", "testing": true }),
            )
            .await?;
        let fixture = Fixture::plain().await?;
        let _publication = Source::new(&fixture)
            .publish(sandbox.rtmp(), &text(&made, "stream_key")?)
            .await?;
        eventually(SOON, "it is rehearsed", || async {
            Ok((owner.get("/streams/rehearsal").await?["state"] == "testing").then_some(()))
        })
        .await?;
        let client = http::client()?;
        let url = format!("{}/api/v1/streams/rehearsal", sandbox.pages());
        ensure!(http::get(&client, &url).await?.status == StatusCode::NOT_FOUND);
        ensure!(
            http::get(&client, &sandbox.hls("rehearsal")).await?.status == StatusCode::NOT_FOUND
        );
        let session = owner
            .post("/streams/rehearsal/sessions", &json!({}))
            .await?;
        hls::Viewer::open(&text(&session, "playlist")?).await?;
        let moved = owner
            .post("/streams/rehearsal/state", &json!({ "state": "live" }))
            .await?;
        ensure!(moved["state"] == "live", "{moved}");
        eventually(SOON, "everybody plays", || async {
            Ok(
                (http::get(&client, &sandbox.hls("rehearsal")).await?.status == StatusCode::OK)
                    .then_some(()),
            )
        })
        .await?;
        ensure!(http::get(&client, &url).await?.status == StatusCode::OK);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_session_is_revoked_alone() -> Result<()> {
    let sandbox = shared().await?;
    scenario(sandbox, async {
        let stream = private(sandbox, "revoked").await?;
        let client = http::client()?;
        let (one, other) = (stream.session().await?, stream.session().await?);
        let medias = [
            media_playlist(&client, &text(&one, "playlist")?).await?,
            media_playlist(&client, &text(&other, "playlist")?).await?,
        ];
        for media in &medias {
            http::fetch(&client, media).await?;
        }
        let id = text(&one, "session")?;
        stream
            .owner
            .delete(&format!("/streams/revoked/sessions/{id}"))
            .await?;
        eventually(CUT_OFF * 3, "it is refused", || async {
            Ok(
                (http::get(&client, &medias[0]).await?.status == StatusCode::FORBIDDEN)
                    .then_some(()),
            )
        })
        .await?;
        let again = http::get(&client, &text(&one, "playlist")?).await?;
        ensure!(
            again.status == StatusCode::FORBIDDEN,
            "its token opens nothing more: {}",
            again.status
        );
        http::fetch(&client, &medias[1]).await?;
        Ok(())
    })
    .await
}

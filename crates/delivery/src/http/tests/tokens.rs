//! What opens: with a token, without, and with a wrong one.

use std::time::Duration;

use auth::{SigningKey, UnixTime};
use axum::http::StatusCode;
use types::StreamId;

use super::scene::{Scene, now};

#[tokio::test]
async fn a_stranger_learns_nothing_of_a_private_stream() {
    let scene = Scene::restricted();
    for path in ["/index.m3u8", "/friends.m3u8", ".flv", "/index.m3u8?token="] {
        let private = scene.get(&format!("concert{path}")).await;
        let unknown = scene.get(&format!("nobody{path}")).await;
        assert_eq!(private.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(
            (private.status, private.text(), private.headers),
            (unknown.status, unknown.text(), unknown.headers),
            "{path}"
        );
        assert!(
            private
                .body
                .starts_with(b"no such live stream, or it is private")
        );
    }
    let (token, _) = Scene::public().token();
    for path in [
        "/index.m3u8?token=x",
        &format!("/index.m3u8?token={token}"),
        "/s/0190a3f0-5b5c-7c4e-8e3a-0123456789ab/index.m3u8",
        "/s/0190a3f0-5b5c-7c4e-8e3a-0123456789ab/3/7.m4s",
        "/3/7.m4s",
        "/3/init0.mp4",
        "/digests",
        "/thumbnail.webp",
    ] {
        let private = scene.get(&format!("concert{path}")).await;
        let unknown = scene.get(&format!("nobody{path}")).await;
        assert_eq!(
            (private.status, private.body),
            (unknown.status, unknown.body),
            "{path}"
        );
    }
    let demanded = &scene.facts.demanded;
    assert_eq!(demanded.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_what_is_wrong_also_where_none_is_needed() {
    for scene in [Scene::restricted(), Scene::public()] {
        let mut late = scene.claims();
        late.issued_at = UnixTime(now().0 - 301);
        let mut early = scene.claims();
        early.issued_at = now().after(Duration::from_secs(60));
        let foreign = SigningKey::generate().unwrap();
        let foreign = foreign.sign(scene.claims()).unwrap();
        let (good, _) = scene.token();
        let other = if good.ends_with('A') { "Q" } else { "A" };
        let broken = format!("{}{other}", &good[..good.len() - 1]);
        for (token, text) in [
            ("nonsense", "malformed"),
            (&scene.sign(&late), "expired"),
            (&scene.sign(&early), "not valid yet"),
            (foreign.expose(), "key is not known"),
            (&broken, "token"),
        ] {
            for path in ["/index.m3u8", "/friends.m3u8", ".flv"] {
                let heard = scene.get(&format!("concert{path}?token={token}")).await;
                assert_eq!(heard.status, StatusCode::UNAUTHORIZED, "{path} {text}");
                assert!(heard.text().contains(text), "{}", heard.text());
                assert!(heard.text().contains("ask for a new link"));
            }
        }
    }
}

#[tokio::test]
async fn another_streams_token_and_a_revoked_one_are_refused() {
    for scene in [Scene::restricted(), Scene::public()] {
        let mut other = scene.claims();
        other.stream = StreamId::new();
        let other = scene.sign(&other);
        let (revoked, session) = scene.token();
        scene.revoke(session);
        for (token, text) in [(other, "another stream"), (revoked, "ended by")] {
            for path in ["/index.m3u8", "/friends.m3u8", ".flv"] {
                let heard = scene.get(&format!("concert{path}?token={token}")).await;
                assert_eq!(heard.status, StatusCode::FORBIDDEN, "{path} {text}");
                assert!(heard.text().contains(text), "{}", heard.text());
            }
        }
    }
}

#[tokio::test]
async fn a_token_opens_its_session_as_often_as_it_is_good() {
    for scene in [Scene::restricted(), Scene::public()] {
        let (token, session) = scene.token();
        for file in ["index.m3u8", "friends.m3u8", "index.m3u8"] {
            let media = scene.open(&format!("concert/{file}?token={token}")).await;
            assert_eq!(media, format!("concert/s/{session}/{file}"));
            assert_eq!(scene.status(&media).await, 200);
        }
    }
}

#[tokio::test]
async fn tokens_wait_for_keys() {
    let scene = Scene::restricted();
    let (token, _) = scene.token();
    scene.forget_keys();
    let heard = scene
        .get(&format!("concert/index.m3u8?token={token}"))
        .await;
    assert_eq!(heard.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(heard.headers["retry-after"], "1");
}

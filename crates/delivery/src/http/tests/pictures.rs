//! Thumbnails: whose they are, and what everybody else sees.

use axum::http::StatusCode;
use types::Flag;

use super::scene::{Heard, Scene};

fn is_neutral(heard: &Heard) -> bool {
    assert_eq!(heard.status, StatusCode::OK);
    assert_eq!(heard.headers["content-type"], "image/webp");
    heard.body.as_ref() == include_bytes!("../../../assets/no-picture.webp")
}

const PICTURE: &str = "concert/thumbnail.webp";

#[tokio::test]
async fn a_public_streams_picture_is_everybodys() {
    let scene = Scene::public();
    assert!(is_neutral(&scene.get(PICTURE).await), "none was made");
    scene.set_picture(b"RIFF");
    let heard = scene.get(PICTURE).await;
    assert_eq!(heard.body.as_ref(), b"RIFF");
    assert_eq!(heard.caching(), "public, max-age=10");
    let etag = heard.headers["etag"].to_str().unwrap();
    let again = scene.get_with(PICTURE, &[("if-none-match", etag)]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert!(again.body.is_empty());
    assert!(is_neutral(&scene.get("nobody/thumbnail.webp").await));
    scene.switch_off(Flag::Thumbnails);
    assert!(is_neutral(&scene.get(PICTURE).await));
}

#[tokio::test]
async fn a_private_streams_picture_needs_a_token() {
    let scene = Scene::restricted();
    scene.set_picture(b"RIFF");
    let (token, session) = scene.token();
    let heard = scene.get(&format!("{PICTURE}?token={token}")).await;
    assert_eq!(heard.body.as_ref(), b"RIFF");
    assert_eq!(heard.caching(), "private, max-age=10");
    let (other, _) = Scene::restricted().token();
    for query in ["", "?token=x", &format!("?token={other}")] {
        assert!(
            is_neutral(&scene.get(&format!("{PICTURE}{query}")).await),
            "{query}"
        );
    }
    let media = format!("concert/s/{session}/index.m3u8");
    assert_eq!(scene.status(&media).await, 403, "a picture opens nothing");
    scene.revoke(session);
    assert!(is_neutral(
        &scene.get(&format!("{PICTURE}?token={token}")).await
    ));
}

//! HTTP-FLV connections, and how they end when the right to them does.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use types::{Flag, MediaTime};

use super::scene::Scene;
use crate::Batch;

fn push(scene: &Scene, bytes: &'static [u8]) {
    let batch = Batch {
        bytes: Bytes::from_static(bytes),
        join: true,
        time: MediaTime::ZERO,
    };
    scene.stream.flv().push(batch.into());
}

/// Connects; what was there has come.
async fn watching(scene: &Scene, path: &str) -> Body {
    let response = scene.respond(path, &[]).await;
    assert_eq!(response.status().as_u16(), 200, "{path}");
    let mut body = response.into_body();
    assert_eq!(next(&mut body).await.as_deref(), Some(&b"first"[..]));
    body
}

/// The next bytes, or the end; within a second.
async fn next(body: &mut Body) -> Option<Bytes> {
    let frame = tokio::time::timeout(Duration::from_secs(1), body.frame());
    let frame = frame.await.expect("nothing comes, and it is not closed");
    frame.map(|frame| frame.unwrap().into_data().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_becomes_private_closes_who_has_no_token() {
    let scene = Scene::public();
    push(&scene, b"first");
    let (token, _) = scene.token();
    let mut stranger = watching(&scene, "concert.flv").await;
    let mut friend = watching(&scene, &format!("concert.flv?token={token}")).await;
    assert_eq!(scene.stream.viewers(), 2);
    scene.stream.set_restricted(true);
    assert_eq!(next(&mut stranger).await, None, "closed");
    drop(stranger);
    push(&scene, b"more");
    assert_eq!(next(&mut friend).await.as_deref(), Some(&b"more"[..]));
    assert_eq!(scene.stream.viewers(), 1);
    scene.stream.set_restricted(false);
    push(&scene, b"still");
    assert_eq!(next(&mut friend).await.as_deref(), Some(&b"still"[..]));
    let served = scene.stream.served(&(0..i64::MAX));
    let to_viewers: u64 = served.iter().map(|minute| minute.to_viewers.get()).sum();
    assert_eq!(
        to_viewers, 19,
        "two viewers' first, and one's more and still"
    );
}

#[tokio::test(start_paused = true)]
async fn a_revoked_session_is_closed_and_no_other() {
    let scene = Scene::restricted();
    push(&scene, b"first");
    let ((token, session), (other, _)) = (scene.token(), scene.token());
    let mut revoked = watching(&scene, &format!("concert.flv?token={token}")).await;
    let mut friend = watching(&scene, &format!("concert.flv?token={other}")).await;
    scene.revoke(session);
    assert_eq!(next(&mut revoked).await, None, "closed");
    push(&scene, b"more");
    assert_eq!(next(&mut friend).await.as_deref(), Some(&b"more"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_right_lost_between_the_answer_and_its_first_byte_is_lost() {
    let scene = Scene::public();
    let response = scene.respond("concert.flv", &[]).await;
    scene.stream.set_restricted(true);
    push(&scene, b"first");
    assert_eq!(next(&mut response.into_body()).await, None);
}

#[tokio::test(start_paused = true)]
async fn flv_that_is_switched_off_points_to_hls() {
    let scene = Scene::public();
    push(&scene, b"first");
    let mut viewer = watching(&scene, "concert.flv").await;
    scene.switch_off(Flag::HttpFlv);
    assert_eq!(next(&mut viewer).await, None, "closed");
    let heard = scene.get("concert.flv").await;
    assert_eq!(heard.status.as_u16(), 403);
    assert!(heard.text().contains("index.m3u8"), "{}", heard.text());
    assert_eq!(scene.status("concert/index.m3u8").await, 200);
}

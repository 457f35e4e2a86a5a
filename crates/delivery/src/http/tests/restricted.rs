//! What is inside a session, and what a stream does that becomes private while it is live.

use std::time::Duration;

use types::SessionId;

use super::scene::Scene;

async fn opened(scene: &Scene, file: &str) -> (String, SessionId) {
    let (token, session) = scene.token();
    let media = scene.open(&format!("concert/{file}?token={token}")).await;
    (media, session)
}

#[tokio::test]
async fn everything_of_a_private_stream_is_under_its_sessions() {
    let scene = Scene::restricted();
    let (media, session) = opened(&scene, "index.m3u8").await;
    let playlist = scene.get(&media).await;
    assert_eq!(playlist.caching(), "private, no-cache");
    let text = playlist.text();
    assert!(!text.contains("../"), "{text}");
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| match line.strip_prefix('#') {
            None => Some(line),
            Some(tag) => tag.split_once("URI=\"")?.1.split('"').next(),
        })
        .filter(|name| !name.ends_with("9.1.m4s"))
        .collect();
    assert!(names.len() > 5, "{text}");
    for name in names {
        let own = scene.get(&format!("concert/s/{session}/{name}")).await;
        assert_eq!(own.status.as_u16(), 200, "{name}");
        assert_eq!(own.caching(), "private, max-age=31536000, immutable");
        assert_eq!(
            scene.status(&format!("concert/{name}")).await,
            403,
            "{name}"
        );
    }
    let digests = scene
        .get(&format!("concert/s/{session}/digests?after=7"))
        .await;
    assert!(digests.text().contains("\"msn\":8"), "{}", digests.text());
    assert_eq!(scene.status("concert/digests").await, 403);
    assert_eq!(
        scene.status(&format!("concert/s/{session}/3/99.m4s")).await,
        404
    );
}

#[tokio::test]
async fn all_sessions_share_one_rendering() {
    let scene = Scene::restricted();
    let (first, _) = opened(&scene, "friends.m3u8").await;
    let (second, _) = opened(&scene, "friends.m3u8").await;
    assert_ne!(first, second);
    assert_eq!(scene.get(&first).await.body, scene.get(&second).await.body);
}

#[tokio::test]
async fn a_public_stream_is_as_it_was() {
    let scene = Scene::public();
    let media = scene.open("concert/index.m3u8").await;
    let playlist = scene.get(&media).await;
    assert_eq!(playlist.caching(), "no-cache");
    assert!(
        playlist.text().contains("\n../../3/7.m4s\n"),
        "{}",
        playlist.text()
    );
    let object = scene.get("concert/3/7.m4s").await;
    assert_eq!(object.caching(), "public, max-age=31536000, immutable");
    assert_eq!(scene.status("concert/3/99.m4s").await, 404);
}

#[tokio::test]
async fn a_stream_that_becomes_private_goes_on_for_who_has_a_token() {
    let scene = Scene::public();
    let anybody = scene.open("concert/index.m3u8").await;
    let (admitted, session) = opened(&scene, "index.m3u8").await;
    scene.stream.set_restricted(true);
    assert_eq!(scene.status(&anybody).await, 403);
    assert_eq!(scene.status("concert/3/7.m4s").await, 403);
    assert_eq!(scene.status("concert/index.m3u8").await, 404);
    assert_eq!(scene.status(&admitted).await, 200);
    let own = format!("concert/s/{session}/3/7.m4s");
    assert_eq!(scene.status(&own).await, 200);
    scene.stream.set_restricted(false);
    assert_eq!(scene.status(&anybody).await, 200);
    assert_eq!(scene.status("concert/3/7.m4s").await, 200);
    assert_eq!(
        scene.status(&own).await,
        200,
        "a playlist may still name it"
    );
    assert_eq!(scene.status("concert/index.m3u8").await, 200);
}

#[tokio::test]
async fn a_revoked_session_ends_at_once_and_its_token_opens_nothing_more() {
    let scene = Scene::restricted();
    let (token, session) = scene.token();
    let open = format!("concert/index.m3u8?token={token}");
    let media = scene.open(&open).await;
    let (other, _) = opened(&scene, "index.m3u8").await;
    scene.revoke(session);
    assert_eq!(scene.status(&media).await, 403);
    assert_eq!(
        scene.status(&format!("concert/s/{session}/3/7.m4s")).await,
        403
    );
    assert_eq!(scene.status(&open).await, 403);
    assert_eq!(scene.status(&other).await, 200, "another's session");
}

#[tokio::test(start_paused = true)]
async fn what_a_token_opened_outlives_it_until_the_viewer_leaves() {
    let scene = Scene::restricted();
    let (media, session) = opened(&scene, "index.m3u8").await;
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(scene.status(&media).await, 200);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(
            scene.status(&format!("concert/s/{session}/3/7.m4s")).await,
            200
        );
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(scene.status(&media).await, 403);
}

#[tokio::test(start_paused = true)]
async fn a_held_request_is_not_answered_after_the_right_is_gone() {
    let scene = Scene::restricted();
    let (media, session) = opened(&scene, "index.m3u8").await;
    let blocking = format!("{media}?_HLS_msn=9&_HLS_part=1");
    let part = format!("concert/s/{session}/3/9.1.m4s");
    let revoke = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.revoke(session);
        let event = crate::WindowEvent::Part {
            msn: types::Msn::new(9),
            index: types::PartIndex::new(1),
            duration: types::MediaTime::from_millis(1000),
            independent: false,
            data: bytes::Bytes::from_static(b"late"),
        };
        scene.stream.apply(&event).unwrap();
    };
    let (playlist, part, ()) = tokio::join!(scene.status(&blocking), scene.status(&part), revoke);
    assert_eq!((playlist, part), (403, 403));
}

#[tokio::test]
async fn a_session_that_another_edge_opened_goes_on_here() {
    let scene = Scene::restricted();
    let (elsewhere, made_up) = (SessionId::new(), SessionId::new());
    scene.facts.elsewhere.lock().1.insert(elsewhere);
    assert_eq!(
        scene
            .status(&format!("concert/s/{made_up}/index.m3u8"))
            .await,
        403
    );
    assert_eq!(
        scene
            .status(&format!("concert/s/{elsewhere}/index.m3u8"))
            .await,
        200
    );
    scene.facts.elsewhere.lock().1.clear();
    let again = scene
        .status(&format!("concert/s/{elsewhere}/3/8.m4s"))
        .await;
    assert_eq!(again, 200, "it is known here now");
    scene.revoke(elsewhere);
    scene.facts.elsewhere.lock().1.insert(elsewhere);
    assert_eq!(
        scene
            .status(&format!("concert/s/{elsewhere}/index.m3u8"))
            .await,
        403
    );
}

#[tokio::test]
async fn a_multivariant_names_the_other_edges_with_the_same_session() {
    let scene = Scene::restricted();
    scene.facts.elsewhere.lock().0 = vec!["https://b.example".to_owned()];
    let (token, session) = scene.token();
    let text = scene
        .get(&format!("concert/index.m3u8?token={token}"))
        .await
        .text();
    let uris: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        uris,
        [
            format!("s/{session}/index.m3u8"),
            format!("https://b.example/live/concert/s/{session}/index.m3u8"),
        ]
    );
    assert_eq!(
        scene
            .stream
            .admitted_within(std::time::Duration::from_secs(10)),
        [session],
        "coordinators are told of it again"
    );
    assert_eq!(
        *scene.facts.told.lock(),
        [session],
        "and before it is answered"
    );
}

//! Who may play, and who may go on.

use auth::SigningKey;
use futures::FutureExt;
use proto::coordinator::{
    Flags, PlaybackKey, PlaybackKeys, SessionRevoked, StreamGone, StreamInfo, watch_response::Event,
};
use types::{ByteCount, PublishId};

use super::*;
use crate::hub::Authorized;

struct Scene {
    hub: Hub,
    directory: Directory,
    stream: StreamId,
    key: SigningKey,
}

impl Scene {
    /// `concert` is live here.
    fn live(restricted: bool) -> Self {
        let key = SigningKey::generate().unwrap();
        let scene = Self {
            hub: Hub::new(ByteCount::mib(1)),
            directory: Directory::default(),
            stream: StreamId::new(),
            key,
        };
        scene.say(Event::PlaybackKeys(PlaybackKeys {
            keys: vec![PlaybackKey {
                key_id: scene.key.id().to_string(),
                public_key: scene.key.public().0.to_vec().into(),
            }],
        }));
        scene.restrict(restricted);
        scene
    }

    fn say(&self, event: Event) {
        self.directory.apply(event).unwrap();
    }

    fn restrict(&self, restricted: bool) {
        self.say(Event::Stream(StreamInfo {
            stream_id: self.stream.to_string(),
            slug: "concert".to_owned(),
            restricted,
            ..StreamInfo::default()
        }));
    }

    fn gone(&self) {
        self.say(Event::Gone(StreamGone {
            stream_id: self.stream.to_string(),
            slug: "concert".to_owned(),
        }));
    }

    fn revoke(&self, session: SessionId) {
        self.say(Event::SessionRevoked(SessionRevoked {
            stream_id: self.stream.to_string(),
            session_id: session.to_string(),
        }));
    }

    fn switch_off(&self, flag: Flag) {
        self.say(Event::Flags(Flags {
            off: vec![flag.to_string()],
        }));
    }

    fn claims(&self) -> PlaybackClaims {
        PlaybackClaims {
            session: SessionId::new(),
            stream: self.stream,
            link: None,
            receipt_key: None,
            node: None,
            issued_at: now(),
        }
    }

    fn with_token(&self, claims: &PlaybackClaims) -> String {
        let token = self.key.sign(claims.clone()).unwrap();
        format!("concert?token={}", token.expose())
    }

    async fn open(&self, name: &str) -> Result<Right, Refusal> {
        open(&self.hub, &self.directory, name).await
    }

    async fn refused(&self, name: &str) -> &'static str {
        self.open(name).await.unwrap_err().label
    }
}

#[tokio::test]
async fn a_public_stream_needs_no_token_and_takes_no_wrong_one() {
    let scene = Scene::live(false);
    assert_eq!(scene.open("concert").await.unwrap().stream, scene.stream);
    assert!(scene.open("concert?token=").await.is_ok());
    assert!(scene.open(&scene.with_token(&scene.claims())).await.is_ok());
    assert_eq!(scene.refused("concert?token=x").await, "malformed");
    assert_eq!(scene.refused("nobody").await, "unknown");
}

#[tokio::test]
async fn a_private_stream_needs_its_token_and_is_nothing_to_strangers() {
    let scene = Scene::live(true);
    assert_eq!(
        scene.open("concert").await.unwrap_err(),
        scene.open("nobody").await.unwrap_err()
    );
    let claims = scene.claims();
    assert!(scene.open(&scene.with_token(&claims)).await.is_ok());
    let other = PlaybackClaims {
        stream: StreamId::new(),
        ..scene.claims()
    };
    assert_eq!(
        scene.refused(&scene.with_token(&other)).await,
        "other_stream"
    );
    let late = PlaybackClaims {
        issued_at: UnixTime(now().0 - 301),
        ..scene.claims()
    };
    assert_eq!(scene.refused(&scene.with_token(&late)).await, "expired");
    scene.revoke(claims.session);
    assert_eq!(scene.refused(&scene.with_token(&claims)).await, "revoked");
}

#[tokio::test]
async fn a_player_goes_on_until_its_right_is_lost() {
    let scene = Scene::live(false);
    let (claims, other) = (scene.claims(), scene.claims());
    let mut stranger = scene.open("concert").await.unwrap();
    let mut viewer = scene.open(&scene.with_token(&claims)).await.unwrap();
    let mut friend = scene.open(&scene.with_token(&other)).await.unwrap();
    let lost = |right: &mut Right| right.lost().now_or_never();
    assert_eq!(lost(&mut stranger), None);
    scene.restrict(true);
    assert_eq!(lost(&mut stranger), Some(PRIVATE_NOW));
    assert_eq!(lost(&mut viewer), None);
    scene.revoke(claims.session);
    assert_eq!(lost(&mut viewer), Some(REVOKED));
    assert_eq!(lost(&mut friend), None);
    scene.switch_off(Flag::HttpFlv);
    assert_eq!(lost(&mut friend), None);
    scene.switch_off(Flag::RtmpPlay);
    assert_eq!(lost(&mut friend), Some(OFF));
    assert_eq!(scene.refused("concert").await, "rtmp_play_off");
}

#[tokio::test]
async fn a_stream_that_was_thought_gone_is_watched_over_again() {
    let scene = Scene::live(false);
    let mut stranger = scene.open("concert").await.unwrap();
    let lost = stranger.lost();
    tokio::pin!(lost);
    assert!(futures::poll!(&mut lost).is_pending());
    scene.gone();
    assert!(
        futures::poll!(&mut lost).is_pending(),
        "the stream's end says more"
    );
    scene.restrict(false);
    assert!(futures::poll!(&mut lost).is_pending());
    scene.restrict(true);
    assert_eq!(lost.await, PRIVATE_NOW);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_here_is_not_played_before_it_is_known_who_may() {
    let scene = Scene::live(true);
    scene.gone();
    let authorized = Authorized {
        stream: scene.stream,
        slug: "concert".parse().unwrap(),
        publish: PublishId::new(),
        began_unix_ms: None,
        trace_parent: String::new(),
    };
    let _publication = scene.hub.publish(&authorized).unwrap();
    let told = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.restrict(true);
    };
    let (right, ()) = tokio::join!(scene.open("concert"), told);
    assert_eq!(right.unwrap_err().label, "unknown");
    scene.restrict(false);
    assert!(scene.open("concert").await.is_ok());
}

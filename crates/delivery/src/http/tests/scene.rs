//! One live stream, its viewers' tokens, and what they are answered.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicUsize, atomic::Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use auth::{KeySet, PlaybackClaims, SigningKey, UnixTime};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tower::ServiceExt;
use types::{Bitrate, Epoch, Flag, MediaTime, Msn, PartIndex, SessionId, Slug, StreamId};

use crate::{Catalog, DigestKey, EpochInfo, Stream, Thumbnail, WindowEvent, routes};

pub(super) struct Facts {
    stream: Arc<Stream>,
    keys: Mutex<Arc<KeySet>>,
    off: Mutex<HashSet<Flag>>,
    revoked: Mutex<HashSet<SessionId>>,
    picture: Mutex<Option<Thumbnail>>,
    /// Other edges, and the sessions they opened.
    pub(super) told: Mutex<Vec<SessionId>>,
    pub(super) elsewhere: Mutex<(Vec<String>, HashSet<SessionId>)>,
    pub(super) demanded: AtomicUsize,
}

#[async_trait]
impl Catalog for Facts {
    fn stream(&self, slug: &Slug) -> Option<Arc<Stream>> {
        (self.stream.slug() == slug).then(|| Arc::clone(&self.stream))
    }

    fn demand(&self, _: &Arc<Stream>) {
        self.demanded.fetch_add(1, Ordering::Relaxed);
    }

    fn playback_keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.lock())
    }

    fn flag(&self, flag: Flag) -> bool {
        !self.off.lock().contains(&flag)
    }

    fn is_revoked(&self, session: SessionId) -> bool {
        self.revoked.lock().contains(&session)
    }

    fn other_edges(&self) -> Vec<String> {
        self.elsewhere.lock().0.clone()
    }

    async fn opened(&self, _: &Arc<Stream>, session: SessionId) {
        self.told.lock().push(session);
    }

    async fn was_opened_elsewhere(&self, _: &Arc<Stream>, session: SessionId) -> bool {
        self.elsewhere.lock().1.contains(&session)
    }

    async fn thumbnail(&self, _: &Arc<Stream>) -> Option<Thumbnail> {
        self.picture.lock().clone()
    }
}

/// `concert`, live, with two segments and a part of the next.
pub(super) struct Scene {
    pub(super) facts: Arc<Facts>,
    pub(super) stream: Arc<Stream>,
    key: SigningKey,
    routes: Router,
}

/// What a viewer was answered.
pub(super) struct Heard {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Heard {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(super) fn caching(&self) -> &str {
        self.headers[header::CACHE_CONTROL].to_str().unwrap()
    }
}

pub(super) fn now() -> UnixTime {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    UnixTime(i64::try_from(now.as_secs()).unwrap())
}

fn window(stream: &Stream) {
    let apply = |event: WindowEvent| assert!(stream.apply(&event).unwrap());
    apply(WindowEvent::EpochOpened(EpochInfo {
        epoch: Epoch::new(3),
        first_msn: Msn::new(7),
        target_duration: 2,
        part_target: MediaTime::from_millis(1000),
        codecs: vec!["avc1.64001f".to_owned()],
        resolution: Some((640, 360)),
        frame_rate: None,
        bandwidth: Bitrate::new(1000),
        average_bandwidth: Bitrate::new(900),
    }));
    apply(WindowEvent::Init {
        generation: 0,
        data: Bytes::from_static(b"init"),
    });
    for msn in 7..10 {
        let number = Msn::new(msn);
        apply(WindowEvent::SegmentOpened {
            msn: number,
            init: 0,
            program_date_time_ms: 1_700_000_000_000,
            discontinuity: false,
            discontinuity_sequence: 0,
        });
        apply(WindowEvent::Part {
            msn: number,
            index: PartIndex::ZERO,
            duration: MediaTime::from_millis(2000),
            independent: true,
            data: Bytes::from(format!("segment {msn}")),
        });
        if msn < 9 {
            let digest = DigestKey::generate().digest(stream.id(), Epoch::new(3), number, &[b"x"]);
            apply(WindowEvent::SegmentClosed {
                msn: number,
                duration: MediaTime::from_millis(2000),
                digest,
            });
        }
    }
}

impl Scene {
    pub(super) fn public() -> Self {
        let stream = Stream::new(StreamId::new(), "concert".parse().unwrap());
        window(&stream);
        let key = SigningKey::generate().unwrap();
        let facts = Arc::new(Facts {
            stream: Arc::clone(&stream),
            keys: Mutex::new(Arc::new(KeySet::new([key.public()]))),
            off: Mutex::default(),
            revoked: Mutex::default(),
            picture: Mutex::default(),
            told: Mutex::default(),
            elsewhere: Mutex::default(),
            demanded: AtomicUsize::new(0),
        });
        let routes = routes(Arc::clone(&facts) as Arc<dyn Catalog>);
        Self {
            facts,
            stream,
            key,
            routes,
        }
    }

    pub(super) fn restricted() -> Self {
        let scene = Self::public();
        scene.stream.set_restricted(true);
        scene
    }

    pub(super) fn forget_keys(&self) {
        *self.facts.keys.lock() = Arc::default();
    }

    pub(super) fn revoke(&self, session: SessionId) {
        self.facts.revoked.lock().insert(session);
        self.review();
    }

    pub(super) fn switch_off(&self, flag: Flag) {
        self.facts.off.lock().insert(flag);
        self.review();
    }

    fn review(&self) {
        let facts = Arc::clone(&self.facts);
        self.stream
            .review_sessions(|session| !facts.is_revoked(session));
    }

    pub(super) fn set_picture(&self, webp: &'static [u8]) {
        *self.facts.picture.lock() = Some(Thumbnail::new(Bytes::from_static(webp)));
    }

    pub(super) fn claims(&self) -> PlaybackClaims {
        PlaybackClaims {
            session: SessionId::new(),
            stream: self.stream.id(),
            link: None,
            receipt_key: None,
            node: None,
            issued_at: now(),
        }
    }

    pub(super) fn sign(&self, claims: &PlaybackClaims) -> String {
        self.key.sign(claims.clone()).unwrap().expose().clone()
    }

    /// A token of the stream, and its session.
    pub(super) fn token(&self) -> (String, SessionId) {
        let claims = self.claims();
        (self.sign(&claims), claims.session)
    }

    pub(super) async fn respond(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::get(format!("/live/{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        self.routes.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Heard {
        let (head, body) = self.respond(path, headers).await.into_parts();
        Heard {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Heard {
        self.get_with(path, &[]).await
    }

    pub(super) async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status.as_u16()
    }

    /// Opens the stream and answers where its media playlist is.
    pub(super) async fn open(&self, path: &str) -> String {
        let heard = self.get(path).await;
        assert_eq!(heard.status, StatusCode::OK, "{}", heard.text());
        let text = heard.text();
        let uri = text.lines().find(|line| line.starts_with("s/")).unwrap();
        format!("concert/{uri}")
    }
}

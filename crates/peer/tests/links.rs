//! Two peers over loopback: what one has, the other gets, and both count the same.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use peer::{
    CloseReason, Event, Events, FetchError, Inventory, LinkId, Options, Peer, Refused, Source,
};
use runtime::Shutdown;
use types::{Bitrate, Msn, StreamId};

/// A window of segments that a test fills.
#[derive(Default)]
struct Window(Mutex<BTreeMap<Msn, Bytes>>);

impl Window {
    fn put(&self, msn: u64, length: usize) -> Bytes {
        // Bytes that differ, so that a mix-up shows.
        let bytes: Bytes = (0..length).map(|i| (i as u64 * 31 + msn) as u8).collect();
        self.0.lock().unwrap().insert(Msn::new(msn), bytes.clone());
        bytes
    }
}

impl Source for Window {
    fn segment(&self, _: StreamId, msn: Msn) -> Option<Bytes> {
        self.0.lock().unwrap().get(&msn).cloned()
    }

    fn inventory(&self, _: StreamId) -> Inventory {
        Inventory {
            loaded: self.0.lock().unwrap().keys().copied().collect(),
            loading: Vec::new(),
        }
    }
}

struct Side {
    peer: Peer,
    events: Events,
}

fn side(source: Arc<dyn Source>, shutdown: &Shutdown) -> Side {
    side_with(source, shutdown, Options::default())
}

fn side_with(source: Arc<dyn Source>, shutdown: &Shutdown, options: Options) -> Side {
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = Options { listen, ..options };
    let (peer, events) = Peer::bind(options, source, shutdown).unwrap();
    Side { peer, events }
}

fn link(name: &str) -> LinkId {
    LinkId::new(Bytes::copy_from_slice(name.as_bytes())).unwrap()
}

/// Links the two; `from` offers.
async fn connect(from: &Side, to: &Side, stream: StreamId, name: &str) {
    let offer = from.peer.offer(link(name), stream).await.unwrap();
    let answer = to.peer.answer(link(name), stream, offer).await.unwrap();
    from.peer.accept(link(name), answer).await.unwrap();
}

async fn wait<T>(side: &mut Side, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(side.events.recv().await.unwrap()) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), found)
        .await
        .unwrap()
}

async fn announced(side: &mut Side, msns: &[u64]) {
    let expected: Vec<Msn> = msns.iter().copied().map(Msn::new).collect();
    wait(side, |event| match event {
        Event::Announced { loaded, .. } => (loaded == expected).then_some(()),
        _ => None,
    })
    .await;
}

async fn closed(side: &mut Side) -> CloseReason {
    wait(side, |event| match event {
        Event::Closed { reason, .. } => Some(reason),
        _ => None,
    })
    .await
}

/// When a busy machine has come round to it.
const SOON: Duration = Duration::from_secs(60);

/// The seeder's count once the last acknowledgement is in.
async fn delivered(side: &Side) -> (u64, u32) {
    let mut sum = (0, 0);
    for _ in 0..40 {
        for delivered in side.peer.deliveries().await {
            sum = (sum.0 + delivered.bytes.get(), sum.1 + delivered.segments);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_go_either_way_and_are_counted_to_the_byte() {
    for seeder_offers in [true, false] {
        let shutdown = Shutdown::new();
        let window = Arc::new(Window::default());
        let expected = window.put(300, 700_001);
        let seeder = side(window.clone(), &shutdown);
        let mut leecher = side(Arc::new(()), &shutdown);
        let stream = StreamId::new();
        if seeder_offers {
            connect(&seeder, &leecher, stream, "a").await;
        } else {
            connect(&leecher, &seeder, stream, "a").await;
        }
        announced(&mut leecher, &[300]).await;
        let fetch = |msn| leecher.peer.fetch(link("a"), Msn::new(msn), SOON);
        assert_eq!(fetch(300).await.unwrap(), expected);
        assert_eq!(fetch(301).await, Err(FetchError::Absent));
        let more = window.put(301, 10);
        seeder.peer.changed(stream).await;
        announced(&mut leecher, &[300, 301]).await;
        let fetch = |msn| leecher.peer.fetch(link("a"), Msn::new(msn), SOON);
        assert_eq!(fetch(301).await.unwrap(), more);
        assert_eq!(delivered(&seeder).await, (700_011, 2));
        assert_eq!(delivered(&leecher).await, (0, 0));

        leecher.peer.close(link("a")).await;
        assert_eq!(closed(&mut leecher).await, CloseReason::Asked);
        let mut seeder = seeder;
        assert_eq!(closed(&mut seeder).await, CloseReason::Remote);
        assert!(seeder.peer.links().await.is_empty());
        assert!(shutdown.drain().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_over_all_links() {
    let shutdown = Shutdown::new();
    let window = Arc::new(Window::default());
    window.put(1, 500_000);
    let seeder = side(window, &shutdown);
    let mut leechers = [(); 2].map(|()| side(Arc::new(()), &shutdown));
    let stream = StreamId::new();
    for (leecher, name) in leechers.iter_mut().zip(["a", "b"]) {
        connect(leecher, &seeder, stream, name).await;
        announced(leecher, &[1]).await;
    }
    let start = Instant::now();
    seeder.peer.limit(Some(Bitrate::new(8_000_000))).await;
    let [first, second] = &leechers;
    let fetch = |side: &Side, name| {
        let peer = side.peer.clone();
        async move { peer.fetch(link(name), Msn::new(1), SOON).await }
    };
    let (a, b) = tokio::join!(fetch(first, "a"), fetch(second, "b"));
    assert_eq!((a.unwrap().len(), b.unwrap().len()), (500_000, 500_000));
    // A second, less the burst (50 ms) and the last message, which nobody waits for (33 ms). How much longer says
    // how busy the machine is.
    let took = start.elapsed();
    assert!(took > Duration::from_millis(850), "{took:?}");
    shutdown.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_asks_for_the_same_again_and_again_gets_no_more() {
    let shutdown = Shutdown::new();
    let window = Arc::new(Window::default());
    window.put(1, 1000);
    window.put(2, 1000);
    let seeder = side(window, &shutdown);
    let mut leecher = side(Arc::new(()), &shutdown);
    connect(&leecher, &seeder, StreamId::new(), "a").await;
    announced(&mut leecher, &[1, 2]).await;
    let fetch = |msn| leecher.peer.fetch(link("a"), Msn::new(msn), SOON);
    for _ in 0..8 {
        assert_eq!(fetch(1).await.unwrap().len(), 1000);
    }
    assert_eq!(fetch(1).await, Err(FetchError::Absent));
    assert_eq!(fetch(2).await.unwrap().len(), 1000);
    shutdown.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_takes_too_long_is_cancelled_and_the_next_one_works() {
    let shutdown = Shutdown::new();
    let window = Arc::new(Window::default());
    window.put(1, 2_000_000);
    let small = window.put(2, 1000);
    let seeder = side(window, &shutdown);
    let mut leecher = side(Arc::new(()), &shutdown);
    let stream = StreamId::new();
    connect(&leecher, &seeder, stream, "a").await;
    announced(&mut leecher, &[1, 2]).await;
    seeder.peer.limit(Some(Bitrate::new(2_000_000))).await;
    let fetch = |msn, within| leecher.peer.fetch(link("a"), Msn::new(msn), within);
    let (late, busy) = tokio::join!(fetch(1, Duration::from_millis(400)), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        fetch(2, SOON).await
    });
    assert!(
        matches!(&late, Err(FetchError::Late { received }) if !received.is_empty()),
        "{late:?}"
    );
    assert_eq!(busy, Err(FetchError::Busy));
    assert_eq!(fetch(2, SOON).await.unwrap(), small);
    let (bytes, segments) = delivered(&seeder).await;
    assert!(
        bytes > 1000 && bytes < 500_000 && segments == 1,
        "{bytes} {segments}"
    );
    shutdown.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_never_opens_is_given_up_and_there_are_only_so_many() {
    let shutdown = Shutdown::new();
    let options = Options {
        max_links: 2,
        open_within: Duration::from_millis(300),
        ..Options::default()
    };
    let mut side = side_with(Arc::new(()), &shutdown, options);
    let stream = StreamId::new();
    side.peer.offer(link("a"), stream).await.unwrap();
    assert_eq!(
        side.peer.offer(link("a"), stream).await,
        Err(Refused::Twice)
    );
    side.peer.offer(link("b"), stream).await.unwrap();
    assert_eq!(
        side.peer.offer(link("c"), stream).await,
        Err(Refused::Full(2))
    );
    let foreign = side.peer.accept(link("c"), "v=0".to_owned()).await;
    assert!(matches!(foreign, Err(Refused::Sdp(_))), "{foreign:?}");
    for _ in 0..2 {
        assert_eq!(closed(&mut side).await, CloseReason::NotOpened);
    }
    side.peer.offer(link("c"), stream).await.unwrap();
    shutdown.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_runs_and_takes_nothing_new() {
    let shutdown = Shutdown::new();
    let window = Arc::new(Window::default());
    window.put(1, 400_000);
    let seeder = side(window, &shutdown);
    let mut leecher = side(Arc::new(()), &shutdown);
    let stream = StreamId::new();
    connect(&leecher, &seeder, stream, "a").await;
    announced(&mut leecher, &[1]).await;
    seeder.peer.limit(Some(Bitrate::new(8_000_000))).await;
    let fetch = |msn| leecher.peer.fetch(link("a"), Msn::new(msn), SOON);
    let (fetched, ()) = tokio::join!(fetch(1), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        seeder.peer.drain().await;
    });
    assert_eq!(fetched.unwrap().len(), 400_000);
    assert_eq!(fetch(1).await, Err(FetchError::Absent));
    announced(&mut leecher, &[]).await;
    assert_eq!(
        seeder.peer.offer(link("b"), stream).await,
        Err(Refused::Stopping)
    );
    shutdown.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outer_address_is_learnt_and_offered() {
    let shutdown = Shutdown::new();
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let side = side(Arc::new(()), &shutdown);
    side.peer.stun(vec![server.local_addr().unwrap()]).await;
    let mut question = [0; 600];
    let (length, from) = server.recv_from(&mut question).await.unwrap();
    let transaction = p2p::stun::parse_request(&question[..length]).unwrap();
    let outer = "203.0.113.7:40000".parse().unwrap();
    let answer = p2p::stun::response(transaction, outer);
    server.send_to(&answer, from).await.unwrap();
    let start = Instant::now();
    while side.peer.outer().await.address != Some(outer) {
        assert!(start.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!side.peer.outer().await.direct);
    let offer = side.peer.offer(link("a"), StreamId::new()).await.unwrap();
    assert!(offer.contains("203.0.113.7 40000 typ srflx"), "{offer}");
    assert!(offer.contains("127.0.0.1"), "{offer}");
    shutdown.drain().await;
}

//! Edges that lie, keys that are not the origin's, streams that nobody invited to.

use bytes::Bytes;
use delivery::DigestKey;
use proto::node::{self as wire, connect_response::Message as Down};
use types::StreamId;

use super::bed::{Bed, Viewer, helped, until};

async fn bad_segments(bed: &Bed, count: u32) {
    until(|| {
        let heartbeat = bed.coordinator.heartbeat()?;
        let load = heartbeat.streams.first()?;
        (load.bad_segments >= count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_not_signed_are_neither_announced_nor_served() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    let signed = Bytes::from(vec![1; 5000]);
    let mut altered = signed.to_vec();
    altered[4999] ^= 1;
    let lies = [
        Bytes::from(altered),
        signed.slice(..4999),
        Bytes::from(vec![1; 5001]),
        Bytes::from_static(b"another segment"),
        Bytes::new(),
    ];
    for (msn, lie) in (1..).zip(lies) {
        bed.edge.list(&bed.edge.key, 1, msn, &signed, lie);
    }
    let good = bed.edge.publish(6, 800);
    bed.give_work().await;
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[6]).await;
    for msn in 1..=5 {
        assert_eq!(
            viewer.fetch(msn).await,
            Err(peer::FetchError::Absent),
            "{msn}"
        );
    }
    assert_eq!(viewer.fetch(6).await.unwrap(), good);
    bad_segments(&bed, 5).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_edge_makes_good_what_the_first_one_spoils() {
    let mut bed = Bed::new().await;
    let liar = bed.add_edge().await;
    let app = bed.start().await;
    let signed = bed.edge.publish(1, 2000);
    liar.list(&bed.edge.key, 1, 1, &signed, Bytes::from(vec![9; 2000]));
    bed.give_work().await;
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[1]).await;
    assert_eq!(viewer.fetch(1).await.unwrap(), signed);
    bad_segments(&bed, 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_of_other_keys_and_old_epochs_are_refused() {
    for (key, epoch) in [(Some(DigestKey::generate()), 1), (None, 0)] {
        let bed = Bed::new().await;
        let app = bed.start().await;
        bed.edge.publish(1, 100);
        bed.give_work().await;
        let mut viewer = Viewer::join(&bed, "v", 1).await;
        viewer.sees(&[1]).await;
        let forged = Bytes::from_static(b"forged");
        bed.edge.list(
            key.as_ref().unwrap_or(&bed.edge.key),
            epoch,
            2,
            &forged,
            forged.clone(),
        );
        if epoch == 0 {
            bad_segments(&bed, 1).await;
        }
        let trouble = || {
            let server = app.node().servers().remove(0);
            let pulls = server.pulls.lock();
            pulls.values().next()?.trouble()
        };
        let said = until(trouble).await;
        assert!(said.contains("digest"), "{said}");
        assert_eq!(viewer.fetch(2).await, Err(peer::FetchError::Absent));
        assert_eq!(bed.edge.asked.lock().get("2.m4s"), None);
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_streams_that_the_friend_was_invited_to_are_carried() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    bed.edge.publish(1, 100);
    let mut foreign = bed.work();
    foreign.stream = Some(helped(StreamId::new()));
    bed.coordinator
        .tell(Down::Work(wire::Work {
            streams: vec![foreign],
        }))
        .await;
    let offer = wire::Offer {
        r#ref: 1,
        link: "v".into(),
        stream_id: bed.stream.to_string(),
        sdp: "v=0".to_owned(),
    };
    bed.coordinator.tell(Down::Offer(offer)).await;
    assert_eq!(
        bed.described(1).await,
        "",
        "nothing is carried, so nobody is served"
    );
    assert!(bed.edge.asked.lock().is_empty());

    bed.give_work().await;
    for (reference, sdp) in [
        (2, String::new()),
        (3, "v=0\r\n".to_owned()),
        (4, "x".repeat(20_000)),
    ] {
        assert_eq!(bed.offer("v", reference, sdp).await, "", "no description");
    }
    app.stop().await;
}

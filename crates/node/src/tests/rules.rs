//! What the friend and the streamer decide.

use std::{sync::atomic::Ordering, time::Duration};

use proto::node::{self as wire, connect_response::Message as Down};
use tonic::Code;
use types::ByteCount;

use super::bed::{Bed, Viewer, until};
use crate::{
    Error, enrol::enrol, identity::Identity, memory::Memory, net::Net, page::Status,
    settings::Given,
};

async fn accepts(bed: &Bed, expected: bool) {
    until(|| {
        bed.coordinator
            .heartbeat()
            .filter(|h| h.accepting == expected)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_months_limit_drains_and_cuts_nobody() {
    let bed = Bed::new().await;
    let mut memory = Memory::default();
    memory.carried(ByteCount::new(999_000), &crate::clock::local());
    memory.save(&bed.data()).unwrap();
    let given = Given {
        month_gb: Some(0.001),
        ..Given::default()
    };
    let app = bed.start_with(given).await;
    let segment = bed.edge.publish(1, 20_000);
    bed.give_work().await;
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[1]).await;
    accepts(&bed, true).await;
    assert_eq!(viewer.fetch(1).await.unwrap(), segment);
    accepts(&bed, false).await;
    let late = Viewer::new("late");
    let offer = late
        .peer
        .offer(late.link.clone(), bed.stream)
        .await
        .unwrap();
    assert_eq!(bed.offer("late", 2, offer).await, "", "no new viewers");
    assert_eq!(
        viewer.fetch(1).await.unwrap(),
        segment,
        "who is there is served"
    );
    let status = Status::of(app.node()).await;
    assert!(
        !status.helping && status.standing.contains("month"),
        "{status:?}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_its_hours_and_switched_off_it_takes_no_viewers() {
    let bed = Bed::new().await;
    let minute = crate::clock::local().minute;
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    let given = Given {
        hours: Some(format!("{}-{}", clock(minute + 120), clock(minute + 180))),
        ..Given::default()
    };
    let app = bed.start_with(given).await;
    accepts(&bed, false).await;
    app.stop().await;
    bed.coordinator.heard.lock().clear();

    let app = bed.start().await;
    accepts(&bed, true).await;
    app.node().memory.lock().help = false;
    app.node().tell();
    accepts(&bed, false).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_and_streams_are_limited_as_the_friend_says() {
    let bed = Bed::new().await;
    let given = Given {
        max_viewers: Some(1),
        max_mbit: Some(8.0),
        only: Some(vec!["concert".to_owned()]),
        ..Given::default()
    };
    let app = bed.start_with(given).await;
    bed.edge.publish(1, 500_000);
    bed.give_work().await;
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[1]).await;
    let started = std::time::Instant::now();
    viewer.fetch(1).await.unwrap();
    let took = started.elapsed();
    assert!(
        took > Duration::from_millis(350),
        "8 Mbit/s is all there is: {took:?}"
    );
    until(|| (app.node().viewers() == 1).then_some(())).await;
    let more = Viewer::new("more");
    let offer = more
        .peer
        .offer(more.link.clone(), bed.stream)
        .await
        .unwrap();
    assert_eq!(bed.offer("more", 2, offer).await, "");
    let heartbeat = bed.coordinator.heartbeat().unwrap();
    assert_eq!(
        (heartbeat.max_viewers, heartbeat.max_bitrate_bps),
        (1, 8_000_000)
    );
    assert_eq!(heartbeat.only_stream_ids, [bed.stream.to_string()]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_means_at_once_and_for_good() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    bed.edge.publish(1, 100);
    bed.give_work().await;
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[1]).await;
    let revoked = wire::Revoked {
        stream_id: bed.stream.to_string(),
        reason: "removed by Ana".to_owned(),
    };
    bed.coordinator.tell(Down::Revoked(revoked)).await;
    viewer.is_let_go().await;
    let node = app.node();
    until(|| {
        node.identity.lock().servers[0]
            .streams
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(node.window.bytes(), ByteCount::ZERO);
    assert!(
        node.memory.lock().messages[0]
            .text
            .contains("removed by Ana")
    );
    // What the coordinator asks for now is nobody's invitation.
    bed.give_work().await;
    let offer = Viewer::new("again");
    let sdp = offer
        .peer
        .offer(offer.link.clone(), bed.stream)
        .await
        .unwrap();
    assert_eq!(bed.offer("again", 2, sdp).await, "");
    app.stop().await;
    let identity = Identity::load(&bed.data()).unwrap().unwrap();
    assert!(identity.servers[0].streams.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_refuses_is_told_in_words_and_asked_again_later() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    bed.edge.refuses.store(true, Ordering::Relaxed);
    bed.edge.publish(1, 100);
    bed.give_work().await;
    let trouble = || {
        let server = app.node().servers().remove(0);
        let pulls = server.pulls.lock();
        pulls.values().next().map(|pull| pull.trouble())
    };
    let said = until(|| trouble().flatten()).await;
    assert!(said.contains("right to pull"), "{said}");
    bed.edge.refuses.store(false, Ordering::Relaxed);
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[1]).await;
    until(|| (trouble() == Some(None)).then_some(())).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_identity_and_an_unknown_node_are_told_in_words() {
    for (code, words) in [
        (Code::AlreadyExists, "connected from elsewhere"),
        (Code::Unauthenticated, "new link"),
    ] {
        let bed = Bed::new().await;
        *bed.coordinator.refuses.lock() = Some(code);
        let app = bed.start().await;
        let trouble = || app.node().servers()[0].standing.lock().trouble.clone();
        let said = until(trouble).await;
        assert!(said.contains(words), "{said}");
        app.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_invite_and_a_second_program_are_refused_in_words() {
    let bed = Bed::new().await;
    let net = Net::new(None).unwrap();
    let mut identity = Identity::load(&bed.data()).unwrap().unwrap();
    let refused = enrol(&net, &mut identity, &bed.link("used"), "Ben").await;
    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains("new link") && !said.contains("used#"),
        "{said}"
    );
    let app = bed.start().await;
    let flags = Given::default();
    let second = crate::app::App::start(bed.data(), flags).await;
    assert!(matches!(second.err(), Some(Error::Running(_))));
    app.stop().await;
}

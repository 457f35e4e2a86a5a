//! A node that helps as it should.

use std::{sync::atomic::Ordering, time::Duration};

use proto::node::{
    self as wire, connect_request::Message as Up, connect_response::Message as Down,
};
use tokio::time::sleep;

use super::bed::{Bed, Viewer, until};
use crate::page::Status;

fn sum(bed: &Bed) -> (u64, u32) {
    let reports = bed.coordinator.reports();
    let all = reports.iter().flat_map(|report| &report.deliveries);
    all.fold((0, 0), |sum, d| (sum.0 + d.bytes, sum.1 + d.segments))
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_get_what_the_origin_signed_and_all_count_the_same() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    let (first, second) = (bed.edge.publish(7, 300_001), bed.edge.publish(8, 1000));
    bed.give_work().await;
    let mut ana = Viewer::join(&bed, "ana", 1).await;
    ana.sees(&[7, 8]).await;
    assert_eq!(ana.fetch(7).await.unwrap(), first);

    // Another is called, and answers.
    let mut ben = Viewer::new("ben");
    let call = wire::Call {
        r#ref: 2,
        link: "ben".into(),
        stream_id: bed.stream.to_string(),
    };
    bed.coordinator.tell(Down::Call(call)).await;
    let offer = bed.described(2).await;
    let answer = ben
        .peer
        .answer(ben.link.clone(), bed.stream, offer)
        .await
        .unwrap();
    bed.coordinator
        .tell(Down::CallAnswer(wire::CallAnswer {
            r#ref: 2,
            sdp: answer,
        }))
        .await;
    ben.sees(&[7, 8]).await;
    assert_eq!(ben.fetch(8).await.unwrap(), second);
    assert_eq!(ben.fetch(99).await, Err(peer::FetchError::Absent));
    let opened = |link: &'static str| {
        bed.coordinator.hears(move |up| match up {
            Up::LinkState(state) if state.link == link => {
                Some((state.phase(), state.peer_address.starts_with("127.0.0.1:")))
            }
            _ => None,
        })
    };
    assert_eq!(opened("ana").await, (wire::LinkPhase::Open, true));
    assert_eq!(opened("ben").await, (wire::LinkPhase::Open, true));

    let third = bed.edge.publish(9, 5000);
    ben.sees(&[7, 8, 9]).await;
    assert_eq!(ben.fetch(9).await.unwrap(), third);
    until(|| (sum(&bed) == (306_001, 3)).then_some(())).await;
    let heartbeat = until(|| {
        bed.coordinator
            .heartbeat()
            .filter(|h| h.uploaded_bytes == 306_001)
    })
    .await;
    assert!(heartbeat.accepting);
    assert_eq!(
        heartbeat.downloaded_bytes, 306_001,
        "each segment is pulled once"
    );
    let load = &heartbeat.streams[0];
    assert_eq!(
        (load.viewers, load.newest_msn, load.bad_segments),
        (2, 9, 0)
    );
    let asked = bed.edge.asked.lock().clone();
    assert!(asked.values().all(|count| *count == 1), "{asked:?}");

    let url = format!("http://{}/api/status", app.page());
    let status: Status = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(
        (status.viewers, status.today_bytes, status.month_bytes),
        (2, 306_001, 306_001)
    );
    assert!(status.helping && status.servers[0].connected, "{status:?}");
    assert_eq!(status.servers[0].streams[0].viewers, 2);

    bed.coordinator
        .tell(Down::Drop(wire::Drop { link: "ana".into() }))
        .await;
    ana.is_let_go().await;
    app.stop().await;
    ben.is_let_go().await;
    assert!(
        !bed.coordinator.heartbeat().unwrap().accepting,
        "it said that it stops"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_costs_viewers_nothing_and_reports_are_said_again() {
    let bed = Bed::new().await;
    bed.coordinator.keeps.store(false, Ordering::Relaxed);
    let app = bed.start().await;
    bed.edge.publish(1, 10_000);
    bed.give_work().await;
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[1]).await;
    viewer.fetch(1).await.unwrap();
    until(|| (sum(&bed).0 == 10_000).then_some(())).await;

    bed.coordinator.hang_up();
    bed.coordinator.heard.lock().clear();
    bed.edge.publish(2, 500);
    viewer.sees(&[1, 2]).await;
    assert_eq!(viewer.fetch(2).await.unwrap().len(), 500);
    // Back again: the link is told again, and the report that nobody kept.
    bed.coordinator
        .hears(|up| match up {
            Up::LinkState(state) => (state.phase() == wire::LinkPhase::Open).then_some(()),
            _ => None,
        })
        .await;
    until(|| (sum(&bed).0 == 10_500).then_some(())).await;
    assert_eq!(*bed.coordinator.connections.lock(), 2);

    // Kept by nobody until the end: the next run says them.
    app.stop().await;
    bed.coordinator.heard.lock().clear();
    bed.coordinator.keeps.store(true, Ordering::Relaxed);
    let app = bed.start().await;
    until(|| (sum(&bed).0 == 10_500).then_some(())).await;
    let status = async || Status::of(app.node()).await;
    while status().await.servers[0].reports_waiting > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status().await.month_bytes, 10_500, "remembered");
    app.stop().await;
    assert_eq!(bed.data().read("reports.json").unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_without_a_coordinator_is_reported_by_the_next_run() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    bed.edge.publish(1, 10_000);
    bed.give_work().await;
    let mut viewer = Viewer::join(&bed, "v", 1).await;
    viewer.sees(&[1]).await;
    *bed.coordinator.refuses.lock() = Some(tonic::Code::Unavailable);
    bed.coordinator.hang_up();
    let connected = || app.node().servers()[0].standing.lock().connected;
    until(|| (!connected()).then_some(())).await;
    assert_eq!(viewer.fetch(1).await.unwrap().len(), 10_000);
    assert_eq!(sum(&bed).0, 0);
    // It ends before anybody could hear of that.
    app.stop().await;
    *bed.coordinator.refuses.lock() = None;
    let app = bed.start().await;
    until(|| (sum(&bed).0 == 10_000).then_some(())).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_shown_pings_answered_and_uploads_measured() {
    let bed = Bed::new().await;
    let app = bed.start().await;
    let notice = wire::Notice {
        stream_id: bed.stream.to_string(),
        from: "Ana".to_owned(),
        text: "Thank you!".to_owned(),
    };
    bed.coordinator.tell(Down::Notice(notice)).await;
    bed.coordinator
        .tell(Down::Ping(wire::Ping { nonce: 42 }))
        .await;
    let asked = wire::MeasureUploadAsked {
        ticket: "ticket".into(),
        bytes: 300_000,
        for_ms: 1000,
    };
    bed.coordinator.tell(Down::MeasureUpload(asked)).await;
    bed.coordinator
        .hears(|up| matches!(up, Up::Pong(pong) if pong.nonce == 42).then_some(()))
        .await;
    let status = Status::of(app.node()).await;
    assert_eq!(status.messages[0].text, "Thank you!");
    app.stop().await;
}

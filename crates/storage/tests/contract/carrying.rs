//! Friends, and who carried what.

use events::{
    AcceptedReceipt, AssignedNode, EdgeBytes, EndedSession, Event, Fact, ReportedDelivery,
    StartedSession,
};
use storage::{Database, Enrolment, Refused, SecretHash};
use time::{Duration, OffsetDateTime};
use types::{Bitrate, ByteCount, EventId, InstanceId, NodeId, RunId, SessionId, StreamId};

use crate::{a_stream, done};

contract!(
    an_invite_is_good_once,
    who_is_removed_may_be_invited_again,
    a_quarantined_node_is_known_as_one,
    what_is_told_counts_once,
    late_facts_are_counted_as_if_in_time,
    who_comes_back_after_its_end_goes_on,
    what_a_session_takes_may_rise,
    old_facts_are_forgotten_and_sums_stay,
);

const CONSUMER: &str = "test.carrying";

fn secret() -> SecretHash {
    let (a, b) = (StreamId::new().as_uuid(), StreamId::new().as_uuid());
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(a.as_bytes());
    hash[16..].copy_from_slice(b.as_bytes());
    SecretHash(hash)
}

fn enrolment(invite: SecretHash, key: [u8; 32]) -> Enrolment {
    Enrolment {
        invite,
        public_key: key,
        name: "Ana".to_owned(),
        version: "0.1.0".to_owned(),
    }
}

async fn invited(database: &Database, stream: StreamId) -> SecretHash {
    let (hash, until) = (secret(), OffsetDateTime::now_utc() + Duration::hours(1));
    let friends = database.friends();
    let name = String::new();
    friends
        .invite(stream, name, hash, until, done())
        .await
        .unwrap();
    hash
}

async fn an_invite_is_good_once(database: Database) {
    let friends = database.friends();
    let stream = a_stream(&database).await.0.id;
    let hash = invited(&database, stream).await;
    assert_eq!(
        friends.open_invite(hash).await.unwrap().unwrap().stream,
        stream
    );
    let key = secret().0;
    let (node, of) = friends
        .enrol(enrolment(hash, key), done())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((of, node.name.as_str()), (stream, "Ana"));
    assert_eq!(friends.open_invite(hash).await.unwrap(), None);
    let again = friends
        .enrol(enrolment(hash, secret().0), done())
        .await
        .unwrap();
    assert_eq!(again.unwrap_err(), Refused::Invite);
    // One that ran out, and one that was revoked.
    let (late, past) = (secret(), OffsetDateTime::now_utc() - Duration::seconds(1));
    friends
        .invite(stream, String::new(), late, past, done())
        .await
        .unwrap();
    let revoked = invited(&database, stream).await;
    let id = friends.open_invite(revoked).await.unwrap().unwrap().id;
    assert!(friends.revoke_invite(stream, id, done()).await.unwrap());
    assert!(!friends.revoke_invite(stream, id, done()).await.unwrap());
    for hash in [late, revoked, secret()] {
        let refused = friends
            .enrol(enrolment(hash, secret().0), done())
            .await
            .unwrap();
        assert_eq!(refused.unwrap_err(), Refused::Invite);
    }
    // The same key keeps its node, and carries another stream too.
    let other = a_stream(&database).await.0.id;
    let hash = invited(&database, other).await;
    let (same, _) = friends
        .enrol(enrolment(hash, key), done())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(same.id, node.id);
    let carried = friends.of_node(node.id).await.unwrap();
    let mut streams: Vec<StreamId> = carried.iter().map(|friend| friend.stream).collect();
    streams.sort();
    let mut expected = vec![stream, other];
    expected.sort();
    assert_eq!(streams, expected);
    assert_eq!(friends.invites(stream, None, 10).await.unwrap().len(), 3);
}

async fn who_is_removed_may_be_invited_again(database: Database) {
    use events::NodeStatus::{Active, Paused, Removed};
    let friends = database.friends();
    let stream = a_stream(&database).await.0.id;
    let key = secret().0;
    let hash = invited(&database, stream).await;
    let (node, _) = friends
        .enrol(enrolment(hash, key), done())
        .await
        .unwrap()
        .unwrap();
    assert!(
        friends
            .set_status(stream, node.id, Paused, done())
            .await
            .unwrap()
    );
    let of = friends.of_stream(stream).await.unwrap();
    assert!(of[0].0.paused_at.is_some());
    assert!(
        friends
            .set_status(stream, node.id, Active, done())
            .await
            .unwrap()
    );
    assert!(
        friends.of_stream(stream).await.unwrap()[0]
            .0
            .paused_at
            .is_none()
    );
    assert!(
        friends
            .rename(stream, node.id, "Ana B.".to_owned())
            .await
            .unwrap()
    );
    assert_eq!(friends.of_stream(stream).await.unwrap()[0].0.name, "Ana B.");
    assert!(
        friends
            .set_status(stream, node.id, Removed, done())
            .await
            .unwrap()
    );
    assert!(
        !friends
            .set_status(stream, node.id, Paused, done())
            .await
            .unwrap()
    );
    assert!(friends.of_node(node.id).await.unwrap().is_empty());
    let hash = invited(&database, stream).await;
    friends
        .enrol(enrolment(hash, key), done())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(friends.of_stream(stream).await.unwrap().len(), 1);
}

async fn a_quarantined_node_is_known_as_one(database: Database) {
    let friends = database.friends();
    let stream = a_stream(&database).await.0.id;
    let key = secret().0;
    let hash = invited(&database, stream).await;
    let (node, _) = friends
        .enrol(enrolment(hash, key), done())
        .await
        .unwrap()
        .unwrap();
    let why = || "it served wrong bytes".to_owned();
    assert!(friends.quarantine(node.id, why(), done()).await.unwrap());
    assert!(!friends.quarantine(node.id, why(), done()).await.unwrap());
    let known = friends.node(node.id).await.unwrap().unwrap();
    assert_eq!(known.quarantine.unwrap().1, "it served wrong bytes");
    let hash = invited(&database, stream).await;
    let refused = friends.enrol(enrolment(hash, key), done()).await.unwrap();
    assert_eq!(refused.unwrap_err(), Refused::Banned);
    let evidence = database.evidence();
    evidence
        .keep(node.id, Some(stream), "digest", "{\"msn\":7}")
        .await
        .unwrap();
    let kept = evidence.against(node.id, 10).await.unwrap();
    assert_eq!((kept.len(), kept[0].kind.as_str()), (1, "digest"));
    friends
        .measured(node.id, Bitrate::new(9_000_000), "0.2.0".to_owned())
        .await
        .unwrap();
    let known = friends.node(node.id).await.unwrap().unwrap();
    assert_eq!(known.measured.unwrap().0, Bitrate::new(9_000_000));
}

fn event(fact: Fact) -> Event {
    Event {
        id: EventId::new(),
        time_us: 0,
        version: 1,
        trace_parent: String::new(),
        fact,
    }
}

struct Told {
    by: InstanceId,
    session: SessionId,
    node: NodeId,
    stream: StreamId,
    start: i64,
}

/// A minute of a session: 3 MB in each of ten seconds, verified at its end.
impl Told {
    fn new(stream: StreamId) -> Self {
        let now = OffsetDateTime::now_utc().unix_timestamp() * 1000;
        Self {
            by: InstanceId::new(),
            session: SessionId::new(),
            node: NodeId::new(),
            stream,
            start: now - now % 60_000 - 60_000,
        }
    }

    fn beginning(&self) -> Vec<Event> {
        let started = StartedSession {
            session: self.session,
            stream: self.stream,
            at_ms: self.start,
            household: [1; 8],
        };
        vec![
            event(Fact::SessionStarted {
                by: self.by,
                sessions: vec![started],
            }),
            self.assigned(4_000_000),
        ]
    }

    fn assigned(&self, bps: u64) -> Event {
        let assigned = AssignedNode {
            session: self.session,
            node: self.node,
            stream: self.stream,
            from_ms: self.start,
            until_ms: None,
            bitrate: Bitrate::new(bps),
            own: false,
        };
        event(Fact::NodesAssigned {
            by: self.by,
            assignments: vec![assigned],
        })
    }

    fn claims(&self) -> Event {
        let run = RunId::new();
        let deliveries = (0..6).map(|n| ReportedDelivery {
            session: self.session,
            node: self.node,
            stream: self.stream,
            run,
            sequence: n + 1,
            from_ms: self.start + n as i64 * 10_000,
            to_ms: self.start + (n as i64 + 1) * 10_000,
            bytes: ByteCount::new(3_000_000),
            refused: String::new(),
        });
        let edge = EdgeBytes {
            edge: self.by,
            stream: self.stream,
            minute_ms: self.start,
            to_viewers: ByteCount::new(2_000_000),
            to_nodes: ByteCount::new(5_000_000),
        };
        event(Fact::DeliveriesReported {
            by: self.by,
            deliveries: deliveries.collect(),
            edges: vec![edge],
        })
    }

    fn receipt(&self) -> Event {
        let receipt = AcceptedReceipt {
            session: self.session,
            stream: self.stream,
            epoch: 1,
            counter: 1,
            at_ms: self.start + 60_000,
            nodes: vec![(self.node, ByteCount::new(17_500_000))],
            peers: ByteCount::new(1_000_000),
            edge: ByteCount::new(2_000_000),
        };
        event(Fact::ReceiptsAccepted {
            by: self.by,
            receipts: vec![receipt],
        })
    }

    fn end(&self) -> Event {
        let ended = EndedSession {
            session: self.session,
            stream: self.stream,
            at_ms: self.start + 60_000,
        };
        event(Fact::SessionEnded {
            by: self.by,
            sessions: vec![ended],
        })
    }
}

/// Reconciles and sums until nothing is left to do.
async fn settle(database: &Database) {
    let carrying = database.carrying();
    // What was told is left alone for some seconds: more may come.
    tokio::time::sleep(std::time::Duration::from_millis(4_500)).await;
    while carrying.reconcile().await.unwrap() > 0 {}
    while carrying.roll_up().await.unwrap() > 0 {}
}

async fn what_is_told_counts_once(database: Database) {
    let stream = a_stream(&database).await.0.id;
    let told = Told::new(stream);
    let carrying = database.carrying();
    let mut events = told.beginning();
    events.extend([told.claims(), told.receipt(), told.end()]);
    assert_eq!(carrying.apply(CONSUMER, &events).await.unwrap(), 5);
    // Again as they are, and as other events that tell the same.
    assert_eq!(carrying.apply(CONSUMER, &events).await.unwrap(), 0);
    let again: Vec<Event> = events.iter().map(|one| event(one.fact.clone())).collect();
    carrying.apply(CONSUMER, &again).await.unwrap();
    settle(&database).await;
    let delivered = carrying.delivered(stream, 0).await.unwrap();
    assert_eq!(delivered.friends, ByteCount::new(17_500_000));
    assert_eq!(delivered.peers, ByteCount::new(1_000_000));
    assert_eq!(delivered.edge, ByteCount::new(2_000_000));
    assert_eq!(delivered.nodes, ByteCount::new(5_000_000));
    assert_eq!(
        (delivered.by.len(), delivered.by[0].share_permille),
        (1, 1000)
    );
    let minutes = carrying.minutes(stream, told.start).await.unwrap();
    let friends: u64 = minutes.iter().map(|minute| minute.friends.get()).sum();
    assert_eq!(friends, 17_500_000);
    let (today, month) = carrying.by_friends(stream).await.unwrap();
    let of = |carried: &[storage::Carried]| carried.iter().map(|c| c.bytes.get()).sum::<u64>();
    // A minute ago may have been yesterday.
    assert!([0, 17_500_000].contains(&of(&today)) && [0, 17_500_000].contains(&of(&month)));
    let supported = carrying.supported(told.node).await.unwrap();
    assert_eq!(
        (supported[0].stream, supported[0].total.get()),
        (stream, 17_500_000)
    );
    let days = carrying.supported_days(told.node, 60).await.unwrap();
    assert_eq!(
        (days.len(), days[0].bytes.get(), days[0].sessions),
        (1, 17_500_000, 1)
    );
    let health = carrying.health(told.node, 0).await.unwrap();
    assert_eq!((health.claimed.get(), health.findings), (18_000_000, 0));
    let about = format!("node/{}", told.node);
    let pending = events::Outbox::pending(&database.outbox(), 10_000)
        .await
        .unwrap();
    let recorded = pending.iter().filter(|one| one.event.aggregate() == about);
    let verified: u64 = recorded
        .filter_map(|one| match one.event.fact {
            Fact::ContributionRecorded { verified, .. } => Some(verified.get()),
            _ => None,
        })
        .sum();
    assert_eq!(verified, 17_500_000);
}

async fn late_facts_are_counted_as_if_in_time(database: Database) {
    let stream = a_stream(&database).await.0.id;
    let told = Told::new(stream);
    let carrying = database.carrying();
    // The receipt first, the session's beginning last.
    carrying
        .apply(CONSUMER, &[told.receipt(), told.claims(), told.end()])
        .await
        .unwrap();
    settle(&database).await;
    assert_eq!(
        carrying.delivered(stream, 0).await.unwrap().friends,
        ByteCount::ZERO
    );
    let odd = async || carrying.health(told.node, 0).await.unwrap().findings;
    assert_eq!(odd().await, 1, "a node that nobody gave it");
    carrying.apply(CONSUMER, &told.beginning()).await.unwrap();
    settle(&database).await;
    let delivered = carrying.delivered(stream, 0).await.unwrap();
    assert_eq!(delivered.friends, ByteCount::new(17_500_000));
    assert_eq!(odd().await, 0, "what was explained since is no evidence");
    // Each byte in one minute, wherever the first words put it.
    assert_eq!(delivered.peers, ByteCount::new(1_000_000));
    let minutes = carrying.minutes(stream, 0).await.unwrap();
    let peers: u64 = minutes.iter().map(|minute| minute.peers.get()).sum();
    assert_eq!(peers, 1_000_000);
}

async fn who_comes_back_after_its_end_goes_on(database: Database) {
    let stream = a_stream(&database).await.0.id;
    let told = Told::new(stream);
    let carrying = database.carrying();
    let mut facts = told.beginning();
    facts.extend([told.claims(), told.receipt()]);
    // It was taken for gone at once, and told of again.
    let early = Fact::SessionEnded {
        by: told.by,
        sessions: vec![EndedSession {
            session: told.session,
            stream,
            at_ms: told.start,
        }],
    };
    carrying.apply(CONSUMER, &facts).await.unwrap();
    carrying.apply(CONSUMER, &[event(early)]).await.unwrap();
    settle(&database).await;
    let delivered = carrying.delivered(stream, 0).await.unwrap();
    assert_eq!(delivered.friends, ByteCount::new(17_500_000));
}

async fn what_a_session_takes_may_rise(database: Database) {
    let stream = a_stream(&database).await.0.id;
    let told = Told::new(stream);
    let carrying = database.carrying();
    let started = told.beginning().remove(0);
    let pictures_stood_still = told.assigned(100_000);
    let facts = [
        started,
        pictures_stood_still,
        told.claims(),
        told.receipt(),
        told.end(),
    ];
    carrying.apply(CONSUMER, &facts).await.unwrap();
    settle(&database).await;
    let friends = async || carrying.delivered(stream, 0).await.unwrap().friends.get();
    let few = friends().await;
    assert!((1..5_000_000).contains(&few), "{few}");
    // Whatever is told later, and in whichever order, the most counts.
    let moved = [told.assigned(4_000_000), told.assigned(200_000)];
    carrying.apply(CONSUMER, &moved).await.unwrap();
    carrying
        .apply(CONSUMER, &[told.assigned(100_000)])
        .await
        .unwrap();
    settle(&database).await;
    assert_eq!(friends().await, 17_500_000);
}

async fn old_facts_are_forgotten_and_sums_stay(database: Database) {
    let stream = a_stream(&database).await.0.id;
    let mut told = Told::new(stream);
    let carrying = database.carrying();
    told.start -= 61 * 24 * 3600 * 1000;
    let mut events = told.beginning();
    events.extend([told.claims(), told.receipt(), told.end()]);
    carrying.apply(CONSUMER, &events).await.unwrap();
    settle(&database).await;
    assert!(carrying.purge().await.unwrap() > 0);
    assert_eq!(
        carrying.delivered(stream, 0).await.unwrap().friends,
        ByteCount::ZERO
    );
    let supported = carrying.supported(told.node).await.unwrap();
    assert_eq!(supported[0].total, ByteCount::new(17_500_000));
}

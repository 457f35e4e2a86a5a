//! Links that outlive the coordinator that gave them out: their nodes tell the next one of them.

use std::net::IpAddr;

use events::AssignedNode;
use proto::node::{Drop, connect_response::Message};
use tokio::time::Instant;
use types::Bitrate;

use super::{
    link::Link,
    state::{State, StreamFacts, network, now_ms},
    viewer::Assignment,
};

impl State {
    /// A link that is open and was given out before this coordinator started: it goes on.
    pub(super) fn adopt(&mut self, link: &Link, name: bytes::Bytes, from: Option<IpAddr>) {
        let known = self
            .viewers
            .get(&link.session)
            .is_some_and(|viewer| viewer.assignment(link.node).is_some());
        let Some(seat) = self.seats.get_mut(&link.node).filter(|_| !known) else {
            return;
        };
        // It was removed, paused or set aside while nothing was heard of it.
        if !seat.helps(link.stream) {
            seat.tell(Message::Drop(Drop { link: name }));
            let peer = seat.peer_id;
            if let Some(viewer) = self.viewers.get_mut(&link.session) {
                viewer.let_go_of(peer);
                self.show(link.session);
            }
            return;
        }
        let address = from.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        if self.viewer(link.session, link.stream, address).is_none() {
            return;
        }
        let Some(bitrate) = self.streams.get(&link.stream).map(StreamFacts::taken) else {
            return;
        };
        let reserved = Bitrate::new(bitrate.get() / 2);
        let Some(viewer) = self.viewers.get_mut(&link.session) else {
            return;
        };
        let Some(seat) = self.seats.get_mut(&link.node) else {
            return;
        };
        // Its page was told to let go of this node while nothing was heard of it, and does.
        if viewer.dropped.contains(&seat.peer_id) {
            seat.tell(Message::Drop(Drop { link: name }));
            return;
        }
        let own = network(seat.address) == network(viewer.address);
        seat.reserved = seat.reserved.saturating_add(reserved.get());
        seat.serve(link.stream, link.session);
        let was_carried = viewer.is_carried();
        let told_ms = now_ms();
        viewer.assignments.push(Assignment {
            node: link.node,
            link: name,
            from_ms: link.from_ms,
            told_ms,
            since: Instant::now(),
            open: true,
            reserved,
            bitrate,
            own,
        });
        let carriers = self.carriers.entry(link.stream).or_default();
        carriers.pulling.insert(link.node);
        self.note_carried(link.session, was_carried);
        // Its end may have been told, or not: what came before ended, and it is given anew.
        let told = AssignedNode {
            session: link.session,
            node: link.node,
            stream: link.stream,
            from_ms: link.from_ms,
            until_ms: Some(told_ms),
            bitrate,
            own,
        };
        self.gather.assigned(told.clone());
        self.gather.assigned(AssignedNode {
            from_ms: told_ms,
            until_ms: None,
            ..told
        });
    }
}

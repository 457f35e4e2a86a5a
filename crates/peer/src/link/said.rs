//! What is said through a link's data channel: the other end's commands, and our own.

use std::time::Duration;

use p2p::commands::{self, Command};
use types::Msn;

use super::{Happened, Link, Turn};
use crate::{
    download::{Download, Then},
    source::Inventory,
};

/// How often a segment is served to one viewer: pages try a few times, more only waste a friend's upload.
const MAX_REPEATS: u8 = 8;
/// Segments for which that is remembered; a window has fewer.
const MAX_REMEMBERED: usize = 64;
/// Commands in one second; a page sends a few.
const MAX_COMMANDS: u32 = 200;

impl Link {
    pub(super) fn message(&mut self, message: &[u8], turn: &mut Turn<'_>) {
        if !commands::is_frame(message) {
            self.downloading(|download| download.chunk(message));
            return;
        }
        if turn.now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = turn.now;
            self.commands = 0;
        }
        self.commands += 1;
        if self.commands > MAX_COMMANDS {
            return self.violation("too many commands");
        }
        let command = self.joiner.push(message);
        match command.and_then(|c| c.as_deref().map(Command::decode).transpose()) {
            Ok(Some(command)) => self.command(command, turn),
            Ok(None) => {}
            // A later version of the protocol may say more.
            Err(commands::Error::Unknown(kind)) => {
                tracing::debug!(link = ?self.id, kind, "unknown command")
            }
            Err(error) => self.violation(&error.to_string()),
        }
    }

    fn command(&mut self, command: Command, turn: &mut Turn<'_>) {
        match command {
            Command::Announcement { loaded, loading } => {
                turn.happened
                    .push(Happened::Announced(Inventory { loaded, loading }));
            }
            Command::Request {
                segment,
                request,
                offset,
            } => {
                let found = (!turn.draining && self.may_ask(segment))
                    .then(|| turn.source.segment(self.stream, segment))
                    .flatten();
                if self
                    .outgoing
                    .serve(segment, request, offset, found)
                    .is_err()
                {
                    self.violation("asks and does not read");
                }
            }
            Command::Cancel { segment, request } => self.outgoing.cancel(segment, request),
            Command::Data { .. } | Command::Completed { .. } | Command::Absent { .. } => {
                self.downloading(|download| download.command(&command));
            }
        }
    }

    /// Whether the other end may have a segment, again.
    fn may_ask(&mut self, segment: Msn) -> bool {
        if let Some((_, times)) = self.asked.iter_mut().find(|(asked, _)| *asked == segment) {
            if *times >= MAX_REPEATS {
                metrics::counter!("streamr_peer_repeats_refused_total").increment(1);
                return false;
            }
            *times += 1;
            return true;
        }
        if self.asked.len() >= MAX_REMEMBERED {
            self.asked.pop_front();
        }
        self.asked.push_back((segment, 1));
        true
    }

    pub(super) fn downloading(&mut self, step: impl FnOnce(Download) -> (Option<Download>, Then)) {
        let Some(download) = self.download.take() else {
            return;
        };
        let (download, then) = step(download);
        self.download = download;
        if then == Then::Violation {
            self.violation("segment is not as announced");
        }
    }

    pub(super) fn say(&mut self, command: &Command) {
        if self.outgoing.say(command).is_err() {
            self.violation("does not read");
        }
    }

    /// Says what the source has, if that is news and nothing else waits to be said.
    pub(super) fn say_inventory(&mut self, turn: &Turn<'_>) {
        if !self.announce || self.outgoing.has_commands() {
            return;
        }
        self.announce = false;
        let inventory = if turn.draining {
            Inventory::default()
        } else {
            turn.source.inventory(self.stream)
        };
        if self.said.as_ref() == Some(&inventory) {
            return;
        }
        self.say(&Command::Announcement {
            loaded: inventory.loaded.clone(),
            loading: inventory.loading.clone(),
        });
        self.said = Some(inventory);
    }
}

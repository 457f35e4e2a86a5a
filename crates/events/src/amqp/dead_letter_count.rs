//! How many dead letters the broker keeps, also those it made itself: an event that its consumer died with
//! too often is put there by nobody here.

use std::{convert::Infallible, time::Duration};

use lapin::{Connection, options::QueueDeclareOptions, types::FieldTable};
use parking_lot::Mutex;

use super::{
    connect::{AmqpError, channel, within},
    topology::Topology,
};

/// How often they are counted.
const COUNT: Duration = Duration::from_secs(30);

/// The last two counts: while letters are looked at, they are missing from one.
#[derive(Debug, Default)]
pub(crate) struct DeadLetterCount(Mutex<[u32; 2]>);

impl DeadLetterCount {
    /// Counts while the connection lasts.
    pub(crate) async fn watch(&self, connection: &Connection, topology: &Topology) -> Infallible {
        loop {
            match count(connection, topology).await {
                Ok(letters) => {
                    metrics::gauge!("streamr_dead_letters").set(f64::from(letters));
                    if self.rises(letters) {
                        tracing::warn!(
                            letters,
                            "there are more dead letters; `streamr admin dead-letters` lists them"
                        );
                    }
                }
                Err(error) => tracing::debug!(%error, "dead letters can't be counted"),
            }
            tokio::time::sleep(COUNT).await;
        }
    }

    /// Whether there are more than there were.
    fn rises(&self, letters: u32) -> bool {
        let mut known = self.0.lock();
        let [older, newer] = *known;
        *known = [newer, letters];
        letters > older.max(newer)
    }
}

/// On a channel of its own: a queue that is not there costs the channel.
async fn count(connection: &Connection, topology: &Topology) -> Result<u32, AmqpError> {
    let channel = channel(connection).await?;
    let look = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let declared = channel.queue_declare(topology.dead_letters(), look, FieldTable::default());
    let queue = within("count dead letters", declared).await?;
    within("close a channel", channel.close(200, "done".into())).await?;
    Ok(queue.message_count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_are_only_looked_at_are_no_news_when_they_are_back() {
        let count = DeadLetterCount::default();
        assert!(!count.rises(0));
        assert!(count.rises(2));
        assert!(!count.rises(2));
        assert!(!count.rises(0), "somebody lists them");
        assert!(!count.rises(2));
        assert!(count.rises(3));
        assert!(!count.rises(0) && !count.rises(0), "sent back");
        assert!(count.rises(1));
    }
}

//! A publisher that comes again, as OBS does.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::Source;

/// Before it tries again. OBS waits longer; what is tested is the server.
const AGAIN: Duration = Duration::from_millis(500);
/// How long the server may take to accept it.
const ACCEPTED: Duration = Duration::from_secs(5);

/// Publishes until it is dropped, whoever cuts it off.
#[derive(Debug)]
pub struct Encoder {
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Encoder {
    /// Publishes `source` at `address` with `key`.
    pub fn start(source: Source, address: SocketAddr, key: &str) -> Self {
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, key) = (Arc::clone(&accepted), key.to_owned());
        let task = tokio::spawn(async move {
            loop {
                if let Ok(Ok(mut publication)) =
                    timeout(ACCEPTED, source.publish(address, &key)).await
                {
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = publication.end(Duration::MAX).await;
                }
                sleep(AGAIN).await;
            }
        });
        Self { accepted, task }
    }

    /// How often it was accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

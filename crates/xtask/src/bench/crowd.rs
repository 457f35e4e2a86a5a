//! Many viewers that count what they get.
//!
//! One thread reads all their sockets in turn, a few times in a frame's time, so that the viewers cost
//! the machine little. It reads while others still connect: a viewer that doesn't read is a slow one.

use std::{
    io::{ErrorKind, Read},
    net::TcpStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rtmp::session::Role;

use super::{http, pause_until, target::Target};

/// How often sockets are read.
const SWEEP: Duration = Duration::from_millis(20);
/// Viewers that connect at once.
const CONNECTORS: usize = 4;

/// Viewers until dropped.
pub(super) struct Crowd {
    shared: Arc<Shared>,
    sweeper: Option<JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    /// Bytes received, by viewer.
    received: Vec<AtomicU64>,
    closed: AtomicUsize,
    /// Connected, and not yet swept.
    arrived: Mutex<Vec<TcpStream>>,
}

impl Crowd {
    /// Returns when all have joined.
    pub(super) fn join(target: &Target, viewers: usize) -> Result<Self> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            received: (0..viewers).map(|_| AtomicU64::new(0)).collect(),
            closed: AtomicUsize::new(0),
            arrived: Mutex::default(),
        });
        let swept = Arc::clone(&shared);
        let crowd = Self {
            sweeper: Some(std::thread::spawn(move || sweep(&swept))),
            shared: Arc::clone(&shared),
        };
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let connectors: Vec<_> = (0..CONNECTORS)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        while next.fetch_add(1, Ordering::Relaxed) < viewers {
                            let stream = connect(target)?;
                            stream.set_nonblocking(true)?;
                            shared.arrived().push(stream);
                        }
                        Ok(())
                    })
                })
                .collect();
            for connector in connectors {
                match connector.join() {
                    Ok(result) => result.context("join a viewer")?,
                    Err(_) => bail!("a connector panicked"),
                }
            }
            Ok(())
        })?;
        Ok(crowd)
    }

    /// Bytes received so far, by viewer.
    pub(super) fn received(&self) -> Vec<u64> {
        let received = &self.shared.received;
        received.iter().map(|n| n.load(Ordering::Relaxed)).collect()
    }

    /// Viewers whose connection the server closed.
    pub(super) fn closed(&self) -> usize {
        self.shared.closed.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(sweeper) = self.sweeper.take() {
            let _ = sweeper.join();
        }
    }
}

impl Shared {
    fn arrived(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(target: &Target) -> Result<TcpStream> {
    Ok(match target {
        Target::HttpFlv { port, path } => http::open(*port, path)?.0,
        Target::Rtmp(rtmp) => rtmp.open(Role::Play)?.0,
    })
}

fn sweep(shared: &Shared) {
    let mut viewers: Vec<Option<TcpStream>> = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    while !shared.stop.load(Ordering::Relaxed) {
        let next = Instant::now() + SWEEP;
        viewers.extend(shared.arrived().drain(..).map(Some));
        for (viewer, received) in viewers.iter_mut().zip(&shared.received) {
            let Some(stream) = viewer else { continue };
            match stream.read(&mut buffer) {
                Ok(read) if read > 0 => {
                    received.fetch_add(read as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => {
                    *viewer = None;
                    shared.closed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        pause_until(next);
    }
}

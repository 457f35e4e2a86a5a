//! A balancer before several of a kind, as an operator would run: TCP, by health.
//!
//! Two seconds after a process no longer answers whether it lives, its connections are closed and new ones
//! go to the others. One that lives and isn't ready is used only while none is.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use reqwest::Client;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::http;

/// How often each is asked, and how long it may take.
const CHECK: Duration = Duration::from_millis(250);
/// How many missed answers make a process gone.
const MISSED: u32 = 4;
/// A check that is over so much later than it should be did not have its share of the machine.
const LATE: Duration = Duration::from_millis(40);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_millis(250);

/// How one of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// It lives, and lacks something.
    Lives,
    Gone,
}

/// One of them: where it serves, and the URL of its health.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) health: String,
}

#[derive(Debug)]
struct Known {
    address: SocketAddr,
    state: watch::Receiver<State>,
}

/// A running balancer; dropping it closes everything.
#[derive(Debug)]
pub(crate) struct Balancer {
    _tasks: JoinSet<()>,
}

impl Balancer {
    /// Listens on `address` for connections to `backends`.
    pub(crate) async fn start(address: SocketAddr, backends: Vec<Backend>) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let client = http::unpooled_client()?;
        let mut tasks = JoinSet::new();
        let mut known = Vec::new();
        for backend in backends {
            let (sender, state) = watch::channel(State::Gone);
            tasks.spawn(watch_over(client.clone(), backend.health, sender));
            known.push(Known {
                address: backend.address,
                state,
            });
        }
        let known = Arc::new(known);
        tasks.spawn(async move {
            let turn = AtomicUsize::new(0);
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((client, _)) = listener.accept().await else {
                    sleep(CHECK).await;
                    continue;
                };
                let at = turn.fetch_add(1, Ordering::Relaxed);
                connections.spawn(carry(client, Arc::clone(&known), at));
            }
        });
        Ok(Self { _tasks: tasks })
    }
}

async fn watch_over(client: Client, health: String, state: watch::Sender<State>) {
    let mut missed = 0;
    loop {
        let began = Instant::now();
        let answers = async |path: &str| {
            let url = format!("{health}/health/{path}");
            timeout(CHECK, http::get(&client, &url))
                .await
                .ok()
                .and_then(Result::ok)
        };
        let seen = match answers("ready").await {
            Some(answer) if answer.status.is_success() => State::Ready,
            Some(_) => State::Lives,
            None => State::Gone,
        };
        // Some missed answers are a busy machine; who died closes its connections by itself.
        missed = if seen == State::Gone { missed + 1 } else { 0 };
        if seen != State::Gone || missed >= MISSED {
            state.send_if_modified(|known| std::mem::replace(known, seen) != seen);
        }
        sleep(CHECK).await;
        // It may time out, and then it slept: longer than that says how late this process is, not the other.
        if began.elapsed() > CHECK * 2 + LATE {
            missed = missed.saturating_sub(1);
        }
    }
}

/// Carries one connection until either side closes it, or its backend is gone.
async fn carry(mut client: TcpStream, known: Arc<Vec<Known>>, turn: usize) {
    let mut order: Vec<usize> = (0..known.len()).collect();
    order.rotate_left(turn % known.len().max(1));
    // Those that are ready first; a sort keeps the turn among equals.
    order.sort_by_key(|at| known.get(*at).map(|one| *one.state.borrow() as u8));
    for one in order.into_iter().filter_map(|at| known.get(at)) {
        let Ok(Ok(mut server)) = timeout(CONNECT, TcpStream::connect(one.address)).await else {
            continue;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut state = one.state.clone();
        let gone = async {
            // It answered nothing when it was chosen: then only the connection itself can tell.
            let _ = state.wait_for(|now| *now != State::Gone).await;
            let _ = state.wait_for(|now| *now == State::Gone).await;
        };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
            () = gone => {}
        }
        return;
    }
}

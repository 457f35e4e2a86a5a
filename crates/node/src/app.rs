//! A node from its start to its end: binds, starts the tasks, stops in order.

use std::{sync::Arc, time::Duration};

use peer::{Options, Peer};
use runtime::Shutdown;
use tokio::time::timeout;

use crate::{
    control::Control,
    error::Error,
    files::DataDir,
    identity::Identity,
    net::Net,
    node::Node,
    page::Page,
    settings::{Given, Settings},
    verify::MAX_SEGMENT,
    window::Window,
};

/// Segments that are being served are served to their end, so long.
const FINISH: Duration = Duration::from_secs(5);
/// The last reports are waited for, so long.
const REPORTS: Duration = Duration::from_millis(1500);
/// Between two looks whether another `join` changed the identity.
const IDENTITY: Duration = Duration::from_secs(2);

/// A node that runs.
pub(crate) struct App {
    node: Arc<Node>,
    tasks: Shutdown,
    page: std::net::SocketAddr,
    /// Held as long as it runs.
    _lock: std::fs::File,
}

impl App {
    /// Starts everything. `flags` win over the folder's file.
    pub(crate) async fn start(data: DataDir, flags: Given) -> Result<Self, Error> {
        let settings = Settings::resolve(flags.clone().or(Given::from_file(&data)?))?;
        let identity = Identity::load(&data)?
            .filter(|identity| !identity.servers.is_empty())
            .ok_or(Error::NotEnrolled)?;
        let lock = data.lock()?;
        let tasks = Shutdown::new();
        let net = Net::new(settings.authority.as_deref())?;
        let window = Arc::new(Window::new(settings.memory));
        let options = Options {
            listen: settings.listen,
            max_segment: MAX_SEGMENT,
            ..Options::default()
        };
        let (peer, events) = Peer::bind(options, window.clone(), &tasks)?;
        peer.limit(settings.limits.bitrate).await;
        let parts = (net, peer, window);
        let node = Arc::new(Node::new(data, flags, settings.limits, identity, parts)?);
        tasks.spawn_until_cancelled(Arc::clone(&node).count(events));
        let page = Page::open(Arc::clone(&node), settings.page).await?;
        let address = page.address();
        tasks.spawn(page.serve(tasks.clone()));
        let app = Self {
            node,
            tasks,
            page: address,
            _lock: lock,
        };
        app.connect();
        let (node, tasks) = (Arc::clone(&app.node), app.tasks.clone());
        app.tasks
            .spawn_until_cancelled(follow_identity(node, tasks));
        Ok(app)
    }

    /// Where the local page is.
    pub(crate) const fn page(&self) -> std::net::SocketAddr {
        self.page
    }

    /// The node.
    #[cfg(test)]
    pub(crate) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    fn connect(&self) {
        connect(&self.node, &self.tasks);
    }

    /// Stops in order: no new viewers, what is being served to its end, the last reports, then all.
    pub(crate) async fn stop(self) {
        tracing::info!("stopping");
        self.node.stop();
        if timeout(FINISH, self.node.peer.drain()).await.is_err() {
            tracing::info!("viewers get the rest from elsewhere");
        }
        // Acknowledgements of the last bytes are on their way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.node.collect().await;
        self.node.tell();
        let reported = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let waits = |node: &Node| {
                node.servers().iter().any(|server| {
                    server.standing.lock().connected && server.reporter.lock().waiting() > 0
                })
            };
            while waits(&self.node) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(REPORTS, reported).await.is_err() {
            tracing::info!("the last reports are kept for the next start");
        }
        self.tasks.drain().await;
        self.node.close_reports(|_| true);
        self.node.save();
        self.node.data.remove(crate::page::FILE);
    }
}

/// Speaks with all coordinators of the identity that it doesn't speak with yet.
fn connect(node: &Arc<Node>, tasks: &Shutdown) {
    let servers = node.identity.lock().servers.clone();
    for server in servers {
        if let Some((state, changes)) = node.add_server(&server) {
            let control = Control::new(Arc::clone(node), state, changes, tasks.clone());
            tasks.spawn(control.run());
        }
    }
}

/// `streamr-node join` and `leave` write the identity while the node runs.
async fn follow_identity(node: Arc<Node>, tasks: Shutdown) {
    let mut seen = Identity::changed_at(&node.data);
    loop {
        tokio::time::sleep(IDENTITY).await;
        let changed = Identity::changed_at(&node.data);
        if changed == seen {
            continue;
        }
        seen = changed;
        match Identity::load(&node.data) {
            Ok(Some(identity)) => *node.identity.lock() = identity,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "identity is not readable; going on with the old one")
            }
        }
        connect(&node, &tasks);
        node.tell();
    }
}

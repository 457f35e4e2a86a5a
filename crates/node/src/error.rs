//! Why the node can't do what was asked, in words for the friend who runs it.

use std::path::PathBuf;

/// What can go wrong. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The link is none of ours.
    #[error(
        "{0} is not an invite link; it looks like https://host:8000/join#secret. Ask your streamer for it again"
    )]
    Link(String),
    /// A file of the data folder can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the data folder holds what it can't.
    #[error("{path}: {problem}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A setting has a value that it can't have.
    #[error("{key}: {problem}")]
    Setting {
        /// Its name, as flag and in the file.
        key: &'static str,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The node was never invited.
    #[error(
        "this node helps nobody yet; run `streamr-node join <link>` with the link that your streamer sent you"
    )]
    NotEnrolled,
    /// Another program runs with the same data folder.
    #[error(
        "{0} is used by a streamr-node that runs already; `streamr-node status` shows it. Stop that one, or name another folder with --data-dir"
    )]
    Running(PathBuf),
    /// Nothing runs that could be asked.
    #[error("no streamr-node runs with {0}; start it with `streamr-node run`")]
    NotRunning(PathBuf),
    /// The server can't be reached.
    #[error("{origin} can't be reached: {problem}. `streamr-node doctor` finds out why")]
    Unreachable {
        /// Where.
        origin: String,
        /// Why.
        problem: String,
    },
    /// The server says no.
    #[error("{origin} refuses: {problem}")]
    Refused {
        /// Who.
        origin: String,
        /// Why.
        problem: String,
    },
    /// The node helps no such stream.
    #[error("this node helps no stream {0}; `streamr-node status` names those it helps")]
    NoStream(String),
    /// The UDP port can't be had.
    #[error("{0}; set --listen to another port, or leave it out")]
    Listen(#[from] peer::BindError),
    /// The local page can't be opened.
    #[error("local page on {address}: {source}; set --page to another port")]
    Page {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The HTTP client can't be made.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// Something of this machine is not usable.
    #[error("{0}")]
    System(String),
}

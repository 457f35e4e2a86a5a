//! HLS as a player sees it: playlists read, streams followed, and the server's duties of RFC 8216bis
//! checked.

mod check;
mod check_live;
mod follow;
mod playlist;
mod viewer;

pub use check::{Findings, Flavour, Succession, check_multivariant, check_snapshot};
pub use check_live::{check, check_ended};
pub use follow::{Follower, SeenSegment};
pub use playlist::{MediaPlaylist, Part, Segment, ServerControl};
pub use viewer::Viewer;

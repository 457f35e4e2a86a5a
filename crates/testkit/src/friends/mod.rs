//! Friends and their viewers: real nodes and real pages, viewers without a browser, and nodes that don't keep to the
//! rules.

pub mod light;
mod node;
pub mod rogue;
mod watchers;
mod window;

use anyhow::{Context, Result};
use serde_json::{Value, json};

pub use light::{Habits, Light, LightCounts};
pub use node::{FriendNode, NodeStatus};
pub use rogue::{Rogue, Seen};
pub use watchers::{Carried, Left, PageCounts, Watchers};
pub use window::Fault;

use crate::Account;

/// Invites a friend to carry a stream; the link is good once.
pub async fn invite(owner: &Account, slug: &str, name: &str) -> Result<String> {
    let path = format!("/streams/{slug}/invites");
    let made = owner.post(&path, &json!({ "name": name })).await?;
    let link = made["link"].as_str().context("an invite without a link")?;
    Ok(link.to_owned())
}

/// What the API says of how a stream is delivered.
pub async fn delivery(owner: &Account, slug: &str) -> Result<Value> {
    owner.get(&format!("/streams/{slug}/delivery")).await
}

/// The friends of a stream, as its owner sees them.
pub async fn friends(owner: &Account, slug: &str) -> Result<Vec<Value>> {
    let list = owner.get(&format!("/streams/{slug}/friends")).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

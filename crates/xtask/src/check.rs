//! What every change must pass before tests.

use std::path::Path;

use anyhow::Result;

use crate::{cargo, layers, node, say, succeed, web};

/// Formatting, layers, clippy, then the pages' own checks.
pub(crate) fn run(root: &Path) -> Result<()> {
    succeed(cargo(root).args(["fmt", "--all", "--check"]))?;
    layers::check(root)?;
    match node::find(root) {
        Some(node) => web::check(root, &node)?,
        None => say("check: no node here, so the pages are not checked (cargo xtask node)"),
    }
    succeed(cargo(root).args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

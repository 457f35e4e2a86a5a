//! Building the pages: sources in `crates/web`, result in `crates/web/dist`.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    node::{self, Node},
    say, succeed,
};

/// What in `crates/web` is no source of the pages.
const NOT_SOURCES: &[&str] = &[
    "node_modules",
    "dist",
    "build.rs",
    "Cargo.toml",
    "lib.rs",
    "schema.d.ts",
];

/// Builds the pages, unless their sources are as they were at the last build.
pub(crate) fn build(root: &Path, force: bool) -> Result<()> {
    let folder = folder(root);
    let stamp = root.join(".tools/web.stamp");
    let sources = fingerprint(&folder)?;
    let built = folder.join("dist/index.html").exists();
    if !force && built && fs::read_to_string(&stamp).is_ok_and(|last| last == sources) {
        return Ok(());
    }
    let node = node::find_or_install(root)?;
    install(&folder, &node)?;
    say("building the pages");
    succeed(npm(&folder, &node).args(["run", "--silent", "build"]))?;
    fs::create_dir_all(root.join(".tools"))?;
    fs::write(&stamp, sources).context("write .tools/web.stamp")
}

/// Types and unit tests of the pages.
pub(crate) fn check(root: &Path, node: &Node) -> Result<()> {
    let folder = folder(root);
    install(&folder, node)?;
    succeed(npm(&folder, node).args(["run", "--silent", "check"]))?;
    succeed(npm(&folder, node).args(["run", "--silent", "test"]))
}

fn folder(root: &Path) -> PathBuf {
    root.join("crates/web")
}

fn npm(folder: &Path, node: &Node) -> Command {
    let mut npm = node.npm();
    npm.current_dir(folder);
    npm
}

/// `npm ci`, unless what is installed is what the lock file says.
fn install(folder: &Path, node: &Node) -> Result<()> {
    let lock = fs::read_to_string(folder.join("package-lock.json"))?;
    let copy = folder.join("node_modules/.installed-lock.json");
    if fs::read_to_string(&copy).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    say("installing the pages' packages");
    succeed(npm(folder, node).args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]))?;
    fs::write(copy, lock).context("note what was installed")
}

/// A hash over the names and bytes of all sources.
fn fingerprint(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        file.strip_prefix(folder)?.hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if NOT_SOURCES.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

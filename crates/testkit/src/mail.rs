//! A real SMTP server: aiosmtpd, which keeps every letter in a folder.

use std::{env, fs, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{eventually, ports::free_address};

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct MailServer {
    address: SocketAddr,
    folder: TempDir,
    _child: Child,
}

impl MailServer {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        let python: PathBuf = env::var_os("STREAMR_TEST_MAIL_PYTHON")
            .context(
                "STREAMR_TEST_MAIL_PYTHON names a python with aiosmtpd; ./scripts/test installs it",
            )?
            .into();
        let address = free_address();
        let folder = tempfile::tempdir()?;
        let child = Command::new(python)
            .args([
                "-m",
                "aiosmtpd",
                "--nosetuid",
                "--listen",
                &address.to_string(),
            ])
            .args(["--class", "aiosmtpd.handlers.Mailbox"])
            .arg(folder.path().join("box"))
            .kill_on_drop(true)
            .spawn()
            .context("start aiosmtpd")?;
        eventually(
            Duration::from_secs(20),
            "the mail server listens",
            || async {
                tokio::net::TcpStream::connect(address).await?;
                Ok(Some(()))
            },
        )
        .await?;
        Ok(Self {
            address,
            folder,
            _child: child,
        })
    }

    /// For `mail.url`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The newest letter to `to`, if one came.
    pub fn letter_to(&self, to: &str) -> Result<Option<String>> {
        let Ok(entries) = fs::read_dir(self.folder.path().join("box/new")) else {
            return Ok(None);
        };
        let mut found = None;
        for entry in entries {
            let text = fs::read_to_string(entry?.path())?;
            if text
                .lines()
                .any(|line| line.starts_with("To:") && line.contains(to))
            {
                found = Some(text);
            }
        }
        Ok(found)
    }
}

//! A private Redis.

use std::{net::SocketAddr, path::Path};

use anyhow::Result;
use tempfile::TempDir;

use super::Engine;
use crate::free_address;

/// A running Redis without a disk: what it holds is gone when it ends.
#[derive(Debug)]
pub struct Redis {
    engine: Engine,
    address: SocketAddr,
    folder: TempDir,
}

fn launch(address: SocketAddr, folder: &Path) -> Result<Engine> {
    let arguments = [
        "--bind",
        &address.ip().to_string(),
        "--port",
        &address.port().to_string(),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        &folder.display().to_string(),
    ];
    let arguments = arguments.map(str::to_owned);
    Engine::start(
        "redis-server",
        "redis-server".as_ref(),
        &arguments,
        None,
        folder,
    )
}

impl Redis {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        let (address, folder) = (free_address(), tempfile::tempdir()?);
        let mut engine = launch(address, folder.path())?;
        engine.listens(address).await?;
        Ok(Self {
            engine,
            address,
            folder,
        })
    }

    /// For `cache.url`.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) -> Result<()> {
        self.engine.kill()
    }

    /// Sends a signal by its name, such as `STOP` or `CONT`.
    pub fn signal(&self, signal: &str) -> Result<()> {
        self.engine.signal(signal)
    }

    /// Starts it again on the same port, empty; kills it first if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.engine = launch(self.address, self.folder.path())?;
        self.engine.listens(self.address).await
    }

    /// Makes it forget everything, as an operator would with `redis-cli`.
    pub async fn flush(&self) -> Result<()> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut socket = tokio::net::TcpStream::connect(self.address).await?;
        socket.write_all(b"FLUSHALL\r\n").await?;
        let mut answer = [0; 5];
        socket.read_exact(&mut answer).await?;
        anyhow::ensure!(&answer == b"+OK\r\n", "FLUSHALL: {answer:?}");
        Ok(())
    }
}

//! What viewers and publishers connect to.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Result, bail};
use rtmp::{
    Limits,
    session::{Client, ClientConfig, ClientEvent, Role},
};
use types::Secret;

use super::http;

/// An RTMP stream.
#[derive(Clone)]
pub(super) struct Rtmp {
    pub(super) port: u16,
    pub(super) app: &'static str,
    /// Its name, or its key.
    pub(super) stream: String,
}

/// Something to watch.
#[derive(Clone)]
pub(super) enum Target {
    HttpFlv { port: u16, path: String },
    Rtmp(Rtmp),
}

impl Rtmp {
    /// Connects until the publish or play has started; what came behind is in the session.
    pub(super) fn open(&self, role: Role) -> Result<(TcpStream, Client)> {
        let config = ClientConfig {
            app: self.app.to_owned(),
            tc_url: Secret::new(format!("rtmp://127.0.0.1:{}/{}", self.port, self.app)),
            stream: Secret::new(self.stream.clone()),
            role,
        };
        let mut client = Client::new(Limits::default(), config)?;
        let mut stream = http::connect(self.port)?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            stream.write_all(&client.take_output())?;
            match client.poll_event() {
                Some(ClientEvent::Ready) => return Ok((stream, client)),
                Some(ClientEvent::Rejected { code, description }) => {
                    bail!("RTMP port {}: {code} {description}", self.port);
                }
                Some(_) => continue,
                None => {}
            }
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                bail!("RTMP port {}: closed before the start", self.port);
            }
            client.receive(buffer.get(..read).unwrap_or_default())?;
        }
    }
}

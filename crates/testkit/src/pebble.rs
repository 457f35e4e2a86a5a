//! An ACME server of one's own: Let's Encrypt's `pebble`, with a DNS that leads every name here.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    certificate::{Certificate, Trust},
    eventually, http,
    ports::free_address,
    process::{Limits, Process},
};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running server. It dies when it is dropped.
#[derive(Debug)]
pub struct Pebble {
    _processes: [Process; 2],
    /// After the processes: they end before what they write to is removed.
    _folder: TempDir,
    own: Certificate,
    listen: SocketAddr,
    management: SocketAddr,
    http: SocketAddr,
}

impl Pebble {
    /// Starts one that asks for TLS-ALPN-01 at `tls`, and whose certificates are good for `lifetime`.
    pub async fn start(tls: SocketAddr, lifetime: Duration) -> Result<Self> {
        let folder = TempDir::with_prefix("pebble-")?;
        let own = Certificate::make(folder.path())?;
        let [listen, management, http, dns, dns_management] = [(); 5].map(|()| free_address());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": listen.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": own.certificate,
            "privateKey": own.key,
            "httpPort": http.port(),
            "tlsPort": tls.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": lifetime.as_secs(),
        }});
        let file = folder.path().join("pebble.json");
        std::fs::write(&file, config.to_string())?;
        let dns_server = run(
            "pebble-challtestsrv",
            folder.path(),
            &[
                ("-dns01", &dns.to_string()),
                ("-management", &dns_management.to_string()),
                ("-defaultIPv4", "127.0.0.1"),
                ("-defaultIPv6", ""),
                ("-http01", ""),
                ("-https01", ""),
                ("-tlsalpn01", ""),
            ],
        )?;
        let server = run(
            "pebble",
            folder.path(),
            &[
                ("-config", &file.display().to_string()),
                ("-dnsserver", &dns.to_string()),
            ],
        )?;
        let pebble = Self {
            _processes: [server, dns_server],
            _folder: folder,
            own,
            listen,
            management,
            http,
        };
        eventually(READY_WITHIN, "pebble answers", || async {
            pebble.trust().await.map(Some)
        })
        .await?;
        Ok(pebble)
    }

    /// Its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.listen.port())
    }

    /// The root that its own HTTPS is trusted by.
    pub fn ca_file(&self) -> &PathBuf {
        &self.own.certificate
    }

    /// Where it asks for HTTP-01.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// A client that trusts what it issues.
    pub async fn trust(&self) -> Result<Trust> {
        let stream = self.own.connect(self.management, &["http/1.1"]).await?;
        let head = b"GET /roots/0 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let heard = http::say_on(stream, head, READY_WITHIN).await?;
        let text = String::from_utf8_lossy(&heard);
        let start = text.find("-----BEGIN").context("pebble has no root")?;
        Trust::from_pem(text[start..].as_bytes())
    }
}

fn run(name: &str, folder: &Path, flags: &[(&str, &str)]) -> Result<Process> {
    // The flags of a program in Go: `-name=value`, also when the value is empty.
    let arguments: Vec<String> = flags
        .iter()
        .map(|(flag, value)| format!("{flag}={value}"))
        .collect();
    let environment = BTreeMap::from([("PEBBLE_VA_NOSLEEP".to_owned(), "1".to_owned())]);
    let program = Path::new("/usr/bin").join(name);
    Process::start_with(
        name,
        &program,
        &arguments,
        folder,
        &environment,
        Limits::default(),
    )
}

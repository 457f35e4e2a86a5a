//! Certificates by ACME (RFC 8555): ordered in time, one at a time, and kept as files.

mod account;
mod order;
mod schedule;

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use crate::{
    Shutdown,
    backoff::Backoff,
    config::{Challenge, TlsSection},
    gate::Limits,
    http::{Server, listen},
};

use super::{
    http01::{self, Answers},
    pair::{Files, facts},
    source::Source,
};

/// Connections on the plain listener.
const PLAIN: Limits = Limits {
    total: 256,
    per_address: 32,
};
/// Between tries to have the plain listener's port.
const PORT_RETRY: Duration = Duration::from_secs(10);
/// How long one order may take.
const ORDER: Duration = Duration::from_secs(180);
/// Between failed orders: Let's Encrypt lets five authorizations fail in an hour.
const FIRST_RETRY: Duration = Duration::from_secs(120);
const LAST_RETRY: Duration = Duration::from_secs(6 * 3600);

/// What is ordered, and how.
#[derive(Debug)]
pub(super) struct Settings {
    folder: PathBuf,
    domains: Vec<String>,
    email: Option<String>,
    directory: String,
    ca_file: Option<PathBuf>,
    challenge: Challenge,
    http_bind: SocketAddr,
    public_url: Option<String>,
}

impl Settings {
    pub(super) fn new(section: &TlsSection) -> Self {
        let acme = &section.acme;
        Self {
            folder: section.folder.clone(),
            domains: acme.domains.0.clone(),
            email: acme.email.clone(),
            directory: acme.directory.clone(),
            ca_file: acme.ca_file.clone(),
            challenge: acme.challenge,
            http_bind: acme.http_bind,
            public_url: section.public_url.clone(),
        }
    }

    pub(super) fn files(&self) -> Files {
        Files {
            certificate: self.folder.join("certificate.pem"),
            key: self.folder.join("key.pem"),
        }
    }
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Acme(#[from] instant_acme::Error),
    #[error("the server offers no {0} challenge for {1}")]
    NoChallenge(&'static str, String),
    #[error("the server does not believe that {0} is ours")]
    Unauthorized(String),
    #[error("the challenge's certificate: {0}")]
    Challenge(#[from] rcgen::Error),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    File(PathBuf, std::io::Error),
    #[error("it took longer than {} s", ORDER.as_secs())]
    TooSlow,
    #[error("another process orders; it holds {}", .0.display())]
    Busy(PathBuf),
}

/// Begins to order, unless somebody in this process did.
pub(super) fn begin(
    settings: &Arc<Settings>,
    source: &Arc<Source>,
    https_port: u16,
    shutdown: &Shutdown,
) {
    if source.ordering.swap(true, Ordering::AcqRel) {
        return;
    }
    let orders = Orders {
        settings: Arc::clone(settings),
        source: Arc::clone(source),
        answers: Answers::default(),
    };
    let public_url = settings.public_url.as_deref();
    let routes = http01::routes(Arc::clone(&orders.answers), public_url, https_port);
    shutdown.spawn_until_cancelled(plain(settings.http_bind, routes, shutdown.clone()));
    shutdown.spawn_until_cancelled(orders.run());
}

/// Plain HTTP, as soon as its port can be had.
async fn plain(bind: SocketAddr, routes: axum::Router, shutdown: Shutdown) {
    let mut said = false;
    loop {
        match listen(
            "plain HTTP, for ACME and redirects",
            "tls.acme.http_bind",
            bind,
        ) {
            Ok(listener) => {
                let server = Server::new("plain_http", listener, None, PLAIN);
                return server.accept_all(routes, shutdown).await;
            }
            Err(error) if !said => {
                said = true;
                metrics::counter!("streamr_acme_port_failures_total").increment(1);
                tracing::error!("{error}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(PORT_RETRY).await;
    }
}

struct Orders {
    settings: Arc<Settings>,
    source: Arc<Source>,
    answers: Answers,
}

impl Orders {
    /// Orders when it is time, forever.
    async fn run(self) {
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        loop {
            // What another process wrote counts.
            self.source.refresh();
            let current = self.source.current();
            let facts = current.as_deref().and_then(facts);
            let wait = schedule::until_renewal(
                facts.as_ref(),
                &self.settings.domains,
                SystemTime::now(),
                rand::random_range(0.0..1.0),
            );
            if let Some(wait) = wait {
                tokio::time::sleep(wait).await;
                continue;
            }
            let ordered = tokio::time::timeout(ORDER, self.order()).await;
            self.answers.lock().clear();
            self.source.challenges.lock().clear();
            let outcome = ordered.unwrap_or(Err(Failure::TooSlow));
            let label = if outcome.is_ok() { "issued" } else { "failed" };
            metrics::counter!("streamr_acme_orders_total", "outcome" => label).increment(1);
            match outcome {
                Ok(()) => {
                    backoff.reset();
                    tracing::info!(domains = ?self.settings.domains, "certificate issued");
                }
                Err(error) => {
                    let delay = backoff.next_delay();
                    tracing::error!(
                        "no certificate for {}: {error}; the next try is in {} s. {}",
                        self.settings.domains.join(", "),
                        delay.as_secs(),
                        self.remedy()
                    );
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    fn remedy(&self) -> String {
        match self.settings.challenge {
            Challenge::Http01 => format!(
                "The names must lead here, and port 80 to tls.acme.http_bind ({}); or set STREAMR__TLS__ACME__CHALLENGE to \"tls-alpn-01\"",
                self.settings.http_bind
            ),
            Challenge::TlsAlpn01 => "The names must lead here, and port 443 to coordinator.bind; or set STREAMR__TLS__ACME__CHALLENGE to \"http-01\"".to_owned(),
        }
    }

    /// One order, from the account to the files.
    async fn order(&self) -> Result<(), Failure> {
        let _lock = self.lock()?;
        let account = account::open(&self.settings).await?;
        let issued = order::issue(self, &account).await?;
        let files = self.source.files();
        files
            .store(&issued.chain, &issued.key)
            .map_err(|error| Failure::File(files.certificate.clone(), error))?;
        self.source.refresh();
        Ok(())
    }

    /// Keeps other processes with this data folder from ordering at the same time; until it is dropped.
    fn lock(&self) -> Result<File, Failure> {
        let path = self.settings.folder.join("order.lock");
        let open = || {
            fs::create_dir_all(&self.settings.folder)?;
            File::create(&path)
        };
        let file = open().map_err(|error| Failure::File(path.clone(), error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(_) => Err(Failure::Busy(path)),
        }
    }
}

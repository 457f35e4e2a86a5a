//! The way to coordinators and edges: names, certificates, channels and the HTTP client.
//!
//! Names are resolved without the C library, which a static binary can't count on; it is asked only for names
//! that the domain name system doesn't have.

use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hickory_resolver::TokioResolver;
use hyper_util::client::legacy::connect::{HttpConnector, dns::Name};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::{error::Error, invite::Origin};

/// To open a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For a name.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is asked for a sign of life this often: shorter than routers forget.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What the coordinator sends in one message: a description and little else.
const MAX_MESSAGE: usize = 1024 * 1024;

/// How to reach others.
#[derive(Clone)]
pub(crate) struct Net {
    names: Names,
    authority: Option<Arc<[u8]>>,
    http: reqwest::Client,
}

impl Net {
    /// `authority`: a PEM file of certificates to trust beside the system's.
    pub(crate) fn new(authority: Option<&Path>) -> Result<Self, Error> {
        runtime::tls::install_provider();
        let authority = authority.map(read_authority).transpose()?;
        let names = Names::new();
        let mut client = reqwest::Client::builder()
            .dns_resolver(Arc::new(names.clone()))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(Duration::from_secs(90))
            .user_agent(concat!("streamr-node/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &authority {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)?;
            client = client.tls_certs_merge(certificates);
        }
        Ok(Self {
            names,
            authority,
            http: client.build()?,
        })
    }

    /// For edges.
    pub(crate) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// The addresses of a host.
    pub(crate) async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.names.lookup(host).await
    }

    /// A channel to a coordinator, connected.
    pub(crate) async fn channel(&self, origin: &Origin) -> Result<Channel, Error> {
        let unreachable = |problem: String| Error::Unreachable {
            origin: origin.to_string(),
            problem,
        };
        let mut endpoint = Endpoint::from_shared(origin.as_str().to_owned())
            .map_err(|error| unreachable(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true);
        if origin.is_tls() {
            let mut tls = ClientTlsConfig::new().with_enabled_roots();
            if let Some(pem) = &self.authority {
                tls = tls.ca_certificate(Certificate::from_pem(pem));
            }
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| unreachable(chain(&error)))?;
        }
        let mut connector = HttpConnector::new_with_resolver(self.names.clone());
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connecting = endpoint.connect_with_connector(connector);
        match tokio::time::timeout(CONNECT_TIMEOUT * 2, connecting).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(unreachable(chain(&error))),
            Err(_) => Err(unreachable("no answer in time".to_owned())),
        }
    }

    /// A client of a coordinator.
    pub(crate) async fn client(&self, origin: &Origin) -> Result<Client, Error> {
        let channel = self.channel(origin).await?;
        Ok(Client::new(channel).max_decoding_message_size(MAX_MESSAGE))
    }
}

/// What nodes ask coordinators.
pub(crate) type Client = proto::node::node_client::NodeClient<Channel>;

fn read_authority(path: &Path) -> Result<Arc<[u8]>, Error> {
    let pem = std::fs::read(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(pem.into())
}

/// An error with its causes: what transports wrap says little by itself.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if said.last().is_none_or(|last| !last.contains(&text)) {
            said.push(text);
        }
        cause = error.source();
    }
    said.join(": ")
}

/// Resolves names.
#[derive(Clone)]
struct Names(Option<Arc<TokioResolver>>);

type Addresses = std::vec::IntoIter<SocketAddr>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Names {
    fn new() -> Self {
        let resolver =
            TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
        match resolver {
            Ok(resolver) => Self(Some(Arc::new(resolver))),
            Err(error) => {
                tracing::info!(%error, "no name servers are configured; asking the system instead");
                Self(None)
            }
        }
    }

    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![ip]);
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let found = tokio::time::timeout(LOOKUP_TIMEOUT, self.ask(host)).await;
        found.map_err(|_| format!("the name {host} was not resolved in time"))?
    }

    async fn ask(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Some(resolver) = &self.0
            && let Ok(found) = resolver.lookup_ip(host).await
        {
            let found: Vec<IpAddr> = found.iter().collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let found = tokio::net::lookup_host((host, 0)).await;
        let found = found.map_err(|error| format!("the name {host} is not known: {error}"))?;
        Ok(found.map(|address| address.ip()).collect())
    }

    async fn addresses(self, host: String) -> Result<Addresses, Failure> {
        let found = self.lookup(&host).await?;
        let found: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        Ok(found.into_iter())
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let found = self.clone().addresses(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(found.await?) as reqwest::dns::Addrs) })
    }
}

impl tower::Service<Name> for Names {
    type Response = Addresses;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Addresses, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().addresses(name.as_str().to_owned()))
    }
}

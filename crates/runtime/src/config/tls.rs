//! `tls`: where the public listeners' certificate comes from.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::{ConfigError, value::words};

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Names that one certificate may have; Let's Encrypt's bound.
const MAX_DOMAINS: usize = 100;

/// `tls`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// PEM file of the certificate chain; set it for HTTPS on 8000 and 8080 and RTMPS on 1936.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// A certificate by ACME instead.
    pub acme: Acme,
    /// Where certificates that were issued are kept: `tls` in the data folder.
    #[serde(skip)]
    pub folder: PathBuf,
    /// Where the world finds HTTPS: `public_url`.
    #[serde(skip)]
    pub public_url: Option<String>,
}

impl TlsSection {
    /// Whether the public listeners speak TLS.
    pub fn is_on(&self) -> bool {
        self.certificate.is_some() || !self.acme.domains.is_empty()
    }
}

/// How names are proven to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// By plain HTTP on port 80 (RFC 8555 §8.3).
    Http01,
    /// By TLS on port 443 (RFC 8737).
    TlsAlpn01,
}

impl<'de> Deserialize<'de> for Challenge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "http-01" => Ok(Self::Http01),
            "tls-alpn-01" => Ok(Self::TlsAlpn01),
            other => Err(de::Error::custom(format!(
                "{other:?} is no challenge; write \"http-01\" or \"tls-alpn-01\""
            ))),
        }
    }
}

/// Domain names, written as a list or `a.example,b.example`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domains(pub Vec<String>);

impl Domains {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Domains {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = words(deserializer)?;
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        Ok(Self(names.collect()))
    }
}

/// `tls.acme`: a certificate that an ACME server issues and renews.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Acme {
    /// The names it is for; none: no ACME.
    pub domains: Domains,
    /// Where the server may write to before something expires.
    pub email: Option<String>,
    /// The server's directory.
    pub directory: String,
    /// PEM file of the root that the server's own HTTPS is trusted by, and no other; default: the system's.
    pub ca_file: Option<PathBuf>,
    /// Plain HTTP: answers http-01, and redirects everything else to HTTPS.
    pub http_bind: SocketAddr,
    /// `http-01` or `tls-alpn-01`.
    pub challenge: Challenge,
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            domains: Domains::default(),
            email: None,
            directory: DIRECTORY.to_owned(),
            ca_file: None,
            http_bind: SocketAddr::from(([0, 0, 0, 0], 80)),
            challenge: Challenge::Http01,
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = name.parse::<std::net::IpAddr>().is_ok();
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label) && !is_address
}

/// What only the whole section can tell.
pub(super) fn check(section: &TlsSection) -> Result<(), ConfigError> {
    let acme = &section.acme;
    let domains = acme.domains.0.join(",");
    if let Some(wrong) = acme.domains.0.iter().find(|name| !is_name(name)) {
        let problem = if wrong.starts_with("*.") {
            "a wildcard needs a DNS challenge, which is not supported; name each host"
        } else {
            "write host names that the world can look up, such as \"live.example.org\""
        };
        return Err(ConfigError::key("tls.acme.domains", wrong, problem));
    }
    if acme.domains.0.len() > MAX_DOMAINS {
        let problem = format!("one certificate has at most {MAX_DOMAINS} names");
        return Err(ConfigError::key("tls.acme.domains", domains, problem));
    }
    if !acme.domains.is_empty() && (section.certificate.is_some() || section.key.is_some()) {
        return Err(ConfigError::key(
            "tls.acme.domains",
            domains,
            "there is a certificate of your own; unset STREAMR__TLS__CERTIFICATE and STREAMR__TLS__KEY, or this",
        ));
    }
    if let Some(email) = acme.email.as_ref().filter(|email| !email.contains('@')) {
        let problem = "write an e-mail address, or leave it out";
        return Err(ConfigError::key("tls.acme.email", email, problem));
    }
    if !acme.directory.starts_with("https://") {
        let problem = format!("write the https:// address of a directory, such as {DIRECTORY}");
        return Err(ConfigError::key(
            "tls.acme.directory",
            &acme.directory,
            problem,
        ));
    }
    if let Some(root) = acme.ca_file.as_ref().filter(|root| !root.is_file()) {
        let problem = "there is no such file; name a PEM file, or leave it out";
        return Err(ConfigError::key(
            "tls.acme.ca_file",
            root.display(),
            problem,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Flags, LogDefaults, load_from};
    use super::*;

    fn load_env(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let environment = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        load_from(
            &Flags::default(),
            LogDefaults::SERVICE,
            environment.collect(),
        )
    }

    #[test]
    fn certificates_by_acme_are_for_names_that_can_have_one() {
        let domains = "STREAMR__TLS__ACME__DOMAINS";
        let config = load_env(&[
            (domains, "Live.example.org, pages.example.org"),
            ("STREAMR__TLS__ACME__CHALLENGE", "tls-alpn-01"),
            ("STREAMR__DATA_DIR", "/srv/streamr"),
        ])
        .unwrap();
        assert!(config.tls.is_on());
        assert_eq!(
            config.tls.acme.domains.0,
            ["live.example.org", "pages.example.org"]
        );
        assert_eq!(config.tls.folder, PathBuf::from("/srv/streamr/tls"));
        let acme = |key: &'static str, value: &'static str| {
            load_env(&[(domains, "a.example"), (key, value)])
                .unwrap_err()
                .to_string()
        };
        for (key, value, remedy) in [
            (domains, "*.example.org", "name each host"),
            (domains, "localhost", "live.example.org"),
            (domains, "192.0.2.1", "live.example.org"),
            ("STREAMR__TLS__ACME__EMAIL", "me", "e-mail"),
            ("STREAMR__TLS__ACME__DIRECTORY", "http://acme", "https://"),
            ("STREAMR__TLS__ACME__CA_FILE", "/nowhere", "PEM file"),
            ("STREAMR__TLS__ACME__CHALLENGE", "dns-01", "http-01"),
            ("STREAMR__TLS__CERTIFICATE", "cert.pem", "unset"),
        ] {
            let error = acme(key, value);
            assert!(error.contains(remedy), "{key}: {error}");
            assert!(error.contains("STREAMR__TLS__ACME__"), "{error}");
        }
    }
}

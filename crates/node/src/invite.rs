//! The link that a streamer sends to a friend: where the coordinator is, and the secret that opens it.

use std::str::FromStr;

use types::Secret;

use crate::error::Error;

/// Secrets are shorter.
const MAX_SECRET: usize = 256;

/// An invite link: `http(s)://host:port/join#secret`.
#[derive(Debug, Clone)]
pub(crate) struct InviteLink {
    /// Where the coordinator is: scheme, host and port.
    pub(crate) origin: Origin,
    /// What is redeemed.
    pub(crate) secret: Secret<String>,
}

/// Scheme, host and port of a coordinator, such as `https://live.example:8000`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Origin(String);

impl Origin {
    /// As text, without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The host's name or address, without brackets.
    pub(crate) fn host(&self) -> String {
        let uri = self.0.parse::<http::Uri>().ok();
        let host = uri.as_ref().and_then(http::Uri::host).unwrap_or_default();
        host.trim_matches(['[', ']']).to_owned()
    }

    /// The port; the scheme's own when none is named.
    pub(crate) fn port(&self) -> u16 {
        let uri = self.0.parse::<http::Uri>().ok();
        let port = uri.as_ref().and_then(http::Uri::port_u16);
        port.unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// Whether it is `https`.
    pub(crate) fn is_tls(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl TryFrom<String> for Origin {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Link(text.to_owned());
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let scheme = uri.scheme_str().filter(|s| ["http", "https"].contains(s));
        let (scheme, authority) = scheme.zip(uri.authority()).ok_or_else(wrong)?;
        // A name before the host would be a password in every log.
        if authority.as_str().contains('@') || uri.host().is_none_or(str::is_empty) {
            return Err(wrong());
        }
        Ok(Self(format!("{scheme}://{authority}").to_lowercase()))
    }
}

impl FromStr for InviteLink {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        // The secret is not repeated in what is said of a wrong link.
        let shown = text.split('#').next().unwrap_or_default();
        let wrong = || Error::Link(shown.to_owned());
        let (place, secret) = text.split_once('#').ok_or_else(wrong)?;
        let fits = (1..=MAX_SECRET).contains(&secret.len())
            && secret.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(wrong());
        }
        Ok(Self {
            origin: place.parse()?,
            secret: Secret::new(secret.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_coordinator_and_the_secret() {
        let link: InviteLink = " https://Live.Example:8000/join#AbC_1 ".parse().unwrap();
        assert_eq!(link.origin.as_str(), "https://live.example:8000");
        assert_eq!(link.secret.expose(), "AbC_1");
        let origin: Origin = "http://[::1]/join".parse().unwrap();
        assert_eq!((origin.host(), origin.port()), ("::1".to_owned(), 80));
    }

    #[test]
    fn what_is_no_link_is_said_without_its_secret() {
        for bad in [
            "live.example/join#x",
            "ftp://live.example/join#x",
            "https://live.example/join",
            "https://live.example/join#",
            "https://me:pw@live.example/join#x",
            "https:///join#x",
            "#x",
        ] {
            assert!(bad.parse::<InviteLink>().is_err(), "{bad}");
        }
        let error = "nonsense#topsecret".parse::<InviteLink>().unwrap_err();
        assert!(!error.to_string().contains("topsecret"));
    }
}

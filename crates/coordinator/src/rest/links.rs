//! Where playback, ingest and the pages are, seen from whoever asks.

use axum::http::{HeaderMap, header};

use crate::Settings;

/// The addresses.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    pages: String,
    mailed: String,
    playback: String,
    rtmp: String,
    rtmps: Option<String>,
    name: String,
}

impl Links {
    /// From the configuration, else from the request's host.
    pub(crate) fn of(headers: &HeaderMap, settings: &Settings) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        let name = host_name(host);
        let tls = settings.tls.is_some();
        let scheme = if tls { "https" } else { "http" };
        let or_configured = |configured: &Option<String>, otherwise: String| {
            configured
                .as_deref()
                .map_or(otherwise, |url| url.trim_end_matches('/').to_owned())
        };
        let playback = format!("{scheme}://{name}:{}", settings.playback_port);
        Self {
            mailed: or_configured(
                &settings.public_url,
                format!("{scheme}://localhost:{}", settings.bind.port()),
            ),
            pages: or_configured(&settings.public_url, format!("{scheme}://{host}")),
            playback: or_configured(&settings.playback_url, playback),
            rtmp: format!("rtmp://{name}:{}/live", settings.rtmp_port),
            rtmps: tls.then(|| format!("rtmps://{name}:{}/live", settings.rtmps_port)),
            name: settings
                .public_url
                .as_deref()
                .and_then(|url| url.split_once("://"))
                .map_or(name, |(_, rest)| {
                    host_name(rest.split('/').next().unwrap_or(rest))
                })
                .to_owned(),
        }
    }

    /// The origin that the pages come from.
    pub(crate) fn pages(&self) -> &str {
        &self.pages
    }

    /// The origin that letters name: what is configured, never what a stranger's request says it is called.
    pub(crate) fn mailed(&self) -> &str {
        &self.mailed
    }

    /// The origin that playback comes from.
    pub(crate) fn playback(&self) -> &str {
        &self.playback
    }

    /// The STUN responder, as `host:port`.
    pub(crate) fn stun(&self, port: u16) -> String {
        format!("{}:{port}", self.name)
    }

    /// The tracker that a token opens.
    pub(crate) fn tracker(&self, token: &str) -> String {
        // `http://` becomes `ws://`, `https://` becomes `wss://`.
        let origin = self.pages.strip_prefix("http").unwrap_or("://localhost");
        format!("ws{origin}/t/{token}")
    }

    /// What encoders call the server.
    pub(crate) fn rtmp(&self) -> &str {
        &self.rtmp
    }

    /// The same, encrypted.
    pub(crate) fn rtmps(&self) -> Option<&str> {
        self.rtmps.as_deref()
    }
}

/// The host without its port; an IPv6 literal keeps its brackets.
fn host_name(host: &str) -> &str {
    match host.rfind(']') {
        Some(end) => host.get(..=end).unwrap_or(host),
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_cut_from_any_host() {
        assert_eq!(host_name("example.org:8000"), "example.org");
        assert_eq!(host_name("example.org"), "example.org");
        assert_eq!(host_name("[::1]:8000"), "[::1]");
    }
}

//! What a person sees at the start: where to watch, where to publish, and the first key.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr, UdpSocket},
};

use coordinator::{FirstStream, SetupLink};
use runtime::Config;

/// The banner's text.
pub(crate) fn text(
    config: &Config,
    slugs: &[String],
    first: Option<&FirstStream>,
    setup: Option<&SetupLink>,
) -> String {
    let mut text = String::from("\nStreamr is running.\n\n");
    let scheme = scheme(config);
    let bind = config.coordinator.bind;
    let lan = lan_address(bind);
    if let Some(setup) = setup {
        let base = pages(config, scheme);
        let _ = writeln!(
            text,
            "  Make your account: open this link; it works once.\n    {}\n",
            setup.url(&base)
        );
    }
    for slug in slugs {
        let _ = writeln!(text, "  Watch {slug}");
        let _ = writeln!(
            text,
            "    this machine   {}",
            watch(scheme, "localhost", bind.port(), slug)
        );
        if let Some(lan) = lan {
            let _ = writeln!(
                text,
                "    local network  {}",
                watch(scheme, &host(lan), bind.port(), slug)
            );
        }
        match &config.public_url {
            Some(url) => {
                let _ = writeln!(
                    text,
                    "    public         {}/watch/{slug}",
                    url.trim_end_matches('/')
                );
            }
            None => {
                let _ = writeln!(
                    text,
                    "    public         set STREAMR__PUBLIC_URL to the address the world sees"
                );
            }
        }
    }
    let rtmp = config.ingest.bind;
    let server = |host: &str| {
        if rtmp.port() == 1935 {
            format!("rtmp://{host}/live")
        } else {
            format!("rtmp://{host}:{}/live", rtmp.port())
        }
    };
    let _ = writeln!(text, "\n  OBS: Settings, Stream, Service \"Custom…\"");
    let _ = writeln!(text, "    Server         {}", server("localhost"));
    if let Some(lan) = lan {
        let _ = writeln!(
            text,
            "                   {}  (from another machine)",
            server(&host(lan))
        );
    }
    match first.and_then(|first| first.key.as_ref()) {
        Some(key) => {
            let _ = writeln!(
                text,
                "    Stream key     {}  (shown only now; `streamr key` makes a new one)",
                key.expose()
            );
        }
        None => {
            let _ = writeln!(
                text,
                "    Stream key     shown when it was made; `streamr key` makes a new one"
            );
        }
    }
    text
}

/// Where the owner finds the pages: what the world is told, else this machine.
pub(crate) fn pages(config: &Config, scheme: &str) -> String {
    match &config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("{scheme}://localhost:{}", config.coordinator.bind.port()),
    }
}

/// `http` or `https`.
pub(crate) fn scheme(config: &Config) -> &'static str {
    if config.tls.is_on() { "https" } else { "http" }
}

fn watch(scheme: &str, host: &str, port: u16, slug: &str) -> String {
    format!("{scheme}://{host}:{port}/watch/{slug}")
}

fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// The address others on the network reach this machine at: the source of its default route. Nothing is
/// sent: connecting a UDP socket only picks the route.
fn lan_address(bind: SocketAddr) -> Option<IpAddr> {
    if !bind.ip().is_unspecified() {
        return (!bind.ip().is_loopback()).then(|| bind.ip());
    }
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // TEST-NET-1 (RFC 5737): routed by the default route, and nobody's.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

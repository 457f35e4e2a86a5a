//! RTMPS and HTTPS with a certificate of one's own.

use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::{Fixture, Sandbox, Source, eventually, http};

use crate::support::{PLAYABLE, SOON, scenario};

#[tokio::test]
async fn a_certificate_gives_rtmps_and_https() -> Result<()> {
    let sandbox = Sandbox::embedded().tls().start().await?;
    scenario(&sandbox, async {
        let certificate = sandbox.certificate()?;
        let first = Sandbox::first_stream();
        let fixture = Fixture::plain().await?;
        let transport = certificate.connect(sandbox.rtmps(), &[]).await?;
        let publication = Source::new(&fixture)
            .publish_on(transport, &first.key)
            .await?;
        let playback = sandbox.playback_address();
        let ask = |path: String| async move {
            let stream = certificate.connect(playback, &["http/1.1"]).await?;
            let head =
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let heard = http::say_on(stream, head.as_bytes(), SOON).await?;
            anyhow::Ok(String::from_utf8_lossy(&heard).into_owned())
        };
        let playlist = eventually(PLAYABLE, "HLS by HTTPS", || async {
            let answer = ask(format!("/live/{}/index.m3u8", first.slug)).await?;
            Ok(answer.starts_with("HTTP/1.1 200").then_some(answer))
        })
        .await?;
        ensure!(playlist.contains("#EXT-X-STREAM-INF"), "{playlist}");
        for address in [playback, sandbox.pages_address()] {
            let stream = certificate.connect(address, &["h2", "http/1.1"]).await?;
            let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            ensure!(
                protocol.as_deref() == Some(b"h2"),
                "{address} speaks {protocol:?}, not HTTP/2"
            );
        }
        ensure!(publication.is_running(), "the publisher was cut off");
        // Plain HTTP on the same port gets no further, and neither does silence.
        let plain = http::say(
            playback,
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            Duration::from_secs(2),
        )
        .await?;
        ensure!(
            !plain.starts_with(b"HTTP/1.1 200"),
            "plain HTTP was answered"
        );
        Ok(())
    })
    .await
}

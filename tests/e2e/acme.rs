//! Certificates by ACME, from a real server, and files that are exchanged.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use anyhow::{Context, Result, ensure};
use testkit::{Builder, Fixture, Pebble, Sandbox, Source, certificate, eventually, http};

use crate::support::{PLAYABLE, SOON, scenario};

const NAMES: [&str; 2] = ["live.streamr.test", "pages.streamr.test"];
const LONG: Duration = Duration::from_secs(90 * 86_400);

fn ordering(builder: Builder, pebble: &Pebble, challenge: &str) -> Builder {
    builder
        .set("TLS__ACME__DOMAINS", &NAMES.join(","))
        .set("TLS__ACME__EMAIL", "owner@streamr.test")
        .set("TLS__ACME__DIRECTORY", &pebble.directory())
        .set(
            "TLS__ACME__CA_FILE",
            &pebble.ca_file().display().to_string(),
        )
        .set("TLS__ACME__HTTP_BIND", &pebble.http().to_string())
        .set("TLS__ACME__CHALLENGE", challenge)
}

/// Every public listener shows a certificate of the server's, for all names.
async fn is_certified(sandbox: &Sandbox, pebble: &Pebble) -> Result<()> {
    let trust = pebble.trust().await?;
    let listeners = [
        (sandbox.pages_address(), &["h2", "http/1.1"][..]),
        (sandbox.playback_address(), &["h2", "http/1.1"][..]),
        (sandbox.rtmps(), &[][..]),
    ];
    for (address, protocols) in listeners {
        for name in NAMES {
            let stream = eventually(PLAYABLE, "a certificate", || async {
                let stream = trust.connect(address, name, protocols).await?;
                Ok(Some(stream))
            })
            .await
            .with_context(|| format!("{address} as {name}"))?;
            let spoken = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
            let wanted = protocols.first().map(|name| name.as_bytes().to_vec());
            ensure!(spoken == wanted, "{address} speaks {spoken:?}");
        }
    }
    let stream = trust
        .connect(sandbox.pages_address(), NAMES[0], &["http/1.1"])
        .await?;
    let head = b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let heard = http::say_on(stream, head, SOON).await?;
    ensure!(heard.starts_with(b"HTTP/1.1"), "HTTPS answers nothing");
    for file in ["certificate.pem", "key.pem", "account.json"] {
        let path = sandbox.data_folder().join("tls").join(file);
        let mode = fs::metadata(&path).with_context(|| path.display().to_string())?;
        let mode = mode.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "{file} has mode {mode:o}");
    }
    Ok(())
}

#[tokio::test]
async fn http_01_certifies_one_process_and_plain_http_leads_to_https() -> Result<()> {
    let pebble = Pebble::start("127.0.0.1:1".parse()?, LONG).await?;
    let sandbox = ordering(Sandbox::one_process(), &pebble, "http-01");
    let sandbox = sandbox
        .set("PUBLIC_URL", "https://live.streamr.test")
        .start()
        .await?;
    scenario(&sandbox, async {
        is_certified(&sandbox, &pebble).await?;
        let client = http::client()?;
        let url = format!("http://{}/watch/live?x=1", pebble.http());
        let answer = http::get(&client, &url).await?;
        ensure!(answer.status == 308, "{}", answer.status);
        ensure!(answer.header("location") == "https://live.streamr.test/watch/live?x=1");
        let log = sandbox.log("streamr").await?;
        ensure!(
            log.contains("waits for its first certificate"),
            "the log doesn't say so"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn tls_alpn_01_certifies_three_processes_by_one_order() -> Result<()> {
    let sandbox = Sandbox::three_processes();
    // Which port the coordinator will have is known once it is made.
    let pages = testkit::free_address();
    let pebble = Pebble::start(pages, LONG).await?;
    let sandbox = ordering(sandbox, &pebble, "tls-alpn-01")
        .pages_at(pages)
        .start()
        .await?;
    scenario(&sandbox, async {
        is_certified(&sandbox, &pebble).await?;
        for name in ["ingest", "packager"] {
            let log = sandbox.log(name).await?;
            ensure!(!log.contains("certificate issued"), "{name} ordered, too");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_certificate_is_renewed_while_publishers_stay() -> Result<()> {
    let pebble = Pebble::start("127.0.0.1:1".parse()?, Duration::from_secs(40)).await?;
    let sandbox = ordering(Sandbox::one_process(), &pebble, "http-01")
        .start()
        .await?;
    scenario(&sandbox, async {
        let trust = pebble.trust().await?;
        let connect = || trust.connect(sandbox.rtmps(), NAMES[0], &[]);
        let transport =
            eventually(PLAYABLE, "RTMPS", || async { connect().await.map(Some) }).await?;
        let first = certificate::shown(&transport);
        let fixture = Fixture::plain().await?;
        let key = Sandbox::first_stream().key;
        let publication = Source::new(&fixture).publish_on(transport, &key).await?;
        eventually(PLAYABLE * 2, "another certificate", || async {
            let now = certificate::shown(&connect().await?);
            Ok((now != first).then_some(()))
        })
        .await?;
        ensure!(publication.is_running(), "the publisher was cut off");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn exchanged_files_are_taken_and_broken_ones_are_not() -> Result<()> {
    let sandbox = Sandbox::one_process().tls().start().await?;
    scenario(&sandbox, async {
        let own = sandbox.certificate()?;
        let fixture = Fixture::plain().await?;
        let transport = own.connect(sandbox.rtmps(), &[]).await?;
        let key = Sandbox::first_stream().key;
        let publication = Source::new(&fixture).publish_on(transport, &key).await?;
        fs::write(&own.certificate, "no certificate")?;
        eventually(SOON, "a warning", || async {
            let log = sandbox.log("streamr").await?;
            Ok(log
                .contains("the certificate stays what it was")
                .then_some(()))
        })
        .await?;
        own.connect(sandbox.pages_address(), &[]).await?;
        let folder = tempfile::tempdir()?;
        let other = certificate::Certificate::make(folder.path())?;
        fs::copy(&other.key, &own.key)?;
        fs::copy(&other.certificate, &own.certificate)?;
        for address in [
            sandbox.pages_address(),
            sandbox.playback_address(),
            sandbox.rtmps(),
        ] {
            eventually(SOON, "the new certificate", || async {
                other.connect(address, &[]).await.map(Some)
            })
            .await?;
        }
        ensure!(publication.is_running(), "the publisher was cut off");
        Ok(())
    })
    .await
}

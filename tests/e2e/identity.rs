//! Internal gRPC knows our services by their token: without it every method is refused, and a token is
//! replaced under a live stream without anybody noticing.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use prost_types::FileDescriptorSet;
use reqwest::Client;
use testkit::{Fixture, FlvViewer, Sandbox, Source, http, largest_gap};
use tokio::time::sleep;

use crate::support::{SOON, flv_path, live, scenario};

const OLD: &str = "the-service-token-of-yesterday";
const NEW: &str = "the-service-token-of-tomorrow";
/// Longer than a changed file takes to be read.
const READ_AGAIN: Duration = Duration::from_secs(3);
/// `UNAUTHENTICATED` on the wire.
const UNAUTHENTICATED: &str = "16";

/// Every method of every service in our `.proto` files, as paths.
fn methods() -> Result<Vec<String>> {
    let files = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET)?;
    let mut found = Vec::new();
    for file in &files.file {
        // Nodes come by the public port, and are known by their keys.
        if file.package() == "streamr.node.v1" {
            continue;
        }
        for service in &file.service {
            for method in &service.method {
                found.push(format!(
                    "/{}.{}/{}",
                    file.package(),
                    service.name(),
                    method.name()
                ));
            }
        }
    }
    Ok(found)
}

/// Who serves a method of a distributed sandbox.
fn server(sandbox: &Sandbox, method: &str) -> Result<SocketAddr> {
    let [coordinator, ingest, packager, ..] = *sandbox.internal() else {
        bail!("not distributed");
    };
    match method.split('.').nth(1) {
        Some("coordinator") => Ok(coordinator),
        Some("media") => Ok(ingest),
        Some("packager") => Ok(packager),
        _ => bail!("nobody serves {method}: say here who does"),
    }
}

/// The status of a call with an empty message, if it ends within a moment.
async fn call(
    client: &Client,
    server: SocketAddr,
    method: &str,
    token: Option<&str>,
) -> Result<Option<String>> {
    let mut request = client
        .post(format!("http://{server}{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(vec![0; 5]);
    if let Some(token) = token {
        request = request.header("x-streamr-service-token", token);
    }
    let answer = request.send().await?;
    // A refusal has no body: its status is in the head.
    let status = answer.headers().get("grpc-status");
    Ok(status.and_then(|status| Some(status.to_str().ok()?.to_owned())))
}

fn grpc_client() -> Result<Client> {
    // The shared client makes sure of the TLS provider.
    http::client()?;
    let client = Client::builder().http2_prior_knowledge().timeout(SOON);
    Ok(client.build()?)
}

#[tokio::test]
async fn every_internal_method_is_refused_without_the_token() -> Result<()> {
    let sandbox = Sandbox::three_processes()
        .set("SERVICE_TOKEN", &format!("{NEW},{OLD}"))
        .start()
        .await?;
    scenario(&sandbox, async {
        let (client, methods) = (grpc_client()?, methods()?);
        ensure!(methods.len() >= 10, "methods are missing: {methods:?}");
        for method in &methods {
            let server = server(&sandbox, method)?;
            for wrong in [
                None,
                Some(""),
                Some("a-service-token-of-nobody"),
                Some(&NEW[1..]),
            ] {
                let status = call(&client, server, method, wrong).await?;
                ensure!(
                    status.as_deref() == Some(UNAUTHENTICATED),
                    "{method} with {wrong:?}: {status:?}"
                );
            }
            for right in [NEW, OLD] {
                let status = call(&client, server, method, Some(right)).await?;
                ensure!(
                    status.as_deref() != Some(UNAUTHENTICATED),
                    "{method}: {status:?}"
                );
            }
        }
        // Whether it is ready may be asked by anybody, and is told the same everywhere.
        for server in &sandbox.internal()[..3] {
            let status = call(&client, *server, "/grpc.health.v1.Health/Check", None).await?;
            ensure!(
                matches!(status.as_deref(), None | Some("0")),
                "{server}: {status:?}"
            );
        }
        Ok(())
    })
    .await
}

/// What a process counted of refused calls.
async fn refused(sandbox: &Sandbox, name: &str) -> Result<f64> {
    let client = http::client()?;
    let text = http::fetch(&client, &format!("{}/metrics", sandbox.health(name))).await?;
    let metrics = text.text();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("streamr_service_token_refused_total"));
    line.map_or(Ok(0.0), |line| {
        let value = line
            .rsplit(' ')
            .next()
            .context("a metric without a value")?;
        Ok(value.parse()?)
    })
}

async fn rotate(file: &Path, steps: &[String]) -> Result<()> {
    for tokens in steps {
        let beside = file.with_extension("new");
        fs::write(&beside, tokens)?;
        fs::rename(&beside, file)?;
        sleep(READ_AGAIN).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_replaced_under_a_live_stream() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tokens");
    fs::write(&file, OLD)?;
    let sandbox = Sandbox::three_processes()
        .unset("SERVICE_TOKEN")
        .set("SERVICE_TOKEN_FILE", &file.display().to_string())
        .start()
        .await?;
    scenario(&sandbox, async {
        let fixture = Fixture::plain().await?;
        let (stream, _publication) = live(&sandbox, "rotated", &fixture).await?;
        let path = flv_path(&stream.slug);
        let mut viewer = FlvViewer::open(sandbox.playback_address(), &path).await?;
        viewer.more_frames(SOON, 30).await?;
        let both = [
            format!("{OLD}\n{NEW}\n"),
            format!("{NEW}\n{OLD}\n"),
            format!("{NEW}\n"),
        ];
        rotate(&file, &both).await?;
        viewer.more_frames(SOON, 60).await?;
        ensure!(!viewer.has_ended(), "the viewer was sent away");
        let gap = largest_gap(&viewer.frames());
        ensure!(gap < 1000, "a gap of {gap} ms");
        for name in ["coordinator", "ingest", "packager"] {
            let refused = refused(&sandbox, name).await?;
            ensure!(refused == 0.0, "{name} refused {refused} calls");
        }
        // Only the new one counts, and new calls carry it.
        let (client, methods) = (grpc_client()?, methods()?);
        for method in &methods {
            let server = server(&sandbox, method)?;
            let status = call(&client, server, method, Some(OLD)).await?;
            ensure!(
                status.as_deref() == Some(UNAUTHENTICATED),
                "{method}: {status:?}"
            );
        }
        let another = sandbox.add_stream("after").await?;
        let _publication = Source::new(&fixture)
            .publish(sandbox.rtmp(), &another.key)
            .await?;
        let path = flv_path(&another.slug);
        sandbox
            .view_until(&another.slug, SOON, |view| view.state == "live")
            .await?;
        let mut viewer = FlvViewer::open(sandbox.playback_address(), &path).await?;
        viewer.more_frames(SOON, 30).await?;
        Ok(())
    })
    .await
}

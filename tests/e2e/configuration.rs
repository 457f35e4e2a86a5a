//! A configuration mistake stops the program with a sentence that helps.

use std::{collections::BTreeMap, net::TcpListener, path::Path, time::Duration};

use anyhow::{Result, ensure};
use testkit::{Limits, Process, binary};

/// What `program` says when it ends, which it must with an error.
async fn mistake(program: &str, folder: &Path, settings: &[(&str, &str)]) -> Result<String> {
    let mut environment = BTreeMap::from([(
        "STREAMR__DATA_DIR".to_owned(),
        folder.join("data").display().to_string(),
    )]);
    for (key, value) in settings {
        environment.insert(format!("STREAMR__{key}"), (*value).to_owned());
    }
    // A log of its own for each.
    let keys: Vec<&str> = settings.iter().map(|(key, _)| *key).collect();
    let name = format!("{program}-{}", keys.join("-"));
    let mut process = Process::start(
        &name,
        &binary(program)?,
        folder,
        &environment,
        Limits::default(),
    )?;
    let status = process.exit(Duration::from_secs(20)).await?;
    ensure!(
        !status.success(),
        "{program} with {settings:?} ended well: {}",
        process.log()
    );
    Ok(process.log())
}

#[tokio::test]
async fn a_mistake_names_key_value_and_remedy() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (settings, words) in [
        (
            &[("INGEST__GRACE", "60")][..],
            &["STREAMR__INGEST__GRACE", "60", "2s"][..],
        ),
        (&[("INGEST__GRACEFUL", "60s")], &["graceful"]),
        (
            &[("INGEST__BIND", "nowhere")],
            &["STREAMR__INGEST__BIND", "nowhere"],
        ),
        (
            &[("PACKAGER__ROLES", "origin,relay")],
            &["relay", "origin,edge"],
        ),
        (
            &[("BUS__URL", "nats://user:hunter2@host")],
            &["STREAMR__BUS__URL", "amqp://", "local:"],
        ),
        (
            &[("CACHE__URL", "memcached://host")],
            &["STREAMR__CACHE__URL", "redis://", "memory:"],
        ),
        (
            &[("DATABASE__URL", "mysql://host/x")],
            &["STREAMR__DATABASE__URL", "sqlite:"],
        ),
        (
            &[("PUBLIC_URL", "live.example.org")],
            &["STREAMR__PUBLIC_URL", "https://"],
        ),
        (
            &[("BOOTSTRAP__STREAM", "Not A Slug")],
            &["STREAMR__BOOTSTRAP__STREAM", "Not A Slug"],
        ),
        (
            &[("BOOTSTRAP__STREAM_KEY", "tooshort")],
            &["STREAMR__BOOTSTRAP__STREAM_KEY", "22"],
        ),
        (
            &[
                ("TLS__CERTIFICATE", "/nowhere/cert.pem"),
                ("TLS__KEY", "/nowhere/key.pem"),
            ],
            &["tls.certificate", "/nowhere/cert.pem"],
        ),
        (
            &[("TLS__KEY", "/nowhere/key.pem")],
            &["tls.certificate", "tls.key"],
        ),
        (
            &[("INGEST__GRPC_BIND", "0.0.0.0:19001")],
            &["STREAMR__INGEST__GRPC_BIND", "STREAMR__SERVICE_TOKEN"],
        ),
    ] {
        let said = mistake("streamr", folder.path(), settings).await?;
        for word in words {
            ensure!(
                said.contains(word),
                "{settings:?}: {word:?} is not in: {said}"
            );
        }
        ensure!(
            !said.contains("hunter2") && !said.contains("tooshort"),
            "a secret is shown: {said}"
        );
        ensure!(!said.contains("panicked"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_key_that_changes_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let port = taken.local_addr()?.port().to_string();
    // Others must be free for this one to be the mistake.
    let settings = [
        ("INGEST__BIND", address.as_str()),
        ("COORDINATOR__BIND", "127.0.0.1:0"),
        ("COORDINATOR__GRPC_BIND", "127.0.0.1:0"),
        ("COORDINATOR__STUN_BIND", "127.0.0.1:0"),
        ("INGEST__GRPC_BIND", "127.0.0.1:0"),
        ("PACKAGER__BIND", "127.0.0.1:0"),
        ("PACKAGER__GRPC_BIND", "127.0.0.1:0"),
    ];
    let said = mistake("streamr", folder.path(), &settings).await?;
    for word in [port.as_str(), "STREAMR__INGEST__BIND", "taken by"] {
        ensure!(said.contains(word), "{word:?} is not in: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn services_take_the_same_configuration() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for program in ["streamr-coordinator", "streamr-ingest", "streamr-packager"] {
        let said = mistake(program, folder.path(), &[("INGEST__GRACE", "60")]).await?;
        ensure!(said.contains("STREAMR__INGEST__GRACE"), "{program}: {said}");
        let mut command = tokio::process::Command::new(binary(program)?);
        let checked = command
            .arg("--check-config")
            .env("STREAMR__SERVICE_TOKEN", "hunter2-hunter2-hunter2")
            .output()
            .await?;
        let shown = String::from_utf8_lossy(&checked.stdout).into_owned();
        ensure!(
            checked.status.success(),
            "{program} --check-config: {shown}"
        );
        ensure!(
            shown.contains("grace") && !shown.contains("hunter2"),
            "{program}: {shown}"
        );
    }
    Ok(())
}

//! Certificates that come, go bad and are exchanged while everything runs.

use std::{fs, net::SocketAddr, path::Path};

use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsConnector, client};

use super::*;

type Pair = Made<rcgen::KeyPair>;

fn make() -> Pair {
    generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

fn write(folder: &Path, certificate: &Pair, key: &Pair) {
    // As a renewal does it: the files are replaced, not written into.
    for (name, text) in [
        ("certificate.pem", certificate.cert.pem()),
        ("key.pem", key.signing_key.serialize_pem()),
    ] {
        fs::write(folder.join("new"), text).unwrap();
        fs::rename(folder.join("new"), folder.join(name)).unwrap();
    }
}

fn section(folder: &Path) -> TlsSection {
    TlsSection {
        certificate: Some(folder.join("certificate.pem")),
        key: Some(folder.join("key.pem")),
        ..TlsSection::default()
    }
}

fn acme(folder: &Path) -> TlsSection {
    let mut section = TlsSection {
        folder: folder.to_owned(),
        ..TlsSection::default()
    };
    section.acme.domains.0.push("live.example".to_owned());
    section
}

/// A listener that echoes.
async fn serve(config: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let config = Arc::clone(&config);
            tokio::spawn(async move {
                if let Ok(stream) = config.accept(stream).await {
                    let (mut from, mut to) = tokio::io::split(stream);
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                }
            });
        }
    });
    address
}

async fn connect(
    address: SocketAddr,
    trusted: &Pair,
    protocols: &[&str],
) -> io::Result<client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
}

async fn echoes(stream: &mut client::TlsStream<TcpStream>) -> bool {
    let mut heard = [0; 2];
    stream.write_all(b"hi").await.is_ok()
        && stream.read_exact(&mut heard).await.is_ok()
        && heard == *b"hi"
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_connections_stay() {
    let (folder, first, second) = (TempDir::new().unwrap(), make(), make());
    write(folder.path(), &first, &first);
    let config = server_config(&section(folder.path()), &["h2"])
        .unwrap()
        .unwrap();
    let address = serve(Arc::clone(&config)).await;
    let shutdown = Shutdown::new();
    config.keep_current(&shutdown);
    let mut old = connect(address, &first, &["h2"]).await.unwrap();
    assert!(echoes(&mut old).await);
    write(folder.path(), &second, &second);
    for _ in 0..100 {
        if connect(address, &second, &["h2"]).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut new = connect(address, &second, &["h2"]).await.unwrap();
    assert!(echoes(&mut new).await && echoes(&mut old).await);
    assert!(
        connect(address, &first, &[]).await.is_err(),
        "the old one is gone"
    );
    shutdown.cancel();
}

#[tokio::test]
async fn a_bad_new_certificate_changes_nothing() {
    let (folder, good, other) = (TempDir::new().unwrap(), make(), make());
    write(folder.path(), &good, &good);
    let config = server_config(&section(folder.path()), &[])
        .unwrap()
        .unwrap();
    let address = serve(Arc::clone(&config)).await;
    let spoil: [&dyn Fn(); 4] = [
        &|| write(folder.path(), &other, &good),
        &|| fs::write(folder.path().join("certificate.pem"), "no PEM").unwrap(),
        &|| fs::write(folder.path().join("key.pem"), "").unwrap(),
        &|| fs::remove_file(folder.path().join("key.pem")).unwrap(),
    ];
    for spoil in spoil {
        spoil();
        config.source.refresh();
        assert!(connect(address, &good, &[]).await.is_ok());
    }
    write(folder.path(), &other, &other);
    config.source.refresh();
    assert!(connect(address, &other, &[]).await.is_ok());
}

#[tokio::test]
async fn a_certificate_that_will_be_issued_is_waited_for() {
    let (folder, issued) = (TempDir::new().unwrap(), make());
    let config = server_config(&acme(folder.path()), &["h2", "http/1.1"])
        .unwrap()
        .unwrap();
    let address = serve(Arc::clone(&config)).await;
    let refused = connect(address, &issued, &["h2"]).await.unwrap_err();
    assert!(
        refused.to_string().contains("alert"),
        "refused, not hung: {refused}"
    );
    write(folder.path(), &issued, &issued);
    config.source.refresh();
    let mut stream = connect(address, &issued, &["h2"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert!(echoes(&mut stream).await);
}

#[tokio::test]
async fn tls_alpn_01_is_answered_with_its_own_certificate_and_nothing_else() {
    let (folder, issued, proof) = (TempDir::new().unwrap(), make(), make());
    write(folder.path(), &issued, &issued);
    let config = server_config(&acme(folder.path()), &["h2"])
        .unwrap()
        .unwrap();
    let address = serve(Arc::clone(&config)).await;
    let challenge = ["acme-tls/1"];
    assert!(
        connect(address, &issued, &challenge).await.is_err(),
        "nothing is asked"
    );
    let der = proof.signing_key.serialize_der().into();
    let pair = pair::certified(vec![proof.cert.der().clone()], der_key(der)).unwrap();
    let challenges = &config.source.challenges;
    challenges
        .lock()
        .insert("localhost".to_owned(), Arc::new(pair));
    let mut answered = connect(address, &proof, &challenge).await.unwrap();
    assert!(!echoes(&mut answered).await, "closed after the handshake");
    assert!(connect(address, &issued, &["h2"]).await.is_ok());
}

fn der_key(
    der: rustls::pki_types::PrivatePkcs8KeyDer<'static>,
) -> rustls::pki_types::PrivateKeyDer<'static> {
    rustls::pki_types::PrivateKeyDer::Pkcs8(der)
}

#[tokio::test]
async fn listeners_with_the_same_files_share_them() {
    let (folder, pair) = (TempDir::new().unwrap(), make());
    write(folder.path(), &pair, &pair);
    let pages = server_config(&section(folder.path()), &["h2"])
        .unwrap()
        .unwrap();
    let rtmps = server_config(&section(folder.path()), &[])
        .unwrap()
        .unwrap();
    assert!(Arc::ptr_eq(&pages.source, &rtmps.source));
    assert!(pages.source.begin_watch() && !rtmps.source.begin_watch());
}

#[test]
fn a_mistake_names_the_key_and_the_file() {
    let folder = TempDir::new().unwrap();
    let error = server_config(&section(folder.path()), &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("STREAMR__TLS__CERTIFICATE") && error.contains("certificate.pem"),
        "{error}"
    );
    write(folder.path(), &make(), &make());
    let error = server_config(&section(folder.path()), &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("can't be used together"), "{error}");
    let half = TlsSection {
        key: None,
        ..section(folder.path())
    };
    assert!(matches!(server_config(&half, &[]), Err(TlsError::Half)));
}

#[test]
fn what_is_written_is_its_owners_and_says_what_it_is() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let files = acme::Settings::new(&acme(&folder.path().join("tls"))).files();
    install_provider();
    let made = generate_simple_self_signed(vec!["a.example".to_owned(), "b.example".to_owned()]);
    let made = made.unwrap();
    files
        .store(&made.cert.pem(), &made.signing_key.serialize_pem())
        .unwrap();
    for path in [&files.certificate, &files.key] {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
    let facts = pair::facts(&files.load().unwrap()).unwrap();
    assert_eq!(facts.names, ["a.example", "b.example"]);
    assert!(facts.not_before < facts.not_after);
}

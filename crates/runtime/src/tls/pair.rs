//! A certificate and its key as files: reading, writing, and noticing that they changed.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::{crypto::CryptoProvider, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::{extensions::GeneralName, prelude::FromDer};

use super::TlsError;

/// Where the two are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What tells one state of the files from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([(u64, u64, i64, i64); 2]);

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) names: Vec<String>,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

impl Files {
    /// `None`: one isn't there.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let of = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((
                metadata.ino(),
                metadata.len(),
                metadata.mtime(),
                metadata.mtime_nsec(),
            ))
        };
        Some(Stamp([of(&self.certificate)?, of(&self.key)?]))
    }

    /// Reads both; they fit together.
    pub(super) fn load(&self) -> Result<Arc<CertifiedKey>, TlsError> {
        let file = |key, path: &Path, problem: String| TlsError::File {
            key,
            path: path.to_owned(),
            problem,
        };
        let read = |key, path: &Path| {
            fs::read(path).map_err(|error| file(key, path, format!("can't be read: {error}")))
        };
        let none = |what: &str, why: String| format!("holds no PEM {what}: {why}");
        let certificate = ("tls.certificate", self.certificate.as_path());
        let chain = read(certificate.0, certificate.1)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&chain)
            .collect::<Result<_, _>>()
            .map_err(|error| {
                let problem = none("certificate", error.to_string());
                file(certificate.0, certificate.1, problem)
            })?;
        let key = PrivateKeyDer::from_pem_slice(&read("tls.key", &self.key)?).map_err(|error| {
            let problem = none("private key", error.to_string());
            file("tls.key", &self.key, problem)
        })?;
        Ok(Arc::new(certified(chain, key)?))
    }

    /// Writes both, each whole or not at all; the key first, for a certificate alone is of no use.
    pub(super) fn store(&self, chain: &str, key: &str) -> io::Result<()> {
        write_private(&self.key, key.as_bytes())?;
        write_private(&self.certificate, chain.as_bytes())
    }
}

/// A chain with its key, if they fit.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    if chain.is_empty() {
        return Err(rustls::Error::NoCertificatesPresented);
    }
    let ring = rustls::crypto::ring::default_provider();
    let provider = CryptoProvider::get_default().map_or(&ring, AsRef::as_ref);
    CertifiedKey::from_der(chain, key, provider)
}

/// Writes a file for its owner alone, in place of what was there.
pub(super) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// What the first certificate of a chain says; `None` when it can't be read.
pub(super) fn facts(pair: &CertifiedKey) -> Option<Facts> {
    let (_, certificate) =
        x509_parser::certificate::X509Certificate::from_der(pair.cert.first()?).ok()?;
    let time = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|names| {
        let of = names.value.general_names.iter();
        of.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
    });
    Some(Facts {
        names: names.unwrap_or_default(),
        not_before: time(certificate.validity().not_before.timestamp()),
        not_after: time(certificate.validity().not_after.timestamp()),
    })
}

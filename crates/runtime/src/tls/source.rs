//! Where a certificate comes from: two files, followed for as long as the process lives. Listeners with the
//! same files share one source.

use std::{
    collections::HashMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;

use super::{
    TlsError,
    pair::{Files, Stamp, facts},
};

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(2);

/// The sources of this process.
static SOURCES: Mutex<Vec<Weak<Source>>> = Mutex::new(Vec::new());

#[derive(Debug)]
pub(super) struct Source {
    files: Files,
    current: ArcSwapOption<CertifiedKey>,
    /// The files as they were when last looked into, whether that went well or not.
    seen: Mutex<Option<Stamp>>,
    watched: AtomicBool,
    pub(super) ordering: AtomicBool,
    /// What TLS-ALPN-01 is answered with, by domain.
    pub(super) challenges: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Source {
    fn shared(files: Files) -> Arc<Self> {
        let mut sources = SOURCES.lock();
        sources.retain(|source| source.strong_count() > 0);
        let known = sources.iter().filter_map(Weak::upgrade);
        if let Some(known) = known.into_iter().find(|source| source.files == files) {
            return known;
        }
        let source = Arc::new(Self {
            files,
            current: ArcSwapOption::empty(),
            seen: Mutex::default(),
            watched: AtomicBool::new(false),
            ordering: AtomicBool::new(false),
            challenges: Mutex::default(),
        });
        sources.push(Arc::downgrade(&source));
        source
    }

    /// The source of files that must be there.
    pub(super) fn present(files: Files) -> Result<Arc<Self>, TlsError> {
        let source = Self::shared(files);
        let stamp = source.files.stamp();
        source.take(source.files.load()?);
        *source.seen.lock() = stamp;
        Ok(source)
    }

    /// The source of files that will be there, once a certificate is issued.
    pub(super) fn awaited(files: Files) -> Arc<Self> {
        let source = Self::shared(files);
        source.refresh();
        source
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// The certificate to show; `None` while there is none.
    pub(super) fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }

    fn take(&self, pair: Arc<CertifiedKey>) {
        let until = facts(&pair).map(|facts| facts.not_after);
        let until = until.and_then(|until| until.duration_since(SystemTime::UNIX_EPOCH).ok());
        metrics::gauge!("streamr_tls_certificate_expires_seconds")
            .set(until.map_or(0.0, |until| until.as_secs_f64()));
        self.current.store(Some(pair));
    }

    /// Looks whether the files changed, and takes them if they are good; what was there stays otherwise.
    pub(super) fn refresh(&self) {
        let Some(stamp) = self.files.stamp() else {
            return;
        };
        if self.seen.lock().replace(stamp) == Some(stamp) {
            return;
        }
        let outcome = match self.files.load() {
            Ok(pair) => {
                tracing::info!(certificate = %self.files.certificate.display(), "certificate taken");
                self.take(pair);
                "taken"
            }
            Err(error) => {
                tracing::warn!(
                    "the certificate stays what it was, the new one can't be used: {error}"
                );
                "refused"
            }
        };
        metrics::counter!("streamr_tls_certificates_total", "outcome" => outcome).increment(1);
    }

    /// Whether it is the caller's to watch.
    pub(super) fn begin_watch(&self) -> bool {
        !self.watched.swap(true, Ordering::AcqRel)
    }

    /// Follows the files, forever.
    pub(super) async fn watch(self: Arc<Self>) {
        if self.current().is_none() {
            tracing::warn!(
                "HTTPS waits for its first certificate, which comes by ACME to {}",
                self.files.certificate.display()
            );
        }
        loop {
            let source = Arc::clone(&self);
            // Files may be on a slow disk.
            let _ = tokio::task::spawn_blocking(move || source.refresh()).await;
            tokio::time::sleep(POLL).await;
        }
    }
}

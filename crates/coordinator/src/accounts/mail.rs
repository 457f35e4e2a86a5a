//! Mail by SMTP. Sent in the background: whoever asks learns nothing from the time, and a slow server
//! holds nobody up.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use runtime::{
    Shutdown,
    backoff::Backoff,
    config::{ConfigError, Mail},
};
use tokio::sync::mpsc;

/// Letters that may wait; further ones are dropped and counted.
const WAITING: usize = 256;
/// How long the server may take for one letter.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a letter is tried.
const TRIES: u32 = 5;

/// A letter to be sent.
#[derive(Debug)]
struct Letter {
    to: String,
    subject: &'static str,
    body: String,
}

/// Puts letters in the box; without a server there is no box. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mailer {
    outgoing: Option<mpsc::Sender<Letter>>,
}

/// Empties the box.
pub(crate) struct Postman {
    incoming: mpsc::Receiver<Letter>,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// From the configuration; `None` where no server is named.
    pub(crate) fn new(section: &Mail) -> Result<(Self, Option<Postman>), ConfigError> {
        let Some(url) = &section.url else {
            return Ok((Self::default(), None));
        };
        runtime::tls::install_provider();
        let from = section
            .from
            .as_deref()
            .unwrap_or("Streamr <streamr@localhost>");
        let from: Mailbox = from.parse().map_err(|_| {
            ConfigError::key(
                "mail.from",
                from,
                "write a sender such as \"Streamr <streamr@example.org>\"",
            )
        })?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose()).map_err(|_| {
            ConfigError::secret(
                "mail.url",
                "write \"smtps://user:password@host\", \"smtp://user:password@host:587?tls=required\" or \"smtp://host:25\"",
            )
        })?;
        let (outgoing, incoming) = mpsc::channel(WAITING);
        let postman = Postman {
            incoming,
            transport: transport.timeout(Some(PATIENCE)).build(),
            from,
        };
        let mailer = Self {
            outgoing: Some(outgoing),
        };
        Ok((mailer, Some(postman)))
    }

    /// Whether mail can be sent at all.
    pub(crate) fn is_set(&self) -> bool {
        self.outgoing.is_some()
    }

    /// The link with which a forgotten password is replaced.
    pub(crate) fn reset(&self, to: &str, link: &str) {
        self.post(Letter {
            to: to.to_owned(),
            subject: "Set a new password for Streamr",
            body: format!(
                "Somebody, you we hope, asked to set a new password for your Streamr account.\n\n\
                 Open this link within an hour; it works once:\n\n{link}\n\n\
                 If it wasn't you, do nothing: your password stays as it is.\n"
            ),
        });
    }

    /// An invitation to make an account.
    pub(crate) fn invitation(&self, to: &str, link: &str) {
        self.post(Letter {
            to: to.to_owned(),
            subject: "You are invited to Streamr",
            body: format!(
                "You are invited to make an account on Streamr.\n\n\
                 Open this link within a week; it works once:\n\n{link}\n"
            ),
        });
    }

    /// Somebody tried to register an address that has an account.
    pub(crate) fn registered_already(&self, to: &str) {
        self.post(Letter {
            to: to.to_owned(),
            subject: "You have a Streamr account already",
            body: "Somebody, perhaps you, tried to make a Streamr account with this address. \
                   You have one: log in with it, or ask for a new password on the log-in page.\n"
                .to_owned(),
        });
    }

    fn post(&self, letter: Letter) {
        let Some(outgoing) = &self.outgoing else {
            return;
        };
        if outgoing.try_send(letter).is_err() {
            metrics::counter!("streamr_mail_dropped_total").increment(1);
            tracing::warn!("a letter was dropped: {WAITING} wait to be sent already");
        }
    }
}

impl Postman {
    /// Sends letters until shutdown.
    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        loop {
            let letter = tokio::select! {
                letter = self.incoming.recv() => letter,
                () = shutdown.cancelled() => return,
            };
            let Some(letter) = letter else { return };
            self.send(letter).await;
        }
    }

    async fn send(&self, letter: Letter) {
        let message = letter.to.parse().ok().and_then(|to: Mailbox| {
            Message::builder()
                .from(self.from.clone())
                .to(to)
                .subject(letter.subject)
                .header(ContentType::TEXT_PLAIN)
                .body(letter.body.clone())
                .ok()
        });
        let Some(message) = message else {
            metrics::counter!("streamr_mail_failed_total").increment(1);
            tracing::warn!("a letter has no address that mail could be sent to");
            return;
        };
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for attempt in 1..=TRIES {
            let sent =
                tokio::time::timeout(PATIENCE * 2, self.transport.send(message.clone())).await;
            match sent {
                Ok(Ok(_)) => {
                    metrics::counter!("streamr_mail_sent_total").increment(1);
                    return;
                }
                Ok(Err(error)) if error.is_permanent() => {
                    tracing::warn!(%error, "a letter was refused");
                    break;
                }
                Ok(Err(error)) => tracing::warn!(%error, attempt, "a letter can't be sent yet"),
                Err(_) => tracing::warn!(attempt, "the mail server doesn't answer"),
            }
            backoff.wait().await;
        }
        metrics::counter!("streamr_mail_failed_total").increment(1);
    }
}

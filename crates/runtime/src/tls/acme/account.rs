//! The account with the ACME server: made once, kept in the data folder.

use std::{fs, path::PathBuf};

use instant_acme::{Account, AccountBuilder, AccountCredentials, NewAccount};
use serde::{Deserialize, Serialize};

use super::{Failure, Settings};
use crate::tls::pair::write_private;

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The server it is with; another server needs another account.
    directory: String,
    credentials: AccountCredentials,
}

fn builder(settings: &Settings) -> Result<AccountBuilder, Failure> {
    Ok(match &settings.ca_file {
        Some(root) => Account::builder_with_root(root)?,
        None => Account::builder()?,
    })
}

/// The account that was kept, or a new one.
pub(super) async fn open(settings: &Settings) -> Result<Account, Failure> {
    let path: PathBuf = settings.folder.join("account.json");
    // One that can't be read is made anew: it holds nothing that can't be had again.
    let kept = fs::read(&path)
        .ok()
        .and_then(|text| serde_json::from_slice::<Kept>(&text).ok())
        .filter(|kept| kept.directory == settings.directory);
    if let Some(kept) = kept {
        match builder(settings)?.from_credentials(kept.credentials).await {
            Ok(account) => return Ok(account),
            Err(error) if !is_unknown(&error) => return Err(error.into()),
            Err(_) => {
                metrics::counter!("streamr_acme_accounts_unknown_total").increment(1);
                tracing::warn!("the ACME server doesn't know the account any more");
            }
        }
    }
    let contact = settings
        .email
        .as_ref()
        .map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let directory = settings.directory.clone();
    let (account, credentials) = builder(settings)?
        .create(&new, directory.clone(), None)
        .await?;
    let kept = Kept {
        directory,
        credentials,
    };
    let text =
        serde_json::to_vec(&kept).map_err(|error| Failure::File(path.clone(), error.into()))?;
    write_private(&path, &text).map_err(|error| Failure::File(path, error))?;
    Ok(account)
}

/// Whether the server says that there is no such account (RFC 8555 §6.7).
pub(super) fn is_unknown(error: &instant_acme::Error) -> bool {
    match error {
        instant_acme::Error::Api(problem) => problem
            .r#type
            .as_deref()
            .is_some_and(|kind| kind.ends_with(":accountDoesNotExist")),
        _ => false,
    }
}

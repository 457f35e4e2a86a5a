//! One certificate: proving that the names are ours, and fetching it.

use std::{sync::Arc, time::Duration};

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;

use super::{Failure, Orders};
use crate::config::Challenge;

/// How the server is asked whether it is done.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));

/// A certificate with its chain, and its key; PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Orders and waits for a certificate.
pub(super) async fn issue(orders: &Orders, account: &Account) -> Result<Issued, Failure> {
    let domains = &orders.settings.domains;
    let names: Vec<Identifier> = domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    prove(orders, &mut order).await?;
    if order.poll_ready(&PATIENCE).await? != OrderStatus::Ready {
        return Err(Failure::Unauthorized(refused(&mut order).await));
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(Issued { chain, key })
}

/// Prepares the answers to all challenges, and says so.
async fn prove(orders: &Orders, order: &mut Order) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            AuthorizationStatus::Valid => {}
            AuthorizationStatus::Pending => answer(orders, &mut authorization).await?,
            _ => {
                let name = authorization.identifier().to_string();
                return Err(Failure::Unauthorized(name));
            }
        }
    }
    Ok(())
}

async fn answer<'a>(
    orders: &Orders,
    authorization: &'a mut AuthorizationHandle<'a>,
) -> Result<(), Failure> {
    let name = authorization.identifier().to_string();
    let (kind, label) = match orders.settings.challenge {
        Challenge::Http01 => (ChallengeType::Http01, "http-01"),
        Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
    };
    let Some(mut challenge) = authorization.challenge(kind) else {
        return Err(Failure::NoChallenge(label, name));
    };
    let proof = challenge.key_authorization();
    match orders.settings.challenge {
        Challenge::Http01 => {
            let token = challenge.token.clone();
            let answer = proof.as_str().to_owned();
            orders.answers.lock().insert(token, answer);
        }
        Challenge::TlsAlpn01 => {
            let pair = Arc::new(challenge_pair(&name, proof.digest().as_ref())?);
            orders.source.challenges.lock().insert(name, pair);
        }
    }
    Ok(challenge.set_ready().await?)
}

/// The certificate that answers TLS-ALPN-01 (RFC 8737 §3).
fn challenge_pair(name: &str, digest: &[u8]) -> Result<CertifiedKey, Failure> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    // Unchecked: its extension is critical, and for nobody else.
    let key = rustls::crypto::ring::sign::any_supported_type(&der)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// Which name the server does not believe, and what it says of it.
async fn refused(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        if state.status == AuthorizationStatus::Invalid {
            let name = state.identifier().to_string();
            let said = state
                .challenges
                .iter()
                .find_map(|challenge| challenge.error.as_ref());
            return match said {
                Some(problem) => format!("{name} ({problem})"),
                None => name,
            };
        }
    }
    "a name".to_owned()
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    #[test]
    fn the_challenges_certificate_is_as_rfc_8737_wants_it() {
        let pair = challenge_pair("live.example", &[7; 32]).unwrap();
        let (_, certificate) = X509Certificate::from_der(&pair.cert[0]).unwrap();
        let identifier = certificate
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.31")
            .unwrap();
        assert!(identifier.critical);
        // An octet string of 32 bytes.
        assert_eq!(identifier.value[..2], [4, 32]);
        assert_eq!(identifier.value[2..], [7; 32]);
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names.len(), 1);
    }
}

//! Verifying tokens: one algorithm, one type, known keys, then the claims (RFC 8725).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;

use crate::{KeyId, KeySet, Kind, TokenError, UnixTime, claims::Envelope};

/// The longest token that is looked at, in bytes; ours have about 400.
const MAX_LENGTH: usize = 2048;
/// How far another replica's clock may be ahead, in seconds.
const LEEWAY: i64 = 5;

/// A header may say this and nothing else: no `jku`, `jwk`, `x5u` or `crit` is ever followed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// Verifies `token` and answers what it says.
pub fn verify<K: Kind>(keys: &KeySet, token: &str, now: UnixTime) -> Result<K, TokenError> {
    within(keys, token, now, Duration::ZERO)
}

/// The same for what the token opened already, which lasts: it may have expired since, but not be older than
/// `longest`.
pub fn verify_opened<K: Kind>(
    keys: &KeySet,
    token: &str,
    now: UnixTime,
    longest: Duration,
) -> Result<K, TokenError> {
    within(keys, token, now, longest)
}

fn within<K: Kind>(
    keys: &KeySet,
    token: &str,
    now: UnixTime,
    longest: Duration,
) -> Result<K, TokenError> {
    if token.len() > MAX_LENGTH || token.bytes().filter(|b| *b == b'.').count() != 2 {
        return Err(TokenError::Malformed);
    }
    let header = token.split('.').next().unwrap_or("");
    let header = URL_SAFE_NO_PAD
        .decode(header)
        .map_err(|_| TokenError::Malformed)?;
    let header: serde_json::Value =
        serde_json::from_slice(&header).map_err(|_| TokenError::Malformed)?;
    let header = Header::deserialize(header).map_err(|_| TokenError::WrongKind)?;
    if header.alg != "EdDSA" || header.typ != K::TYPE {
        return Err(TokenError::WrongKind);
    }
    let key = keys
        .decoding(&KeyId(header.kid))
        .ok_or(TokenError::UnknownKey)?;
    // Times and names are compared below, by our clock and with our errors.
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    let envelope: Envelope<K> = jsonwebtoken::decode(token, key, &validation)
        .map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => TokenError::Signature,
            _ => TokenError::Claims,
        })?
        .claims;
    if envelope.iss != K::ISSUER || envelope.aud != K::AUDIENCE {
        return Err(TokenError::Claims);
    }
    let issued = envelope.kind.issued_at();
    let is_over = if longest.is_zero() {
        envelope.exp <= now || issued.after(K::LIFETIME) <= now
    } else {
        issued.after(longest) <= now
    };
    if is_over {
        return Err(TokenError::Expired);
    }
    if envelope.nbf.0 > now.0.saturating_add(LEEWAY) || issued.0 > now.0.saturating_add(LEEWAY) {
        return Err(TokenError::NotYet);
    }
    Ok(envelope.kind)
}

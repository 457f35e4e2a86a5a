//! What passes and what doesn't: promise G1's table of abuse.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use auth::{
    AccessClaims, KeySet, PlaybackClaims, PublicKey, SigningKey, TokenError, UnixTime, verify,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use types::{LoginId, Role, Secret, SessionId, StreamId, UserId};

const NOW: UnixTime = UnixTime(1_800_000_000);

fn key(byte: u8) -> SigningKey {
    SigningKey::from_seed(Secret::new([byte; 32])).unwrap()
}

fn access() -> AccessClaims {
    AccessClaims {
        user: UserId::new(),
        login: LoginId::new(),
        role: Role::Streamer,
        issued_at: NOW,
    }
}

fn check(token: &str) -> Result<AccessClaims, TokenError> {
    verify(&KeySet::new([key(1).public()]), token, NOW)
}

/// A token of our key that says what it likes.
fn forged(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": key(1).id() })
}

fn claims() -> Value {
    json!({
        "iss": "streamr", "aud": "streamr-api", "sub": UserId::new(), "sid": LoginId::new(),
        "role": "admin", "iat": NOW, "nbf": NOW, "exp": NOW.0 + 900,
    })
}

fn with(mut value: Value, name: &str, other: Value) -> Value {
    value[name] = other;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

#[test]
fn a_token_says_what_was_signed() {
    let signed = access();
    let token = key(1).sign(signed.clone()).unwrap();
    assert_eq!(check(token.expose()), Ok(signed));
    assert!(
        check(&forged(&header(), &claims())).is_ok(),
        "the forger works"
    );
}

#[test]
fn a_token_of_another_kind_key_or_time_is_refused() {
    let header_cases = [
        ("alg", json!("none"), TokenError::WrongKind),
        ("alg", json!("HS256"), TokenError::WrongKind),
        ("alg", json!("RS256"), TokenError::WrongKind),
        ("typ", json!("JWT"), TokenError::WrongKind),
        ("typ", json!("playback+jwt"), TokenError::WrongKind),
        ("kid", json!("unknown"), TokenError::UnknownKey),
        ("kid", json!("../../etc/passwd"), TokenError::UnknownKey),
        (
            "jku",
            json!("https://evil.example/jwks"),
            TokenError::WrongKind,
        ),
        ("jwk", json!({"kty": "OKP"}), TokenError::WrongKind),
        (
            "x5u",
            json!("https://evil.example/cert"),
            TokenError::WrongKind,
        ),
        ("crit", json!(["exp"]), TokenError::WrongKind),
    ];
    for (name, value, error) in header_cases {
        let token = forged(&with(header(), name, value.clone()), &claims());
        assert_eq!(check(&token), Err(error), "{name} {value}");
    }
    let claim_cases = [
        ("iss", json!("streamr-playback"), TokenError::Claims),
        ("aud", json!("streamr-edge"), TokenError::Claims),
        ("aud", json!(["streamr-api", "other"]), TokenError::Claims),
        ("exp", json!(NOW), TokenError::Expired),
        ("exp", json!(0), TokenError::Expired),
        ("iat", json!(NOW.0 - 901), TokenError::Expired),
        ("nbf", json!(NOW.0 + 60), TokenError::NotYet),
        ("iat", json!(NOW.0 + 60), TokenError::NotYet),
        ("role", json!("root"), TokenError::Claims),
        ("sub", json!("admin"), TokenError::Claims),
    ];
    for (name, value, error) in claim_cases {
        let token = forged(&header(), &with(claims(), name, value.clone()));
        assert_eq!(check(&token), Err(error), "{name} {value}");
    }
    for name in ["iss", "aud", "exp", "nbf", "iat", "sub", "sid", "role"] {
        let token = forged(&header(), &without(claims(), name));
        assert_eq!(check(&token), Err(TokenError::Claims), "without {name}");
    }
    for name in ["alg", "typ", "kid"] {
        let token = forged(&without(header(), name), &claims());
        assert_eq!(check(&token), Err(TokenError::WrongKind), "without {name}");
    }
}

#[test]
fn another_purpose_s_key_does_not_pass() {
    let playback = PlaybackClaims {
        session: SessionId::new(),
        stream: StreamId::new(),
        link: None,
        receipt_key: None,
        node: None,
        issued_at: NOW,
    };
    let token = key(1).sign(playback).unwrap();
    assert_eq!(check(token.expose()), Err(TokenError::WrongKind));
    let token = key(2).sign(access()).unwrap();
    assert_eq!(check(token.expose()), Err(TokenError::UnknownKey));
}

#[test]
fn a_changed_token_is_refused() {
    let token = key(1).sign(access()).unwrap();
    let (signed, signature) = token.expose().rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    for changed in [
        format!("{signed}."),
        format!("{signed}.{}", &signature[2..]),
        format!("{signed}.{signature}="),
        format!("{signed}.{signature}.{signature}"),
        signed.to_owned(),
        String::new(),
        "..".to_owned(),
        "x".repeat(1 << 20),
    ] {
        assert!(check(&changed).is_err(), "{changed:.80}");
    }
    let other = key(1).sign(access()).unwrap();
    let other_claims = other.expose().split('.').nth(1).unwrap();
    assert_eq!(
        check(&format!("{header}.{other_claims}.{signature}")),
        Err(TokenError::Signature)
    );
    assert_ne!(claims, other_claims);
}

#[test]
fn the_set_is_published_as_rfc_7517_wants() {
    // RFC 8037, appendix A.2 and A.3: this key has this thumbprint.
    let x = URL_SAFE_NO_PAD
        .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
        .unwrap();
    let key = PublicKey(x.try_into().unwrap());
    assert_eq!(key.id().0, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let set = KeySet::new([key]).jwks();
    assert_eq!(set["keys"][0]["kid"], json!(key.id()));
    assert_eq!(set["keys"][0]["crv"], "Ed25519");
    assert!(set["keys"][0].get("d").is_none());
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}", parts in proptest::collection::vec("[A-Za-z0-9_-]{0,40}", 3)) {
        proptest::prop_assert!(check(&text).is_err());
        proptest::prop_assert!(check(&parts.join(".")).is_err());
    }
}
